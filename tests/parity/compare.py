"""How a root image that was built differs from the disk of a machine that did the same, and which differences there may be."""

import hashlib
import os
import re
import stat
import subprocess
from contextlib import contextmanager
from pathlib import Path

import yaml
from vmimage.image.seal import seal_root
from vmimage.root.mounts import mounted
from vmimage.system import syscalls
from vmimage.system.namespace import run_privately

TOP = Path(__file__).resolve().parents[2]
#: (regular expression for a whole path, reason): there the trees may differ.  What the seal removes need not stand here.
ALLOWED = [
    (r"/(run|tmp|var/tmp|lost\+found|dev|proc|sys)(/.*)?", "of the machine that runs, or of the file system"),
    (r"/var/log/.*", "logs; each image has those of its own making"),
    (r"/etc/machine-id|/etc/\.pwd\.lock|/etc/\.updated|/var/\.updated", "a machine writes them when it boots"),
    (r"/var/lib/systemd/((timers|timesync|catalog|coredump|rfkill|backlight|ephemeral-trees)(/.*)?|linger)", "a machine notes there when it last did what"),
    (r"/var/lib/private(/systemd)?|/var/cache/private|/var/log/private|/var/lib/systemd/pstore", "directories that systemd makes at boot"),
    (r"/var/cache/(ldconfig/aux-cache|apt/.*|man/.*|fontconfig/.*)", "caches that their programs make again"),
    (r"/var/lib/apt/(periodic/.*|extended_states\.bak|lists|mirrors/.*)", "apt's notes of when it looked for what"),
    (r"/srv/.*/__pycache__/.*\.pyc", "compiled Python holds the time of its source"),
    (r"/srv/.*/(\.git/)?index", "git's index holds times and inode numbers"),
    (r"/var/lib/nginx/(body|fastcgi|proxy|scgi|uwsgi)", "empty directories that nginx makes when it starts, which is at the first boot"),
    (r"/(etc|var/lib/dpkg)/(passwd|group|shadow|gshadow|subuid|subgid)-", "the state before the last change; nobody reads it"),
]  # fmt: skip
#: (path, regular expression for a line, reason): such lines of a file do not count
ALLOWED_LINES = [
    (
        r"/var/spool/cron/atjobs/.*",
        r"PATH=(/run/reference/own/bin:)?/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; export PATH"
        r"|PYTHONDONTWRITEBYTECODE=1; export PYTHONDONTWRITEBYTECODE",
        "at notes its environment; the comparison calls Salt on the machine with these",
    ),
    (r"/var/spool/cron/crontabs/.*", r"# \(.* installed on .*\)", "crontab notes when it was called, and a temporary name"),
    (r"/srv/.*/\.?(git/)?logs/.*", r".*", "git notes when it did what"),
    (
        r"/srv/environment",
        r"/run/(vm_create|reference/own)/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "each side finds salt-call first in a directory of its own on /run",
    ),
]
_ALLOWED = re.compile("|".join(f"(?:{pattern})" for pattern, _ in ALLOWED))
_SHOWN_BYTES = 20000
#: attributes that an overlay shows, or that the kernel keeps for itself
_NOT_OURS = ("trusted.overlay.",)


def find_differences(base, upper, image):
    """What a machine's disk and a root image have otherwise than the other.

    :param str base: the prepared root image that both began with
    :param str upper: what the machine has otherwise than the base
    :param str image: the root image that was built
    :returns: list of lines, each ``path: what``, sorted; empty where they are equal
    """
    return run_privately(lambda: _find_differences(base, upper, image))


def _find_differences(base, upper, image):
    with _shown(base, upper, image) as (lower, machine, built):
        seal_root(machine, **_sealed())
        ours, theirs = _list_tree(built), _list_tree(machine)
        before, written = _list_tree(lower), set(_list_tree(upper))
        found = []
        for path in sorted({*ours, *theirs}):
            if not _ALLOWED.fullmatch(path):
                found += _compare(path, ours.get(path), theirs.get(path), before.get(path), built, machine, path in written)
        return found + (_compare_facts(built, machine) if found else [])  # they are made of the files


@contextmanager
def _shown(base, upper, image):
    """The base, the machine's disk (what is changed there is forgotten) and the image, mounted for this process alone."""
    room = Path("/run/parity")
    room.mkdir(exist_ok=True)
    syscalls.mount("tmpfs", room, "tmpfs")
    lower, machine, built, more, work = (room / name for name in ("lower", "machine", "built", "more", "work"))
    for directory in (lower, machine, built, more, work):
        directory.mkdir()
    with mounted(base, lower, "ro", "noload"), mounted(image, built, "ro", "noload"):
        syscalls.mount("overlay", machine, "overlay", 0, f"lowerdir={upper}:{lower},upperdir={more},workdir={work}")
        try:
            yield lower, machine, built
        finally:
            subprocess.run(["umount", machine], check=True)


def _sealed():
    """The patterns by which an image is sealed: the machine's disk is sealed likewise."""
    states = yaml.safe_load((TOP / "states/ami_creator_seal.sls").read_text(encoding="utf-8"))
    lists = {"remove": [], "truncate": []}
    for state in states.values():
        for argument in state["vm_image.sealed"]:
            for key, patterns in argument.items():
                if key in lists:
                    lists[key] += patterns
    return lists


def _list_tree(top):
    """``{path: lstat}``."""
    found, todo, cut = {}, [os.fspath(top)], len(os.fspath(top))
    while todo:
        with os.scandir(todo.pop()) as entries:
            for entry in entries:
                found[entry.path[cut:]] = entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    todo.append(entry.path)
    return found


_KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "directory", stat.S_IFLNK: "link", stat.S_IFCHR: "device", stat.S_IFBLK: "device"}
_KINDS |= {stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket"}


def _compare(path, ours, theirs, before, built, machine, is_written):
    """Lines about one path; ``is_written`` where the machine touched it."""
    if ours is None or theirs is None:
        there, facts = ("machine", theirs) if ours is None else ("image", ours)
        kept = "; the base has it" if before is not None else ""
        return [f"{path}: only on the {there} ({_KINDS.get(stat.S_IFMT(facts.st_mode))}{kept})"]
    kind = stat.S_IFMT(ours.st_mode)
    if kind != stat.S_IFMT(theirs.st_mode):
        return [f"{path}: {_KINDS.get(kind)} on the image, {_KINDS.get(stat.S_IFMT(theirs.st_mode))} on the machine"]
    found = []
    for what, show in (
        ("mode", lambda facts: oct(stat.S_IMODE(facts.st_mode))),
        ("owner", lambda facts: f"{facts.st_uid}:{facts.st_gid}"),
    ):
        if show(ours) != show(theirs):
            found.append(f"{path}: {what} {show(ours)} on the image, {show(theirs)} on the machine")
    if kind == stat.S_IFREG and ours.st_nlink != theirs.st_nlink:
        found.append(f"{path}: {ours.st_nlink} names on the image, {theirs.st_nlink} on the machine")
    left, right = f"{built}{path}", f"{machine}{path}"
    if kind == stat.S_IFLNK and os.readlink(left) != os.readlink(right):
        found.append(f"{path}: leads to {os.readlink(left)} on the image, to {os.readlink(right)} on the machine")
    if kind in (stat.S_IFCHR, stat.S_IFBLK) and ours.st_rdev != theirs.st_rdev:
        found.append(f"{path}: another device")
    if (
        kind == stat.S_IFREG
        and not _is_untouched(ours, theirs, before)
        and _digest(left) != _digest(right)
        and not _is_same_but_for_lines(path, left, right)
    ):
        found.append(f"{path}: content\n{_content_difference(left, right)}")
    on_image = _attributes(left)
    if (on_image or is_written) and on_image != (on_machine := _attributes(right)):
        found.append(f"{path}: attributes {on_image} on the image, {on_machine} on the machine")
    return found


def _is_untouched(ours, theirs, before):
    """Whether neither side has written the file: then it is not read."""
    keys = [(facts.st_size, int(facts.st_mtime)) for facts in (ours, theirs, before) if facts is not None]
    return len(keys) == 3 and len(set(keys)) == 1


def _digest(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_same_but_for_lines(path, left, right):
    """Whether two files differ in lines alone that may differ."""
    patterns = [re.compile(line) for which, line, _ in ALLOWED_LINES if re.fullmatch(which, path)]
    if not patterns:
        return False
    sides = [Path(side).read_text(encoding="utf-8", errors="replace").splitlines() for side in (left, right)]
    ours, theirs = ([line for line in side if not any(pattern.fullmatch(line) for pattern in patterns)] for side in sides)
    return ours == theirs


def _attributes(path):
    names = [name for name in os.listxattr(path, follow_symlinks=False) if not name.startswith(_NOT_OURS)]
    return {name: os.getxattr(path, name, follow_symlinks=False) for name in sorted(names)}


def _content_difference(left, right):
    """The first lines of diff, - for the machine and + for the image."""
    if max(os.path.getsize(left), os.path.getsize(right)) > _SHOWN_BYTES * 20:
        return f"    {os.path.getsize(left)} bytes on the image, {os.path.getsize(right)} on the machine"
    done = subprocess.run(["diff", "-U1", right, left], capture_output=True, text=True, errors="replace", check=False)
    return "\n".join(f"    {line[:200]}" for line in done.stdout.splitlines()[2:32])


def _compare_facts(built, machine):
    """What a reader asks first, beside the files: units, packages, accounts."""
    found = []
    for what, argv in (
        ("unit", ["systemctl", "--root={root}", "list-unit-files", "--no-legend", "--no-pager", "--full", "--plain"]),
        ("package", ["dpkg-query", "--admindir={root}/var/lib/dpkg", "-Wf", "${binary:Package} ${Version} ${Status}\n"]),
    ):
        ours, theirs = (
            _lines([word.format(root=top) if "{root}" in word else word for word in argv]) for top in (built, machine)
        )
        found += _compare_lines(what, ours, theirs)
    for name in ("passwd", "group", "shadow", "gshadow"):
        ours, theirs = (set((top / "etc" / name).read_text(encoding="utf-8").splitlines()) for top in (built, machine))
        found += _compare_lines(f"line of {name}", ours, theirs)
    return found


def _lines(argv):
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return {" ".join(line.split()) for line in done.stdout.splitlines()}


def _compare_lines(what, ours, theirs):
    on_machine = [f"{what} on the machine: {line}" for line in sorted(theirs - ours)]
    return on_machine + [f"{what} on the image: {line}" for line in sorted(ours - theirs)]


def find_other_results(machine, built):
    """States that ended otherwise: what was not there, another result, or a change on one side only.

    :param list machine: of the reference
    :param list built: of the manifest
    """
    ours, theirs = ({(state["id"], state["state"], state["name"]): state for state in side} for side in (built, machine))
    found = [
        f"state {key[0]!r} ({key[1]}): only on the {'image' if key in ours else 'machine'}" for key in ours.keys() ^ theirs.keys()
    ]
    for key in ours.keys() & theirs.keys():
        for what in ("result", "changed"):
            if ours[key][what] != theirs[key][what]:
                found.append(
                    f"state {key[0]!r} ({key[1]}): {what} {ours[key][what]} in the build, {theirs[key][what]} on the machine\n"
                    f"    build:   {ours[key]['comment']}\n    machine: {theirs[key]['comment']}"
                )
    return sorted(found)
