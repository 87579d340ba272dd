"""What is no file where the builder reads or writes a file: every kind of trap at every such path of a root.

All that the builder does to a root from outside is done to each: a step goes through, or refuses the root by the name of what is
wrong, in bounded time, and nothing of the builder is read or written.
"""

import functools
import os
import socket
import stat
from contextlib import ExitStack

import pytest
import yaml
from building import PROJECT
from root_fixtures import leaving_nothing
from vmimage.apt.lists import _sources
from vmimage.apt.packages import digest_of_packages, list_packages
from vmimage.errors import VmImageError
from vmimage.image import drawn, host_keys
from vmimage.image.boot_files import copy_boot_files
from vmimage.image.ext4 import measure_content
from vmimage.image.left_out import find_left_out
from vmimage.image.seal import seal_root
from vmimage.image.usage import measure_contents
from vmimage.root import files, fstab
from vmimage.root.enter import forbidden_daemons, remove_temporary_files, temporary_programs
from vmimage.root.name_servers import build_name_servers, remove_copies
from vmimage.root.soundness import check_bootable, check_files
from vmimage.system import network, syscalls
from vmimage.system.trees import fitting_paths, remove_tree
from vmimage.variation.own_grains import keep_grains, show_grains
from vmimage.variation.queued_jobs import free_jobs
from vmimage.variation.root_grains import grains_of
from waiting import ended_if_it_hangs

SECONDS = 300
SECRET = "of the builder"
#: a root that goes through
FILES = {
    "etc/fstab": "LABEL=root / ext4 defaults 0 1\n",
    "etc/os-release": "ID=debian\n",
    "usr/lib/os-release": "ID=debian\n",
    "etc/hostname": "web\n",
    "etc/hosts": "127.0.0.1 localhost\n",
    "etc/machine-id": "0123456789abcdef0123456789abcdef\n",
    "etc/resolv.conf": "nameserver 192.0.2.1\n",
    "etc/passwd": "root:x:0:0::/root:/bin/sh\n",
    "etc/group": "root:x:0:\n",
    "etc/shadow": "root:*:1::::::\n",
    "etc/popularity-contest.conf": "MY_HOSTID=1\n",
    "etc/salt/grains": "role: web\n",
    "etc/ssh/ssh_host_rsa_key": "private\n",
    "etc/ssl/certs/ssl-cert-snakeoil.pem": "x\n",
    "etc/ssl/private/ssl-cert-snakeoil.key": "x\n",
    "etc/apt/sources.list": "deb http://deb.example.org/debian x main\n",
    "etc/apt/sources.list.d/more.sources": "Types: deb\n",
    "etc/initramfs-tools/initramfs.conf": "MODULES=most\n",
    "etc/initramfs-tools/conf.d/more": "MODULES=most\n",
    "etc/cloud/cloud-init.disabled": "",
    "etc/systemd/system/multi-user.target.wants/ssh.service": "[Service]\n",
    "etc/systemd/system/ssh.service.d/more.conf": "[Service]\n",
    "boot/vmlinuz-6.1": "kernel",
    "boot/initrd.img-6.1": "ramdisk",
    "usr/bin/sh": "x",
    "usr/bin/systemctl": "x",
    "usr/sbin/init": "x",
    "usr/sbin/sshd": "x",
    "usr/sbin/make-ssl-cert": "x",
    "usr/sbin/policy-rc.d": "x",
    "usr/local/bin/systemctl": "x",
    "var/lib/dpkg/status": "Package: bash\nStatus: install ok installed\nVersion: 1\nArchitecture: amd64\n",
    "var/lib/dpkg/info/bash.list": "/bin/bash\n",
    "var/lib/apt/extended_states": "Package: bash\n",
    "var/lib/apt/lists/list": "x",
    "var/cache/apt/archives/a.deb": "x",
    "var/lib/cloud/instance": "x",
    "var/lib/dbus/machine-id": "x",
    "var/lib/dhcp/lease": "x",
    "var/log/dpkg.log": "x",
    "var/log/apt/term.log": "x",
    "var/spool/cron/atjobs/a0001": "#!/bin/sh\nSYSTEMD_OFFLINE=1; export SYSTEMD_OFFLINE\ncd / || exit 1\n",
    "root/.bash_history": "x",
    "tmp/left": "x",
    "run/left": "x",
}
#: directories that the builder mounts on, or reads; the trap stands in place of the whole directory
DIRECTORIES = (
    *("boot", "dev", "etc", "proc", "run", "sys", "tmp", "usr/local/bin", "usr/sbin", "etc/apt", "etc/apt/sources.list.d", "etc/salt"),
    *("etc/ssh", "etc/systemd/system", "etc/initramfs-tools/conf.d", "var/cache/apt", "var/cache/apt/archives", "var/lib/apt/lists"),
    *("var/lib/dpkg", "var/lib/dpkg/info", "var/lib/cloud", "var/log", "var/spool/cron/atjobs", "var/tmp", "home", "root"),
)  # fmt: skip
#: without which there is no image
NEEDED = ("boot/vmlinuz-6.1", "boot/initrd.img-6.1", "usr/bin/sh", "usr/sbin/init", "var/lib/dpkg/status", "boot", "var/lib/dpkg")


def a_socket(path):
    with socket.socket(socket.AF_UNIX) as listening:
        here = os.open(path.parent, os.O_PATH)
        listening.bind(f"/proc/self/fd/{here}/{path.name}")
        os.close(here)


def a_giant(path):
    with open(path, "wb") as file:
        file.truncate(60 << 30)


def full_of_traps(path):
    path.mkdir()
    os.mkfifo(path / "fifo")
    (path / "out").symlink_to("/")
    (path / "again").symlink_to(".")


TRAPS = {
    "a link to a file of the builder": lambda path, host: path.symlink_to(host.secret),
    "a link to a directory of the builder": lambda path, host: path.symlink_to(host.directory),
    "a link that climbs": lambda path, host: path.symlink_to("../" * 40 + str(host.secret)[1:]),
    "a link to a new file of the builder": lambda path, host: path.symlink_to(host.directory / "planted"),
    "a link by /proc": lambda path, host: path.symlink_to(f"/proc/self/root{host.secret}"),
    "a loop of links": lambda path, host: path.symlink_to(path.name),
    "a fifo": lambda path, host: os.mkfifo(path),
    "a socket": lambda path, host: a_socket(path),
    "a disk": lambda path, host: os.mknod(path, 0o600 | stat.S_IFBLK, os.makedev(7, 0)),
    "a device without an end": lambda path, host: os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 5)),
    "a terminal": lambda path, host: os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(5, 0)),
    "an empty directory": lambda path, host: path.mkdir(),
    "a directory of traps": lambda path, host: full_of_traps(path),
    "a giant": lambda path, host: a_giant(path),
    "no UTF-8": lambda path, host: path.write_bytes(b"\xff\xfe\x00\xc3\x28\n\x1b]52;c;eA==\x07=\xff\n"),
    "a name that escapes": lambda path, host: os.makedirs(os.fsencode(path) + b"/\xff\x1b]52;c;eA==\x07\n"),
}


@functools.cache
def patterns(kind):
    """What the seal list removes or empties."""
    text = (PROJECT / "states/ami_creator_seal.sls").read_text(encoding="utf-8")
    states = [item for body in yaml.safe_load(text).values() for argument in body["vm_image.sealed"] for item in argument.items()]
    return [pattern for key, found in states if key == kind for pattern in found]


def all_done(root, out):
    """``{step: a callable}`` of what the builder does to a root, in about its order."""
    scratch = ExitStack()
    steps = {
        "look": lambda: check_files(root),
        "apt's sources": lambda: _sources(root),
        "packages": lambda: (list_packages(root), digest_of_packages(root, "")),
        "release": lambda: grains_of(root),
        "name servers": lambda: scratch.enter_context(build_name_servers(root, network.PRIVATE)),
        "daemons": lambda: scratch.enter_context(forbidden_daemons(root)),
        "programs": lambda: scratch.enter_context(
            temporary_programs(root, {"systemctl": "#!/bin/sh\n", "timedatectl": "#!/bin/sh\n"})
        ),
        "taken back": scratch.close,
        "copies": lambda: remove_copies(root, root, network.PRIVATE),
        "jobs": lambda: free_jobs(root, root),
        "seal": lambda: seal_root(root, patterns("remove"), patterns("truncate")),
        "temporary files": lambda: remove_temporary_files(root),
        "makers": lambda: drawn.add_makers(root, [maker.path for maker in drawn.ALL]),
        "host id": lambda: drawn.forget_host_id(root),
        "certificates": lambda: drawn.remove_links_to_nothing(root),
        "host keys": lambda: host_keys.lacks_maker(root) and host_keys.add_maker(root),
        "keys": lambda: drawn.find_keys(root, root),
        "kernel": lambda: copy_boot_files(root, out / "kernel", out / "ramdisk", root),
        "fstab": lambda: fstab.settle(root, "root", "0b1fe1d1-3e0c-4d1c-9d4b-6c1f1f1b2c3d"),
        "name of the root": lambda: fstab.names_of_root(files.read_text(root, "/etc/fstab", "")),
        "bootable": lambda: check_bootable(root),
        "contents": lambda: (measure_contents(root, {"bash": "1"}), measure_content(root), find_left_out(root)),
    }
    for place in ("proc", "sys", "run", "tmp", "dev", "var/lib/apt/lists", "var/cache/apt", "var/cache/apt/archives"):
        steps[f"mount on {place}"] = lambda place=place: files.own_directory(root, place)
    steps["grains"] = lambda: with_grains(root)
    return steps


def with_grains(root):
    files.remove(root, "/run")  # a file system of memory lies over it by then
    files.make_directory(root, "/run/vm_create/etc")
    keep_grains(root, f"{show_grains(root)}x")


@pytest.fixture(autouse=True, scope="module")
def nothing_is_left(own_directories):
    """Looked at once for all cases: none of them mounts or starts anything."""
    with leaving_nothing():
        yield


@pytest.fixture(scope="module")
def disk(nothing_is_left, tmp_path_factory):
    """A file system as that of a root is mounted: devices in it are none."""
    point = tmp_path_factory.mktemp("traps")
    syscalls.mount("none", point, "tmpfs", syscalls.MS_NODEV, "mode=755")
    yield point
    syscalls.umount(point, 0)


def made(tree, top):
    root = tree(top / "root", FILES)
    for name in DIRECTORIES:
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in ("bin", "sbin", "lib"):
        (root / name).symlink_to(f"usr/{name}")
    for name in ("sh", "systemctl"):
        (root / "usr/bin" / name).chmod(0o755)
    (root / "usr/sbin/init").chmod(0o755)
    (top / "out").mkdir()
    return root


def outcomes(root, out):
    """``{step: the error or None}``; an error that is none of ours fails the test."""
    found, raw = {}, []
    for step, work in all_done(root, out).items():
        with ended_if_it_hangs(SECONDS, step):
            try:
                with fitting_paths(root):
                    work()
                found[step] = None
            except VmImageError as error:
                found[step] = str(error)
            except Exception as error:
                raw.append(f"{step}: {type(error).__name__}: {error}")
    assert not raw
    return found


def test_a_root_without_traps_goes_through(tree, disk):
    top = disk / "whole"
    assert set(outcomes(made(tree, top), top / "out").values()) == {None}
    remove_tree(top)


@pytest.mark.hostile("traps in a root")
@pytest.mark.parametrize("path", [*FILES, *DIRECTORIES])
@pytest.mark.parametrize("trap", TRAPS)
def test_a_trap_is_harmless_or_named(tree, disk, host, trap, path):
    top = disk / "trapped"
    try:
        root = made(tree, top)
        files.remove(root, path)
        TRAPS[trap](root / path, host)
        found = outcomes(root, top / "out")
        for text in filter(None, found.values()):
            assert any(part in text for part in [*path.split("/"), "kernel 6.1"]), text
            assert "\x1b" not in text and SECRET not in text, text
        if path in NEEDED and trap not in ("a giant", "no UTF-8"):
            assert any(found.values())
        for copy in (top / "out").iterdir():
            assert SECRET.encode() not in copy.read_bytes()
    finally:
        remove_tree(top)
