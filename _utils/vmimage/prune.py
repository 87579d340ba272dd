"""What goes: archived generations that are too many, then kernels and ramdisks that nothing needs."""

from vmimage.errors import StoreRefused
from vmimage.generations import fact, surplus, unneeded_parts


def prune(store, name, keep):
    """Delete generations beyond the newest ``keep``, then kernels and ramdisks that nothing needs.

    :returns: list of the names deleted
    """
    deleted = _delete_all(store, surplus(store.list_images(), name, keep))
    mine = [one for one in unneeded_parts(store.list_images()) if fact(one, "name") == name]
    return deleted + _delete_all(store, mine)


def _delete_all(store, images):
    deleted = []
    for one in images:
        try:
            store.delete_image(one["id"])
        except StoreRefused as refusal:  # protected by hand, or in use by a volume
            store.say(f"kept {one['name']}: {refusal.message}")
        else:
            deleted.append(one["name"])
    return deleted
