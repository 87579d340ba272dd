"""Working inside a root: furnish it, lend it what the work needs, take that back, and leave no process behind."""

import os
import socket
import stat
from contextlib import contextmanager, nullcontext

from vmimage.root import files, name_servers
from vmimage.root.mounts import furnish, limiting, run_inside
from vmimage.root.name_servers import build_name_servers
from vmimage.root.runtime import STAND_INS
from vmimage.system import network
from vmimage.system.groups import limited
from vmimage.system.namespace import run_privately

_MARK = "# lent by vm_create for the time of the build"
_POLICY = "/usr/sbin/policy-rc.d"
#: it forbids, and makes what the service would have below /run: check_cmd of a state, and daemons that test their files, look for it
_FORBID = r"""#!/bin/sh
MARK
case $2 in *start) ;; *) exit 101 ;; esac
unit=${1%.service}.service
for directory in /etc/systemd/system /usr/lib/systemd/system /lib/systemd/system; do
    [ -f "$directory/$unit" ] || continue
    said() { sed -n "s/^$1=//p" "$directory/$unit" | tail -n 1; }
    for name in $(said RuntimeDirectory); do
        case $name in *%*|*..*|*:*|/*) continue ;; esac
        [ -d "/run/$name" ] || mkdir -p -m "$(said RuntimeDirectoryMode | grep . || echo 755)" "/run/$name" || break
        owner=$(said User):$(said Group)
        [ "$owner" = : ] || chown "$owner" "/run/$name" || :
    done
    break
done 2> /dev/null
exit 101
""".replace("MARK", _MARK)
_RUNTIME_DIRECTORIES = r"""systemd-tmpfiles --create --boot --prefix=/run --exclude-prefix=/run/nologin
cd /etc/systemd/system && for unit in *.wants/*.service; do POLICY "${unit##*/}" start; done
""".replace("POLICY", _POLICY)
PROGRAMS = "/usr/local/bin"
_LENT = (_POLICY, *(f"{PROGRAMS}/{name}" for name in STAND_INS))


def work_inside(root, work, *, hostname="localhost", kind_of_network=network.HOST, starts_daemons=False, group=""):
    """Do something in a root, in a namespace of its own: what it starts ends with it.

    :param Path root: the mounted directory
    :param work: a callable without arguments that finds the root furnished
    :param str hostname: what the programs in there see
    :param str kind_of_network: of :mod:`vmimage.system.network`
    :param bool starts_daemons: whether packages may start theirs, as on a machine
    :param str group: name of the control groups that limit the programs in there; whoever starts a build has them watched
    :returns: what the work returns
    """

    def furnished_work():
        os.umask(0o022)  # whatever the caller's is: what is made in an image has the modes of a machine
        furnish(root)
        swallow_log(root)
        with build_name_servers(root, kind_of_network), nullcontext() if starts_daemons else forbidden_daemons(root):
            with limited(group) if group else nullcontext([]) as groups, limiting(groups):
                return work()

    return run_privately(furnished_work, hostname=hostname, kind_of_network=kind_of_network)


def swallow_log(root):
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
def forbidden_daemons(root):
    """A policy-rc.d that lets no package start a daemon, unless the root has one of its own."""
    take_back(root, _POLICY)
    if not files.exists(root, _POLICY):
        files.make_directory(root, os.path.dirname(_POLICY))
        files.write_text(root, _POLICY, _FORBID, mode=0o755)
    try:
        yield
    finally:
        take_back(root, _POLICY)


def make_runtime_directories(root):
    """In a furnished root: what a boot, and the services that are enabled, would have made below ``/run``."""
    if _is_lent(root, _POLICY):  # not one of the root's own
        run_inside(root, ["sh", "-c", f"{{ {_RUNTIME_DIRECTORIES}}} > /dev/null 2>&1; true"])


@contextmanager
def lent_programs(root, programs):
    """Programs at the place where every user of the root, and sudo, looks first; for the time of the block.

    :param dict programs: ``{name: text}``; where the root has one of its own there, that stays
    """
    take_back(root, *(f"{PROGRAMS}/{name}" for name in programs))
    if not files.exists(root, PROGRAMS):
        yield
        return
    before = files.lstat(root, PROGRAMS)
    with _times_kept(root, before):
        for name, text in programs.items():
            if files.lstat(root, f"{PROGRAMS}/{name}") is None:
                head, _, rest = text.partition("\n")
                files.write_text(root, f"{PROGRAMS}/{name}", f"{head}\n{_MARK}\n{rest}", mode=0o755)
    changed = files.lstat(root, PROGRAMS)
    try:
        yield
    finally:
        is_as_we_left_it = files.lstat(root, PROGRAMS).st_mtime_ns == changed.st_mtime_ns
        with _times_kept(root, before) if is_as_we_left_it else nullcontext():
            take_back(root, *(f"{PROGRAMS}/{name}" for name in programs))


def show_systemd(root):
    """Let scripts find what they find where systemd runs (sd_booted), so that they ask it: the lent programs answer.

    policy-rc.d still lets no package start a daemon.
    """
    files.make_directory(root, "/run/systemd/system")


@contextmanager
def _times_kept(root, facts):
    """The directory of programs does not show that something was lent."""
    yield
    with files.opened(root, PROGRAMS, os.O_RDONLY | os.O_DIRECTORY) as directory:
        os.utime(directory, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def take_back(root, *paths):
    """Remove what was lent and not taken back, because the work was killed, perhaps; returns the paths removed.

    A link that leads to something lent (a resolv.conf into ``/run``) is the image's own and stays.
    """
    servers = [] if paths else name_servers.take_back(root)
    return servers + [path for path in paths or _LENT if _is_lent(root, path) and files.remove(root, path) is None]


def _is_lent(root, path):
    entry = files.lstat(root, path)
    return entry is not None and stat.S_ISREG(entry.st_mode) and _MARK in files.read_text(root, path)
