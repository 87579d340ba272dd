"""A machine that can build, a base that is prepared already, and a look at what a test leaves behind."""

import os
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from building import CACHE, LEFT_BEHIND_SECONDS, OWN_DIRECTORIES, OWNER, RELEASE, Salt, what_is_left
from light_base import light_settings
from once import made_once
from vmimage.base import prepare
from vmimage.base.locate import locate_base
from vmimage.settings.schema import Settings
from vmimage.system import syscalls
from vmimage.system.progress import Progress


@pytest.fixture(scope="session", autouse=True)
def machine(lacking):
    """A machine that can build, or a reason why not."""
    if os.geteuid() != 0 or not Path("/dev/loop-control").exists():
        lacking("needs root and loop devices: sudo ./run-tests")


@pytest.fixture(scope="session", autouse=True)
def own_directories(machine, tmp_path_factory):
    """Builds of this process are known by their environment and by where their files lie.

    Its mounts are its own: whatever kills it, the kernel takes them away, and their loop devices with them.
    """
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_SLAVE)
    OWN_DIRECTORIES.append(tmp_path_factory.getbasetemp())
    os.environ[OWNER] = str(os.getpid())


@contextmanager
def leaving_nothing():
    """No mount, loop or process more at the end of the block than before it, after some seconds."""
    before = what_is_left()
    yield
    deadline = time.monotonic() + LEFT_BEHIND_SECONDS
    while left := [now - then for now, then in zip(what_is_left(), before, strict=True)]:
        if not any(left):
            return
        assert time.monotonic() < deadline, f"left behind: {left}"
        time.sleep(0.1)


@pytest.fixture(autouse=True)
def nothing_is_left(own_directories):
    with leaving_nothing():
        yield


@pytest.fixture(scope="session")
def bootstrapped(tmp_path_factory):
    """The base that tests share, from the cache of this machine or bootstrapped now: a prepared :class:`vmimage.base.prepare.Base`."""
    settings, progress = Settings(cache=CACHE, release=RELEASE), Progress()
    return made_once(
        tmp_path_factory,
        "bootstrapped",
        lambda _: prepare.prepare_base(settings, locate_base(settings, progress), progress),
        by_all_groups=True,
    )


@pytest.fixture(scope="session")
def light(bootstrapped, tmp_path_factory):
    """Settings of a base that is read and packed in half of the time (:mod:`light_base`), which all groups share."""
    return made_once(tmp_path_factory, "light", lambda directory: light_settings(bootstrapped, directory), by_all_groups=True)


@pytest.fixture
def salt(request, tmp_path, bootstrapped):
    """A minion of the test's own; where the test is marked as ``light``, with the light base."""
    return Salt(tmp_path, **(request.getfixturevalue("light") if request.node.get_closest_marker("light") else {}))
