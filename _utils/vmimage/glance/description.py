"""A triplet as images for the store: names, formats, and where it came from.  Pure functions.

Sources: Glance's useful image properties (architecture, os_distro, os_version, kernel_id, ramdisk_id) and its aki, ari, ami formats.
"""

import platform
from collections.abc import Mapping

from vmimage.glance.generations import KERNEL, MARK, NEW, RAMDISK, ROOT_IMAGE, Image, Manifest
from vmimage.settings.schema import Settings

_GIB = 1 << 30
_DEBIAN_NAMES = {"x86_64": "amd64", "aarch64": "arm64"}
_FORMATS = {KERNEL: "aki", RAMDISK: "ari", ROOT_IMAGE: "ami"}


def image_name(settings: Settings) -> str:
    """The name of a variation's image in the store: ``web-amd64``."""
    return f"{settings.name}-{settings.architecture or _DEBIAN_NAMES.get(platform.machine(), platform.machine())}"


def part_image(settings: Settings, manifest: Manifest, role: str, builder: str) -> Image:
    """A kernel or ramdisk as an image for Glance, private."""
    return {
        "name": f"{settings.name}_{role}",
        "disk_format": _FORMATS[role],
        "container_format": _FORMATS[role],
        "visibility": "private",
        "architecture": manifest["architecture"],
        **_marks(settings, manifest, role, builder),
        f"{MARK}kernel_version": manifest["files"][KERNEL]["version"],
    }


def root_image(settings: Settings, manifest: Manifest, builder: str, *, serial: int, kernel_id: str, ramdisk_id: str) -> Image:
    """The root image for Glance, under a name of its own.

    :param serial: its place in the order of uploads
    """
    distribution, size = manifest["distribution"], manifest["files"][ROOT_IMAGE]["bytes"]
    origin = {
        "configured": " ".join(sorted(settings.properties)),
        "built": manifest["created"],
        "kernel_version": manifest["files"][KERNEL]["version"],
        "base": manifest["base"]["reference"],
        "base_digest": manifest["base"]["digest"],
        "variation": manifest["variation"]["reference"],
        "variation_digest": manifest["variation"]["digest"],
        "revision": manifest["variation"].get("revision"),
        "incremental": _described(manifest.get("incremental")),
        "made_with": ", ".join(f"{program} {version}" for program, version in sorted(manifest["versions"].items())),
    }
    own = {
        "name": f"new {image_name(settings)} {manifest['build']}",
        "disk_format": _FORMATS[ROOT_IMAGE],
        "container_format": _FORMATS[ROOT_IMAGE],
        "visibility": "private",
        "min_disk": -(-size // _GIB),
        "architecture": manifest["architecture"],
        "os_type": "linux",
        "os_distro": distribution["os"].lower() or "linux",
        "os_version": distribution["osrelease"] or distribution["oscodename"] or "unknown",
        "kernel_id": kernel_id,
        "ramdisk_id": ramdisk_id,
        **_marks(settings, manifest, ROOT_IMAGE, builder),
        f"{MARK}state": NEW,
        f"{MARK}serial": str(serial),
        **{f"{MARK}{key}": value for key, value in origin.items() if value},
    }
    return {**settings.properties, **own}


def _described(incremental: Mapping[str, object] | None) -> str:
    return f"generation {incremental['generation']} of {incremental['of']}" if incremental else ""


def _marks(settings: Settings, manifest: Manifest, role: str, builder: str) -> dict[str, str]:
    """The properties by which a later run knows the image; its creation adds ``vm_create_self``, the image's own id."""
    facts = {"role": role, "name": image_name(settings), "build": manifest["build"], "builder": builder}
    return {f"{MARK}{key}": value for key, value in {**facts, "sha256": manifest["files"][role]["sha256"]}.items()}
