"""Deletion of archived generations that are too many, then of kernels and ramdisks that no image needs."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from vmimage.errors import StoreRefused
from vmimage.glance.generations import Image, fact, is_abandoned, surplus, unneeded_parts

if TYPE_CHECKING:
    from vmimage.glance.client import Store


def prune(store: "Store", name: str, outputs: Iterable[str], keep: int, builder: str) -> list[str]:
    """Delete generations beyond the newest ``keep`` of each output, then kernels and ramdisks that no image needs.

    :param store: may be narrowed to the variation: whether an image needs a part, it is asked
    :param name: of the variation, whose the kernels and ramdisks are
    :param outputs: the names of its outputs
    :param builder: id of this builder; parts that another builder uploaded may wait for their main image
    :returns: the names deleted
    """
    surplus_roots = [image for own in outputs for image in surplus(store.list_images(), own, keep)]
    deleted = delete_all(store, surplus_roots)
    former = {root.get(key) for root in surplus_roots for key in ("kernel_id", "ramdisk_id")}
    unneeded = [part for part in unneeded_parts(store.list_images()) if fact(part, "name") == name]
    parts = [part for part in unneeded if part["id"] in former or is_abandoned(part, builder)]
    return deleted + delete_all(
        store, [part for part in parts if not store.is_used(part["id"]) and _is_for_us_alone(store, part)]
    )


def _is_for_us_alone(store: "Store", image: Image) -> bool:
    """Whether no other project can have an image that needs this image."""
    return image["visibility"] == "private" or image["visibility"] == "shared" and not store.list_members(image["id"])


def delete_all(store: "Store", images: Iterable[Image]) -> list[str]:
    """Delete the images whose deletion the store allows.

    :returns: the names deleted
    """
    deleted = []
    for image in images:
        try:
            store.delete_image(image["id"])
        except StoreRefused as refusal:  # protected by hand, or in use by a volume
            store.say(f"kept {image['name']}: {refusal.message}")
        else:
            deleted.append(image["name"])
    return deleted
