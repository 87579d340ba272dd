"""The three images of a triplet in the store: found there, or brought; all of them, or none."""

from contextlib import contextmanager

from vmimage.errors import BuildStopped, SettingsWrong, VmImageError
from vmimage.glance import generations
from vmimage.glance.description import part_image, root_image
from vmimage.glance.generations import KERNEL, NEW, RAMDISK, ROOT_IMAGE, fact
from vmimage.glance.prune import delete_all
from vmimage.glance.takeover import set_visibility, visibility_of
from vmimage.glance.upload import CutShort, find_same, is_same, place_file, verify_image

#: kernel and ramdisk with Glance's name of their format
PARTS = {KERNEL: "aki", RAMDISK: "ari"}


def bring_parts(one, manifest):
    """The three images, from the store or from disk; returns the root image and the roles that were there already."""
    there = find_parts(one)
    used = {}
    visibility = _visibility(one)
    for role in PARTS:
        used[role] = there[role] or place_file(
            one.store, part_image(one.settings, manifest, role, one.builder), path_of(one, role), one.progress
        )
        if generations.is_ours(used[role]):
            set_visibility(
                one.store, used[role], visibility
            )  # now: who may not do that is told before the root image is on its way
    there[ROOT_IMAGE] = _brought_before(one, manifest, used)
    if there[ROOT_IMAGE] is None:
        serial = max(map(generations.serial, generations.roots_of(one.store.list_images(), one.name)), default=0) + 1
        ids = {f"{role}_id": image["id"] for role, image in used.items()}
        told = root_image(one.settings, manifest, one.builder, serial=serial, **ids)
        used[ROOT_IMAGE] = place_file(one.store, told, path_of(one, ROOT_IMAGE), one.progress)
    root = _mended(one, manifest, there[ROOT_IMAGE] or used[ROOT_IMAGE])
    return root, [role for role, image in there.items() if image]


def _mended(one, manifest, root):
    """The root image with kernel and ramdisk that are there: another variation's publishing may have removed one used again."""
    ids = {}
    for role in PARTS:
        part = one.store.find_image(root[f"{role}_id"])
        if part is None and not given_part(one.store, one.settings, role):
            told = part_image(one.settings, manifest, role, one.builder)
            ids[f"{role}_id"] = place_file(one.store, told, path_of(one, role), one.progress)["id"]
    if ids:
        one.store.change_image(root["id"], **ids)
    return {**root, **ids}


def find_parts(one):
    """``{role: image or None}`` of kernel and ramdisk, as far as the store has them: named by the settings, or with the same bytes."""
    return {
        role: given_part(one.store, one.settings, role) or find_same(one.store, kind, path_of(one, role), _visibility(one))
        for role, kind in PARTS.items()
    }


def _visibility(one):
    return visibility_of(one.settings, generations.predecessor_of(one.store.list_images(), one.name))


def path_of(one, role):
    return one.triplet.files()[role]


def clean(one, manifest):
    """Remove what runs that ended too early left.

    :returns: list of the names
    """
    found = generations.leftovers(one.store.list_images(), one.name, build=manifest["build"], builder=one.builder)
    for image in found:
        one.store.say(f"removing {image['name']} ({image['status']}), left by a run that did not end")
    return delete_all(one.store, found)


def _brought_before(one, manifest, used):
    """The root image, if an earlier run of this build brought it and went no further."""
    for image in generations.roots_of(one.store.list_images(), one.name):
        if (fact(image, "build"), fact(image, "state"), image["status"]) != (manifest["build"], NEW, "active"):
            continue
        try:
            verify_image(one.store, image["id"], path_of(one, ROOT_IMAGE))
        except CutShort:
            one.store.delete_image(image["id"])
            continue
        ids = {f"{role}_id": part["id"] for role, part in used.items()}
        if any(image.get(key) != value for key, value in ids.items()):
            one.store.change_image(image["id"], **ids)
        return {**image, **ids}
    return None


def given_part(store, settings, role):
    """The kernel or ramdisk that the settings name, or None."""
    image_id = settings.kernel_id if role == KERNEL else settings.ramdisk_id or settings.initrd_id
    if not image_id:
        return None
    image = store.find_image(image_id)
    if image is None or image["status"] != "active" or image["container_format"] != PARTS[role]:
        found = f"is {image['status']}, {image['container_format']}" if image else "does not exist"
        key = "initrd_id" if role == RAMDISK and not settings.ramdisk_id else f"{role}_id"
        raise SettingsWrong(f"ami.{key}: the image {image_id} {found}", hint=f"name an active image of the format {PARTS[role]}")
    return image


def holds(one, current, manifest):
    """Whether an image and its parts are the files of this triplet already."""
    if fact(current, "sha256") != manifest["files"][ROOT_IMAGE]["sha256"] or current["status"] != "active":
        return False
    for role in PARTS:
        given, used = given_part(one.store, one.settings, role), current.get(f"{role}_id")
        if given and given["id"] != used:
            return False
        part = given or (one.store.find_image(used) if used else None)
        if part is None or part["status"] != "active" or not (given or is_same(part, path_of(one, role))):
            return False
    return True


@contextmanager
def whole_or_nothing(one, manifest):
    """Take back what this build brought, should it go no further; after the name has moved there is nothing to take back."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, BuildStopped) or not isinstance(error, Exception):
            one.store.tries = 1  # somebody waits for us to end; the next run removes what we could not
        try:
            _take_back(one, manifest)
        except VmImageError as trouble:
            left = f"what is left in the store could not be removed ({trouble.message}): the next run does it"
            one.store.say(left)
            if isinstance(error, VmImageError):
                error.hint = f"{error.hint}; {left}"
        raise


def _take_back(one, manifest):
    images = one.store.list_images()
    mine = [image for image in generations.roots_of(images, one.name) if _is_of(image, manifest) and fact(image, "state") == NEW]
    ids = {image["id"] for image in mine}
    rest = [image for image in images if image["id"] not in ids]
    parts = [image for image in generations.unneeded_parts(rest) if _is_of(image, manifest)]
    delete_all(one.store, parts + mine)


def _is_of(image, manifest):
    return fact(image, "build") == manifest["build"]
