"""A small root that has the programs of this machine, and programs in it that want to get out."""

import os
from contextlib import contextmanager
from pathlib import Path

from vmimage.root.enter import work_inside
from vmimage.root.mounts import run_in_root
from vmimage.system.groups import watched
from vmimage.system.shell import run

#: for programs in the root: ``asked(number, *arguments)`` is the name of the error that a system call gives, or its result
ASKING = """
import ctypes, errno, os, signal, sys, time
_libc = ctypes.CDLL(None, use_errno=True)
def asked(number, *arguments):
    values = (ctypes.c_long(value) if isinstance(value, int) else value for value in arguments)
    result = _libc.syscall(ctypes.c_long(number), *values)
    return errno.errorcode[ctypes.get_errno()] if result < 0 else result
"""


@contextmanager
def small_root(directory):
    """A root without files of its own but those that a program needs."""
    root = Path(directory) / "root"
    (root / "etc").mkdir(parents=True)
    (root / "usr").mkdir()
    for name in ("bin", "lib", "lib64", "sbin"):
        (root / name).symlink_to(f"usr/{name}")
    for name in ("passwd", "group", "nsswitch.conf", "ld.so.cache", "login.defs", "pam.d", "security", "environment"):
        if os.path.exists(f"/etc/{name}"):
            run(["cp", "-rL", f"/etc/{name}", root / "etc"])
    (root / "etc/shadow").write_text("root:*:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\n", encoding="utf-8")
    # a root with a policy-rc.d gets none from us, which could not be written here; not every machine has the file
    policy = Path(directory) / "own/sbin/policy-rc.d"
    policy.parent.mkdir(parents=True)
    policy.write_text("#!/bin/sh\nexit 101\n", encoding="ascii")
    policy.chmod(0o755)
    run(["mount", "-t", "overlay", "-o", f"ro,lowerdir={policy.parents[1]}:/usr", "overlay", root / "usr"])
    try:
        yield root
    finally:
        run(["umount", root / "usr"])


def run_hostile(root, text, *, ok=(0,), say=None, **how):
    """What a Python program prints that runs in the root as those of a variation do, with its exit code."""
    with watched(group := f"vm_create-test-{os.getpid()}"):
        return work_inside(
            root,
            lambda: run_in_root(root, ["/usr/bin/python3", "-c", f"{ASKING}\n{text}"], ok=ok, on_line=say),
            group=group,
            **how,
        )
