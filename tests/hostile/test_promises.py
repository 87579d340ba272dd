"""Programs of a root that want to get out: each promise of docs/explanation/safety.md has its test here."""

import ctypes
import errno
import fcntl
import os
import platform
import pty
import select
import signal
import socket
import struct
import sys
import termios
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hostile import ASKING, run_hostile, small_root
from vmimage.base import bootstrap
from vmimage.errors import BuildStopped, CommandFailed, NotReady
from vmimage.system import confine, groups, network, syscalls
from vmimage.system.namespace import run_privately
from vmimage.system.shell import run
from waiting import HANG_SECONDS

pytestmark = pytest.mark.hostile("programs of a root")

X86 = platform.machine() == "x86_64"
#: by their numbers on x86_64 and on arm64
NUMBERS = {
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "open_by_handle_at": (304, 265),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "setns": (308, 268),
    "mount": (165, 40),
    "move_mount": (429, 429),
    "open_tree": (428, 428),
    "fsopen": (430, 430),
    "pivot_root": (155, 41),
    "name_to_handle_at": (303, 264),
    "clone3": (435, 435),
    "io_uring_setup": (425, 425),
}
OTHERWISE = {"name_to_handle_at": "EOPNOTSUPP", "clone3": "ENOSYS", "io_uring_setup": "ENOSYS"}


def number(name):
    return NUMBERS[name][0 if X86 else 1]


@pytest.fixture
def root(tmp_path):
    with small_root(tmp_path) as made:
        yield made


def said(root, text, **how):
    return run_hostile(root, text, **how).output.strip()


def on_a_terminal(work):
    """``(exit code, what is on it)`` of work in a process that a terminal of its own has started, and what was typed there without us."""
    pid, terminal = pty.fork()
    if pid == 0:
        code = 1
        try:
            sys.stdout = os.fdopen(1, "w")  # not what pytest looks at
            for signum in (signal.SIGINT, signal.SIGTERM):
                signal.signal(signum, signal.default_int_handler if signum == signal.SIGINT else signal.SIG_DFL)
            code = work()
        finally:
            os._exit(code)
    return pid, terminal


def shown(terminal, seconds, until=b"\0"):
    text, deadline = b"", time.monotonic() + seconds
    while until not in text and select.select([terminal], [], [], max(0, deadline - time.monotonic()))[0]:
        try:
            chunk = os.read(terminal, 65536)
        except OSError:  # nobody has it open any more
            break
        text += chunk
    return text


PUSHING = """
found = [f"/proc/{pid}/fd/{fd}" for pid in ("self", "1", "2") for fd in range(10)] + ["/dev/tty", "/dev/console"]
print([os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")])
import fcntl
for path in found:
    try:
        terminal = os.open(path, os.O_RDWR | os.O_NOCTTY)
    except OSError:
        continue
    if os.isatty(terminal):
        print("pushed into, had the kernel let it:", path)
    for character in b"pushed\\n":
        try:
            fcntl.ioctl(terminal, 0x5412, bytes([character]))
            print("pushed into", path)
        except OSError:
            pass
"""


def test_nothing_is_pushed_into_the_terminal_of_the_caller(root):
    def work():
        print(said(root, PUSHING), flush=True)
        waiting = fcntl.ioctl(0, termios.FIONREAD, b"\0" * 4)
        print("waiting:", int.from_bytes(waiting, "little"), flush=True)
        return 0

    pid, terminal = on_a_terminal(work)
    text = shown(terminal, HANG_SECONDS, b"waiting: ").decode() + shown(terminal, 1).decode()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, text
    os.close(terminal)
    assert "waiting: 0" in text and "pushed into" not in text and "/dev/pts" not in text, text


def test_a_program_of_a_root_cannot_push_into_a_terminal_of_its_own_either(root):
    text = "import fcntl\nours, theirs = os.openpty()\ntry: fcntl.ioctl(theirs, 0x5412, b'x')\nexcept OSError as error: print(error.errno)"
    assert said(root, text) == str(errno.EPERM)


def test_ctrl_c_on_the_terminal_of_the_caller_stops_the_build(root):
    def work():
        try:
            run_hostile(root, "print('begun', flush=True)\ntime.sleep(300)", say=lambda line: print(line, flush=True))
        except BuildStopped as stopped:
            print(stopped.message, flush=True)
            return 3
        return 0

    pid, terminal = on_a_terminal(work)
    assert b"begun" in shown(terminal, HANG_SECONDS, b"begun")
    os.write(terminal, termios.tcgetattr(terminal)[6][termios.VINTR])
    text = shown(terminal, HANG_SECONDS, b"SIGINT")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3 and b"stopped by SIGINT" in text
    os.close(terminal)


def test_what_prepares_a_base_has_no_terminal():
    def work():
        tty = "import os\ntry: print(os.open('/dev/tty', os.O_RDWR))\nexcept OSError as error: print('none', error.errno)"
        print(run_privately(lambda: run(["python3", "-c", tty]).output), flush=True)
        return 0

    pid, terminal = on_a_terminal(work)
    text = shown(terminal, HANG_SECONDS, b"none")
    os.waitpid(pid, 0)
    os.close(terminal)
    assert f"none {errno.ENXIO}".encode() in text + b"", text


def test_mmdebstrap_and_what_it_starts_see_no_process_of_ours_and_meet_the_filter(monkeypatch, tmp_path):
    text = f"{ASKING}\nnames = [name for name in os.listdir('/proc') if name.isdigit()]\n"
    text += "held = open('/proc/self/status').read().split('CapBnd:\\t')[1].split()[0]\n"
    text += f"print(len(names), os.getsid(0) == os.getpid(), held, asked({number('keyctl')}, 0, -3, 0), asked({number('mount')}, 0, 0, 0, 0, 0))"
    begun = []

    def instead(argv, *, preexec, **_):
        begun.append((argv[0], run(["/usr/bin/python3", "-c", text], preexec=preexec).output.split()))

    def work():
        bootstrap.bootstrap(plan, tmp_path, print)
        return begun

    monkeypatch.setattr(bootstrap, "run", instead)
    (tmp_path / "etc").mkdir()
    words = {"type": "debian", "release": "bookworm", "architecture": "amd64", "sources": []}
    plan = {**words, "packages": [], "files": {}, "enabled": []}
    few = sum(1 << bit for bit in confine._KEPT.values() if bit in syscalls.bounding_set())
    more = few | sum(1 << bit for bit in confine.TO_BOOTSTRAP.values() if bit in syscalls.bounding_set())
    assert run_privately(work) == [
        ("mmdebstrap", ["2", "True", f"{more:016x}", "EPERM", "EFAULT"]),  # the kernel looked at the arguments of mount
        ("chroot", ["2", "True", f"{few:016x}", "EPERM", "EPERM"]),
    ]


def test_no_capability_is_kept_but_those_on_the_list(root):
    status = dict(
        line.split(":\t") for line in said(root, "print(open('/proc/self/status').read())").splitlines() if ":\t" in line
    )
    allowed = sum(1 << bit for bit in confine._KEPT.values() if bit in syscalls.bounding_set())
    assert {name: int(status[f"Cap{name}"], 16) for name in ("Bnd", "Prm", "Eff", "Inh", "Amb")} == {
        "Bnd": allowed,
        "Prm": allowed,
        "Eff": allowed,
        "Inh": 0,
        "Amb": 0,
    }
    assert status["NoNewPrivs"] == "0"
    assert not {2, 12, 16, 17, 19, 21, 22, 25, 27, 33, 34, 38, 39, 40} & set(confine._KEPT.values())  # those that lead out


def test_a_capability_comes_back_by_no_file_of_the_root(root):
    code = "import subprocess, shutil; shutil.copy('/usr/bin/python3', '/etc/python')\n"
    code += "os.setxattr('/etc/python', 'security.capability', bytes.fromhex('0100000200002000000000000000000000000000'))\n"  # sys_admin
    code += "try: print(subprocess.run(['/etc/python', '-c', 'print(open(\"/proc/self/status\").read())'], text=True, capture_output=True).stdout)\n"
    code += "except PermissionError: print('refused')"
    found = said(root, code)
    assert found == "refused" or not int(found.split("CapEff:\t")[1].split()[0], 16) >> 21 & 1


@pytest.mark.parametrize("name", NUMBERS)
def test_a_system_call_is_refused(name, root):
    errors = {"EOPNOTSUPP": {"EOPNOTSUPP", "ENOTSUP"}}.get(OTHERWISE.get(name), {OTHERWISE.get(name, "EPERM")})
    assert said(root, f"print(asked({number(name)}, 0, 0, 0, 0, 0))") in errors
    # the filter alone, whatever capabilities say: in a process that has them all
    assert refused_by_filter(number(name)) in errors


def refused_by_filter(*call):
    """The name of the error of a call in a process that has nothing but the filter."""
    answer, pen = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            syscalls.load_filter(confine.filter_code())
            libc = ctypes.CDLL(None, use_errno=True)
            result = libc.syscall(*(ctypes.c_long(argument) for argument in (*call, 0, 0, 0, 0, 0)[:6]))
            os.write(pen, (errno.errorcode[ctypes.get_errno()] if result < 0 else f"went through: {result}").encode())
        finally:
            os._exit(0)
    os.close(pen)
    os.waitpid(pid, 0)
    with os.fdopen(answer, "rb") as pipe:
        return pipe.read().decode()


@pytest.mark.parametrize(
    "call",
    [
        ((272, 97)[not X86], syscalls.CLONE_NEWUSER),
        ((272, 97)[not X86], syscalls.CLONE_NEWUSER | syscalls.CLONE_NEWNS),
        ((56, 220)[not X86], syscalls.CLONE_NEWUSER | 17),
        ((16, 29)[not X86], 0, termios.TIOCSTI),
        ((16, 29)[not X86], 0, termios.TIOCSTI | 1 << 32),  # the kernel sees the lower half
        ((16, 29)[not X86], 0, 0x541C),
    ],
    ids=["unshare", "unshare with more", "clone", "TIOCSTI", "TIOCSTI with more", "TIOCLINUX"],
)
def test_an_argument_is_refused(call):
    assert refused_by_filter(*call) == "EPERM"


@pytest.mark.parametrize("family", [40, 42, 40 | 1 << 32], ids=["vsock", "qipcrtr", "vsock with more"])
def test_a_socket_that_knows_no_network_namespace_is_refused(family):
    assert refused_by_filter((41, 198)[not X86], family, socket.SOCK_STREAM) == "EAFNOSUPPORT"


@pytest.mark.skipif(not X86, reason="a secondary architecture of x86_64")
def test_calls_of_another_architecture_are_no_way_round():
    assert refused_by_filter(0x40000000 | 321) == "ENOSYS"  # x32
    # int 0x80 with the number that add_key has on i386, and with that of getpid
    assert by_interrupt(286) == -errno.EPERM and by_interrupt(20) in (os.EX_OK, *range(1, 1 << 22))


def by_interrupt(call):
    """What a call gives in a process under the filter that asks as a program of i386 does."""
    import mmap

    answer, pen = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
            # push rbx; mov eax, call; xor ebx, ebx; xor ecx, ecx; xor edx, edx; int 0x80; pop rbx; ret
            code.write(b"\x53\xb8" + call.to_bytes(4, "little") + b"\x31\xdb\x31\xc9\x31\xd2\xcd\x80\x5b\xc3")
            function = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))
            syscalls.load_filter(confine.filter_code())
            os.write(pen, str(function()).encode())
        finally:
            os._exit(0)
    os.close(pen)
    status = os.waitpid(pid, 0)[1]
    with os.fdopen(answer, "rb") as pipe:
        found = pipe.read().decode()
    if not found and os.waitstatus_to_exitcode(status) == -signal.SIGSEGV:
        pytest.skip("this kernel has no calls of i386")
    return int(found)


def test_without_the_library_nothing_is_built(monkeypatch):
    def missing(name, **_):
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(confine.ctypes, "CDLL", missing)
    with pytest.raises(NotReady, match="libseccomp"):
        confine.filter_code.__wrapped__()


def test_su_and_setuid_programs_work(root):
    for argv in (["setpriv", "--reuid=1", "--clear-groups", "id", "-u"], ["su", "-s", "/bin/sh", "daemon", "-c", "id -u"]):
        text = f"import subprocess; print(subprocess.run({argv}, stdin=-3, stdout=-1, stderr=-2, text=True).stdout)"
        assert said(root, text) == "1"


def test_a_key_of_the_builder_is_not_found(root):
    libc = ctypes.CDLL(None, use_errno=True)
    key = libc.syscall(number("add_key"), b"user", b"vm_create-test", b"secret", ctypes.c_long(6), ctypes.c_long(-3))  # in @s
    if key < 0:
        pytest.skip("this kernel has no keys")
    try:
        session = f"print(asked({number('keyctl')}, 0, -3, 0))"
        assert said(root, session) == "EPERM"
        assert "vm_create-test" not in said(root, "print(open('/proc/keys').read() if os.path.exists('/proc/keys') else '')")
    finally:
        libc.syscall(number("keyctl"), 3, ctypes.c_long(key))  # revoked


def confined_without_filter(look):
    """What a look gives in a process that is confined, but for the filter: each wall stands by itself."""

    def work():
        confine.confine(struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000))  # "allow"
        return look()

    return run_privately(work)


def test_a_session_keyring_of_the_builder_is_left():
    def session():
        return ctypes.CDLL(None).syscall(number("keyctl"), 0, ctypes.c_long(-3), ctypes.c_long(1))

    if session() < 0:
        pytest.skip("this kernel has no keys")
    assert confined_without_filter(session) not in (session(), -1)


def test_inheritable_capabilities_of_the_builder_are_cleared():
    def inherited():
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return [status.split(f"Cap{name}:\t")[1].split()[0] for name in ("Inh", "Amb")]

    def look():
        bits = sum(1 << capability for capability in syscalls.bounding_set())
        every = [syscalls._CapabilityData(*[(bits >> shift) & 0xFFFFFFFF] * 3) for shift in (0, 32)]
        header = syscalls._CapabilityHeader(syscalls._CAPABILITY_VERSION, 0)
        assert ctypes.CDLL(None).capset(ctypes.byref(header), (syscalls._CapabilityData * 2)(*every)) == 0
        assert ctypes.CDLL(None).prctl(47, 2, 0, 0, 0) == 0  # chown, to the ambient set
        before = inherited()
        confine.confine(struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000))
        return before, inherited()

    before, after = run_privately(look)
    assert int(before[0], 16) and int(before[1], 16) and [int(value, 16) for value in after] == [0, 0]


def test_a_program_of_a_root_leads_a_session(root):
    assert said(root, "print(os.getsid(0) == os.getpid())") == "True"


def test_no_process_of_ours_is_seen(root):
    assert (
        said(root, "print(sorted(name for name in os.listdir('/proc') if name.isdigit()), os.listdir('/proc/1/root'))")
        == "['1', '2'] []"
    )


@pytest.mark.parametrize(
    "attack",
    [
        "os.kill(-1, 9)",
        "[os.kill(1, number) for number in (9, 15, 19, 2, 1)]",
        "os.kill(os.getppid(), 19)",
        "[os.kill(1, signal.SIGUSR2) for _ in range(20000)]",
    ],
    ids=["kill -9 -1", "kill 1", "SIGSTOP", "flood"],
)
def test_what_supervises_a_root_survives_its_programs(attack, root):
    text = f"import subprocess\ntry: {attack}\nexcept ProcessLookupError: pass\nprint('still here')"
    assert said(root, text) == "still here"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_a_program_that_its_own_child_ends_is_an_error_at_once(number, root):
    text = f"program = os.getpid()\nif os.fork() == 0: os.kill(program, {int(number)}); time.sleep(300)\ntime.sleep(300)"
    with pytest.raises(CommandFailed, match="killed by signal 9") as caught:
        run_hostile(root, text)
    said = f"this program was stopped by {number.name}, and nothing would ever let it go on: it is killed"
    assert (said in str(caught.value)) == (number != signal.SIGKILL)


def test_what_a_program_leaves_behind_ends_with_it(root):
    text = "pid = os.fork()\nif pid == 0: os.setsid(); os.close(1); os.close(2); open('/etc/begun', 'w'); time.sleep(2); open('/etc/survived', 'w'); os._exit(0)\n"
    text += "while not os.path.exists('/etc/begun'): time.sleep(0.01)"
    said(root, text)
    time.sleep(2.5)
    assert (root / "etc/begun").exists() and not (root / "etc/survived").exists()


def test_a_root_gets_the_name_that_it_asks_for(root):
    (root / "etc/hostname").write_text("after.example.org\n", encoding="utf-8")
    own = socket.gethostname()
    text = "os.kill(1, signal.SIGUSR2)\nuntil = time.monotonic() + 300\n"
    text += "while os.uname().nodename == 'before' and time.monotonic() < until: time.sleep(0.01)\nprint(os.uname().nodename)"
    assert said(root, text, hostname="before") == "after.example.org"
    assert socket.gethostname() == own


def test_a_root_gets_a_name_that_none_of_its_files_has(root):
    text = "os.makedirs('/run/vm_create', exist_ok=True); open('/run/vm_create/hostname', 'w').write('after')\nos.kill(1, signal.SIGUSR2)\n"
    text += "until = time.monotonic() + 300\n"
    text += "while os.uname().nodename == 'before' and time.monotonic() < until: time.sleep(0.01)\nprint(os.uname().nodename)"
    assert said(root, text, hostname="before") == "after"


@pytest.mark.parametrize("what", ["missing", "a fifo", "a directory"])
def test_a_name_that_cannot_be_read_ends_nothing(what, root):
    with suppress(FileNotFoundError):
        (root / "etc/hostname").unlink()
    {"missing": lambda: None, "a fifo": lambda: os.mkfifo(root / "etc/hostname"), "a directory": (root / "etc/hostname").mkdir}[
        what
    ]()
    text = "os.kill(1, signal.SIGUSR2)\ntime.sleep(0.2)\nprint(os.uname().nodename)"
    assert said(root, text, hostname="before") == "before"


@pytest.mark.parametrize(("place", "share"), [("/run", 0.4), ("/tmp", 0.4), ("/dev/shm", 0.1), ("/dev", 0)])
def test_what_is_kept_in_memory_has_an_end(place, share, root):
    blocks, inodes = map(
        int, said(root, f"facts = os.statvfs('{place}'); print(facts.f_blocks * facts.f_frsize, facts.f_files)").split()
    )
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0 < blocks <= max(memory * share + 4096, 4 << 20) and 0 < inodes <= max(memory * share / 8192, 4096)


@pytest.fixture
def few_processes(monkeypatch, lacking):
    monkeypatch.setattr(groups, "PROCESSES", 50)
    with groups.limited(f"vm_create-test-probe-{os.getpid()}") as made:
        if not any((group / "pids.max").exists() for group in made):
            lacking("needs a control group that limits processes: run as a service with Delegate=yes")


def test_a_fork_bomb_ends_at_a_limit_and_with_its_program(few_processes, root):
    text = """
count = 0
try:
    while count < 2000:
        if os.fork() == 0:
            time.sleep(300)
        count += 1
except BlockingIOError:
    print(count)
"""
    begun = time.monotonic()
    assert 0 < int(said(root, text)) < 50
    assert time.monotonic() - begun < 300


def test_more_memory_than_the_share_is_an_error_of_the_program_alone(monkeypatch, root, lacking):
    monkeypatch.setattr(groups, "MEMORY_SHARE", 0.02)
    with groups.limited(f"vm_create-test-probe-{os.getpid()}") as made:
        if not any((group / f"memory.{name}").exists() for group in made for name in ("max", "limit_in_bytes")):
            lacking("needs a control group that limits memory: run as a service with Delegate=yes")
    swapped = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 10
    with pytest.raises(CommandFailed, match="killed by signal 9"):
        run_hostile(root, f"kept = bytearray({swapped}); kept[::4096] = b'x' * len(kept[::4096]); print('had it')")


@pytest.mark.needs("slirp4netns", "ip")
def test_neither_abstract_sockets_nor_the_loopback_of_the_builder_are_reached(root):
    with socket.socket(socket.AF_UNIX) as abstract, socket.create_server(("127.0.0.1", 0)) as loopback:
        abstract.bind(f"\0vm_create-test-own-{os.getpid()}")
        abstract.listen()
        text = f"""
import socket
for family, at in ((socket.AF_UNIX, "\\0vm_create-test-own-{os.getpid()}"), (socket.AF_INET, {loopback.getsockname()})):
    try:
        socket.socket(family).connect(at)
        print("reached", at)
    except ConnectionRefusedError:
        print("refused")
"""
        assert said(root, text, kind_of_network=network.PRIVATE).split() == ["refused", "refused"]
        assert said(root, text, kind_of_network=network.NONE).split() == ["refused", "refused"]
        assert "refused" not in said(root, text, kind_of_network=network.HOST)  # so the test can fail
