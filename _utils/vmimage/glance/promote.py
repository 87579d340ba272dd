"""Taking the place of the old image: its users get access to the new image, then the name moves.

A name moves with one request, which also notes on the new image which images it replaces.  Before it nothing has happened that a
name points to; after it a run that was killed is completed from that note by the next run.  Glance cannot rename two images at once:
for the time of one request both have the name, the image that was uploaded later first in Glance's order; at no time there is none.
"""

import time
from typing import TYPE_CHECKING, Any

from vmimage.errors import ImageGone, NotPublished
from vmimage.glance.generations import (
    ARCHIVED,
    BROKEN,
    DISK,
    MARK,
    PUBLISHED,
    Image,
    fact,
    generation,
    is_ours,
    number,
    predecessor_of,
    published_of,
    replaced_by,
    roots_of,
    under_name,
)
from vmimage.glance.takeover import carry_over
from vmimage.settings.schema import Settings

if TYPE_CHECKING:
    from vmimage.glance.client import Store


def prepare_promotion(store: "Store", settings: Settings, image: Image, name: str, *, properties: bool = True) -> list[str]:
    """Give an image the users of the image that has the name.

    :param image: complete and verified, a main image of ours
    :param name: ``web-amd64``
    :param properties: False for an image that had its own before, and gets the name back
    :returns: the projects that were members of the old image and have not accepted the new image
    """
    _check_whole(store, image)
    return carry_over(store, settings, predecessor_of(store.list_images(), name), image, properties=properties)


class OlderNumber(NotPublished):
    """An image with a greater number has had the name."""


def refuse_older(store: "Store", image: Image, name: str) -> None:
    """Refuse an image whose build was ordered before that of an image which has or had the name.

    An image without a number is somebody's who publishes by hand, and knows.

    :raises OlderNumber: naming both numbers
    """
    own = number(image)
    before = [other for other in roots_of(store.list_images(), name) if fact(other, "state") in (PUBLISHED, ARCHIVED)]
    newest = max(map(number, before), default=0)
    if own and own < newest:
        raise OlderNumber(
            f"the image {image['id']} is of build {own}, and {name} has had an image of build {newest}",
            hint="nothing is to be done: what is newer is published",
        )


def take_name(store: "Store", image: Image, name: str, rolls_back: str | None = None) -> None:
    """Give an image the name; :func:`complete_promotion` then takes it from those that had it.

    :param image: prepared for it
    :param rolls_back: id of the image that loses the name because it is no good; empty: there is none
    """
    images = store.list_images()
    old = [former for former in under_name(images, name) if former["id"] != image["id"]]
    taken = max(map(generation, roots_of(images, name)), default=0) + 1
    replaced = " ".join(former["id"] for former in old)
    marks: dict[str, str | None] = {"state": PUBLISHED, "generation": str(taken), "replaces": replaced or None}
    marks |= {"rolls_back": rolls_back or None, "rolled_back": None}
    protected = image["protected"] or any(former["protected"] for former in old)
    fields = {"name": name, "protected": protected, "os_hidden": False}
    store.change_image(image["id"], **fields, **{f"{MARK}{key}": value for key, value in marks.items()})


def complete_promotion(store: "Store", name: str) -> list[str]:
    """Archive the images that still have the name though another image took it: the second half of a promotion, also of a killed run.

    :returns: their new names
    """
    images = store.list_images()
    published = published_of(images, name)
    archived: list[str] = []
    if published is None:
        return archived
    for image in replaced_by(published, images):
        title = f"archive {name} {_now()}"
        try:
            store.change_image(image["id"], name=title, **(_archived(image, published) if is_ours(image) else {}))
            archived.append(title)
        except ImageGone:  # somebody deleted it: it has the name no longer
            continue
    return archived


def _archived(image: Image, successor: Image) -> dict[str, Any]:
    """The properties of an archived image.  Its protection went over to the successor; if it was rolled back, it is not chosen again."""
    rolled_back = {f"{MARK}rolled_back": _now()} if fact(successor, "rolls_back") == image["id"] else {}
    return {"protected": False, f"{MARK}state": ARCHIVED, **rolled_back}


def mark_broken(store: "Store", image: Image, name: str) -> str:
    """Keep an image that did not pass its gate, under a name that no user takes for a good image.

    :returns: the name
    """
    title = f"broken {name} {_now()}"
    store.change_image(image["id"], name=title, **{f"{MARK}state": BROKEN})
    return title


def _check_whole(store: "Store", image: Image) -> None:
    """The last check before the name moves: the image can be used, and what it refers to exists."""
    if image["status"] != "active":
        raise NotPublished(
            f"the image {image['id']} is {image['status']}", hint="openstack image set --activate, or take another image"
        )
    for key in () if fact(image, "role") == DISK else ("kernel_id", "ramdisk_id"):
        part = store.find_image(image[key]) if image.get(key) else None
        if part is None or part["status"] != "active":
            raise NotPublished(
                f"the {key.removesuffix('_id')} {image.get(key)} of {image['name']} is {part['status'] if part else 'gone'}",
                hint="run vm_create.upload again",
            )


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
