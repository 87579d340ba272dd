"""The cache of apt as a build uses it: what it shares, and what it does beside its steps."""

import os
import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from vmimage.apt.cache import AptCache
from vmimage.apt.packages import digest_of_packages, offers_newer, update_lists
from vmimage.apt.releases import Offered, note_offers
from vmimage.apt.wrapper import state_of_update
from vmimage.base import prepare
from vmimage.base.locate import Located
from vmimage.base.prepare import Base, Read
from vmimage.build.build import Build
from vmimage.build.record import made
from vmimage.errors import BuildDied, CommandFailed, VmImageError
from vmimage.root.enter import work_inside
from vmimage.root.overlay import open_copy
from vmimage.system.aliases import Say
from vmimage.system.background import BackgroundTask
from vmimage.system.groups import group_name, swept
from vmimage.system.memory import memory_for
from vmimage.system.network import kind_of_network
from vmimage.system.trees import remove_tree


@dataclass(frozen=True)
class Fetched:
    """Lists that a build has fetched while its base was packed.

    :ivar key: whose they are (:attr:`vmimage.apt.lists.AptLists.key`)
    :ivar offered: what the archives offered (:func:`vmimage.apt.releases.note_offers`)
    :ivar newest: packages of which nothing newer was to be had (:func:`vmimage.apt.packages.digest_of_packages`), or None
    :ivar state: of apt's settings (:func:`vmimage.apt.wrapper.state_of_update`)
    :ivar digests: of their files, as they came into the cache
    :ivar at: when, in seconds since 1970
    """

    key: str
    offered: Offered | None
    newest: str | None
    state: str
    digests: dict[str, str]
    at: float


def apt_cache(build: Build) -> AptCache:
    """The cache for the root of a build, which is open."""
    return AptCache(build.settings.cache, build.workspace.changes / "apt", build.root, made(build.record.base).digest)


def begin_preparing(build: Build, located: Located, say: Say) -> tuple[Base, BackgroundTask[Read] | None]:
    """A base as of :func:`vmimage.base.prepare.begin_preparing`; of a new base the lists are fetched, too, if the update will want them."""

    def meanwhile(files: Path) -> Fetched | None:
        return fetch_lists(build, located.digest, files, say) if build.is_whole and build.settings.update else None

    base, keeping, build.beside["fetched"] = prepare.begin_preparing(build.settings, located, build.progress, meanwhile)
    return base, keeping


def begin_lists(build: Build, apt: AptCache) -> Fetched | None:
    """Give a build its lists; returns what it found when it fetched them itself while its base was packed, if these are they."""
    fetched = build.beside.pop("fetched", None)
    # of an archive of which that is not known, such as a directory of the root, the lists are not in the cache
    is_of_root = fetched and fetched.offered and fetched.key == apt.key and not build.record.basis
    just_read = fetched.digests if fetched and is_of_root else None
    return fetched if apt.begin(by_overlay=build.is_whole, just_read=just_read) else None


def fetch_lists(build: Build, base_digest: str, base_files: Path, say: Say) -> Fetched | None:
    """Fetch the lists of a base while it is packed, as an update would, for all builds from it: in a root that is thrown away.

    For the private namespace in which that is done: mounts things.  What fails here, the update will try again.

    :param base_files: the mounted files of the base, only read
    :returns: None where they are in the cache already, or cannot be fetched
    """
    top, settings = build.workspace.path / "fetching", build.settings
    remove_tree(top, ignore_errors=True)  # of a build that was killed
    try:
        with open_copy(base_files, top, memory_for(settings)) as root, swept(settings):
            apt = AptCache(settings.cache, top / "apt", root, base_digest)
            if apt.shared.exists():
                return None
            apt.begin()
            with apt.copying() as partial:

                def work() -> Fetched:
                    apt.show_lists()
                    update_lists(root, say)
                    with BackgroundTask(lambda: offers_newer(root), "computing what is newer") as computing:
                        copied, state = apt.copy_lists("lists", partial), state_of_update(root)
                        offered = note_offers(root, apt.own / "lists")
                        newest = None if computing.finish() else digest_of_packages(root, state)
                    return Fetched(apt.key, offered, newest, state, copied, time.time())

                network, group = kind_of_network(settings.network), group_name(settings)
                found = work_inside(root, work, kind_of_network=network, group=group)
                known = {"offered": found.offered, "newest": found.newest}
                return replace(found, digests=apt.keep_lists(known, (partial, found.digests)))
    except (VmImageError, OSError) as error:
        build.progress.note(f"apt's lists were not fetched while the base was packed: {error}")
        return None
    finally:
        remove_tree(top, ignore_errors=True)


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
    except BaseException:
        build.beside.pop("unpacking").stop()  # a minion lives on after a step that failed
        raise
    finally:
        os.close(ended)


def finish_unpacking(build: Build) -> None:
    """Wait until the packages are decompressed, if that was begun."""
    if "unpacking" in build.beside:
        share(build, build.beside.pop("unpacking").finish)
