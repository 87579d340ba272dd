"""One root, one program in it that tries one way out after the other, and what each gave."""

import json
import os
import platform

import pytest
from hostile import run_hostile, small_root
from root_fixtures import leaving_nothing
from vmimage.system import network

pytestmark = pytest.mark.needs("slirp4netns", "ip")
MACHINE = platform.machine()
X86 = MACHINE == "x86_64"


def call(x86, arm, *arguments):
    """Text of a system call by its number on x86_64 or arm64."""
    return f"asked({', '.join(map(str, (x86 if X86 else arm, *arguments)))})"


def opened(path, flags="os.O_RDWR"):
    return f"os.open({path!r}, {flags})"


def written(path, text):
    return f"os.write(os.open({path!r}, os.O_WRONLY), {text.encode()!r})"


def node(kind, major, minor):
    return f"os.mknod('/etc/node', 0o600 | stat.S_IF{kind}, os.makedev({major}, {minor}))"


def reached(family, address):
    return f"connected(socket.{family}, {address})"


GONE = {"ENOENT", "ENOTDIR", "EACCES", "EPERM", "EROFS", "ENXIO", "ENODEV"}
DENIED = {"EPERM", "EACCES", "EROFS"}
AWAY = {"ECONNREFUSED", "ENETUNREACH", "EHOSTUNREACH", "ENOENT", "EAFNOSUPPORT", "ENODEV", "EPERM", "EADDRNOTAVAIL", "timeout"}
NAMESPACES = {"mnt": 0x20000, "net": 0x40000000, "pid": 0x20000000, "cgroup": 0x2000000, "uts": 0x4000000, "ipc": 0x8000000}
NAMESPACES["user"] = 0x10000000
NAMESPACES["time"] = 0x80

#: name: (an expression that gives the result or raises an OSError, what it may give)
WAYS = {
    # devices
    **{
        f"open /dev/{name}": (opened(f"/dev/{name}"), GONE)
        for name in (
            *("console", "mem", "port", "kmsg", "sda", "vda", "nvme0n1", "loop0", "loop-control", "kvm", "fuse", "btrfs-control"),
            *("net/tun", "mapper/control", "vhost-net", "vhost-vsock", "uinput", "input/event0", "tty0", "tty1", "ttyS0", "hpet"),
            *("cpu/0/msr", "watchdog", "nvram", "raw/rawctl", "dri/card0", "vfio/vfio", "userfaultfd", "snapshot"),
        )
    },
    "open /dev/tty": (opened("/dev/tty"), {"ENXIO"}),
    "mknod of a disk": (node("BLK", 8, 0), DENIED),
    "mknod of a virtual disk": (node("BLK", 254, 0), DENIED),
    "mknod of a loop device": (node("BLK", 7, 0), DENIED),
    "mknod of /dev/mem": (node("CHR", 1, 1), DENIED),
    "mknod of /dev/kmsg": (node("CHR", 1, 11), DENIED),
    "mknod of /dev/loop-control": (node("CHR", 10, 237), DENIED),
    "mknod of /dev/fuse": (node("CHR", 10, 229), DENIED),
    "mknod on a file system of memory": ("os.mknod('/dev/shm/disk', 0o600 | stat.S_IFBLK, os.makedev(8, 0))", DENIED),
    # mounts
    "mount a tmpfs": (call(165, 40, "b'none'", "b'/mnt'", "b'tmpfs'", 0, 0), DENIED),
    "mount proc again": (call(165, 40, "b'proc'", "b'/mnt'", "b'proc'", 0, 0), DENIED),
    "mount the builder's cgroups": (call(165, 40, "b'none'", "b'/mnt'", "b'cgroup2'", 0, 0), DENIED),
    "bind the root elsewhere": (call(165, 40, "b'/'", "b'/mnt'", 0, 4096, 0), DENIED),
    "remount /proc/sys to write": (call(165, 40, "b'none'", "b'/proc/sys'", 0, 32 | 4096, 0), DENIED),
    "remount /usr to write": (call(165, 40, "b'none'", "b'/usr'", 0, 32 | 4096, 0), DENIED),
    "unmount /proc/sys": (call(166, 39, "b'/proc/sys'", 0), DENIED),
    "unmount /proc/1": (call(166, 39, "b'/proc/1'", 2), DENIED),
    "unmount the root": (call(166, 39, "b'/'", 2), DENIED),
    "pivot_root": (call(155, 41, "b'/'", "b'/mnt'"), DENIED),
    "make /usr writable by mount_setattr": (call(442, 442, -100, "b'/usr'", 0, "b'\\0' * 8 + b'\\1' + b'\\0' * 23", 32), DENIED),
    "a chroot that is left by a descriptor": ("climbed()", {"contained"}),
    "parents of the root": ("os.stat('/../../..').st_ino == os.stat('/').st_ino", {"True"}),
    "a link that climbs": ("os.symlink('../' * 40 + SECRET, '/etc/climb') or open('/etc/climb').read()", {"ENOENT"}),
    "the builder's file by its path": ("open(SECRET).read()", {"ENOENT"}),
    "a file of the builder is written to": ("open('/usr/bin/env', 'r+b')", {"EROFS", "ETXTBSY"}),
    "a file of the builder gets another mode": ("os.chmod('/usr/bin/env', 0o4755)", {"EROFS"}),
    "a hard link to a file of the builder": ("os.link('/usr/bin/env', '/etc/env')", {"EXDEV"}),
    "a name below the builder's /usr": (opened("/usr/planted", "os.O_CREAT | os.O_WRONLY"), {"EROFS"}),
    "its own program is overwritten": ("open('/proc/self/exe', 'r+b')", {"EROFS", "ETXTBSY"}),
    "an attribute that redirects an overlay": ("os.setxattr('/etc', 'trusted.overlay.redirect', b'/..')", {"EPERM"}),
    "a socket of the builder by its path": (reached("AF_UNIX", "os.path.dirname(SECRET) + '/socket'"), {"ENOENT"}),
    # processes
    "/proc/1/root": ("os.listdir('/proc/1/root')", {"[]"}),
    "/proc/1/cwd": ("os.listdir('/proc/1/cwd')", {"[]"}),
    "/proc/1/fd": ("os.listdir('/proc/1/fd')", GONE),
    "/proc/1/mem": (opened("/proc/1/mem"), GONE),
    "/proc/1/environ": ("open('/proc/1/environ').read()", {""}),
    "a root of any process": ("[at for at in os.listdir('/proc') if os.path.exists(f'/proc/{at}/root{SECRET}')]", {"[]"}),
    "a directory among the descriptors": ("inherited()", {"[]"}),
    "the builder's environment": ("os.environ.get('VMIMAGE_TESTS_OWNER', 'unknown')", {"unknown"}),
    "the builder's process is killed": ("os.kill(BUILDER, 9)", {"ESRCH"}),
    "the builder's process is stopped": ("os.kill(BUILDER, 19)", {"ESRCH"}),
    "a process of the builder by pidfd": ("os.pidfd_open(BUILDER)", {"ESRCH"}),
    "process 1 by pidfd_getfd": (call(438, 438, "os.pidfd_open(1)", 0, 0), DENIED),
    "process 1 is traced": (call(101, 117, 0x4206, 1, 0, 0), {"EPERM", "EIO"}),
    "memory of process 1": (call(310, 270, 1, 0, 0, 0, 0, 0), {"EPERM", "0"}),
    "process 1 is given memory": (call(311, 271, 1, "ctypes.byref(IOVEC)", 1, "ctypes.byref(IOVEC)", 1, 0), DENIED),
    "process 1 is compared": (call(312, 272, 1, 1, 0, 0, 0), DENIED),
    "process 1 is moved": (call(256, 238, 1, 64, 0, 0), {"EPERM", "ENOSYS", "EFAULT"}),
    # settings of the kernel
    **{
        f"write {path}": (written(path, text), GONE)
        for path, text in {
            "/proc/sys/kernel/core_pattern": "|/bin/sh",
            "/proc/sys/kernel/modprobe": "/etc/planted",
            "/proc/sys/kernel/panic": "7",
            "/proc/sys/kernel/hostname": "planted",
            "/proc/sys/kernel/domainname": "planted",
            "/proc/sys/kernel/sysrq": "511",
            "/proc/sys/kernel/usermodehelper/bset": "0",
            "/proc/sys/fs/binfmt_misc/register": ":x:M::x::/etc/planted:",
            "/proc/sys/fs/suid_dumpable": "2",
            "/proc/sys/vm/overcommit_memory": "2",
            "/proc/sys/net/ipv4/ip_forward": "1",
            "/proc/sysrq-trigger": "h",
            "/proc/irq/0/smp_affinity": "1",
            "/proc/self/uid_map": "0 0 1",
            "/sys/kernel/uevent_helper": "/etc/planted",
            "/sys/power/state": "mem",
            "/sys/kernel/mm/transparent_hugepage/enabled": "always",
            "/sys/module/loop/parameters/max_part": "1",
            "/sys/fs/cgroup/cgroup.procs": "0",
            "/sys/fs/cgroup/release_agent": "/etc/planted",
            "/sys/fs/cgroup/memory/memory.limit_in_bytes": "-1",
            "/sys/kernel/debug/sleep_time": "1",
            "/sys/kernel/tracing/trace_marker": "x",
            "/sys/firmware/efi/efivars/planted": "x",
            "/sys/bus/pci/rescan": "1",
            "/dev/cpu_dma_latency": "0",
        }.items()
    },
    "read /proc/kcore": ("open('/proc/kcore', 'rb').read(4096)", GONE),
    "read /proc/kmsg": ("os.open('/proc/kmsg', os.O_RDONLY | os.O_NONBLOCK)", GONE),
    "keys of the builder": ("open('/proc/keys').read()", {"", "ENOENT"}),
    "the disks of the builder by sysfs": ("os.listdir('/sys/fs/cgroup')", {"[]", "ENOENT"}),
    "the log of the kernel": (call(103, 116, 1, 0, 0), DENIED),
    "the clock is set": ("time.clock_settime(time.CLOCK_REALTIME, 1)", DENIED),
    "the clock is adjusted": (call(159, 171, "(ctypes.c_long * 32)(1)"), DENIED),
    "the host's name is set": ("socket.sethostname('planted')", DENIED),
    "the machine's reboot": (call(169, 142, 0xFEE1DEAD, 672274793, 0, 0), DENIED),
    "swap": (call(167, 224, "b'/etc/swap'", 0), DENIED),
    "accounting": (call(163, 89, "b'/etc/passwd'"), DENIED),
    "the terminal is hung up": (call(153, 58), DENIED),
    "ports of the processor": (call(173, 0, 0, 1, 1) if X86 else "'EPERM'", DENIED),
    "all ports of the processor": (call(172, 0, 3) if X86 else "'EPERM'", DENIED),
    # what needs no capability, or has had faults
    **{f"unshare {name}": (call(272, 97, flag), {"EPERM"}) for name, flag in NAMESPACES.items()},
    **{
        f"setns of its own {name}": (call(308, 268, f"os.open('/proc/self/ns/{name}', 0)", 0), {"EPERM"})
        for name in ("mnt", "net", "pid_for_children", "uts")
    },
    **{
        f"BPF {name}": (call(321, 280, number, "b'\\1' + b'\\0' * 127", 128), {"EPERM"})
        for name, number in {
            "map": 0,
            "program": 5,
            "raw tracepoint": 17,
            "types": 18,
            "object by number": 13,
            "link": 28,
        }.items()
    },
    "perf of all processes": (call(298, 241, "b'\\1' + b'\\0' * 127", -1, 0, -1, 0), {"EPERM"}),
    "perf of itself": (call(298, 241, "b'\\1\\0\\0\\0\\x70' + b'\\0' * 107", 0, -1, -1, 0), {"EPERM"}),
    "userfaultfd": (call(323, 282, 0), {"EPERM"}),
    "io_uring": (call(425, 425, 8, "b'\\0' * 120"), {"ENOSYS"}),
    "a module": (call(313, 273, "os.open('/usr/bin/env', 0)", "b''", 0), {"EPERM"}),
    "kexec": (call(320, 294, "os.open('/usr/bin/env', 0)", -1, 0, 0, 4), {"EPERM"}),
    "a file by number": (call(304, 265, 3, "b'\\x08\\0\\0\\0\\1\\0\\0\\0\\2' + b'\\0' * 7", 0), {"EPERM"}),
    "the session keyring": (call(250, 219, 0, -3, 0), {"EPERM"}),
    "a key of the user": (call(248, 217, "b'user'", "b'planted'", "b'x'", 1, -4), {"EPERM"}),
    "notifications of all files": (call(300, 262, 4, 0), {"EPERM", "ENOSYS"}),
    "a capability is taken back": ("raised()", {"EPERM"}),
    "an ambient capability": (call(157, 167, 47, 2, 21, 0, 0), {"EPERM"}),
    # networks
    "the builder's loopback": (reached("AF_INET", "('127.0.0.1', PORT)"), AWAY),
    "the builder's loopback by zeros": (reached("AF_INET", "('0.0.0.0', PORT)"), AWAY),
    "the builder's loopback by IPv6": (reached("AF_INET6", "('::1', PORT)"), AWAY),
    "the builder's loopback by mapped IPv6": (reached("AF_INET6", "('::ffff:127.0.0.1', PORT)"), AWAY),
    "the builder's loopback by the gateway": (reached("AF_INET", "('198.18.255.2', PORT)"), AWAY),
    "an abstract socket of the builder": (reached("AF_UNIX", "'\\0' + ABSTRACT"), AWAY),
    "the cloud's metadata server": (reached("AF_INET", "('169.254.169.254', 80)"), AWAY),
    "another link-local server": (reached("AF_INET", "('169.254.0.23', 80)"), AWAY),
    "the builder by a socket of virtual machines": (reached("AF_VSOCK", "(1, 22)"), {"EAFNOSUPPORT"}),
    "the hypervisor by a socket of virtual machines": (reached("AF_VSOCK", "(2, 22)"), {"EAFNOSUPPORT"}),
    "a socket of a modem": ("socket.socket(42, socket.SOCK_DGRAM)", {"EAFNOSUPPORT"}),
    "a device of the network": ("subprocess.run(['ip', 'link', 'add', 'vmtest', 'type', 'dummy'], stderr=-3).returncode", {"2"}),
    "the way to the metadata server is opened": (
        "subprocess.run(['ip', 'route', 'del', 'unreachable', '169.254.0.0/16'], stderr=-3).returncode",
        {"2"},
    ),
    "the firewall": ("socket.socket(socket.AF_INET, socket.SOCK_RAW, 255).setsockopt(0, 64, b'\\0' * 84)", {"EPERM", "EINVAL"}),
}

TRYING = """
import ctypes, errno, json, os, signal, socket, stat, struct, subprocess, sys, time

class Iovec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]

KEPT = ctypes.create_string_buffer(8)
IOVEC = Iovec(ctypes.addressof(KEPT), 8)

def connected(family, address):
    with socket.socket(family) as tried:
        tried.settimeout(3)
        tried.connect(address)
        return "reached"

def climbed():
    os.mkdir("/etc/below")
    door = os.open("/", os.O_RDONLY)
    os.chroot("/etc/below")
    os.fchdir(door)
    for _ in range(64):
        os.chdir("..")
    os.chroot(".")
    return "out" if os.path.exists(SECRET) else "contained"

def inherited():
    found = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            if int(fd) > 2 and (stat.S_ISDIR(os.fstat(int(fd)).st_mode) or stat.S_ISREG(os.fstat(int(fd)).st_mode)):
                found.append(os.readlink(f"/proc/self/fd/{fd}"))
        except OSError:
            pass
    return [path for path in found if not path.startswith("/proc/")]

def raised():
    head, data = struct.pack("Ii", 0x20080522, 0), b"\\xff" * 24
    _libc.capset.argtypes = [ctypes.c_char_p, ctypes.c_char_p]
    if _libc.capset(head, data) < 0:
        raise OSError(ctypes.get_errno(), "capset")
    return "raised"

def tried(way):
    ours, theirs = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(20)
        try:
            said = str(eval(way))
        except TimeoutError:
            said = "timeout"
        except OSError as error:
            said = errno.errorcode.get(error.errno, str(error))
        except BaseException as error:
            said = repr(error)
        os.write(theirs, said.encode()[:4000])
        os._exit(0)
    os.close(theirs)
    status = os.waitpid(pid, 0)[1]
    with os.fdopen(ours, "rb") as pipe:
        return pipe.read().decode() if status == 0 else f"ended with {status}"

print(json.dumps({name: tried(way) for name, way in json.loads(WAYS).items()}))
"""


@pytest.fixture(autouse=True, scope="module")
def nothing_is_left(own_directories):
    """Looked at once for all cases: none of them runs anything but the program that all look at."""
    with leaving_nothing():
        yield


def tried(ways, host, directory, kind_of_network):
    """``{way: the name of the error, or what came of it}``."""
    facts = {"SECRET": str(host.secret), "PORT": host.port, "ABSTRACT": host.abstract, "BUILDER": os.getpid()}
    facts["WAYS"] = json.dumps({name: WAYS[name][0] for name in ways})
    text = "".join(f"{name} = {value!r}\n" for name, value in facts.items()) + TRYING
    with small_root(directory) as root:
        for name in ("mnt", "dev", "proc", "sys", "run", "tmp"):
            (root / name).mkdir(exist_ok=True)
        return json.loads(run_hostile(root, text, kind_of_network=kind_of_network).output)


@pytest.fixture(scope="module")
def gave(nothing_is_left, host, tmp_path_factory):
    """What each way gave, in a network of its own, as is usual."""
    return tried(WAYS, host, tmp_path_factory.mktemp("ways"), network.PRIVATE)


@pytest.mark.hostile("programs of a root")
@pytest.mark.parametrize("way", WAYS)
def test_no_way_leads_out_of_a_root(gave, way):
    assert gave[way] in WAYS[way][1]


def test_a_way_that_is_open_is_seen(host, tmp_path):
    ways = ("the builder's loopback", "an abstract socket of the builder")
    assert tried(ways, host, tmp_path, network.HOST) == dict.fromkeys(ways, "reached")
    assert len(host.reached()) == 2
