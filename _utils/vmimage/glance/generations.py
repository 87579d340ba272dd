"""The images of a project: generations of a variation's images, their kernels and ramdisks.  Pure functions.

A variation has a name, and from it the names of its outputs, of which each points to a single image: ``web-amd64`` is the triplet,
``web-amd64-disk`` the whole disk.  Kernel and ramdisk are of the variation, and several of its outputs may use them.

An image is ours if it has our properties *and* its own id in ``vm_create_self``: Nova copies the properties of an image
to the snapshots of its instances, and a snapshot is the user's own.

The state of a main image, which has such a name:
    new         uploaded under a name of its own, or about to be
    published   has taken the name; ``vm_create_replaces`` says from which images
    archived    had the name before
    broken      did not pass its gate

A new image whose build leaves the names to a fleet says in ``vm_create_complete`` that nothing of the build is missing.
"""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

#: an image as Glance describes it; its fields and properties are of several types
Image = dict[str, Any]
#: of a triplet, read from JSON
Manifest = Mapping[str, Any]
MARK = "vm_create_"
NEW, PUBLISHED, ARCHIVED, BROKEN = "new", "published", "archived", "broken"
ROOT_IMAGE, KERNEL, RAMDISK = "root_image", "kernel", "ramdisk"
BARE, DISK = "bare", "disk"
#: the roles of main images, by the kind of their output; other images are parts
MAIN_ROLES = {"triplet": ROOT_IMAGE, "bare": BARE, "disk": DISK}
_ABANDONED_AFTER = timedelta(hours=24)  # no upload takes so long


def is_ours(image: Image) -> bool:
    """Whether this project made the image itself."""
    return image.get(f"{MARK}self") == image["id"]


def fact(image: Image, key: str) -> str:
    """One of our properties, an empty string where it is not set."""
    return image.get(f"{MARK}{key}") or ""


def roots_of(images: Collection[Image], name: str) -> list[Image]:
    """Our main images of that image name, in all states."""
    return [image for image in images if is_ours(image) and is_main(image) and fact(image, "name") == name]


def is_main(image: Image) -> bool:
    """Whether an image takes a name, and is no part of another."""
    return fact(image, "role") in MAIN_ROLES.values()


def name_of(name: str, kind: str) -> str:
    """The name of an output; a name never comes to point to an image of another kind.

    :param name: of the variation: ``web-amd64``
    """
    return name if kind == "triplet" else f"{name}-{kind}"


def names_of(name: str) -> list[str]:
    """The names of all outputs of a variation."""
    return [name_of(name, kind) for kind in MAIN_ROLES]


def generation(image: Image) -> int:
    """The place of an image in the order in which images took the name."""
    return int(fact(image, "generation") or 0)


def serial(image: Image) -> int:
    """The place of an image in the order in which images were uploaded: Glance's own times have whole seconds only."""
    return int(fact(image, "serial") or 0)


def number(image: Image) -> int:
    """The number of the build that made an image, 0 where it has none."""
    return int(fact(image, "number") or 0)


def published_of(images: Collection[Image], name: str) -> Image | None:
    """The image that took the name last and still has it, or None."""
    taken = [image for image in roots_of(images, name) if fact(image, "state") == PUBLISHED and image["name"] == name]
    return max(taken, key=_rank, default=None)


def _rank(image: Image) -> tuple[int, int, str]:
    """The order in which images took the name; it is total, so that all builders agree on it, too, where two took it at once."""
    return generation(image), serial(image), image["id"]


def under_name(images: Collection[Image], name: str) -> list[Image]:
    """All images that the name finds, the newest first, the user's own images too."""
    found = [image for image in images if image["name"] == name]
    return sorted(found, key=lambda image: (image["created_at"], generation(image)), reverse=True)


def predecessor_of(images: Collection[Image], name: str) -> Image | None:
    """The image that a new image takes the place of: the published image, or else the newest of that name, such as the user's own."""
    return published_of(images, name) or next(iter(under_name(images, name)), None)


def replaced_by(published: Image, images: Collection[Image]) -> list[Image]:
    """Images that still have the name, though ``published`` has taken it from them."""
    ids = fact(published, "replaces").split()
    older = [image["id"] for image in roots_of(images, published["name"]) if _rank(image) < _rank(published)]
    return [image for image in under_name(images, published["name"]) if image["id"] in (*ids, *older)]


def previous_of(published: Image | None, images: Collection[Image], name: str) -> Image | None:
    """The generation that a rollback puts back, or None: the newest that was there before, and not itself rolled back.

    :param published: the image that has the name now, or None if that was deleted
    """
    archived = [image for image in roots_of(images, name) if fact(image, "state") == ARCHIVED and image["status"] == "active"]
    before = [image for image in archived if published is None or _age_rank(image) < _age_rank(published)]
    return max((image for image in before if not fact(image, "rolled_back")), key=_age_rank, default=None)


def was_rolled_back(images: Collection[Image], name: str, sha256: str) -> Image | None:
    """The archived image of those bytes that a rollback took the name from, or None."""
    archived = [image for image in roots_of(images, name) if fact(image, "state") == ARCHIVED and fact(image, "rolled_back")]
    return next((image for image in archived if fact(image, "sha256") == sha256), None)


def _age_rank(image: Image) -> tuple[int, str, str]:
    return serial(image), image["created_at"], image["id"]


def leftovers(images: Collection[Image], name: str, *, build: str, builder: str, now: datetime | None = None) -> list[Image]:
    """What runs that ended too early left of a variation, of any of its outputs: never what another builder may be uploading now.

    :param images: all of the project
    :param name: of the variation
    :param build: id of our build: its active images are no leftovers, they will be used
    :param builder: id of this builder; the holder of its lock knows that it runs no other upload
    """

    def is_left_over(image: Image) -> bool:
        if image.get("protected") or fact(image, "complete"):
            return False  # somebody wants to keep it, or a fleet is to give it its name
        if fact(image, "build") == build:
            return image["status"] != "active"
        return is_abandoned(image, builder, now)

    mains = [image for own in names_of(name) for image in roots_of(images, own)]
    new = [image for image in mains if fact(image, "state") == NEW and _has_own_name(image)]
    roots = [image for image in new if is_left_over(image)]
    gone, builds = {image["id"] for image in roots}, {fact(image, "build") for image in roots}
    rest = unneeded_parts([image for image in images if image["id"] not in gone])
    parts = [image for image in rest if fact(image, "name") == name and is_left_over(image)]
    # the parts first: if the run is killed in between, the main image still says that nothing will use them
    return [image for image in parts if image["visibility"] == "private" or fact(image, "build") in builds] + roots


def is_abandoned(image: Image, builder: str, now: datetime | None = None) -> bool:
    """Whether no builder works on an image any more: it is of this builder, which does nothing else now, or it is old."""
    age = (now or datetime.now(UTC)) - datetime.fromisoformat(image["created_at"])
    return fact(image, "builder") == builder or age > _ABANDONED_AFTER


def unneeded_parts(images: Collection[Image]) -> list[Image]:
    """Our kernels and ramdisks that no image of the project refers to; images of other projects, to which some may be visible, cannot
    be looked at.
    """
    needed = {image.get(key) for image in images for key in ("kernel_id", "ramdisk_id")}
    ours = [image for image in images if is_ours(image) and fact(image, "role") in (KERNEL, RAMDISK)]
    return [image for image in ours if image["id"] not in needed]


def _has_own_name(image: Image) -> bool:
    """Whether a main image still has the name that publishing gave it: a user who renamed it wants to keep it."""
    words = {NEW: "new", ARCHIVED: "archive", BROKEN: "broken"}
    return image["name"].startswith(f"{words.get(fact(image, 'state'), '')} {fact(image, 'name')} ")


def surplus(images: Collection[Image], name: str, keep: int) -> list[Image]:
    """Generations beyond the newest ``keep``, of archived and of broken images each; at least one broken image stays for inspection."""
    found = []
    for state, count in ((ARCHIVED, keep), (BROKEN, max(keep, 1))):
        of_state = [image for image in roots_of(images, name) if fact(image, "state") == state and _has_own_name(image)]
        found += sorted(of_state, key=_rank, reverse=True)[count:]
    return found


def describe(image: Image) -> dict[str, Any]:
    """An image for people and for ``vm_create.published``.

    :returns: id, name, status, output, format, state, generation, uploaded, bytes, visibility, kernel_id, ramdisk_id, and where it came
        from
    """
    own = {key: image.get(key) for key in ("id", "name", "visibility", "kernel_id", "ramdisk_id")}
    facts = (
        "build",
        "built",
        "revision",
        "variation",
        "variation_digest",
        "base",
        "base_digest",
        "sha256",
        "kernel_version",
        "made_with",
        "rolled_back",
        "number",
        "order",
    )
    origin = {key: fact(image, key) for key in facts if fact(image, key)}
    place = {
        "output": next((kind for kind, role in MAIN_ROLES.items() if role == fact(image, "role")), ""),
        "format": image.get("disk_format"),
        "state": fact(image, "state"),
        "generation": generation(image),
        "bytes": image["size"],
        "uploaded": image["created_at"],
    }
    return {**own, **place, "status": image["status"], **origin}
