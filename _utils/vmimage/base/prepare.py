"""The base: turned once into a root image that all builds share read-only.

CACHE/downloads/            files that came over the network
CACHE/bases/KEY.img, .json  prepared bases, until no build has used them for 60 days; KEY is a digest of all that went in,
                            and the algorithm by which they are read: a Salt with xxhash and one without share none
CACHE/bases/KEY.digest      of both, and the size and time of the image then
CACHE/bases/KEY.damaged     what was such an image, and is no longer what was prepared

A disk may lose a byte unseen: an image is read again beside each build that begins from it (:func:`begin_reading`),
and a file that came over the network before it is prepared.
"""

import os
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from vmimage.apt.packages import list_packages
from vmimage.base import bootstrap, convert
from vmimage.base.download import forget_download
from vmimage.base.locate import Located
from vmimage.errors import BuildDied, KeptDamaged, WorkspaceBusy
from vmimage.image import ext4
from vmimage.settings.schema import Settings
from vmimage.system.aging import is_old
from vmimage.system.answers import NoAnswer
from vmimage.system.background import BackgroundTask, SharedTask
from vmimage.system.digest import (
    QUICK,
    check_identity,
    digest_of_data,
    digest_of_file,
    forget_digests,
    identity_of,
)
from vmimage.system.lock import locked
from vmimage.system.memory import memory_for
from vmimage.system.namespace import run_privately
from vmimage.system.progress import Progress
from vmimage.system.trees import fitting_paths, remove_tree
from vmimage.system.whole_files import read_json, sync, write_json

_PREPARATION = 5  # raise it when the same input is prepared otherwise than before
#: what was read of an image: what it was like before (:func:`vmimage.system.digest.identity_of`), and its digest
Read = tuple[list[int], str]
Result = TypeVar("Result")
_SPARE_INODES = 4096  # 1 MiB, for a variation of many small files: then they can be added to a copy of the base


@dataclass(frozen=True)
class Base:
    """A prepared base.

    :ivar reference: what the user calls it: an address, or ``debian bookworm amd64``
    :ivar format: bootstrap, raw, disk, qcow2 or tar
    :ivar digest: of the file, or of the plan of a bootstrap
    :ivar verified: how the digest was checked
    :ivar image: path of the prepared root image
    :ivar label: of its file system
    :ivar uuid: of its file system
    :ivar packages: ``{name: version}``
    :ivar content_bytes: what its files take
    """

    reference: str
    format: str
    digest: str
    verified: str
    image: str
    label: str
    uuid: str
    packages: dict[str, str]
    content_bytes: int


def image_path(settings: Settings, located: Located) -> Path:
    """Where the prepared image of a located base is, or will be."""
    algorithm, digest = located.digest.split(":")
    return Path(settings.cache) / "bases" / f"{located.format}-{digest[:32]}-{_PREPARATION}-{QUICK}.img"


def find_prepared(settings: Settings, located: Located) -> Base | None:
    """The prepared base of a located base, or None."""
    image = image_path(settings, located)
    facts, kept = _read(image.with_suffix(".json")), _read_record(image)
    if not facts or kept is None or not image.exists() or kept.get("facts", digest_of_data(facts)) != digest_of_data(facts):
        return None
    return _base_of(located, image, facts)


def _base_of(located: Located, image: Path, facts: Mapping[str, Any]) -> Base:
    return Base(**{**facts, "reference": located.reference, "verified": located.verified, "image": os.fspath(image)})


def prepare_base(settings: Settings, located: Located, progress: Progress) -> Base:
    """Turn a located base into a root image in the cache, if it is not there yet: :func:`begin_preparing` to its end."""
    base, keeping, _ = begin_preparing(settings, located, progress, lambda files: None)
    if keeping:
        keeping.finish()
    return base


def begin_preparing(
    settings: Settings, located: Located, progress: Progress, meanwhile: Callable[[Path], Result]
) -> tuple[Base, BackgroundTask[Read] | None, Result | None]:
    """Turn a located base into a root image, if it is not there yet.

    :param meanwhile: called in another process with the directory of the base's files, only to be read, while they are packed
    :returns: the base, to be used at once; what reads a new image for its digest, sees it on the disk, and only then makes it a prepared
        base that others may use, to be finished as of :func:`begin_reading`; and what was returned meanwhile, or None.  A kill leaves an
        image that is prepared again
    :raises KeptDamaged: if its file is not what it was when its digest was taken; locating it again gives another
    """
    image = image_path(settings, located)
    with suppress(OSError):  # it is not there yet, or the cache is only read
        os.utime(image.with_suffix(".json"))
    is_only_read = not os.access(image.parent, os.W_OK)  # then there is nothing to lock
    with suppress(FileNotFoundError):  # another build sets it aside at this instant
        if (found := find_prepared(settings, located)) and (_looks_whole(image) or is_only_read and _is_whole(image)):
            return found, None, None
    _remove_old(image.parent)
    with _locked(image, located, progress):
        if (found := find_prepared(settings, located)) and _is_whole(image):
            return found, None, None
        if image.exists() and image.with_suffix(".json").exists():
            _set_aside(image, progress)
        if located.path and not located.is_just_read:
            _check_source(settings, located, located.path)
        partial = image.with_suffix(".img.partial")
        scratch = image.with_suffix(".preparing")
        remove_tree(scratch, ignore_errors=True)  # of a run that was killed
        scratch.mkdir()
        try:
            facts, result = run_privately(lambda: _prepare(located, partial, scratch, memory_for(settings), progress, meanwhile))
            if located.path and located.identity:  # what was prepared is what was verified: it stays in the cache for good
                check_identity(located.path, located.identity)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        finally:
            remove_tree(scratch)
        os.replace(partial, image)
        keeping = BackgroundTask(lambda: _keep(image, facts), f"keeping {image}")  # it has the lock, too, until it ends
    return _base_of(located, image, facts), keeping, result


@contextmanager
def _locked(image: Path, located: Located, progress: Progress) -> Iterator[None]:
    """Hold the lock of a base; another build that prepares it, or keeps it beside its first use, is waited for."""
    path, what = image.with_suffix(".lock"), f"the base {located.reference}"
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(path, what))
        except WorkspaceBusy as busy:
            progress.note(f"{busy.message}: waiting until it is on the disk")
            stack.enter_context(locked(path, what, wait=True))
        yield


def _keep(image: Path, facts: Mapping[str, Any]) -> Read:
    """Make an image a prepared base: nothing but its record says that it is."""
    os.nice(10)  # the build that uses it already comes first
    before = identity_of(image)
    with ThreadPoolExecutor(1) as pool:  # what is read for its digest goes to the disk meanwhile
        synced = pool.submit(sync, image)
        record = _record_of(image, facts)
        synced.result()
    write_json(image.with_suffix(".digest"), record)
    write_json(image.with_suffix(".json"), facts)
    return before, record["digest"]


def _check_source(settings: Settings, located: Located, path: Path) -> None:
    """Read the file again that a base is made of: its digest may be that of last year."""
    cache = Path(settings.cache)
    if digest_of_file(path) == located.digest:
        return
    forget_digests(path, cache / "digests.json")
    if path.parent == cache / "downloads":
        forget_download(path)
        raise KeptDamaged(f"{path} was damaged since it was downloaded: it is removed", hint="the next run downloads it again")
    raise KeptDamaged(f"{path} is no longer what it was when its digest was taken", hint="look what has changed it")


def _record_of(image: Path, facts: Mapping[str, Any] | None) -> dict[str, Any]:
    """To see later whether a prepared image is still what was prepared."""
    record = {"digest": digest_of_file(image, QUICK), "state": _state_of(image), "facts": digest_of_data(facts)}
    return {**record, "own": digest_of_data(record)}


def _read_record(image: Path) -> dict[str, Any] | None:
    """What :func:`_record_of` made; empty where there is none, of an earlier version in part; None where it is damaged."""
    record = _read(image.with_suffix(".digest"))
    own = record.pop("own", None) if record else None
    return record if own in (None, digest_of_data(record)) else None


def _state_of(image: Path) -> list[int]:
    facts = os.stat(image)
    return [facts.st_size, facts.st_mtime_ns]


def _read(path: Path) -> dict[str, Any] | None:
    """A JSON object; empty where there is no file, None where it is damaged."""
    try:
        found = read_json(path, {})
        return found if isinstance(found, dict) else None
    except ValueError:
        return None


def _looks_whole(image: Path) -> bool:
    """Whether nobody has written to a prepared image since it was prepared, as its file looks; what it holds is read beside the build."""
    known = _read_record(image) or {}
    return known.get("state") == _state_of(image) and "facts" in known


def _is_whole(image: Path) -> bool:
    """Whether a prepared image is what was prepared, for who holds its lock; it is read where its file was written to since."""
    if _looks_whole(image):
        return True
    path = image.with_suffix(".digest")  # a file of its own: earlier versions take what is in the .json for facts of a base
    before = _read_record(image)
    now = _record_of(image, _read(image.with_suffix(".json")))
    if before and before.get("digest") != now["digest"]:
        return False
    with suppress(OSError):  # the cache is only read
        write_json(path, now)
    return True


def begin_reading(image: Path, digest: str = "") -> BackgroundTask[Read]:
    """Read what a build starts from beside the build.

    :param image: a prepared base, or the last root image
    :param digest: that it will be compared with, as of :func:`is_as_it_was`
    :returns: for :func:`is_as_it_was`, which waits for the end
    """
    return BackgroundTask(lambda: _read_beside(image, digest.partition(":")[0] or QUICK), f"reading {image}")


class SharedReading:
    """A prepared base that is read once for several builds, beside them; begun before they are forked."""

    def __init__(self, image: Path) -> None:
        self._image, self._before = image, _identity(image)
        self._task = SharedTask(lambda: _read_beside(image, QUICK), f"reading {image}")

    def is_of(self, image: Path) -> bool:
        """Whether it is of what a build begins from now."""
        return image == self._image and _identity(image) == self._before

    def finish(self) -> Read:
        """What was read, as of :func:`begin_reading`; where anybody has written to the image since, it is read again."""
        with suppress(NoAnswer):
            read = self._task.finish()
            if read[0] == self._before == _identity(self._image):
                return read
        return _read_image(self._image, QUICK) if _identity(self._image)[:2] == self._before[:2] else ([], "gone")

    def stop(self) -> None:
        """End it, for who has begun it."""
        self._task.stop()


def _read_beside(image: Path, algorithm: str) -> Read:
    os.nice(10)
    return _read_image(image, algorithm)


def _read_image(image: Path, algorithm: str) -> Read:
    before = _identity(image)
    try:
        return before, digest_of_file(image, algorithm)
    except OSError:  # what a disk cannot read is damaged, too; and what is gone another build has found damaged
        return before, "unreadable"


def _identity(image: Path) -> list[int]:
    try:
        return identity_of(image)
    except FileNotFoundError:
        return []


def is_as_it_was(
    image: Path, reading: BackgroundTask[Read] | SharedReading, digest: str = "", mounted: Sequence[int] | None = None
) -> bool:
    """Whether an image that a build begins from is what was made; a prepared base that is not is set aside.

    :param reading: of :func:`begin_reading`, or one that builds share
    :param digest: ``ALGORITHM:HEX``, default what was noted of a prepared base
    :param mounted: what the image was like as it was mounted (:func:`vmimage.system.digest.identity_of`): that file, and no other
        that has its name by now, is asked about
    """
    before, found = reading.finish()
    record = {"digest": digest} if digest else _read_record(image)
    known = (record or {}).get("digest")
    # last: what sets an image aside removes what is known of it after the image
    is_there = bool(before) and _identity(image)[:2] == before[:2]
    # of an image of an earlier version, in a cache that is only read, none is known
    is_whole = found == known or record is not None and not known
    if is_there and is_whole:
        return list(mounted or before)[:2] == before[:2]
    if not digest:
        with suppress(OSError), locked(image.with_suffix(".lock"), f"the base {image}", wait=True):  # gone by now, or only read
            if before and _identity(image)[:2] == before[:2]:  # else a new image is there
                _move_aside(image)
    return False


def _set_aside(image: Path, progress: Progress) -> None:
    progress.note(
        f"the prepared base {image} is no longer what was prepared: it is kept as {damaged_path(image).name}, and prepared again"
    )
    _move_aside(image)


def damaged_path(image: Path) -> Path:
    """Where a prepared base is kept that is damaged."""
    return image.with_suffix(".damaged")


def _move_aside(image: Path) -> None:
    image.with_suffix(".json").unlink(missing_ok=True)  # first: without it an image is never taken for prepared
    os.replace(image, damaged_path(image))
    image.with_suffix(".digest").unlink(missing_ok=True)  # last: other builds from it may still have to see that it is damaged


def make_room(settings: Settings, located: Located, progress: Progress) -> bool:
    """Remove what was set aside, and of a base that is not prepared what is there; returns whether there was anything."""
    image = image_path(settings, located)
    found = [*image.parent.glob("*.damaged")]
    with suppress(WorkspaceBusy, OSError), locked(image.with_suffix(".lock"), f"the base {image}"):
        if not find_prepared(settings, located):
            if image.exists() and image.with_suffix(".json").exists():
                progress.note(f"the prepared base {image} is damaged: it is removed, and prepared again")
            image.with_suffix(".json").unlink(missing_ok=True)  # first: without it an image is never taken for prepared
            found += [image, image.with_suffix(".img.partial"), image.with_suffix(".preparing")]
        had = [path for path in found if path.exists()]
        for path in had:
            if path.is_dir():
                remove_tree(path, ignore_errors=True)
            else:
                path.unlink()
        return bool(had)
    return False


def _remove_old(directory: Path) -> None:
    """Remove what no build has used for long; a build that has it mounted keeps it for as long as that."""
    for damaged in directory.glob("*.damaged"):
        if is_old(damaged):
            damaged.unlink(missing_ok=True)
    for image in directory.glob("*.img"):
        facts = image.with_suffix(".json")
        with suppress(FileNotFoundError, WorkspaceBusy), locked(image.with_suffix(".lock"), f"the base {image}"):
            if is_old(facts if facts.exists() else image):
                facts.unlink(missing_ok=True)  # first: without it an image is never taken for prepared
                image.with_suffix(".digest").unlink(missing_ok=True)
                image.unlink()


def _prepare(
    located: Located, partial: Path, scratch: Path, memory_mib: int, progress: Progress, meanwhile: Callable[[Path], Result]
) -> tuple[dict[str, Any], Result | None]:
    """As a build needs it: a file system that ends at its content, so that a copy of it can become a root image."""
    result = None
    with (
        _opened(located, scratch, memory_mib, progress) as base,
        fitting_paths(base.point),
        BackgroundTask(lambda: meanwhile(base.point), f"what is done beside the packing of {located.reference}") as reading,
    ):
        packages = list_packages(base.point)
        content = ext4.pack_image(
            base.point, partial, label=base.label, uuid=base.uuid, journal=False, spare_inodes=_SPARE_INODES
        )
        ext4.cut_image(partial)
        try:
            result = reading.finish()
        except BuildDied as death:  # nothing is lost but the time that it would have saved
            progress.note(death.message)
    size = content.blocks * ext4.BLOCK
    return asdict(Base("", located.format, located.digest, "", "", base.label, base.uuid, packages, size)), result


@contextmanager
def _opened(located: Located, scratch: Path, memory_mib: int, progress: Progress) -> Iterator[convert.BaseFiles]:
    plan = located.plan
    if plan is None:
        assert located.path is not None
        with convert.opened_base(located.path, located.format, scratch, memory_mib) as base:
            yield base
    else:
        with convert.filled(lambda point: bootstrap.bootstrap(plan, point, progress.say), scratch, memory_mib) as point:
            yield convert.BaseFiles(point, bootstrap.LABEL, str(uuid.uuid4()))
