"""Taking the old one's place: who could see and use the old image can see and use the new one; then the name moves.

The name moves with one request, which also notes on the new image whom it replaces.  Before it nothing has happened that a name
leads to; after it a run that was killed is completed from that note by the next run.  Glance cannot rename two images at once:
for the time of one request both have the name, the new one first in Glance's order; at no time there is none.
"""

import fnmatch
import time

from vmimage.errors import NotPublished, StoreRefused
from vmimage.generations import (
    ARCHIVED,
    BROKEN,
    PREFIX,
    PUBLISHED,
    fact,
    generation,
    is_ours,
    published_of,
    replaced_by,
    roots_of,
    serial,
    surplus,
    under_name,
    unneeded_parts,
)

#: properties that an administrator gives to an image by hand, and that its successor needs as much
CARRIED_OVER = ("hw_*", "img_*", "trait:*", "os_require_quiesce", "os_admin_user", "description")


def promote(store, settings, image, name):
    """Give an image the name.

    :param Store store:
    :param Settings settings:
    :param dict image: whole and verified, a root image of ours
    :param str name: ``web-amd64``
    :returns: dict of ``archived`` and ``pending``: names of those that had the name; members who have not accepted yet
    """
    images = store.list_images()
    old = [one for one in under_name(images, name) if one["id"] != image["id"]]
    pending = _carry_over(store, settings, old[0] if old else None, image)
    _check_parts(store, image)
    taken = max(map(generation, roots_of(images, name)), default=0) + 1
    marks = {"state": PUBLISHED, "generation": str(taken), "replaces": " ".join(one["id"] for one in old), "rolled_back": None}
    protected = any(one["protected"] for one in old)
    store.change_image(image["id"], name=name, protected=protected, **{f"{PREFIX}{key}": value for key, value in marks.items()})
    return {"archived": complete_promotion(store, name), "pending": pending}


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


def _carry_over(store, settings, old, new):
    """Properties, visibility and members of the old image; returns the members who have not accepted."""
    carried = {key: value for key, value in (old or {}).items() if _is_carried(key, settings.carry_over) and key not in new}
    if old and old["min_ram"] > new["min_ram"]:
        carried["min_ram"] = old["min_ram"]
    if old and set(old["tags"]) - set(new["tags"]):
        carried["tags"] = sorted({*old["tags"], *new["tags"]})
    if carried:
        store.change_image(new["id"], **carried)
    visibility = settings.visibility or (old or new)["visibility"]
    members = store.list_members(old["id"]) if old and old["visibility"] == "shared" and visibility == "shared" else {}
    pending = set()
    for image in [*_own_parts(store, new), new]:
        _set_visibility(store, image, visibility, lower=image["id"] == new["id"])
        pending |= _share(store, image["id"], members)
    return sorted(pending)


def _is_carried(key, patterns):
    return any(fnmatch.fnmatchcase(key, pattern) for pattern in (*CARRIED_OVER, *patterns)) and not key.startswith(PREFIX)


def _own_parts(store, image):
    """Kernel and ramdisk of ours: who may boot the root image must be able to read them.  The user's own are the user's to share."""
    parts = [store.find_image(image[key]) for key in ("kernel_id", "ramdisk_id") if image.get(key)]
    return [one for one in parts if one and is_ours(one)]


_OPENNESS = ("private", "shared", "community", "public")


def _set_visibility(store, image, visibility, lower):
    """Let others see it; a kernel that is used again is never hidden from those who could see it before."""
    more = _OPENNESS.index(visibility) - _OPENNESS.index(image["visibility"])
    if more > 0 or more < 0 and lower:
        store.change_image(image["id"], visibility=visibility)


def _share(store, image_id, members):
    """Invite members; accept or reject for them as they had, where we may.  Returns those who must accept themselves."""
    pending = set()
    there = store.list_members(image_id) if members else {}
    for project, status in members.items():
        if project not in there:
            store.invite_member(image_id, project)
        if status != "pending" and there.get(project) != status and not store.answer_invitation(image_id, project, status):
            pending.add(project)
    return pending


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
