"""What is made of a finished root image besides the triplet: bare, disk and tar, each a file beside it.

OUTPUT/NAME.bare.qcow2  OUTPUT/NAME.disk.qcow2  OUTPUT/NAME.disk.raw  OUTPUT/NAME.tar.zst
"""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from vmimage.errors import BuildStopped
from vmimage.image import disk, qcow2
from vmimage.image.loader import Loader
from vmimage.image.triplet import Triplet
from vmimage.root.mounts import mounted
from vmimage.settings.schema import Settings
from vmimage.system.aliases import Argv, Say
from vmimage.system.digest import digests_of_file
from vmimage.system.progress import format_bytes
from vmimage.system.shell import check_installed, run
from vmimage.system.sparse import copy_into
from vmimage.system.whole_files import sync

#: what the manifest says of an output
Facts = dict[str, Any]

_TAR: dict[str, tuple[str, list[str]]] = {
    "zstd": ("tar.zst", ["--use-compress-program=zstd -T0 -2"]),  # 6 % larger than at its usual level, for two thirds of the work
    "zlib": ("tar.gz", ["--use-compress-program=gzip -n"]),
    "none": ("tar", []),
}
_COMPRESSORS = {"zstd": ("zstd",), "zlib": ("gzip",), "none": ()}


def output_names(settings: Settings) -> dict[str, str]:
    """``{output: name of its file}`` of what the settings ask for besides the triplet."""
    endings = {
        "bare": f"bare.{settings.disk_format}",
        "disk": f"disk.{settings.disk_format}",
        "tar": _TAR[settings.compression][0],
        "ec2": "disk.raw",  # EBS takes its blocks
    }
    return {kind: f"{settings.name}.{endings[kind]}" for kind in settings.outputs if kind in endings}


def check_programs(settings: Settings) -> None:
    """Refuse a machine that lacks what makes the outputs.

    :raises NotReady: naming the program or the library
    """
    compressor = _COMPRESSORS[settings.compression] if "tar" in settings.outputs else ()
    check_installed(*(disk.PROGRAMS if settings.makes_disk else ()), *compressor)
    if any(name.endswith(".qcow2") for name in output_names(settings).values()):
        qcow2.packer(settings.compression)


def needed_mib(settings: Settings, root_mib: int) -> int:
    """What the outputs take at the same time, at a guess.

    :param root_mib: size of the root image
    """
    packed = root_mib if settings.compression == "none" else root_mib * 2 // 3
    sizes = dict.fromkeys(output_names(settings).values(), packed)
    for name in sizes:
        if name.endswith(".raw"):  # the bare image is the root image
            sizes[name] = root_mib if name.endswith(".disk.raw") else 0
    return sum(sizes.values()) + (disk.disk_bytes(0) >> 20 if settings.makes_disk else 0)


def make_outputs(settings: Settings, triplet: Triplet, loader: Loader | None, scratch: Path, say: Say) -> dict[str, Facts]:
    """Make what the settings ask for, of the root image in the making; the files are in the making, too.

    :param loader: where a disk is asked for
    :param scratch: a directory for what is needed meanwhile
    :param say: called with a line for each output
    :returns: ``{output: facts}`` as the manifest has them
    """
    names = output_names(settings)
    scratch.mkdir(parents=True, exist_ok=True)
    image, tar = triplet.partial("root_image"), None
    pool, waits = ThreadPoolExecutor(1), True
    try:
        if "tar" in names:
            target = triplet.output_partial(names["tar"])
            tar = pool.submit(_make_tar, image, target, settings.compression, scratch / "point")
        found = _make_images(image, triplet, settings, loader, scratch)
        if tar:
            found["tar"] = tar.result()
    except (BuildStopped, KeyboardInterrupt):
        waits = False  # the program ends with the build
        raise
    finally:
        pool.shutdown(wait=waits, cancel_futures=True)
    for kind in names:
        say(f"{kind}: {found[kind]['path']}, {format_bytes(found[kind]['bytes'])}")
    return {kind: found[kind] for kind in names}


def _make_images(image: Path, triplet: Triplet, settings: Settings, loader: Loader | None, scratch: Path) -> dict[str, Facts]:
    """The outputs that are images: of what is qcow2, the root is compressed once."""
    names = {kind: name for kind, name in output_names(settings).items() if kind != "tar"}
    files = {kind: triplet.output_partial(name) for kind, name in names.items()}
    facts: dict[str, Facts] = {"bare": {"virtual_bytes": image.stat().st_size}}
    parts = {"bare": {image: 0}}
    raw = triplet.output_partial(f"{settings.name}.disk.raw")
    if loader:
        size = disk.make_frame(image.stat().st_size, raw, loader, scratch)
        boots = {"virtual_bytes": size, "firmware": loader.firmware, "secure_boot": loader.secure_boot}
        facts |= {"disk": boots, "ec2": boots}
        parts["disk"] = {raw: 0, image: disk.ROOT_AT}
    packed = [kind for kind, name in names.items() if name.endswith(".qcow2")]
    for kind in packed:
        _make_private(files[kind])
    qcow2.write_images(
        [qcow2.Image(files[kind], facts[kind]["virtual_bytes"], parts[kind]) for kind in packed], settings.compression
    )
    if raw in files.values():
        copy_into(image, raw, disk.ROOT_AT)
    else:
        raw.unlink(missing_ok=True)
    if "bare" in names and "bare" not in packed:
        files["bare"].unlink(missing_ok=True)
        os.link(image, files["bare"])  # it is the root image
    described = {
        file: _described(file, disk_format="qcow2" if kind in packed else "raw", **facts[kind]) for kind, file in files.items()
    }
    return {kind: described[file] for kind, file in files.items()}


def _make_tar(image: Path, target: Path, compression: str, point: Path) -> Facts:
    """The files of the root with all that they have: owners by number, extended attributes, ACLs, hard links, holes."""
    _make_private(target)
    point.mkdir(exist_ok=True)
    kept = ["--format=posix", "--numeric-owner", "--xattrs", "--xattrs-include=*", "--acls", "--sparse", "--sort=name"]
    left = ["--pax-option=delete=atime,delete=ctime", "--exclude=./lost+found"]
    with mounted(image, point, "ro", "noload"):
        argv: Argv = ["tar", "--create", "--file", target, *_TAR[compression][1], *kept, *left, "--directory", point, "."]
        run(argv)
    return _described(target)


def _make_private(target: Path) -> None:
    """A new file for its owner alone: passwords of the root will be in it."""
    target.unlink(missing_ok=True)
    target.touch(mode=0o600)


def _described(partial: Path, **facts: Any) -> Facts:
    """What the manifest says of a file in the making, which is safe on its disk then."""
    kind = {"container_format": "bare"} if "disk_format" in facts else {}
    with ThreadPoolExecutor(1) as pool:  # what is hashed goes to the disk meanwhile
        synced = pool.submit(sync, partial)
        digests = digests_of_file(partial)
        synced.result()
    return {"path": partial.name.removesuffix(".partial"), "bytes": partial.stat().st_size, **digests, **kind, **facts}
