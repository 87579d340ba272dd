"""Outputs as images for the store: names, formats, what a cloud asks, and where they came from.  Pure functions.

Sources: Glance's useful image properties (architecture, os_distro, os_version, kernel_id, ramdisk_id) and its aki, ari, ami formats;
the standard SCS-0102 for what says how an image is made and handled.
"""

from collections.abc import Mapping
from typing import Any

from vmimage.errors import SettingsWrong
from vmimage.glance.generations import KERNEL, MARK, NEW, Image, Manifest
from vmimage.glance.outputs import PARTS, Output, image_name
from vmimage.settings.properties import NUMBERS, properties_of
from vmimage.settings.schema import Settings

_GIB = 1 << 30
#: properties that follow from the file of an output: its successor has another file, and does not take them over
_OF_THE_FILE = ("hw_firmware_type",)


def part_image(settings: Settings, manifest: Manifest, role: str, builder: str) -> Image:
    """A kernel or ramdisk as an image for Glance, private."""
    return {
        "name": f"{settings.name}_{role}",
        "disk_format": PARTS[role],
        "container_format": PARTS[role],
        "visibility": "private",
        "architecture": manifest["architecture"],
        **_marks(settings, manifest, role, image_name(settings), manifest["files"][role]["sha256"], builder),
        f"{MARK}kernel_version": manifest["files"][KERNEL]["version"],
    }


def main_image(
    settings: Settings, manifest: Manifest, output: Output, builder: str, *, serial: int, ids: Mapping[str, str]
) -> Image:
    """The main image of an output for Glance, under a name of its own.

    :param serial: its place in the order of uploads
    :param ids: of the parts that it refers to, as ``kernel_id`` and ``ramdisk_id``
    :raises SettingsWrong: if what ``ami.properties`` says of the file is not so
    """
    configured = properties_of(settings.properties, output.kind)
    derived = {**_system(manifest), **_handling(settings, manifest), **_hardware(output)}
    origin = {
        "configured": " ".join(sorted(configured)),
        "derived": " ".join(sorted({*_OF_THE_FILE} & {*derived} - {*configured})),
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
        "name": f"new {output.name} {manifest['build']}",
        "disk_format": output.disk_format,
        "container_format": output.container_format,
        "visibility": "private",
        "architecture": manifest["architecture"],
        "os_type": "linux",
        **_room(output, configured),
        **ids,
        **_marks(settings, manifest, output.role, output.name, output.sha256, builder),
        f"{MARK}state": NEW,
        f"{MARK}serial": str(serial),
        **{f"{MARK}{key}": value for key, value in origin.items() if value},
    }
    _check_firmware(output, {**derived, **configured}, manifest["architecture"])
    return {**derived, **configured, **own}


def _room(output: Output, configured: Mapping[str, str]) -> dict[str, int]:
    """What an instance needs, as numbers: the disk in GiB, never smaller than the image, and where it is set the memory in MiB."""
    needed, wanted = -(-output.virtual_bytes // _GIB), {key: int(configured[key]) for key in NUMBERS if key in configured}
    if wanted.get("min_disk", needed) < needed:
        raise SettingsWrong(
            f"min_disk in ami.properties is {wanted['min_disk']}, and {output.name} has {needed} GiB",
            hint="a larger number, or none",
        )
    return {"min_disk": needed, **wanted}


def _system(manifest: Manifest) -> dict[str, str]:
    """The system in the image."""
    distribution = manifest["distribution"]
    return {
        "os_distro": distribution["os"].lower() or "linux",
        "os_version": distribution["osrelease"] or distribution["oscodename"] or "unknown",
    }


def _handling(settings: Settings, manifest: Manifest) -> dict[str, str]:
    """How the image was made, and for how long it can be had, as SCS-0102 has it: nothing is promised that the settings do not say."""
    found = {
        "image_build_date": manifest["created"].replace("T", " ").removesuffix("Z"),
        "image_description": _sentence(settings, manifest),
        "image_original_user": manifest.get("login") or "",
        "image_source": "private",
        "provided_until": "none",
        "uuid_validity": f"last-{settings.keep}" if settings.keep else "none",
    }
    return {key: value for key, value in found.items() if value}


def _sentence(settings: Settings, manifest: Manifest) -> str:
    distribution, revision = manifest["distribution"], manifest["variation"].get("revision")
    system = f"{distribution['os'] or 'Linux'} {distribution['osrelease'] or distribution['oscodename']}".strip()
    return f"{settings.name} on {system}{f', revision {revision}' if revision else ''}"


def _hardware(output: Output) -> dict[str, str]:
    """What the image needs of its machine.

    Firmware only where a single kind boots it: the property forces a kind on the cloud's hosts, and an image that boots both ways starts
    wherever it is put as long as it has none.
    """
    return {"hw_firmware_type": output.firmware[0]} if len(output.firmware) == 1 else {}


def _check_firmware(output: Output, properties: Mapping[str, str], architecture: str) -> None:
    """Refuse properties that an instance of this image could not be started with."""
    kind, secure = properties.get("hw_firmware_type", "").lower(), properties.get("os_secure_boot", "").lower()
    if kind and output.firmware and kind not in output.firmware:
        raise SettingsWrong(
            f"hw_firmware_type in ami.properties is {kind}, and {output.name} boots by {' and '.join(output.firmware)} only",
            hint=f"set it for the other outputs alone: ami.properties: {{KIND: {{hw_firmware_type: {kind}}}}}",
        )
    is_without = kind == "bios" or not kind and architecture == "x86_64" and "hyperv" not in properties.get("hw_machine_type", "")
    if secure == "required" and is_without:
        raise SettingsWrong(
            f"os_secure_boot in ami.properties is required, and {output.name} is not made to boot by UEFI",
            hint="set hw_firmware_type: uefi, too",
        )
    if secure == "required" and output.secure_boot is False:
        raise SettingsWrong(
            f"os_secure_boot in ami.properties is required, and the loader of {output.name} is not signed",
            hint="install shim-signed and grub-efi-amd64-signed in the base, or leave the property out",
        )


def _described(incremental: Mapping[str, Any] | None) -> str:
    return f"generation {incremental['generation']} of {incremental['of']}" if incremental else ""


def _marks(settings: Settings, manifest: Manifest, role: str, name: str, sha256: str, builder: str) -> dict[str, str]:
    """The properties by which a later run knows the image; its creation adds ``vm_create_self``, the image's own id."""
    facts = {"role": role, "name": name, "build": manifest["build"], "builder": builder, "sha256": sha256}
    facts |= {"number": str(settings.number or ""), "order": settings.order}
    return {f"{MARK}{key}": value for key, value in facts.items() if value}
