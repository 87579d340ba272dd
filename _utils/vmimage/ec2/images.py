"""AMIs and their snapshots: which are ours, what their tags say, how an image is registered.  Pure functions.

An AMI keeps its own name for life, and no other may have it.  So the name that points to the current image is its tag ``Name``, and
``vm_create_state`` says which of several images it is.  An image is ours if it has our tags *and* the snapshot that they name: a copy
of an image may have its tags, and is the user's own.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from vmimage.ec2.blocks import Disk
from vmimage.ec2.client import Resource
from vmimage.errors import NotPublished
from vmimage.glance.generations import MARK, NEW, ROOT_IMAGE, Image, Manifest
from vmimage.settings.ec2 import LEGACY, UEFI, UEFI_PREFERRED, Ec2Settings

ROOT_DEVICE = "/dev/xvda"
_ARCHITECTURES = {"x86_64": "x86_64", "aarch64": "arm64"}
_NAME = re.compile(r"[A-Za-z0-9()\[\] ./'@_-]{3,128}")
_ABANDONED_AFTER = timedelta(hours=24)  # no upload takes so long


def as_generation(image: Resource) -> Image:
    """An AMI in the words that the store's generations have (:mod:`vmimage.glance.generations`)."""
    tags, ours = image["tags"], is_ours(image)
    return {
        **{key: value for key, value in tags.items() if key.startswith(MARK)},
        f"{MARK}self": image["ImageId"] if ours else "",
        "id": image["ImageId"],
        "name": tags.get("Name", ""),
        "status": "active" if image["State"] == "available" else image["State"],
        "created_at": str(image.get("CreationDate", "")),
        "snapshot": snapshot_of(image),
        "size": sum(entry.get("Ebs", {}).get("VolumeSize", 0) for entry in image.get("BlockDeviceMappings", ())) << 30,
    }


def is_ours(image: Resource) -> bool:
    """Whether this project registered the image itself."""
    return bool(image["tags"].get(f"{MARK}snapshot")) and image["tags"][f"{MARK}snapshot"] == snapshot_of(image)


def snapshot_of(image: Resource) -> str:
    """The snapshot of an image's root, or an empty string."""
    devices = image.get("BlockDeviceMappings", ())
    return next((entry["Ebs"].get("SnapshotId", "") for entry in devices if "Ebs" in entry), "")


def is_our_snapshot(snapshot: Resource) -> bool:
    """Whether this project started the snapshot: a copy that was given its tags has another id than the tag says."""
    tags = snapshot["tags"]
    return tags.get(f"{MARK}role") == "snapshot" and tags.get(f"{MARK}self", snapshot["SnapshotId"]) == snapshot["SnapshotId"]


def is_abandoned(snapshot: Resource, builder: str, now: datetime | None = None) -> bool:
    """Whether no builder works on a snapshot any more: it is of this builder, which does nothing else now, or it is old."""
    age = (now or datetime.now(UTC)) - snapshot["StartTime"]
    return snapshot["tags"].get(f"{MARK}builder") == builder or age > _ABANDONED_AFTER


def orphans(
    snapshots: Collection[Resource], images: Iterable[Image], builder: str, spared: Collection[str] = ()
) -> list[Resource]:
    """Our snapshots that belong to no image, and that no other builder may be working on.

    :param spared: snapshots that go on
    """
    used = {image["snapshot"] for image in images} | set(spared)
    unused = [snapshot for snapshot in snapshots if is_our_snapshot(snapshot) and snapshot["SnapshotId"] not in used]
    return [snapshot for snapshot in unused if is_abandoned(snapshot, builder)]


def marks(manifest: Manifest, disk: Disk, name: str, builder: str) -> dict[str, str]:
    """The tags by which a later run knows what a build has sent, and where that came from; EC2 allows 255 characters each."""
    facts = {
        "name": name,
        "build": manifest["build"],
        "builder": builder,
        "sha256": disk.sha256,
        "built": manifest["created"],
        "kernel_version": manifest["files"].get("kernel", {}).get("version"),
        "base": manifest["base"]["reference"],
        "base_digest": manifest["base"]["digest"],
        "variation": manifest["variation"]["reference"],
        "variation_digest": manifest["variation"]["digest"],
        "revision": manifest["variation"].get("revision"),
    }
    return {f"{MARK}{key}": str(value)[:255] for key, value in facts.items() if value}


def registration(
    settings: Ec2Settings, manifest: Manifest, disk: Disk, *, name: str, snapshot: str, tags: Mapping[str, str], serial: int
) -> dict[str, Any]:
    """An image for EC2, under a name of its own, as the request ``RegisterImage`` has it.

    :param name: ``web-amd64``
    :param tags: of :func:`marks`
    :param serial: its place in the order of registrations
    """
    architecture = _ARCHITECTURES[manifest["architecture"]]
    own = {"Name": f"new {name} {manifest['build']}", f"{MARK}role": ROOT_IMAGE, f"{MARK}state": NEW}
    own |= {f"{MARK}serial": str(serial), f"{MARK}snapshot": snapshot}
    volume = {"SnapshotId": snapshot, "VolumeType": "gp3", "VolumeSize": max(disk.gib, settings.volume_gib)}
    return {
        "Name": registered_name(name, manifest),
        "Description": f"{name}, built {manifest['created']}, {manifest['base']['reference']}"[:255],
        "Architecture": architecture,
        "VirtualizationType": "hvm",
        "BootMode": settings.boot_mode or _boot_mode(manifest, architecture),
        "EnaSupport": True,
        "ImdsSupport": "v2.0",
        **({"TpmSupport": "v2.0"} if settings.tpm else {}),
        "RootDeviceName": ROOT_DEVICE,
        "BlockDeviceMappings": [{"DeviceName": ROOT_DEVICE, "Ebs": {**volume, "DeleteOnTermination": True}}],
        "TagSpecifications": [
            {"ResourceType": "image", "Tags": [{"Key": key, "Value": value} for key, value in sorted({**tags, **own}.items())]}
        ],
    }


def _boot_mode(manifest: Manifest, architecture: str) -> str:
    """The mode for the firmware that the disk is made for."""
    firmware = firmware_of(manifest)
    if architecture == "arm64" or "bios" not in firmware:
        return UEFI
    return UEFI_PREFERRED if "uefi" in firmware else LEGACY


def firmware_of(manifest: Manifest) -> list[str]:
    """What the disk boots by: ``bios``, ``uefi``."""
    return list(((manifest.get("outputs") or {}).get("ec2") or {}).get("firmware") or ["bios", "uefi"])


def registered_name(name: str, manifest: Manifest) -> str:
    """The name that an image has in EC2 for life: other accounts see no tags, and choose by it."""
    return f"{name}-{re.sub('[-:]', '', manifest['created'])}-{manifest['build'][:8]}"


def check_name(name: str, manifest: Manifest) -> None:
    """Refuse what EC2 would refuse when all is sent.

    :raises NotPublished:
    """
    if not _NAME.fullmatch(registered_name(name, manifest)):
        raise NotPublished(
            f"EC2 takes no image of the name {name}", hint="ami.name: letters, digits and . _ -, in all less than 100 characters"
        )
    if manifest["architecture"] not in _ARCHITECTURES:
        raise NotPublished(f"EC2 has no machines of the architecture {manifest['architecture']}", hint="amd64 or arm64")
