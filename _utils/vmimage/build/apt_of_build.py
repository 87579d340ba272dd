"""The cache of apt as a build uses it: what it shares, and what it does beside its steps."""

import os
import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from vmimage.apt.cache import AptCache
from vmimage.build.build import Build
from vmimage.build.record import made
from vmimage.errors import BuildDied, CommandFailed
from vmimage.system.background import BackgroundTask


def apt_cache(build: Build) -> AptCache:
    """The cache for the root of a build, which is open."""
    return AptCache(build.settings.cache, build.workspace.changes / "apt", build.root, made(build.record.base).digest)


def share(build: Build, keep: Callable[[], object]) -> None:
    """Share what was downloaded; a cache that cannot take it (full, read-only) is no fault of the image."""
    try:
        keep()
    except (OSError, CommandFailed, BuildDied) as error:
        build.progress.note(f"the cache of apt in {build.settings.cache} takes nothing: {error}")


@contextmanager
def sharing_packages(build: Build, apt: AptCache) -> Iterator[None]:
    """Share the packages that come during the block, and decompress them: beside the root's dpkg, and at last for the next builds.

    :func:`finish_unpacking` waits for the rest; nothing of the build does.
    """
    asked, ended = os.pipe()
    spare_mib = 2 * build.settings.room_mib

    def follow() -> None:
        apt.follow(lambda: bool(select.select([asked], [], [], 0)[0]), spare_mib)
        os.nice(10)
        apt.unpack(spare_mib)

    def end() -> None:
        with apt.locked(), suppress(BrokenPipeError):  # from now on it does not look where the root's changes are
            os.write(ended, b"1")
        apt.keep_archives()

    build.beside["unpacking"] = BackgroundTask(follow, "decompressing packages")
    os.close(asked)
    try:
        yield
        share(build, end)
    finally:
        os.close(ended)


def finish_unpacking(build: Build) -> None:
    """Wait until the packages are decompressed, if that was begun."""
    if "unpacking" in build.beside:
        share(build, build.beside.pop("unpacking").finish)
