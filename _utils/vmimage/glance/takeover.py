"""Properties, visibility and members are carried over, so that the users of the old image can see and use the new image."""

import fnmatch
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from vmimage.errors import ImageGone, StoreRefused
from vmimage.glance.generations import MARK, Image, fact, is_ours
from vmimage.settings.properties import properties_of
from vmimage.settings.schema import Settings

if TYPE_CHECKING:
    from vmimage.glance.client import Store

#: properties that an administrator gives to an image by hand, and that its successor needs as much
CARRIED_OVER = ("hw_*", "img_*", "trait:*", "os_require_quiesce", "os_admin_user", "description")
#: ours, Glance's, signatures of other bytes, and those that describe a snapshot's disks
_NEVER = (MARK, "img_signature", "os_glance_", "os_hash_", "img_block_device_mapping", "img_bdm", "img_mappings")
_OPENNESS = ("private", "shared", "community", "public")


def visibility_of(settings: Settings, old: Image | None) -> str:
    """The visibility of the new image: as the settings say, else that of the old image."""
    return settings.visibility or ("shared" if settings.members else old["visibility"] if old else "private")


def most_open(visibilities: Iterable[str]) -> str:
    """The visibility by which most users see an image."""
    return max(visibilities, key=_openness, default="private")


def is_as_open(image: Image, visibility: str) -> bool:
    """Whether all who may see an image of that visibility surely may see this image."""
    return (
        visibility == "private"
        or image["visibility"] in _OPENNESS[2:]
        and _openness(image["visibility"]) >= _openness(visibility)
    )


def carry_over(store: "Store", settings: Settings, old: Image | None, new: Image, *, properties: bool = True) -> list[str]:
    """Give the new image the properties, visibility and members of the old image, and the members that the settings name.

    :param properties: False for an image that had its own before, and gets the name back
    :returns: the members who have to accept: those of the settings, and those who had accepted the old image
    """
    if properties:
        _carry_properties(store, settings, old, new)
    visibility = visibility_of(settings, old)
    before = _members_of(store, old) if old and old["visibility"] == "shared" and visibility == "shared" else {}
    pending: set[str] = set()
    for image in [*_own_parts(store, new), new]:
        set_visibility(store, image, visibility, lower=image["id"] == new["id"])
        pending |= _share(store, image["id"], before, settings.members)
    return sorted(pending)


def _members_of(store: "Store", image: Image) -> dict[str, str]:
    try:
        return store.list_members(image["id"])
    except ImageGone:  # somebody deleted it just now
        return {}


def _carry_properties(store: "Store", settings: Settings, old: Image | None, new: Image) -> None:
    if old is None:
        return
    carried = {key: value for key, value in old.items() if _is_carried(key, settings, old) and key not in new}
    if old["min_ram"] > new["min_ram"] and "min_ram" not in [*_configured(old), *_configured(new)]:
        carried["min_ram"] = old["min_ram"]
    if set(old["tags"]) - set(new["tags"]):
        carried["tags"] = sorted({*old["tags"], *new["tags"]})
    if carried:
        store.change_image(new["id"], **carried)


def _is_carried(key: str, settings: Settings, old: Image) -> bool:
    """Not what the settings or its file gave to the old image: they may have changed.  Not signatures either: they are of other bytes."""
    if key.startswith(_NEVER) or key in _configured(old):
        return False
    return any(fnmatch.fnmatchcase(key, pattern) for pattern in (*CARRIED_OVER, *settings.carry_over))


def _configured(image: Image) -> list[str]:
    """The fields and properties that an image has from the settings, or that follow from its file."""
    return [*fact(image, "configured").split(), *fact(image, "derived").split()]


def find_differing(settings: Settings, kind: str, image: Image) -> list[str]:
    """The visibility and properties that the settings name and a published image does not have, such as ``visibility public``.

    :param kind: of the output
    """
    wanted = properties_of(settings.properties, kind) | ({"visibility": settings.visibility} if settings.visibility else {})
    return [f"{key} {value}" for key, value in wanted.items() if str(image.get(key)) != str(value)]


def _own_parts(store: "Store", image: Image) -> list[Image]:
    """Kernel and ramdisk of ours: to boot the root image a user must be able to read them.  Sharing parts of the user's own is up to
    the user.
    """
    parts = [store.find_image(image[key]) for key in ("kernel_id", "ramdisk_id") if image.get(key)]
    return [part for part in parts if part and is_ours(part)]


def set_visibility(store: "Store", image: Image, visibility: str, lower: bool = False) -> None:
    """Let others see an image.

    :param lower: also hide it from those who could see it before: never a kernel that is used again
    """
    more = _openness(visibility) - _openness(image["visibility"])
    if more > 0 or more < 0 and lower:
        try:
            store.change_image(image["id"], visibility=visibility)
        except StoreRefused as refusal:
            refusal.hint = f"set ami.visibility, if the new image should not be {visibility}; {refusal.hint}"
            raise


def _share(store: "Store", image_id: str, before: Mapping[str, str], more: Collection[str]) -> set[str]:
    """Invite members; accept or reject for them as they had, where the store allows it.

    :param before: ``{project: status}`` of the old image
    :param more: projects that the settings name
    :returns: those who must accept themselves
    """
    pending = set()
    members = {**dict.fromkeys(more, "pending"), **before}
    present = store.list_members(image_id) if members else {}
    for project, status in members.items():
        if project not in present:
            store.invite_member(image_id, project)
        if status != "pending" and present.get(project) != status and not store.answer_invitation(image_id, project, status):
            pending.add(project)
        if project in more and status == "pending" and present.get(project, "pending") == "pending":
            pending.add(project)
    return pending


def _openness(visibility: str) -> int:
    return _OPENNESS.index(visibility)
