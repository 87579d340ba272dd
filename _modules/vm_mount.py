"""
Mounts and swap inside the root of an image
===========================================

The ``mount`` module of the Salt that applies a variation. Nothing can be mounted there. What is empty when it is mounted, and what the
kernel shows, is taken for mounted, and swap for used, until the end of the run: fstab lets each boot of the image do it. What holds
files of its own is refused, for later states would look for them.

Never loaded by itself: the root's configuration names it as the provider of ``mount``.
"""

import json
import os
import types

import salt.modules.mount as _of_a_running_machine
from salt.utils.functools import namespaced_function

__virtualname__ = "vm_mount"
_REMEMBERED = "/run/vm_create/mounts.json"
#: mounts of a root that a machine has, too; those of a build alone are not shown
_OF_A_MACHINE = ("/", "/dev", "/dev/pts", "/dev/shm", "/proc", "/run", "/sys")
_EMPTY = ("tmpfs", "ramfs", "hugetlbfs", "mqueue")
_OF_THE_KERNEL = "proc sysfs devtmpfs devpts cgroup2 debugfs tracefs securityfs configfs bpf fusectl pstore efivarfs".split()
#: bound elsewhere they hold nothing that an image keeps
_SCRATCH = ("/tmp", "/var/tmp", "/run", "/dev", "/proc", "/sys")
_REFUSED = (
    "{} cannot be mounted while an image is made, and later states would not find its files: mount.fstab_present, or mount.mounted with"
    " mount: False, lets each boot of the image mount it"
)


def __virtual__():
    if not os.path.exists("/run/vm_create/etc/minion"):
        return False, "vm_mount is for the inside of a root that is being built"
    return __virtualname__


# Salt's own, with what follows here in place of what asks or changes the running system
for _name, _value in list(vars(_of_a_running_machine).items()):
    if not _name.startswith("__"):
        globals()[_name] = namespaced_function(_value, globals()) if isinstance(_value, types.FunctionType) else _value


def _remembered():
    try:
        with open(_REMEMBERED, encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return {"mounts": {}, "swaps": {}}


def _remember(kind, name, facts):
    """Note what is mounted or used as swap; None: no more."""
    known = _remembered()
    known[kind].pop(name, None)
    if facts is not None:
        known[kind][name] = facts
    with open(f"{_REMEMBERED}.partial", "w", encoding="utf-8") as file:
        json.dump(known, file)
    os.replace(f"{_REMEMBERED}.partial", _REMEMBERED)


def active(extended=False):
    """
    What a machine with this root would have mounted: the kernel's file systems, and what states of this run have mounted.

    CLI Example:

    .. code-block:: bash

        salt-call mount.active
    """
    known = _remembered()["mounts"]
    found = _of_the_root(extended)
    return {
        **{name: found[name] for name in _OF_A_MACHINE if name in found},
        **{name: facts for name, facts in known.items() if facts},
    }


def _of_the_root(extended):
    found = {}
    (_active_mountinfo if extended else _active_mounts)(found)
    return found


def mount(name, device=False, mkmnt=False, fstype="", opts="defaults", user=None, util="mount"):
    """
    Take something for mounted that is empty, or the kernel's own.

    CLI Example:

    .. code-block:: bash

        salt-call mount.mount /tmp tmpfs fstype=tmpfs
    """
    if not device:  # of mount.fstab_present: each boot mounts it
        return True if name in fstab() else _REFUSED.format(name)
    words = opts.split(",") if isinstance(opts, str) else list(opts or [])
    is_bound = fstype in ("none", "bind") or bool({"bind", "rbind"} & set(words))
    if is_bound:
        source = os.path.realpath(device)
        is_fine = any(f"{source}/".startswith(f"{place}/") for place in _SCRATCH)
    else:
        is_fine = fstype in _EMPTY or fstype in _OF_THE_KERNEL
    if not is_fine or util != "mount":
        return _REFUSED.format(device)
    if mkmnt and not os.path.exists(name):
        __salt__["file.mkdir"](name, user=user)
    shown = [word for word in words if word != "remount"]
    facts = {"device": device, "fstype": fstype, "opts": shown, "superopts": [], "alt_device": device, "root": "/"}
    _remember("mounts", os.path.realpath(name), facts)
    return True


def remount(name, device, mkmnt=False, fstype="", opts="defaults", user=None):
    """
    Take options of a mount for changed: those of fstab are in force when the image boots.

    CLI Example:

    .. code-block:: bash

        salt-call mount.remount /proc proc fstype=proc opts=hidepid=2
    """
    return mount(name, device, mkmnt, fstype, opts, user=user)


def umount(name, device=None, user=None, util="mount", lazy=False):
    """
    Take something for mounted no more, if a state of this run has mounted it.

    CLI Example:

    .. code-block:: bash

        salt-call mount.umount /mnt/scratch
    """
    if name not in _remembered()["mounts"]:
        return f"{name} is the build's own: what an image mounts is said by fstab"
    _remember("mounts", name, None)
    return True


def is_mounted(name):
    """
    Whether a machine with this root would have something mounted there.

    CLI Example:

    .. code-block:: bash

        salt-call mount.is_mounted /tmp
    """
    return name in active()


def swaps():
    """
    The swap that states of this run have switched on. The builder's is not the image's.

    CLI Example:

    .. code-block:: bash

        salt-call mount.swaps
    """
    return _remembered()["swaps"]


def swapon(name, priority=None):
    """
    Take a swap file for used, if it is one.

    CLI Example:

    .. code-block:: bash

        salt-call mount.swapon /swapfile
    """
    if name in swaps():
        return {"stats": swaps()[name], "new": False}
    try:
        with open(name, "rb") as file:
            file.seek(os.sysconf("SC_PAGE_SIZE") - 10)
            is_swap = os.path.isfile(name) and file.read(10) == b"SWAPSPACE2"
    except OSError:
        is_swap = False
    if not is_swap:
        return {}
    facts = {"type": "file", "size": str(os.path.getsize(name) // 1024), "used": "0", "priority": str(priority or -2)}
    _remember("swaps", name, facts)
    return {"stats": facts, "new": True}


def swapoff(name):
    """
    Take a swap file for used no more; None where it is not used.

    CLI Example:

    .. code-block:: bash

        salt-call mount.swapoff /swapfile
    """
    if name not in swaps():
        return None
    _remember("swaps", name, None)
    return True
