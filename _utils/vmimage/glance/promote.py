"""Taking the old one's place: who could see and use the old image can see and use the new one; then the name moves.

The name moves with one request, which also notes on the new image whom it replaces.  Before it nothing has happened that a name
leads to; after it a run that was killed is completed from that note by the next run.  Glance cannot rename two images at once:
for the time of one request both have the name, the one that was uploaded later first in Glance's order; at no time there is none.
"""

import time

from vmimage.errors import ImageGone, NotPublished
from vmimage.glance.generations import (
    ARCHIVED,
    BROKEN,
    MARK,
    PUBLISHED,
    fact,
    generation,
    is_ours,
    predecessor_of,
    published_of,
    replaced_by,
    roots_of,
    under_name,
)
from vmimage.glance.takeover import carry_over


def promote(store, settings, image, name, rolls_back=None):
    """Give an image the name; :func:`complete_promotion` then takes it from those who had it.

    :param Store store:
    :param Settings settings:
    :param dict image: whole and verified, a root image of ours
    :param str name: ``web-amd64``
    :param str rolls_back: id of the image that makes room because it is no good
    :returns: the projects that were members of the old image and have not accepted the new one
    """
    images = store.list_images()
    old = [one for one in under_name(images, name) if one["id"] != image["id"]]
    _check_whole(store, image)
    pending = carry_over(store, settings, predecessor_of(images, name), image, properties=rolls_back is None)
    taken = max(map(generation, roots_of(images, name)), default=0) + 1
    marks = {"state": PUBLISHED, "generation": str(taken), "replaces": " ".join(one["id"] for one in old) or None}
    marks |= {"rolls_back": rolls_back or None, "rolled_back": None}
    protected = image["protected"] or any(one["protected"] for one in old)
    fields = {"name": name, "protected": protected, "os_hidden": False}
    store.change_image(image["id"], **fields, **{f"{MARK}{key}": value for key, value in marks.items()})
    return pending


def complete_promotion(store, name):
    """Archive whoever still has the name though another took it: the second half of a promotion, or what a killed run left of one.

    :returns: list of their new names
    """
    images = store.list_images()
    published = published_of(images, name)
    archived = []
    for one in replaced_by(published, images) if published else ():
        title = f"archive {name} {_now()}"
        try:
            store.change_image(one["id"], name=title, **(_archived(one, published) if is_ours(one) else {}))
            archived.append(title)
        except ImageGone:  # somebody deleted it: it has the name no longer
            continue
    return archived


def _archived(image, successor):
    """Protection went over to the successor.  Who was rolled back is not chosen again."""
    rolled_back = {f"{MARK}rolled_back": _now()} if fact(successor, "rolls_back") == image["id"] else {}
    return {"protected": False, f"{MARK}state": ARCHIVED, **rolled_back}


def mark_broken(store, image, name):
    """Keep an image that did not pass its gate, under a name that nobody takes for good.

    :returns: the name
    """
    title = f"broken {name} {_now()}"
    store.change_image(image["id"], name=title, **{f"{MARK}state": BROKEN})
    return title


def _check_whole(store, image):
    """The last look before the name moves: the root image can be used, and leads to a kernel and a ramdisk that are there."""
    if image["status"] != "active":
        raise NotPublished(
            f"the image {image['id']} is {image['status']}", hint="openstack image set --activate, or take another one"
        )
    for key in ("kernel_id", "ramdisk_id"):
        part = store.find_image(image[key]) if image.get(key) else None
        if part is None or part["status"] != "active":
            raise NotPublished(
                f"the {key.removesuffix('_id')} {image.get(key)} of {image['name']} is {part['status'] if part else 'gone'}",
                hint="run vm_create.upload again",
            )


def _now():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
