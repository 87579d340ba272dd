"""The three images of a triplet in the store: found there, or uploaded; all of them, or none."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vmimage.errors import BuildStopped, SettingsWrong, VmImageError
from vmimage.glance import generations
from vmimage.glance.description import part_image, root_image
from vmimage.glance.generations import KERNEL, NEW, RAMDISK, ROOT_IMAGE, Image, Manifest, fact
from vmimage.glance.prune import delete_all
from vmimage.glance.publication import Publication
from vmimage.glance.takeover import set_visibility, visibility_of
from vmimage.glance.upload import CutShort, find_same, is_same, place_file, verify_image
from vmimage.settings.schema import Settings

if TYPE_CHECKING:
    from vmimage.glance.client import Store

#: kernel and ramdisk with Glance's name of their format
PARTS = {KERNEL: "aki", RAMDISK: "ari"}


def upload_parts(publication: Publication, manifest: Manifest) -> tuple[Image, list[str]]:
    """Find or upload the three images.

    :returns: the root image, and the roles of the images that were in the store already
    """
    store, settings = publication.store, publication.settings
    present = find_parts(publication)
    used: dict[str, Image] = {}
    visibility = _visibility(publication)
    for role in PARTS:
        used[role] = present[role] or _upload_part(publication, manifest, role)
        if generations.is_ours(used[role]):
            # now: if that is refused, it is refused before the root image is on its way
            set_visibility(store, used[role], visibility)
    root = present[ROOT_IMAGE] = _uploaded_before(publication, manifest, used)
    if root is None:
        serial = max(map(generations.serial, generations.roots_of(store.list_images(), publication.name)), default=0) + 1
        ids = {f"{role}_id": image["id"] for role, image in used.items()}
        image = root_image(settings, manifest, publication.builder, serial=serial, **ids)
        root = place_file(store, image, path_of(publication, ROOT_IMAGE), publication.progress)
    return _mended(publication, manifest, root), [role for role, image in present.items() if image]


def _upload_part(publication: Publication, manifest: Manifest, role: str) -> Image:
    image = part_image(publication.settings, manifest, role, publication.builder)
    return place_file(publication.store, image, path_of(publication, role), publication.progress)


def _mended(publication: Publication, manifest: Manifest, root: Image) -> Image:
    """The root image with kernel and ramdisk that exist: the publishing of another variation may have deleted a part that was found."""
    ids = {}
    for role in PARTS:
        part = publication.store.find_image(root[f"{role}_id"])
        if part is None and not given_part(publication.store, publication.settings, role):
            ids[f"{role}_id"] = _upload_part(publication, manifest, role)["id"]
    if ids:
        publication.store.change_image(root["id"], **ids)
    return {**root, **ids}


def find_parts(publication: Publication) -> dict[str, Image | None]:
    """Kernel and ramdisk by role, as far as the store has them: named by the settings, or with the same bytes."""
    store, visibility = publication.store, _visibility(publication)
    return {
        role: given_part(store, publication.settings, role) or find_same(store, kind, path_of(publication, role), visibility)
        for role, kind in PARTS.items()
    }


def _visibility(publication: Publication) -> str:
    old = generations.predecessor_of(publication.store.list_images(), publication.name)
    return visibility_of(publication.settings, old)


def path_of(publication: Publication, role: str) -> Path:
    """The file of a role on this machine."""
    return publication.triplet.files()[role]


def clean(publication: Publication, manifest: Manifest) -> list[str]:
    """Remove what runs that ended too early left.

    :returns: the names
    """
    found = generations.leftovers(
        publication.store.list_images(), publication.name, build=manifest["build"], builder=publication.builder
    )
    for image in found:
        publication.store.say(f"removing {image['name']} ({image['status']}), left by a run that did not end")
    return delete_all(publication.store, found)


def _uploaded_before(publication: Publication, manifest: Manifest, used: Mapping[str, Image]) -> Image | None:
    """The root image, if an earlier run of this build uploaded it and went no further."""
    for image in generations.roots_of(publication.store.list_images(), publication.name):
        if (fact(image, "build"), fact(image, "state"), image["status"]) != (manifest["build"], NEW, "active"):
            continue
        try:
            verify_image(publication.store, image["id"], path_of(publication, ROOT_IMAGE))
        except CutShort:
            publication.store.delete_image(image["id"])
            continue
        ids = {f"{role}_id": part["id"] for role, part in used.items()}
        if any(image.get(key) != value for key, value in ids.items()):
            publication.store.change_image(image["id"], **ids)
        return {**image, **ids}
    return None


def given_part(store: "Store", settings: Settings, role: str) -> Image | None:
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


def has_same_files(publication: Publication, current: Image, manifest: Manifest) -> bool:
    """Whether an image and its parts are the files of this triplet already."""
    if fact(current, "sha256") != manifest["files"][ROOT_IMAGE]["sha256"] or current["status"] != "active":
        return False
    for role in PARTS:
        given, used = given_part(publication.store, publication.settings, role), current.get(f"{role}_id")
        if given and given["id"] != used:
            return False
        part = given or (publication.store.find_image(used) if used else None)
        if part is None or part["status"] != "active" or not (given or is_same(part, path_of(publication, role))):
            return False
    return True


@contextmanager
def whole_or_nothing(publication: Publication, manifest: Manifest) -> Iterator[None]:
    """Take back what this build uploaded, should it go no further; after the name has moved there is nothing to take back."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, BuildStopped) or not isinstance(error, Exception):
            publication.store.tries = 1  # somebody waits for the end; the next run removes what this run cannot
        try:
            _take_back(publication, manifest)
        except VmImageError as trouble:
            left = f"what is left in the store could not be removed ({trouble.message}): the next run does it"
            publication.store.say(left)
            if isinstance(error, VmImageError):
                error.hint = f"{error.hint}; {left}"
        raise


def _take_back(publication: Publication, manifest: Manifest) -> None:
    publication.store.look_again()
    images = publication.store.list_images()
    own = [image for image in generations.roots_of(images, publication.name) if _is_of(image, manifest)]
    roots = [image for image in own if fact(image, "state") == NEW]
    ids = {image["id"] for image in roots}
    rest = [image for image in images if image["id"] not in ids]
    parts = [image for image in generations.unneeded_parts(rest) if _is_of(image, manifest)]
    delete_all(publication.store, parts + roots)


def _is_of(image: Image, manifest: Manifest) -> bool:
    return fact(image, "build") == manifest["build"]
