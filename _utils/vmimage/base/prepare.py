"""The base: found, verified, and turned once into a root image that all builds share read-only.

CACHE/downloads/            files that came over the network
CACHE/bases/KEY.img, .json  prepared bases, until nobody has used one for 60 days; KEY is a digest of all that went in
CACHE/bases/KEY.digest      of such an image, and its size and time then
CACHE/bases/KEY.damaged     what was one, and was changed by somebody since
"""

import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from vmimage.apt.packages import list_packages
from vmimage.base import bootstrap, convert
from vmimage.base.download import fetch, fetch_beside, forget_download
from vmimage.errors import BaseRefused, BaseUnverified, CommandFailed, WorkspaceBusy
from vmimage.image import ext4
from vmimage.root.mounts import mounted
from vmimage.system import formats
from vmimage.system.address import name_of, public_address
from vmimage.system.aging import is_old
from vmimage.system.digest import (
    check_digest,
    check_identity,
    digest_of_file,
    find_in_checksums,
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
    facts = read_json(image.with_suffix(".json"))
    if not facts or not image.exists():
        return None
    return Base(**{**facts, "reference": located["reference"], "verified": located["verified"], "image": os.fspath(image)})


def prepare_base(settings, located, progress):
    """Turn a located base into a root image in the cache, if it is not there yet.

    :returns: :class:`Base`
    :raises WorkspaceBusy: if another process prepares the same one now
    """
    image = image_path(settings, located)
    with suppress(OSError):  # it is not there yet, or the cache is only read
        os.utime(image.with_suffix(".json"))
    if (found := find_prepared(settings, located)) and _is_whole(image):
        return found
    _remove_old(image.parent)
    with locked(image.with_suffix(".lock"), f"the base {located['reference']}"):
        if found := find_prepared(settings, located):
            if _is_whole(image):
                return found
            _set_aside(image, progress)
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
        write_json(image.with_suffix(".digest"), _record_of(image))
        write_json(image.with_suffix(".json"), facts)
    return find_prepared(settings, located)


def _record_of(image):
    """What tells later whether a prepared image is still what was prepared."""
    return {"digest": digest_of_file(image), "state": _state_of(image)}


def _state_of(image):
    facts = os.stat(image)
    return [facts.st_size, facts.st_mtime_ns]


def _is_whole(image):
    """Whether a prepared image is what was prepared; it is read only where its file was written to since."""
    path = image.with_suffix(".digest")  # a file of its own: earlier versions take what is in the .json for facts of a base
    try:
        before = read_json(path)
    except ValueError:  # half a file, of before a crash of the machine
        before = None
    if before and before["state"] == _state_of(image):
        return True
    now = _record_of(image)
    if before and before["digest"] != now["digest"]:
        return False
    with suppress(OSError):  # the cache is only read
        write_json(path, now)
    return True


def _set_aside(image, progress):
    damaged = image.with_suffix(".damaged")
    progress.note(
        f"the prepared base {image} was changed since it was prepared: it is kept as {damaged.name}, and prepared again"
    )
    image.with_suffix(".json").unlink(missing_ok=True)  # first: without it an image is never taken for prepared
    image.with_suffix(".digest").unlink(missing_ok=True)
    os.replace(image, damaged)


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
