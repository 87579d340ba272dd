"""The cache of apt as a build uses it: what it shares, and what it does beside its steps."""

import os
from collections.abc import Callable

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


def begin_unpacking(build: Build, apt: AptCache) -> None:
    """Decompress packages for the next builds beside the rest of this build, which has no use for it."""

    def unpack() -> None:
        os.nice(10)
        apt.unpack(spare_mib=2 * build.settings.room_mib)

    build.beside["unpacking"] = BackgroundTask(unpack, "decompressing packages")


def finish_unpacking(build: Build) -> None:
    """Wait until the packages are decompressed, if that was begun."""
    if "unpacking" in build.beside:
        share(build, build.beside.pop("unpacking").finish)
