"""The base: found, verified, and turned once into a root image that all builds share read-only.

CACHE/downloads/            files that came over the network
CACHE/bases/KEY.img, .json  prepared bases, until nobody has used one for 60 days; KEY is a digest of all that went in
CACHE/bases/KEY.digest      of both, and the size and time of the image then
CACHE/bases/KEY.damaged     what was such an image, and is no longer what was prepared

A disk may lose a byte and nothing tells of it: an image is read again beside each build that begins from it (:func:`begin_reading`),
and a file that came over the network before it is prepared.
"""

import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from vmimage.apt.packages import list_packages
from vmimage.base import bootstrap, convert
from vmimage.base.download import fetch, fetch_beside, forget_download
from vmimage.errors import BaseRefused, BaseUnverified, CommandFailed, KeptDamaged, WorkspaceBusy
from vmimage.image import ext4
from vmimage.root.mounts import mounted
from vmimage.system import formats
from vmimage.system.address import name_of, public_address
from vmimage.system.aging import is_old
from vmimage.system.background import BackgroundTask
from vmimage.system.digest import (
    check_digest,
    check_identity,
    digest_of_data,
    digest_of_file,
    find_in_checksums,
    forget_digests,
    identity_of,
    known_digest,
    parse_digest,
)
from vmimage.system.lock import locked
from vmimage.system.namespace import run_privately
from vmimage.system.shell import run
from vmimage.system.trees import fitting_paths, remove_tree
from vmimage.system.whole_files import read_json, sync, write_json

#: what the address of a base in the store begins with
IMAGE_PREFIX = "glance:"
_PREPARATION = 4  # raise it when the same input is prepared otherwise than before
_SPARE_INODES = 4096  # 1 MiB, for a variation of many small files: then they can be added to a copy of the base
_CHECKSUM_FILES = ("{name}.sha512", "{name}.sha256", "SHA512SUMS", "SHA256SUMS")


@dataclass(frozen=True)
class Base:
    """A prepared base.

    :ivar str reference: what the user calls it: an address, or ``debian bookworm amd64``
    :ivar str format: bootstrap, raw, disk, qcow2 or tar
    :ivar str digest: of the file, or of everything that a bootstrap was told
    :ivar str verified: how the digest was checked
    :ivar str image: path of the prepared root image
    :ivar str label: of its file system
    :ivar str uuid: of its file system
    :ivar dict packages: ``{name: version}``
    :ivar int content_bytes: what its files take
    """

    reference: str
    format: str
    digest: str
    verified: str
    image: str
    label: str
    uuid: str
    packages: dict
    content_bytes: int


def architecture_of(settings):
    """Debian's name of the architecture to build for."""
    return settings.architecture or run(["dpkg", "--print-architecture"]).output.strip()


def locate_base(settings, progress, cache_file=None, fetch_image=None):
    """Fetch and verify a base without preparing it.

    :param cache_file: turns a salt:// address into a path
    :param fetch_image: takes a name or id in the store and a directory, returns a path and ``(algorithm, hex)``
    :returns: dict of reference, format, digest, verified, and path with identity, or plan
    :raises BaseMissing, BaseUnverified, BaseRefused:
    """
    if not settings.base:
        plan = bootstrap.plan_bootstrap(settings, architecture_of(settings))
        reference = f"{plan['type']} {plan['release']} {plan['architecture']}"
        digest = bootstrap.digest_of_plan(plan)
        return {"reference": reference, "format": "bootstrap", "digest": digest, "verified": "apt's own signatures", "plan": plan}
    downloads, table = Path(settings.cache) / "downloads", Path(settings.cache) / "digests.json"
    if settings.base.startswith(IMAGE_PREFIX):
        path, stored = fetch_image(settings.base.removeprefix(IMAGE_PREFIX), downloads)
    else:
        path, stored = fetch(settings.base, downloads, cache_file, progress.moved), None
    identity = identity_of(path)
    kind = settings.base_format or formats.read_format(path)
    if not kind:
        raise BaseRefused(
            f"{public_address(settings.base)} is no file system, disk, qcow2 or tar that is known",
            hint="gunzip it, if it is a compressed image",
        )
    if kind == "qcow2":
        formats.check_qcow2(path)
    try:
        if stored:
            check_digest(path, stored, table, progress.moved)
        if stored and not settings.base_hash:
            verified = f"{stored[0]} from the store"
        else:
            verified = _verify(settings, path, downloads, table, cache_file, progress)
    except BaseUnverified:
        if path.parent == downloads:
            forget_download(path)
        raise
    digest = known_digest(path, table, moved=progress.moved)
    check_identity(path, identity)
    return {
        "reference": settings.as_dict()["base"],
        "format": kind,
        "digest": digest,
        "verified": verified,
        "path": os.fspath(path),
        "identity": identity,
    }


def _verify(settings, path, downloads, table, cache_file, progress):
    """Check the file's digest; returns how."""
    name = name_of(settings.base)
    given = parse_digest(settings.base_hash) if settings.base_hash else None
    if given:
        if settings.base_keyring:
            raise BaseUnverified(
                "ami.base_keyring is set, but ami.base_hash is a digest that nobody signed",
                hint="let ami.base_hash be the checksum file, or leave it out",
            )
        check_digest(path, given, table, progress.moved)
        return f"{given[0]} from the settings"
    if settings.base_hash:
        candidates = [(settings.base_hash, settings.base_hash.rsplit("/", 1)[-1])]
    else:
        candidates = [(settings.base, pattern.format(name=name)) for pattern in _CHECKSUM_FILES]
    for address, beside in candidates:
        sums = fetch_beside(address, beside, downloads, cache_file)
        expected = find_in_checksums(sums.read_text(encoding="utf-8", errors="replace"), name) if sums else None
        if expected:
            signed = _check_signature(settings, address, beside, sums, downloads, cache_file)
            check_digest(path, expected, table, progress.moved)
            return f"{expected[0]} from {beside}{signed}"
    if settings.base_hash:
        raise BaseUnverified(
            f"{public_address(settings.base_hash)} has no digest of {name}",
            hint="ami.base_hash: sha256:HEX, or a checksum file that lists it",
        )
    if settings.base_keyring:
        raise BaseUnverified(f"no checksum file lists {name}", hint="ami.base_keyring needs one; name it with ami.base_hash")
    if not settings.base_unverified:
        raise BaseUnverified(
            f"nothing tells the digest of {public_address(settings.base)}",
            hint="set ami.base_hash: sha256:HEX, or ami.base_unverified: true if you must",
        )
    return "not verified"


def _check_signature(settings, address, beside, sums, downloads, cache_file):
    """Verify the checksum file's detached signature, if a keyring is configured; returns words about it."""
    if not settings.base_keyring:
        return ""
    if not Path(settings.base_keyring).is_file():
        raise BaseUnverified(f"there is no keyring {settings.base_keyring}", hint="correct ami.base_keyring")
    for ending in (".gpg", ".sign", ".asc", ".sig"):
        signature = fetch_beside(address, beside + ending, downloads, cache_file)
        if signature:
            try:
                run(["gpgv", "--keyring", os.path.abspath(settings.base_keyring), signature, sums])
            except CommandFailed as error:
                raise BaseUnverified(
                    f"the signature {beside}{ending} is not good: {error.output.strip()}",
                    hint="ami.base_keyring names who may sign",
                ) from error
            return f", signed as {os.path.basename(settings.base_keyring)} wants"
    raise BaseUnverified(f"{beside} has no signature next to it", hint="ami.base_keyring asks for one")


def file_bytes(located):
    """What a located base's file takes, in bytes, without its holes; a bootstrapped one has none."""
    facts = os.stat(located["path"]) if "path" in located else None
    return min(facts.st_size, facts.st_blocks * 512) if facts else 0


def image_path(settings, located):
    """Where the prepared image of a located base is, or will be."""
    algorithm, digest = located["digest"].split(":")
    return Path(settings.cache) / "bases" / f"{located['format']}-{digest[:32]}-{_PREPARATION}.img"


def find_prepared(settings, located):
    """The :class:`Base` if it is prepared already, or None."""
    image = image_path(settings, located)
    facts, kept = _read(image.with_suffix(".json")), _read_record(image)
    if not facts or kept is None or not image.exists() or kept.get("facts", digest_of_data(facts)) != digest_of_data(facts):
        return None
    return Base(**{**facts, "reference": located["reference"], "verified": located["verified"], "image": os.fspath(image)})


def prepare_base(settings, located, progress):
    """Turn a located base into a root image in the cache, if it is not there yet.

    :returns: :class:`Base`
    :raises WorkspaceBusy: if another process prepares the same one now
    :raises KeptDamaged: if its file is not what it was when its digest was taken; who locates it again gets another
    """
    image = image_path(settings, located)
    with suppress(OSError):  # it is not there yet, or the cache is only read
        os.utime(image.with_suffix(".json"))
    if (found := find_prepared(settings, located)) and _is_whole(image):
        return found
    _remove_old(image.parent)
    with locked(image.with_suffix(".lock"), f"the base {located['reference']}"):
        if (found := find_prepared(settings, located)) and _is_whole(image):
            return found
        if image.exists() and image.with_suffix(".json").exists():
            _set_aside(image, progress)
        if "path" in located:
            _check_source(settings, located)
        partial = image.with_suffix(".img.partial")
        scratch = image.with_suffix(".preparing")
        remove_tree(scratch, ignore_errors=True)  # of a run that was killed
        scratch.mkdir()
        try:
            facts = run_privately(lambda: _prepare(located, partial, scratch, progress))
            if "identity" in located:  # what was prepared is what was verified: it stays in the cache for good
                check_identity(located["path"], located["identity"])
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        finally:
            remove_tree(scratch)
        sync(partial)
        os.replace(partial, image)
        write_json(image.with_suffix(".digest"), _record_of(image, facts))
        write_json(image.with_suffix(".json"), facts)
    return find_prepared(settings, located)


def _check_source(settings, located):
    """Read the file again that a base is made of: its digest may be that of last year."""
    path, cache = Path(located["path"]), Path(settings.cache)
    if digest_of_file(path) == located["digest"]:
        return
    forget_digests(path, cache / "digests.json")
    if path.parent == cache / "downloads":
        forget_download(path)
        raise KeptDamaged(f"{path} was damaged since it was downloaded: it is removed", hint="the next run downloads it again")
    raise KeptDamaged(f"{path} is no longer what it was when its digest was taken", hint="look what has changed it")


def _record_of(image, facts):
    """What tells later whether a prepared image is still what was prepared."""
    record = {"digest": digest_of_file(image), "state": _state_of(image), "facts": digest_of_data(facts)}
    return {**record, "own": digest_of_data(record)}


def _read_record(image):
    """What :func:`_record_of` told; an empty one where there is none, of an earlier version in part; None where it is damaged."""
    record = _read(image.with_suffix(".digest"))
    own = record.pop("own", None) if record else None
    return record if own in (None, digest_of_data(record)) else None


def _state_of(image):
    facts = os.stat(image)
    return [facts.st_size, facts.st_mtime_ns]


def _read(path):
    """A JSON object; an empty one where there is no file, None where it is damaged."""
    try:
        found = read_json(path, {})
        return found if isinstance(found, dict) else None
    except ValueError:
        return None


def _is_whole(image):
    """Whether a prepared image looks as it did; it is read where its file was written to since, and else beside the build."""
    path = image.with_suffix(".digest")  # a file of its own: earlier versions take what is in the .json for facts of a base
    before = _read_record(image)
    if before and before.get("state") == _state_of(image) and "facts" in before:
        return True
    now = _record_of(image, _read(image.with_suffix(".json")))
    if before and before.get("digest") != now["digest"]:
        return False
    with suppress(OSError):  # the cache is only read
        write_json(path, now)
    return True


def begin_reading(image):
    """Read what a build starts from beside the build.

    :param Path image: a prepared base, or the last root image
    :returns: for :func:`is_as_it_was`, which waits for the end
    """

    def read():
        os.nice(10)
        number = os.stat(image).st_ino
        try:
            return number, digest_of_file(image)
        except OSError:  # what a disk cannot read is damaged, too
            return number, "unreadable"

    return BackgroundTask(read, f"reading {image}")


def is_as_it_was(image, reading, digest=""):
    """Whether an image that a build begins from is what was made; of a prepared base one that is not is set aside.

    :param reading: of :func:`begin_reading`
    :param str digest: ``sha256:HEX``, default what was noted of a prepared base
    """
    number, found = reading.finish()
    # none is known of an earlier version's, in a cache that is only read
    known = (_read_record(image) or {}).get("digest", found)
    if found == (digest or known):
        return True
    if not digest:
        with suppress(OSError), locked(image.with_suffix(".lock"), f"the base {image}", wait=True):  # gone by now, or only read
            if os.stat(image).st_ino == number:  # else another build has set it aside, and a new one is there
                _move_aside(image)
    return False


def _set_aside(image, progress):
    progress.note(
        f"the prepared base {image} is no longer what was prepared: it is kept as {damaged_path(image).name}, and prepared again"
    )
    _move_aside(image)


def damaged_path(image):
    """Where a prepared base is kept that is damaged."""
    return image.with_suffix(".damaged")


def _move_aside(image):
    image.with_suffix(".json").unlink(missing_ok=True)  # first: without it an image is never taken for prepared
    image.with_suffix(".digest").unlink(missing_ok=True)
    os.replace(image, damaged_path(image))


def make_room(settings, located, progress):
    """Remove what was set aside, and of a base that is not prepared what is there; returns whether there was anything."""
    image = image_path(settings, located)
    found = [*image.parent.glob("*.damaged")]
    with suppress(WorkspaceBusy), locked(image.with_suffix(".lock"), f"the base {image}"):
        if not find_prepared(settings, located):
            if image.exists() and image.with_suffix(".json").exists():
                progress.note(f"the prepared base {image} is damaged: it is removed, and prepared again")
            remove_tree(image.with_suffix(".preparing"), ignore_errors=True)
            image.with_suffix(".json").unlink(missing_ok=True)  # first: without it an image is never taken for prepared
            found += [image, image.with_suffix(".img.partial")]
        had = [path for path in found if path.exists()]
        for path in had:
            path.unlink()
        return bool(had)
    return False


def _remove_old(directory):
    """Remove what nobody has used for long; a build that has it mounted keeps it for as long as that."""
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


def _prepare(located, partial, scratch, progress):
    """As a build needs it: a file system that ends at its content, so that a copy of it can become a root image."""
    loose = scratch / "loose.img"
    if located["format"] == "bootstrap":
        _bootstrap(located["plan"], loose, scratch, progress)
    else:
        convert.make_root_image(Path(located["path"]), located["format"], loose, scratch)
    point = scratch / "point"
    point.mkdir(exist_ok=True)
    ext = formats.read_ext(loose)
    with mounted(loose, point, "ro"), fitting_paths(point):
        packages, content = list_packages(point), _used_bytes(point)
        ext4.pack_image(point, partial, label=ext.label, uuid=ext.uuid, journal=False, spare_inodes=_SPARE_INODES)
    ext4.cut_image(partial)
    facts = Base("", located["format"], located["digest"], "", "", ext.label, ext.uuid, packages, content)
    return asdict(facts)


def _bootstrap(plan, partial, scratch, progress):
    point = convert.make_empty_image(partial, scratch)
    run(["tune2fs", "-L", bootstrap.LABEL, partial])
    with mounted(partial, point):
        bootstrap.bootstrap(plan, point, progress.say)


def _used_bytes(point):
    facts = os.statvfs(point)
    return (facts.f_blocks - facts.f_bfree) * facts.f_frsize
