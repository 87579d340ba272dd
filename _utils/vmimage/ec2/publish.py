"""The order of publishing to EC2, in this place alone:

complete what was begun -> clean -> snapshot -> image -> launch permissions -> the name -> prune
"""

from collections.abc import Iterable
from typing import Any

from vmimage.ec2.blocks import BLOCK_BYTES, Digests, changed_blocks
from vmimage.ec2.client import Cloud, RequestInvalid, Resource
from vmimage.ec2.images import as_generation, firmware_of, is_our_snapshot, marks, orphans, registered_name, registration
from vmimage.ec2.promote import PAUSE_SECONDS, complete_promotion, settle, take_name
from vmimage.ec2.publication import Publication
from vmimage.ec2.snapshot import COMPLETED, PENDING, Sender, Sent
from vmimage.errors import BootFailed, ImageGone, NotPublished, StoreConflict, StoreRefused, VmImageError
from vmimage.glance import generations
from vmimage.glance.gate import pass_gate
from vmimage.glance.generations import ARCHIVED, MARK, NEW, Image, fact
from vmimage.glance.publication import PublishingBuild
from vmimage.image.qemu import Disk
from vmimage.settings.ec2 import read_ec2

#: what publishing did, as Salt returns it: ``name``, ``region``, ``image``, ``snapshot``, ``parent`` (ids), ``build``, ``changed``,
#: ``bytes_sent``, ``archived``, ``removed``
Result = dict[str, Any]
OUTPUT = "ec2"
_AVAILABLE_WITHIN_SECONDS = 900


def open_cloud(build: PublishingBuild) -> Cloud:
    """EC2, seen to let us in.

    :raises NotReady, SettingsWrong, CredentialsWrong, StoreRefused, StoreUnreachable:
    """
    cloud = Cloud(read_ec2(build.settings.ec2), tries=build.settings.tries, say=build.progress.note)
    cloud.check()
    return cloud


def publish(build: PublishingBuild, cloud: Cloud) -> Result:
    """Make an image of a disk, and let the name point to it.

    :raises NotPublished, StoreRefused, StoreUnreachable: then the name points to the same image as before; a snapshot that was begun
        stays for a day, and the next run goes on with it
    """
    with Publication(build, cloud).with_disk().alone() as publication:
        publication.check_disk()
        archived = complete_promotion(publication)
        removed = _clean(publication)
        current = generations.published_of(publication.images, publication.name)
        if current and fact(current, "sha256") == publication.disk.sha256 and current["status"] == "active":
            return _finish(publication, current, None, archived, removed)
        _refuse_rolled_back(publication)
        _pass_gate(publication)
        known = _registered_before(publication)
        sent = Sent(known["snapshot"], 0, "") if known else _snapshot(publication, current)
        image = _available(publication, known["id"] if known else _registered(publication, sent.snapshot))
        _permit(publication, image, current)
        take_name(publication, image)
        return _finish(publication, image, sent, archived, removed)


def plan_publication(build: PublishingBuild, cloud: Cloud) -> Result:
    """What :func:`publish` would do; changes nothing.

    :returns: ``name``, ``region``, ``changed``, ``register`` (the name of the AMI), ``parent`` (a snapshot), ``blocks`` and ``bytes`` that
        would be sent, ``archive`` (ids), ``remove`` (ids of what a run that did not end left)
    """
    publication = Publication(build, cloud).with_disk()
    publication.look()
    current = generations.published_of(publication.images, publication.name)
    changed = not (current and fact(current, "sha256") == publication.disk.sha256 and current["status"] == "active")
    plan: Result = {"name": publication.name, "region": cloud.region, "changed": changed}
    left = [*_abandoned_images(publication), *_orphans(publication)]
    plan |= {"register": "", "parent": "", "blocks": 0, "bytes": 0, "archive": [], "remove": [_id(entry) for entry in left]}
    if not changed:
        return plan
    parent, held, _ = _parent(publication, current)
    there = _completed_before(publication)
    blocks = 0 if there else len(changed_blocks(publication.disk.digests(), held))
    return plan | {
        "register": registered_name(publication.name, publication.manifest),
        "parent": parent,
        "blocks": blocks,
        "bytes": blocks * BLOCK_BYTES,
        "archive": [current["id"]] if current else [],
    }


def _id(entry: Resource) -> str:
    return str(entry.get("id") or entry.get("SnapshotId"))


def _refuse_rolled_back(publication: Publication) -> None:
    """A disk that was rolled back is not published again by the next run."""
    if image := generations.was_rolled_back(publication.images, publication.name, publication.disk.sha256):
        raise NotPublished(
            f"this disk was rolled back at {fact(image, 'rolled_back')}, and is not published again",
            hint=f"build a new one; or take this one back: salt-call vm_create.rollback {publication.settings.name} to={image['id']}",
        )


def _pass_gate(publication: Publication) -> None:
    """Boot the disk as ``ami.gate`` asks, before anything is sent, unless it was booted on its way to Glance.

    :raises NotPublished: if it does not come up
    """
    settings, disk = publication.settings, publication.disk
    if not settings.gate or "disk" in settings.outputs:
        return
    for firmware in firmware_of(publication.manifest):
        target = Disk(f"{settings.name} (ec2, {firmware})", disk.path, "raw", firmware)
        try:
            with publication.progress.step("ec2 gate"):
                pass_gate(target, settings.gate)
        except BootFailed as error:
            raise NotPublished(f"nothing was sent to EC2: {error.message}", hint=error.hint) from error


def _snapshot(publication: Publication, current: Image | None) -> Sent:
    """The snapshot of the disk, completed: found, continued, or sent; over that of the current image, where it is known what that holds."""
    if found := _completed_before(publication):
        sent, digests = Sent(found["SnapshotId"], 0, ""), None
    else:
        with publication.progress.step("ec2 read"):
            digests = publication.disk.digests(publication.progress.moved)
        with publication.progress.step("ec2 upload"):
            sent = _send(publication, digests, current)
    if publication.holdings.of(sent.snapshot) is None:
        publication.holdings.keep(sent.snapshot, digests or publication.disk.digests())
    publication.note.forget()
    return sent


def _completed_before(publication: Publication) -> Resource | None:
    """A completed snapshot of the disk, of an earlier run of this builder that went no further."""
    used = {image["snapshot"] for image in publication.images}
    for snapshot in publication.snapshots:
        if snapshot["State"] == COMPLETED and _is_of(snapshot, publication) and snapshot["SnapshotId"] not in used:
            return snapshot
    return None


def _is_of(snapshot: Resource, publication: Publication) -> bool:
    """Whether this builder sent this disk as that snapshot."""
    tags = snapshot["tags"]
    of_disk = tags.get(f"{MARK}sha256"), tags.get(f"{MARK}builder")
    return of_disk == (publication.disk.sha256, publication.builder) and is_our_snapshot(snapshot)


def _send(publication: Publication, digests: Digests, current: Image | None) -> Sent:
    parent, held, gib = _parent(publication, current)
    tags = marks(publication.manifest, publication.disk, publication.name, publication.builder)
    tags |= {"Name": publication.name, f"{MARK}role": "snapshot"}

    def send(parent: str, held: Digests, gib: int) -> Sent:
        sender = Sender(
            publication.cloud,
            publication.disk,
            publication.note,
            digests=digests,
            tags=tags,
            description=f"{publication.name}, built {publication.manifest['created']}",
            gib=gib,
            parent=parent,
            held=held,
        )
        return sender.send(publication.progress.moved)

    try:
        return send(parent, held, gib)
    except (RequestInvalid, ImageGone) as error:
        if not parent:
            raise
        publication.cloud.say(f"all blocks are sent, not only what differs from {parent}: {error.message}")
        return send("", {}, publication.disk.gib)
    except VmImageError as error:
        goes_on = "what is sent stays for a day, and the next run goes on with it"
        error.hint = f"{error.hint}; {goes_on}" if error.hint else goes_on
        raise


def _parent(publication: Publication, current: Image | None) -> tuple[str, Digests, int]:
    """The snapshot to write over, what it holds, and the size that the new snapshot gets; without a parent ``("", {}, size)``."""
    size = publication.disk.gib
    for snapshot in publication.snapshots if current else ():
        if current and snapshot["SnapshotId"] == current["snapshot"] and snapshot["State"] == COMPLETED:
            held = publication.holdings.of(snapshot["SnapshotId"])
            if held is not None and snapshot.get("StorageTier", "standard") == "standard":
                return snapshot["SnapshotId"], held, max(size, snapshot["VolumeSize"])
    return "", {}, size


def _registered_before(publication: Publication) -> Image | None:
    """The image of the disk, if a run that went no further registered it, or another disk took the name since."""
    for image in generations.roots_of(publication.images, publication.name):
        is_free = fact(image, "state") in (NEW, ARCHIVED) and image["status"] in ("active", "pending")
        if is_free and fact(image, "sha256") == publication.disk.sha256 and fact(image, "build") == publication.manifest["build"]:
            return image
    return None


def _registered(publication: Publication, snapshot: str) -> str:
    """Register an image of a snapshot, under a name of its own.

    :returns: its id
    """
    name, manifest = publication.name, publication.manifest
    serial = max(map(generations.serial, generations.roots_of(publication.images, name)), default=0) + 1
    tags = marks(manifest, publication.disk, name, publication.builder)
    facts = registration(publication.own, manifest, publication.disk, name=name, snapshot=snapshot, tags=tags, serial=serial)
    try:
        with publication.progress.step("ec2 register"):
            return publication.cloud.register_image(**facts)
    except StoreConflict as error:
        publication.look_at_images()  # a run that was killed may have registered it a moment ago
        found = [image["id"] for image in publication.images if image["snapshot"] == snapshot]
        if found:
            return str(found[0])
        raise NotPublished(
            f"there is an image {facts['Name']} already that is not of {snapshot}",
            hint="deregister it, or build again; a few minutes later it may be seen as ours",
        ) from error


def _available(publication: Publication, image_id: str) -> Image:
    """The image, when instances can be started from it."""
    left = float(_AVAILABLE_WITHIN_SECONDS)
    while True:
        found = publication.cloud.find_image(image_id)
        state = found["State"] if found else "pending"  # too new to be seen
        if found and state == "available":
            return as_generation(found)
        if state not in ("pending", "transient"):
            publication.cloud.deregister_image(image_id)
            reason = (found or {}).get("StateReason", {}).get("Message", "no reason given")
            raise NotPublished(f"EC2 made {image_id} {state}: {reason}", hint="run it again")
        if left <= 0:
            raise NotPublished(f"{image_id} is not available within {_AVAILABLE_WITHIN_SECONDS} s", hint="run it again")
        publication.cloud.sleep(PAUSE_SECONDS)
        left -= PAUSE_SECONDS


def _permit(publication: Publication, image: Image, current: Image | None) -> None:
    """Whoever may start instances of the old image may start those of the new, and the accounts of the settings."""
    wanted = publication.cloud.list_permissions(current["id"]) if current else []
    wanted += [entry for account in publication.own.accounts if (entry := {"UserId": account}) not in wanted]
    if wanted:
        publication.cloud.permit(image["id"], wanted)


def _clean(publication: Publication) -> list[str]:
    """Remove what runs that ended too early left.

    :returns: the ids
    """
    removed = _deregister(publication, _abandoned_images(publication))
    for snapshot in _orphans(publication):
        publication.cloud.say(f"removing {snapshot['SnapshotId']} ({snapshot['State']}), left by a run that did not end")
        removed += _delete_snapshot(publication, snapshot["SnapshotId"])
    return removed


def _abandoned_images(publication: Publication) -> list[Image]:
    """Images of this builder that never took the name, but for that of the disk which is published now."""
    new = [image for image in generations.roots_of(publication.images, publication.name) if fact(image, "state") == NEW]
    own = [image for image in new if fact(image, "builder") == publication.builder]
    return [image for image in own if fact(image, "sha256") != publication.disk.sha256 or image["status"] == "failed"]


def _orphans(publication: Publication) -> list[Resource]:
    """Snapshots without an image, but for that which goes on."""
    spared = set()
    sending, _ = publication.note.read()
    if sending and sending.sha256 == publication.disk.sha256:
        # without an id in the note: its token finds the snapshot again, even if it were deleted
        pending = [
            snapshot for snapshot in publication.snapshots if snapshot["State"] == PENDING and _is_of(snapshot, publication)
        ]
        spared = {sending.snapshot} if sending.snapshot else {snapshot["SnapshotId"] for snapshot in pending}
    if found := _completed_before(publication):
        spared.add(found["SnapshotId"])
    return orphans(publication.snapshots, publication.images, publication.builder, spared)


def _deregister(publication: Publication, images: Iterable[Image]) -> list[str]:
    """Deregister images and delete their snapshots, as far as EC2 allows it."""
    removed: list[str] = []
    for image in images:
        try:
            publication.cloud.deregister_image(image["id"])
        except StoreRefused as refusal:  # protected by hand
            publication.cloud.say(f"kept {image['id']}: {refusal.message}")
            continue
        publication.images = [other for other in publication.images if other["id"] != image["id"]]
        removed += [image["id"], *_delete_snapshot(publication, image["snapshot"])]
    return removed


def _delete_snapshot(publication: Publication, snapshot: str) -> list[str]:
    """Delete a snapshot, as far as EC2 allows it."""
    try:
        publication.cloud.delete_snapshot(snapshot)
    except StoreRefused as refusal:  # an image of the user's own needs it
        publication.cloud.say(f"kept {snapshot}: {refusal.message}")
        return []
    publication.snapshots = [other for other in publication.snapshots if other["SnapshotId"] != snapshot]
    publication.holdings.forget(snapshot)
    return [snapshot]


def _finish(publication: Publication, image: Image, sent: Sent | None, archived: Iterable[str], removed: Iterable[str]) -> Result:
    """Archive and prune when the name has moved; nothing is lost if that fails: the next run does it."""
    try:
        archived = [*archived, *settle(publication, image)]
        surplus = generations.surplus(publication.images, publication.name, publication.settings.keep)
        removed = [*removed, *_deregister(publication, surplus), *_clean(publication)]
    except NotPublished:
        raise
    except VmImageError as error:
        raise NotPublished(
            f"{publication.name} points to {image['id']} now, but the older images are not archived: {error.message}",
            hint=f"the next run does it; {error.hint}",
        ) from error
    return {
        "name": publication.name,
        "region": publication.cloud.region,
        "image": image["id"],
        "snapshot": image["snapshot"],
        "parent": sent.parent if sent else "",
        "build": fact(image, "build"),
        "changed": sent is not None,
        "bytes_sent": sent.bytes if sent else 0,
        "archived": list(archived),
        "removed": list(removed),
    }
