"""What goes to the store of what was made of a root: for each output a main image, and the parts that it needs.  Pure functions."""

import platform
from dataclasses import dataclass
from pathlib import Path

from vmimage.errors import NotPublished
from vmimage.glance.generations import KERNEL, MAIN_ROLES, RAMDISK, ROOT_IMAGE, Manifest, name_of
from vmimage.image.triplet import Triplet
from vmimage.settings.properties import GLANCE_KINDS
from vmimage.settings.schema import Settings

_DEBIAN_NAMES = {"x86_64": "amd64", "aarch64": "arm64"}
#: kernel and ramdisk with Glance's name of their format
PARTS = {KERNEL: "aki", RAMDISK: "ari"}


@dataclass(frozen=True)
class Output:
    """An output whose file is there, and how it will be published.

    :ivar kind: triplet, bare or disk
    :ivar role: of its main image
    :ivar name: that shall point to it
    :ivar parts: the roles of the images that the main image refers to
    :ivar content: what an inspector finds in the file, unpacked: raw (a file system) or gpt
    :ivar virtual_bytes: of the disk that an instance gets
    :ivar firmware: that boots it: bios, uefi; empty where a kernel is given apart, or it is not known
    :ivar secure_boot: whether firmware that boots only what is signed boots it; None where it is not known
    """

    kind: str
    role: str
    name: str
    path: Path
    sha256: str
    disk_format: str
    container_format: str
    virtual_bytes: int
    parts: tuple[str, ...]
    content: str
    firmware: tuple[str, ...] = ()
    secure_boot: bool | None = None


def image_name(settings: Settings) -> str:
    """The name of a variation in the store, which is that of its triplet, too: ``web-amd64``."""
    return f"{settings.name}-{settings.architecture or _DEBIAN_NAMES.get(platform.machine(), platform.machine())}"


def kinds_of(settings: Settings) -> list[str]:
    """The outputs that the settings ask for and Glance takes."""
    return [kind for kind in GLANCE_KINDS if kind in settings.outputs]


def image_names(settings: Settings) -> dict[str, str]:
    """``{kind: name}`` of the outputs that are published."""
    return {kind: name_of(image_name(settings), kind) for kind in kinds_of(settings)}


def parts_of(kind: str) -> tuple[str, ...]:
    """The roles of the images that an output needs beside its own."""
    return () if kind == "disk" else tuple(PARTS)


def outputs_of(settings: Settings, triplet: Triplet, manifest: Manifest) -> list[Output]:
    """The outputs to publish, as the manifest describes them.

    :raises NotPublished: naming an output that is asked for and was not built
    """
    made = manifest.get("outputs") or {}
    names, found = image_names(settings), []
    if missing := [kind for kind in names if kind != "triplet" and kind not in made]:
        raise NotPublished(
            f"{triplet.name} was built without {', '.join(missing)}, which ami.outputs asks for",
            hint="build it: salt-call vm_create.create_variation; or publish what is there, by ami.outputs",
        )
    for kind, name in names.items():
        role, parts = MAIN_ROLES[kind], parts_of(kind)
        if kind == "triplet":
            facts, path = manifest["files"][ROOT_IMAGE], triplet.root_image
            own = Output(kind, role, name, path, facts["sha256"], "ami", "ami", facts["bytes"], parts, "raw")
        else:
            facts = made[kind]
            own = Output(
                kind,
                role,
                name,
                triplet.directory / Path(facts["path"]).name,
                facts["sha256"],
                facts["disk_format"],
                facts["container_format"],
                facts["virtual_bytes"],
                parts,
                "gpt" if kind == "disk" else "raw",
                tuple(facts.get("firmware") or ()),
                facts.get("secure_boot"),
            )
        found.append(own)
    return found
