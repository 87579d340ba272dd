"""Taking the old one's place: who could see and use the old image can see and use the new one; then the name moves.

The name moves with one request, which also notes on the new image whom it replaces.  Before it nothing has happened that a name
leads to; after it a run that was killed is completed from that note by the next run.  Glance cannot rename two images at once:
for the time of one request both have the name, the new one first in Glance's order; at no time there is none.
"""

import time

from vmimage.carry_over import carry_over
from vmimage.errors import NotPublished
from vmimage.generations import (
    ARCHIVED,
    BROKEN,
    PREFIX,
    PUBLISHED,
    generation,
    is_ours,
    published_of,
    replaced_by,
    roots_of,
    serial,
    under_name,
)


def promote(store, settings, image, name):
    """Give an image the name; :func:`complete_promotion` then takes it from those who had it.

    :param Store store:
    :param Settings settings:
    :param dict image: whole and verified, a root image of ours
    :param str name: ``web-amd64``
    :returns: the projects that were members of the old image and have not accepted the new one
    """
    images = store.list_images()
    old = [one for one in under_name(images, name) if one["id"] != image["id"]]
    pending = carry_over(store, settings, old[0] if old else None, image)
    _check_parts(store, image)
    taken = max(map(generation, roots_of(images, name)), default=0) + 1
    marks = {"state": PUBLISHED, "generation": str(taken), "replaces": " ".join(one["id"] for one in old), "rolled_back": None}
    protected = any(one["protected"] for one in old)
    store.change_image(image["id"], name=name, protected=protected, **{f"{PREFIX}{key}": value for key, value in marks.items()})
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
        store.change_image(one["id"], name=title, **(_archived(one, published) if is_ours(one) else {}))
        archived.append(title)
    return archived


def _archived(image, successor):
    """Protection went over to the successor.  Who makes room for an earlier upload was rolled back, and is not chosen again."""
    rolled_back = {f"{PREFIX}rolled_back": _now()} if serial(image) > serial(successor) else {}
    return {"protected": False, f"{PREFIX}state": ARCHIVED, **rolled_back}


def mark_broken(store, image, name):
    """Keep an image that did not pass its gate, under a name that nobody takes for good.

    :returns: the name
    """
    title = f"broken {name} {_now()}"
    store.change_image(image["id"], name=title, **{f"{PREFIX}state": BROKEN})
    return title


def _check_parts(store, image):
    """The last look before the name moves: the root image leads to a kernel and a ramdisk that are there."""
    for key in ("kernel_id", "ramdisk_id"):
        part = store.find_image(image[key])
        if part is None or part["status"] != "active":
            raise NotPublished(
                f"the {key.removesuffix('_id')} {image[key]} is {part['status'] if part else 'gone'}",
                hint="run vm_create.upload again",
            )


def _now():
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
