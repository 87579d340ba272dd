"""Who could see and use the old image can see and use the new one: properties, visibility and members are carried over."""

import fnmatch

from vmimage.errors import ImageGone, StoreRefused
from vmimage.glance.generations import MARK, fact, is_ours

#: properties that an administrator gives to an image by hand, and that its successor needs as much
CARRIED_OVER = ("hw_*", "img_*", "trait:*", "os_require_quiesce", "os_admin_user", "description")
#: ours, Glance's, signatures of other bytes, and what tells of a snapshot's disks
_NEVER = (MARK, "img_signature", "os_glance_", "os_hash_", "img_block_device_mapping", "img_bdm", "img_mappings")
_OPENNESS = ("private", "shared", "community", "public")


def visibility_of(settings, old):
    """Who may see the new image: as the settings say, else as it was."""
    return settings.visibility or (old["visibility"] if old else "private")


def is_as_open(image, visibility):
    """Whether whoever may see an image of that visibility may see this one for sure."""
    return (
        visibility == "private"
        or image["visibility"] in _OPENNESS[2:]
        and _openness(image["visibility"]) >= _openness(visibility)
    )


def carry_over(store, settings, old, new, *, properties=True):
    """Properties, visibility and members of the old image.

    :param bool properties: False for an image that had its own before, and gets the name back
    :returns: the members who have not accepted
    """
    if properties:
        _carry_properties(store, settings, old, new)
    visibility = visibility_of(settings, old)
    members = _members_of(store, old) if old and old["visibility"] == "shared" and visibility == "shared" else {}
    pending = set()
    for image in [*_own_parts(store, new), new]:
        set_visibility(store, image, visibility, lower=image["id"] == new["id"])
        pending |= _share(store, image["id"], members)
    return sorted(pending)


def _members_of(store, image):
    try:
        return store.list_members(image["id"])
    except ImageGone:  # somebody deleted it just now
        return {}


def _carry_properties(store, settings, old, new):
    carried = {key: value for key, value in (old or {}).items() if _is_carried(key, settings, old) and key not in new}
    if old and old["min_ram"] > new["min_ram"]:
        carried["min_ram"] = old["min_ram"]
    if old and set(old["tags"]) - set(new["tags"]):
        carried["tags"] = sorted({*old["tags"], *new["tags"]})
    if carried:
        store.change_image(new["id"], **carried)


def _is_carried(key, settings, old):
    """Not what the settings gave to the old one: they may have changed.  Not signatures either: they are of other bytes."""
    if key.startswith(_NEVER) or key in fact(old, "configured").split():
        return False
    return any(fnmatch.fnmatchcase(key, pattern) for pattern in (*CARRIED_OVER, *settings.carry_over))


def _own_parts(store, image):
    """Kernel and ramdisk of ours: who may boot the root image must be able to read them.  The user's own are the user's to share."""
    parts = [store.find_image(image[key]) for key in ("kernel_id", "ramdisk_id") if image.get(key)]
    return [one for one in parts if one and is_ours(one)]


def set_visibility(store, image, visibility, lower=False):
    """Let others see it; a kernel that is used again is never hidden from those who could see it before."""
    more = _openness(visibility) - _openness(image["visibility"])
    if more > 0 or more < 0 and lower:
        try:
            store.change_image(image["id"], visibility=visibility)
        except StoreRefused as refusal:
            refusal.hint = f"set ami.visibility, if the new image shall not be {visibility}; {refusal.hint}"
            raise


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


def _openness(visibility):
    return _OPENNESS.index(visibility)
