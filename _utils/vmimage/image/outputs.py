"""What is made of a finished root image besides the triplet: bare, disk and tar, each a file beside it.

OUTPUT/NAME.bare.qcow2  OUTPUT/NAME.disk.qcow2  OUTPUT/NAME.disk.raw  OUTPUT/NAME.tar.zst
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from vmimage.errors import BuildStopped
from vmimage.image import disk
from vmimage.image.loader import Loader
from vmimage.image.triplet import Triplet
from vmimage.root.mounts import mounted
from vmimage.settings.schema import Settings
from vmimage.system.aliases import Argv, Say
from vmimage.system.digest import digest_of_file
from vmimage.system.progress import format_bytes
from vmimage.system.shell import run
from vmimage.system.whole_files import sync

#: what the manifest says of an output
Facts = dict[str, Any]

_CLUSTER = "cluster_size=256k"  # smaller and faster to compress than 64k; larger ones make a random read of a running disk slow
_QCOW2: dict[str, list[str]] = {
    "zstd": ["-c", "-o", f"compression_type=zstd,{_CLUSTER}"],
    "zlib": ["-c", "-o", _CLUSTER],
    "none": [],
}
_TAR: dict[str, tuple[str, list[str]]] = {
    "zstd": ("tar.zst", ["--use-compress-program=zstd -T0"]),
    "zlib": ("tar.gz", ["--use-compress-program=gzip -n"]),
    "none": ("tar", []),
}
_COMPRESSORS = {"zstd": ("zstd",), "zlib": ("gzip",), "none": ()}
_AT_A_TIME = 2


def output_names(settings: Settings) -> dict[str, str]:
    """``{output: name of its file}`` of what the settings ask for besides the triplet."""
    endings = {
        "bare": f"bare.{settings.disk_format}",
        "disk": f"disk.{settings.disk_format}",
        "tar": _TAR[settings.compression][0],
        "ec2": "disk.raw",  # EBS takes its blocks
    }
    return {kind: f"{settings.name}.{endings[kind]}" for kind in settings.outputs if kind in endings}


def programs_for(settings: Settings) -> tuple[str, ...]:
    """The host programs that the outputs need."""
    kinds = set(settings.outputs)
    return (
        *(disk.PROGRAMS if settings.makes_disk else ()),
        *(("qemu-img",) if settings.disk_format == "qcow2" and kinds & {"bare", "disk"} else ()),
        *(_COMPRESSORS[settings.compression] if "tar" in kinds else ()),
    )


def needed_mib(settings: Settings, root_mib: int) -> int:
    """What the outputs take at the same time, at a guess.

    :param root_mib: size of the root image
    """
    whole, part = root_mib + (disk.disk_bytes(0) >> 20), root_mib if settings.compression == "none" else root_mib * 2 // 3
    qcow2 = part if settings.disk_format == "qcow2" else 0
    kinds = set(settings.outputs)
    return (whole if settings.makes_disk else 0) + sum({"bare": qcow2, "disk": qcow2, "tar": part}.get(kind, 0) for kind in kinds)


def make_outputs(settings: Settings, triplet: Triplet, loader: Loader | None, scratch: Path, say: Say) -> dict[str, Facts]:
    """Make what the settings ask for, of the root image in the making; the files are in the making, too.

    :param loader: where a disk is asked for
    :param scratch: a directory for what is needed meanwhile
    :param say: called with a line for each output
    :returns: ``{output: facts}`` as the manifest has them
    """
    names = output_names(settings)
    files = {kind: triplet.output_partial(name) for kind, name in names.items()}
    image = triplet.partial("root_image")
    scratch.mkdir(parents=True, exist_ok=True)
    jobs: list[Callable[[], dict[str, Facts]]] = []
    if loader and {"disk", "ec2"} & names.keys():
        jobs.append(lambda: _make_disks(image, triplet, settings, loader, scratch))
    if "bare" in names:
        jobs.append(lambda: {"bare": _make_bare(image, files["bare"], settings)})
    if "tar" in names:
        jobs.append(lambda: {"tar": _make_tar(image, files["tar"], settings.compression, scratch / "point")})
    found: dict[str, Facts] = {}
    pool, waits = ThreadPoolExecutor(_AT_A_TIME), True
    try:
        for made in pool.map(lambda job: job(), jobs):
            found |= made
            for kind, facts in made.items():
                say(f"{kind}: {facts['path']}, {format_bytes(facts['bytes'])}")
    except (BuildStopped, KeyboardInterrupt):
        waits = False  # the programs end with the build
        raise
    finally:
        pool.shutdown(wait=waits, cancel_futures=True)
    return {kind: found[kind] for kind in names}


def _make_disks(image: Path, triplet: Triplet, settings: Settings, loader: Loader, scratch: Path) -> dict[str, Facts]:
    names = output_names(settings)
    raw = triplet.output_partial(f"{settings.name}.disk.raw")
    size = disk.make_disk(image, raw, loader, scratch)
    boots = {"virtual_bytes": size, "firmware": loader.firmware, "secure_boot": loader.secure_boot}
    found: dict[str, Facts] = {}
    for kind in ("disk", "ec2"):
        if kind in names and names[kind].endswith(".qcow2"):
            target = triplet.output_partial(names[kind])
            _write_qcow2(raw, target, settings.compression)
            found[kind] = _described(target, disk_format="qcow2", **boots)
    raws = [kind for kind in ("disk", "ec2") if kind in names and kind not in found]
    if raws:
        found |= dict.fromkeys(raws, _described(raw, disk_format="raw", **boots))
    else:
        raw.unlink()
    return found


def _make_bare(image: Path, target: Path, settings: Settings) -> Facts:
    if settings.disk_format == "qcow2":
        _write_qcow2(image, target, settings.compression)
    else:
        target.unlink(missing_ok=True)
        os.link(image, target)  # it is the root image
    return _described(target, disk_format=settings.disk_format, virtual_bytes=image.stat().st_size)


def _write_qcow2(raw: Path, target: Path, compression: str) -> None:
    _make_private(target)
    run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", *_QCOW2[compression], raw, target])


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
        digest = digest_of_file(partial).split(":")[1]
        synced.result()
    return {"path": partial.name.removesuffix(".partial"), "bytes": partial.stat().st_size, "sha256": digest, **kind, **facts}
