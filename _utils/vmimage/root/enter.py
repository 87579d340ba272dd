"""Working inside a root: mount what its programs need, add temporary files, remove these, and leave no process behind."""

import os
import re
import socket
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TypeVar

from vmimage.root import files, name_servers
from vmimage.root.mounts import limiting, mount_api_filesystems
from vmimage.root.name_servers import answer_on_loopback, ask_as_the_root, build_name_servers
from vmimage.root.runtime import STAND_INS
from vmimage.system import network
from vmimage.system.aliases import StrPath
from vmimage.system.groups import limited
from vmimage.system.namespace import run_privately

Result = TypeVar("Result")

_MARK = "# of vm_create, for the time of the build"
_POLICY = "/usr/sbin/policy-rc.d"
#: it forbids, and makes what the service would have below /run: check_cmd of a state, and daemons that test their files, look for it
_FORBID = r"""#!/bin/sh
MARK
case $2 in *start) ;; *) exit 101 ;; esac
unit=${1%.service}.service
for directory in /etc/systemd/system /usr/lib/systemd/system /lib/systemd/system; do
    [ -f "$directory/$unit" ] || continue
    names= mode= user= group=
    while read -r line || [ "$line" ]; do
        case $line in
        RuntimeDirectory=*) names=${line#*=} ;;
        RuntimeDirectoryMode=*) mode=${line#*=} ;;
        User=*) user=${line#*=} ;;
        Group=*) group=${line#*=} ;;
        esac
    done < "$directory/$unit"
    for name in $names; do
        case $name in *%*|*..*|*:*|/*) continue ;; esac
        [ -d "/run/$name" ] || mkdir -p -m "${mode:-755}" "/run/$name" || break
        [ "$user:$group" = : ] || chown "$user:$group" "/run/$name" || :
    done
    break
done 2> /dev/null
exit 101
""".replace("MARK", _MARK)
#: few units have such a directory: grep looks at all of them at once, for each program that is started takes a millisecond or two
_RUNTIME_DIRECTORIES = r"""systemd-tmpfiles --create --boot --prefix=/run --exclude-prefix=/run/nologin
cd /etc/systemd/system || exit 0
seen=
for path in $(grep -ls '^RuntimeDirectory=.' *.service /usr/lib/systemd/system/*.service /lib/systemd/system/*.service); do
    case " $seen " in *" ${path##*/} "*) continue ;; esac
    seen="$seen ${path##*/}"
    for unit in *.wants/"${path##*/}"; do [ ! -e "$unit" ] || POLICY "${path##*/}" start; done
done
""".replace("POLICY", _POLICY)
PROGRAMS = "/usr/local/bin"
_TEMPORARY = (_POLICY, *(f"{PROGRAMS}/{name}" for name in STAND_INS))


def work_inside(
    root: StrPath,
    work: Callable[[], Result],
    *,
    hostname: str = "localhost",
    kind_of_network: str = network.HOST,
    starts_daemons: bool = False,
    group: str = "",
) -> Result:
    """Do something in a root, in a namespace of its own: what it starts ends with it.

    :param root: the mounted directory
    :param work: a callable without arguments that finds the API file systems mounted
    :param hostname: what the programs in there see
    :param kind_of_network: of :mod:`vmimage.system.network`
    :param starts_daemons: whether packages may start theirs, as on a machine
    :param group: name of the control groups that limit the programs in there; the caller has them removed (:func:`vmimage.system.groups.swept`)
    :returns: what the work returns
    """

    def work_in_mounts() -> Result:
        os.umask(0o022)  # whatever the caller's is: what is made in an image has the modes of a machine
        mount_api_filesystems(root)
        ask_as_the_root(kind_of_network)
        swallow_log(root)
        if not starts_daemons:
            answer_on_loopback(kind_of_network)
        daemons: AbstractContextManager[None] = nullcontext() if starts_daemons else forbidden_daemons(root)
        limits: AbstractContextManager[list[Path]] = limited(group) if group else nullcontext([])
        with build_name_servers(root, kind_of_network), daemons:
            with limits as groups, limiting(groups):
                return work()

    return run_privately(work_in_mounts, hostname=hostname, kind_of_network=kind_of_network)


def host_name(root: StrPath) -> str:
    """What a boot of the root calls the machine: as its file says, or localhost, as systemd does.  The root resolves it as it does then."""
    lines = files.read_text(root, "/etc/hostname").splitlines() if files.is_file(root, "/etc/hostname") else []
    name = next((line.strip() for line in lines if line.strip() and not line.startswith("#")), "")
    return name if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]{0,63}", name) else "localhost"


def swallow_log(root: StrPath) -> None:
    """A /dev/log as on a machine, which ``logger`` asks for; what is written there is read and forgotten.

    For a private namespace only: the process that reads ends with it.
    """
    ours = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    with files.opened(root, "/dev", os.O_PATH | os.O_DIRECTORY) as dev:
        ours.bind(f"/proc/self/fd/{dev}/log")  # a socket's path may have 107 bytes
        os.chmod(f"/proc/self/fd/{dev}/log", 0o666)
    if os.fork() == 0:
        try:
            while True:
                ours.recv(1)
        finally:
            os._exit(0)  # never back into the caller's code
    ours.close()


@contextmanager
def forbidden_daemons(root: StrPath) -> Iterator[None]:
    """A policy-rc.d that lets no package start a daemon, unless the root has its own."""
    remove_temporary_files(root, _POLICY)
    if not files.exists(root, _POLICY):
        files.make_directory(root, os.path.dirname(_POLICY))
        files.write_text(root, _POLICY, _FORBID, mode=0o755)
    try:
        yield
    finally:
        remove_temporary_files(root, _POLICY)


def maker_of_runtime_directories(root: StrPath) -> list[str]:
    """The program that makes below ``/run`` what a boot, and the services that are enabled, would have made there.

    :param root: with its API file systems; the program runs in it
    :returns: its words, none where the root has a policy of its own
    """
    return ["sh", "-c", f"{{ {_RUNTIME_DIRECTORIES}}} > /dev/null 2>&1; true"] if _is_temporary(root, _POLICY) else []


@contextmanager
def temporary_programs(root: StrPath, programs: Mapping[str, str]) -> Iterator[None]:
    """Programs at the place where every user of the root, and sudo, looks first; for the time of the block.

    :param programs: ``{name: text}``; where the root has its own program there, that stays
    """
    remove_temporary_files(root, *(f"{PROGRAMS}/{name}" for name in programs))
    if not files.exists(root, PROGRAMS):
        yield
        return
    before = _stat_of_programs(root)
    with _times_kept(root, before):
        for name, text in programs.items():
            if files.lstat(root, f"{PROGRAMS}/{name}") is None:
                head, _, rest = text.partition("\n")
                files.write_text(root, f"{PROGRAMS}/{name}", f"{head}\n{_MARK}\n{rest}", mode=0o755)
    changed = _stat_of_programs(root)
    try:
        yield
    finally:
        after = files.lstat(root, PROGRAMS)
        if after is not None:  # else the variation has removed the directory with all in it
            with _times_kept(root, before) if after.st_mtime_ns == changed.st_mtime_ns else nullcontext():
                remove_temporary_files(root, *(f"{PROGRAMS}/{name}" for name in programs))


def show_systemd(root: StrPath) -> None:
    """Let scripts find what they find where systemd runs (sd_booted), so that they ask it: the temporary programs answer.

    policy-rc.d still lets no package start a daemon.
    """
    files.make_directory(root, "/run/systemd/system")


def _stat_of_programs(root: StrPath) -> os.stat_result:
    facts = files.lstat(root, PROGRAMS)
    assert facts is not None
    return facts


@contextmanager
def _times_kept(root: StrPath, facts: os.stat_result) -> Iterator[None]:
    """The directory of programs does not show that something was added."""
    yield
    with files.opened(root, PROGRAMS, os.O_RDONLY | os.O_DIRECTORY) as directory:
        os.utime(directory, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def remove_temporary_files(root: StrPath, *paths: str) -> list[str]:
    """Remove the temporary files of a build, such as those that a killed build has left; returns the paths removed.

    A link that leads to a temporary file (a resolv.conf into ``/run``) is the image's own and stays.
    """
    servers = [] if paths else name_servers.remove_temporary_file(root)
    left = [path for path in paths or _TEMPORARY if _is_temporary(root, path)]
    for path in left:
        files.remove(root, path)
    return servers + left


def _is_temporary(root: StrPath, path: str) -> bool:
    entry = files.lstat(root, path)
    return entry is not None and stat.S_ISREG(entry.st_mode) and _MARK in files.read_text(root, path)
