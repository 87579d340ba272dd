"""What goes: archived generations that are too many, then kernels and ramdisks that nothing needs."""

from vmimage.errors import StoreRefused
from vmimage.glance.generations import fact, is_abandoned, surplus, unneeded_parts


def prune(store, name, keep, builder):
    """Delete generations beyond the newest ``keep``, then kernels and ramdisks that nothing needs.

    :param str builder: ours; what another one brought may wait for its root image
    :returns: list of the names deleted
    """
    gone = surplus(store.list_images(), name, keep)
    deleted = delete_all(store, gone)
    led_to = {one.get(key) for one in gone for key in ("kernel_id", "ramdisk_id")}
    parts = [one for one in unneeded_parts(store.list_images()) if fact(one, "name") == name and _is_for_us_alone(store, one)]
    return deleted + delete_all(store, [one for one in parts if one["id"] in led_to or is_abandoned(one, builder)])


def _is_for_us_alone(store, image):
    """Whether nobody else can have an image that needs this one."""
    return image["visibility"] == "private" or image["visibility"] == "shared" and not store.list_members(image["id"])


def delete_all(store, images):
    """Delete what the store lets us delete.

    :returns: list of the names deleted
    """
    deleted = []
    for one in images:
        try:
            store.delete_image(one["id"])
        except StoreRefused as refusal:  # protected by hand, or in use by a volume
            store.say(f"kept {one['name']}: {refusal.message}")
        else:
            deleted.append(one["name"])
    return deleted
