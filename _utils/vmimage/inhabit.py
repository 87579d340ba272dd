"""Working inside a root: furnish it, lend it what the work needs, take that back, and leave no process behind."""

import os
import stat
from contextlib import contextmanager, nullcontext
from pathlib import Path

from vmimage import inside, network
from vmimage.mounts import furnish
from vmimage.namespace import run_privately
from vmimage.runtime import STAND_INS

_MARK = "# lent by vm_create for the time of the build"
_OF_RESOLVED = "managed by man:systemd-resolved"
_RESOLV, _POLICY = "/etc/resolv.conf", "/usr/sbin/policy-rc.d"
PROGRAMS = "/usr/local/bin"
_LENT = (_RESOLV, _POLICY, *(f"{PROGRAMS}/{name}" for name in STAND_INS))


def work_inside(root, work, *, hostname="localhost", kind_of_network=network.HOST, starts_daemons=False):
    """Do something in a root, in a namespace of its own: what it starts ends with it.

    :param Path root: the mounted directory
    :param work: a callable without arguments that finds the root furnished
    :param str hostname: what the programs in there see
    :param str kind_of_network: of :mod:`vmimage.network`
    :param bool starts_daemons: whether packages may start theirs, as on a machine
    :returns: what the work returns
    """

    def furnished_work():
        os.umask(0o022)  # whatever the caller's is: what is made in an image has the modes of a machine
        furnish(root)
        with lent_name_servers(root, kind_of_network), nullcontext() if starts_daemons else forbidden_daemons(root):
            return work()

    return run_privately(furnished_work, hostname=hostname, kind_of_network=kind_of_network)


@contextmanager
def lent_name_servers(root, kind_of_network=network.HOST):
    """A resolv.conf for the time of the block, the machine's or that of a private network; what a package makes of it is kept."""
    text = f"{_MARK}\n{_name_servers(kind_of_network)}"
    target = link_into_run(root)
    if target:  # the usual case: /run is a tmpfs of ours, there is nothing to take back
        inside.make_directory(root, os.path.dirname(target))
        inside.write_text(root, target, text)
        yield
        _keep_name_servers(root, target, text)
        return
    take_back(root, _RESOLV)
    link = _read_link(root, _RESOLV)
    before = None if link else inside.read_text(root, _RESOLV, "") if inside.exists(root, _RESOLV) else None
    inside.write_text(root, _RESOLV, text)
    try:
        yield
    finally:
        if inside.read_text(root, _RESOLV, "") == text:
            inside.remove(root, _RESOLV)
            if link:
                with inside.opened(root, os.path.dirname(_RESOLV), os.O_PATH | os.O_DIRECTORY) as etc:
                    os.symlink(link, os.path.basename(_RESOLV), dir_fd=etc)
            elif before is not None:
                inside.write_text(root, _RESOLV, before)


def _name_servers(kind_of_network):
    if kind_of_network == network.PRIVATE:
        return f"nameserver {network.NAME_SERVER}\n"
    return Path("/etc/resolv.conf").read_text(encoding="utf-8") if os.path.exists("/etc/resolv.conf") else ""


def _keep_name_servers(root, target, lent):
    """What was written through the link into /run would be gone: the image gets it as a file.

    Not what only adds to what we lent, nor what systemd-resolved writes there on a machine that runs: then the link stays, as on a machine.
    """
    if link_into_run(root) != target or not inside.is_file(root, target):
        return
    text = inside.read_text(root, target, lent)
    if text != lent and _MARK not in text and _OF_RESOLVED not in text:
        inside.remove(root, _RESOLV)
        inside.write_text(root, _RESOLV, text)


def _read_link(root, path):
    try:
        with inside.opened(root, os.path.dirname(path), os.O_PATH | os.O_DIRECTORY) as parent:
            return os.readlink(os.path.basename(path), dir_fd=parent)
    except OSError:
        return None


def link_into_run(root):
    """Where below /run a resolv.conf that is a link leads to, as an absolute path of the image, or None."""
    link = _read_link(root, _RESOLV)
    if not link:
        return None
    target = os.path.normpath(os.path.join("/etc", link))
    return target if target.startswith("/run/") else None


@contextmanager
def forbidden_daemons(root):
    """A policy-rc.d that lets no package start a daemon, unless the root has one of its own."""
    take_back(root, _POLICY)
    if not inside.exists(root, _POLICY):
        inside.make_directory(root, os.path.dirname(_POLICY))
        inside.write_text(root, _POLICY, f"#!/bin/sh\n{_MARK}\nexit 101\n", mode=0o755)
    try:
        yield
    finally:
        take_back(root, _POLICY)


@contextmanager
def lent_programs(root, programs):
    """Programs at the place where every user of the root, and sudo, looks first; for the time of the block.

    :param dict programs: ``{name: text}``; where the root has one of its own there, that stays
    """
    take_back(root, *(f"{PROGRAMS}/{name}" for name in programs))
    if not inside.exists(root, PROGRAMS):
        yield
        return
    before = inside.lstat(root, PROGRAMS)
    with _times_kept(root, before):
        for name, text in programs.items():
            if inside.lstat(root, f"{PROGRAMS}/{name}") is None:
                head, _, rest = text.partition("\n")
                inside.write_text(root, f"{PROGRAMS}/{name}", f"{head}\n{_MARK}\n{rest}", mode=0o755)
    changed = inside.lstat(root, PROGRAMS)
    try:
        yield
    finally:
        is_as_we_left_it = inside.lstat(root, PROGRAMS).st_mtime_ns == changed.st_mtime_ns
        with _times_kept(root, before) if is_as_we_left_it else nullcontext():
            take_back(root, *(f"{PROGRAMS}/{name}" for name in programs))


@contextmanager
def _times_kept(root, facts):
    """The directory of programs does not show that something was lent."""
    yield
    with inside.opened(root, PROGRAMS, os.O_RDONLY | os.O_DIRECTORY) as directory:
        os.utime(directory, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def take_back(root, *paths):
    """Remove what was lent and not taken back, because the work was killed, perhaps; returns the paths removed.

    A link that leads to something lent (a resolv.conf into ``/run``) is the image's own and stays.
    """
    return [path for path in paths or _LENT if _is_lent(root, path) and inside.remove(root, path) is None]


def _is_lent(root, path):
    entry = inside.lstat(root, path)
    return entry is not None and stat.S_ISREG(entry.st_mode) and _MARK in inside.read_text(root, path)
