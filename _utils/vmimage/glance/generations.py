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

MARK = "vm_create_"
NEW, PUBLISHED, ARCHIVED, BROKEN = "new", "published", "archived", "broken"
ROOT_IMAGE, KERNEL, RAMDISK = "root_image", "kernel", "ramdisk"
_ABANDONED_AFTER = timedelta(hours=24)  # nobody uploads for so long


def is_ours(image):
    """Whether this project made the image itself."""
    return image.get(f"{MARK}self") == image["id"]


def fact(image, key):
    """One of our properties, an empty str where it is not set."""
    return image.get(f"{MARK}{key}") or ""


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
    return max(taken, key=_rank, default=None)


def _rank(image):
    """Who took the name later; of two builders that took it at once, one for all who look."""
    return generation(image), serial(image), image["id"]


def under_name(images, name):
    """Whatever can be found by the name, the newest first, the user's own images too."""
    found = [one for one in images if one["name"] == name]
    return sorted(found, key=lambda one: (one["created_at"], generation(one)), reverse=True)


def predecessor_of(images, name):
    """Whose ways a new image takes over: the published one, or else the newest that has the name, such as an image of the user's."""
    return published_of(images, name) or next(iter(under_name(images, name)), None)


def replaced_by(published, images):
    """Images that still have the name, though another has taken it from them."""
    ids = fact(published, "replaces").split()
    older = [one["id"] for one in roots_of(images, published["name"]) if _rank(one) < _rank(published)]
    return [one for one in under_name(images, published["name"]) if one["id"] in (*ids, *older)]


def previous_of(published, images, name):
    """The generation that a rollback puts back, or None: the newest that was there before, and not itself rolled back.

    :param dict published: who has the name now, or None if that was deleted
    """
    archived = [one for one in roots_of(images, name) if fact(one, "state") == ARCHIVED and one["status"] == "active"]
    before = [one for one in archived if published is None or _age_rank(one) < _age_rank(published)]
    return max((one for one in before if not fact(one, "rolled_back")), key=_age_rank, default=None)


def was_rolled_back(images, name, sha256):
    """The archived image of those bytes that a rollback took the name from, or None."""
    archived = [one for one in roots_of(images, name) if fact(one, "state") == ARCHIVED and fact(one, "rolled_back")]
    return next((one for one in archived if fact(one, "sha256") == sha256), None)


def _age_rank(image):
    return serial(image), image["created_at"], image["id"]


def leftovers(images, name, *, build, builder, now=None):
    """What runs that ended too early left of this name: never what another builder may be uploading now.

    :param list images: all of the project
    :param str build: id of our build: what is active of it is not left over, it will be used
    :param str builder: ours; who holds its lock knows that no other upload of it runs
    """

    def is_left_over(one):
        if one.get("protected"):
            return False  # somebody wants to keep it
        if fact(one, "build") == build:
            return one["status"] != "active"
        return is_abandoned(one, builder, now)

    roots = [one for one in roots_of(images, name) if fact(one, "state") == NEW and _has_own_name(one) and is_left_over(one)]
    gone, builds = {one["id"] for one in roots}, {fact(one, "build") for one in roots}
    rest = unneeded_parts([one for one in images if one["id"] not in gone])
    parts = [one for one in rest if fact(one, "name") == name and is_left_over(one)]
    # the parts first: should we be killed in between, the root image still tells that nobody came to use them
    return [one for one in parts if one["visibility"] == "private" or fact(one, "build") in builds] + roots


def is_abandoned(image, builder, now=None):
    """Whether nobody works on an image any more: it is of our own builder, which does nothing else now, or it is old."""
    age = (now or datetime.now(UTC)) - datetime.fromisoformat(image["created_at"])
    return fact(image, "builder") == builder or age > _ABANDONED_AFTER


def unneeded_parts(images):
    """Our kernels and ramdisks that no image of the project refers to; images of others, who may see some, cannot be looked at."""
    needed = {one.get(key) for one in images for key in ("kernel_id", "ramdisk_id")}
    return [one for one in images if is_ours(one) and fact(one, "role") in (KERNEL, RAMDISK) and one["id"] not in needed]


def _has_own_name(image):
    """Whether a root image is still called as we called it: who renamed it wants to keep it."""
    words = {NEW: "new", ARCHIVED: "archive", BROKEN: "broken"}
    return image["name"].startswith(f"{words.get(fact(image, 'state'), '')} {fact(image, 'name')} ")


def surplus(images, name, keep):
    """Generations beyond the newest ``keep``, of archived and of broken ones each; a broken one stays to be looked at."""
    found = []
    for state, count in ((ARCHIVED, keep), (BROKEN, max(keep, 1))):
        of_state = [one for one in roots_of(images, name) if fact(one, "state") == state and _has_own_name(one)]
        found += sorted(of_state, key=_rank, reverse=True)[count:]
    return found


def describe(image):
    """An image for people and for ``vm_create.published``.

    :returns: dict of id, name, status, state, generation, uploaded, bytes, visibility, kernel_id, ramdisk_id, and where it came from
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
    )
    origin = {key: fact(image, key) for key in facts if fact(image, key)}
    told = {
        "state": fact(image, "state"),
        "generation": generation(image),
        "bytes": image["size"],
        "uploaded": image["created_at"],
    }
    return {**own, **told, "status": image["status"], **origin}
