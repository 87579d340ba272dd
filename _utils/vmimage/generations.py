"""What the images of a project are to us: generations of a variation's image, their kernels and ramdisks.  Pure functions.

An image is ours if it carries our properties *and* its own id in ``vm_create_self``: Nova copies the properties of an image
to the snapshots of its instances, and a snapshot is the user's own.

The state of a root image:
    new         uploaded under a name of its own, or about to be
    published   has taken the name; ``vm_create_replaces`` tells from whom
    archived    had the name before
    broken      did not pass its gate
"""

from datetime import UTC, datetime, timedelta

PREFIX = "vm_create_"
NEW, PUBLISHED, ARCHIVED, BROKEN = "new", "published", "archived", "broken"
ROOT_IMAGE, KERNEL, RAMDISK = "root_image", "kernel", "ramdisk"
_ABANDONED_AFTER = timedelta(hours=24)  # nobody uploads for so long


def is_ours(image):
    """Whether this project made the image itself."""
    return image.get(f"{PREFIX}self") == image["id"]


def fact(image, key):
    """One of our properties, an empty str where it is not set."""
    return image.get(f"{PREFIX}{key}") or ""


def roots_of(images, name):
    """Our root images of that image name, in all states."""
    return [one for one in images if is_ours(one) and fact(one, "role") == ROOT_IMAGE and fact(one, "name") == name]


def generation(image):
    """The place of an image in the order in which images took the name."""
    return int(fact(image, "generation") or 0)


def serial(image):
    """The place of an image in the order in which images were uploaded: Glance's own times tell whole seconds only."""
    return int(fact(image, "serial") or 0)


def published_of(images, name):
    """The image that took the name last and still has it, or None."""
    taken = [one for one in roots_of(images, name) if fact(one, "state") == PUBLISHED and one["name"] == name]
    return max(taken, key=generation, default=None)


def under_name(images, name):
    """Whatever can be found by the name, the newest first, the user's own images too."""
    found = [one for one in images if one["name"] == name]
    return sorted(found, key=lambda one: (one["created_at"], generation(one)), reverse=True)


def replaced_by(published, images):
    """Images that still have the name, though another has taken it from them."""
    ids = fact(published, "replaces").split()
    older = [one["id"] for one in roots_of(images, published["name"]) if generation(one) < generation(published)]
    return [one for one in under_name(images, published["name"]) if one["id"] in (*ids, *older)]


def previous_of(published, images):
    """The generation that a rollback puts back, or None: the newest that was there before, and not itself rolled back."""
    before = [
        one
        for one in roots_of(images, fact(published, "name"))
        if fact(one, "state") == ARCHIVED and not fact(one, "rolled_back") and serial(one) < serial(published)
    ]
    return max(before, key=serial, default=None)


def leftovers(images, name, *, build, builder, now=None):
    """What runs that ended too early left of this name: never what another builder may be uploading now.

    :param list images: all of the project
    :param str build: id of our build: what is active of it is not left over, it will be used
    :param str builder: ours; who holds its lock knows that no other upload of it runs
    """
    now = now or datetime.now(UTC)

    def is_dead(one):
        return fact(one, "build") == build or fact(one, "builder") == builder or _age(one, now) > _ABANDONED_AFTER

    def is_of_use(one):
        return one["status"] == "active" and fact(one, "build") == build

    roots = [one for one in roots_of(images, name) if fact(one, "state") == NEW and is_dead(one) and not is_of_use(one)]
    gone = {one["id"] for one in roots}
    rest = [one for one in images if one["id"] not in gone]
    parts = [one for one in unneeded_parts(rest) if fact(one, "name") == name and is_dead(one) and not is_of_use(one)]
    return roots + parts


def unneeded_parts(images):
    """Our kernels and ramdisks that no image of the project refers to; one that others may see is needed, for all we know."""
    needed = {one.get(key) for one in images for key in ("kernel_id", "ramdisk_id")}
    parts = [one for one in images if is_ours(one) and fact(one, "role") in (KERNEL, RAMDISK)]
    return [one for one in parts if one["id"] not in needed and one["visibility"] == "private"]


def surplus(images, name, keep):
    """Generations beyond the newest ``keep``, of archived and of broken ones each."""
    found = []
    for state in (ARCHIVED, BROKEN):
        of_state = [one for one in roots_of(images, name) if fact(one, "state") == state]
        of_state.sort(key=lambda one: (generation(one), serial(one)), reverse=True)
        found += of_state[keep:]
    return found


def _age(image, now):
    return now - datetime.fromisoformat(image["created_at"])


def describe(image):
    """An image for people and for ``vm_create.published``.

    :returns: dict of id, name, state, generation, created, bytes, visibility, kernel_id, ramdisk_id, and where it came from
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
    )
    origin = {key: fact(image, key) for key in facts if fact(image, key)}
    told = {
        "state": fact(image, "state"),
        "generation": generation(image),
        "bytes": image["size"],
        "uploaded": image["created_at"],
    }
    return {**own, **told, "status": image["status"], **origin}
