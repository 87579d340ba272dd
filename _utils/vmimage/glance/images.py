"""The images of a build in the store: main images and the parts that they share; found there, or uploaded; all of them, or none."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vmimage.errors import BuildStopped, SettingsWrong, VmImageError
from vmimage.glance import generations
from vmimage.glance.description import main_image, part_image
from vmimage.glance.generations import KERNEL, NEW, RAMDISK, Image, fact
from vmimage.glance.outputs import PARTS, Output
from vmimage.glance.prune import delete_all
from vmimage.glance.publication import Publication
from vmimage.glance.takeover import most_open, set_visibility, visibility_of
from vmimage.glance.upload import CutShort, find_same, is_same, place_file, verify_image
from vmimage.settings.schema import Settings

if TYPE_CHECKING:
    from vmimage.glance.client import Store


def upload_outputs(publication: Publication, outputs: Sequence[Output]) -> tuple[dict[str, Image], list[str]]:
    """Find or upload the images of outputs, each part once for all of them.

    :returns: ``{kind: main image}``, and the roles of the images that were in the store already
    """
    store = publication.store
    present = find_parts(publication, outputs)
    used: dict[str, Image] = {}
    visibility = _visibility(publication, outputs)
    for role in publication.roles(outputs):
        used[role] = present[role] or _upload_part(publication, role)
        if generations.is_ours(used[role]):
            # now: if that is refused, it is refused before the main image is on its way
            set_visibility(store, used[role], visibility)
    mains: dict[str, Image] = {}
    for output in outputs:
        ids = {f"{role}_id": used[role]["id"] for role in output.parts}
        main = present[output.role] = _uploaded_before(publication, output, ids)
        mains[output.kind] = main or _upload_main(publication, output, ids)
    _mend(publication, mains, used)
    return mains, [role for role, image in present.items() if image]


def _upload_part(publication: Publication, role: str) -> Image:
    image = part_image(publication.settings, publication.manifest, role, publication.builder)
    return place_file(publication.store, image, publication.path_of(role), publication.progress)


def _upload_main(publication: Publication, output: Output, ids: Mapping[str, str]) -> Image:
    images = generations.roots_of(publication.store.list_images(), output.name)
    serial = max(map(generations.serial, images), default=0) + 1
    image = main_image(publication.settings, publication.manifest, output, publication.builder, serial=serial, ids=ids)
    return place_file(publication.store, image, output.path, publication.progress)


def _mend(publication: Publication, mains: dict[str, Image], used: Mapping[str, Image]) -> None:
    """Let main images refer to parts that exist: the publishing of another variation may have deleted a part that was found."""
    for role, part in used.items():
        is_there = publication.store.find_image(part["id"]) is not None
        if is_there or given_part(publication.store, publication.settings, role):
            continue
        key, new = f"{role}_id", _upload_part(publication, role)["id"]
        for kind, main in mains.items():
            if main.get(key):
                publication.store.change_image(main["id"], **{key: new})
                mains[kind] = {**main, key: new}


def find_parts(publication: Publication, outputs: Sequence[Output]) -> dict[str, Image | None]:
    """Kernel and ramdisk by role, as far as outputs need them and the store has them: named by the settings, or with the same bytes."""
    store, visibility = publication.store, _visibility(publication, outputs)
    return {
        role: given_part(store, publication.settings, role)
        or find_same(store, PARTS[role], publication.path_of(role), visibility)
        for role in publication.roles(outputs)
    }


def _visibility(publication: Publication, outputs: Iterable[Output]) -> str:
    """The visibility that parts need, so that all who see any of the outputs can boot it."""
    images = publication.store.list_images()
    old = [generations.predecessor_of(images, output.name) for output in outputs if output.parts]
    return most_open(visibility_of(publication.settings, image) for image in old)


def clean(publication: Publication) -> list[str]:
    """Remove what runs that ended too early left.

    :returns: the names
    """
    store = publication.store
    build, builder = publication.manifest["build"], publication.builder
    found = generations.leftovers(store.list_images(), publication.name, build=build, builder=builder)
    for image in found:
        store.say(f"removing {image['name']} ({image['status']}), left by a run that did not end")
    return delete_all(store, found)


def _uploaded_before(publication: Publication, output: Output, ids: Mapping[str, str]) -> Image | None:
    """The main image of an output, if an earlier run of this build uploaded it and went no further."""
    store, build = publication.store, publication.manifest["build"]
    for image in generations.roots_of(store.list_images(), output.name):
        if (fact(image, "build"), fact(image, "state"), image["status"]) != (build, NEW, "active"):
            continue
        try:
            verify_image(store, image["id"], output.path)
        except CutShort:
            store.delete_image(image["id"])
            continue
        if any(image.get(key) != value for key, value in ids.items()):
            store.change_image(image["id"], **ids)
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


def has_same_files(publication: Publication, current: Image, output: Output) -> bool:
    """Whether an image and its parts are the files of this build already."""
    if fact(current, "sha256") != output.sha256 or current["status"] != "active":
        return False
    for role in output.parts:
        given, used = given_part(publication.store, publication.settings, role), current.get(f"{role}_id")
        if given and given["id"] != used:
            return False
        part = given or (publication.store.find_image(used) if used else None)
        if part is None or part["status"] != "active" or not (given or is_same(part, publication.path_of(role))):
            return False
    return True


@contextmanager
def whole_or_nothing(publication: Publication) -> Iterator[None]:
    """Take back what this build uploaded, should it go no further; after a name has moved there is nothing to take back."""
    try:
        yield
    except BaseException as error:
        if publication.has_moved:
            raise
        if isinstance(error, BuildStopped) or not isinstance(error, Exception):
            publication.store.tries = 1  # somebody waits for the end; the next run removes what this run cannot
        try:
            _take_back(publication)
        except VmImageError as trouble:
            left = f"what is left in the store could not be removed ({trouble.message}): the next run does it"
            publication.store.say(left)
            if isinstance(error, VmImageError):
                error.hint = f"{error.hint}; {left}"
        raise


def _take_back(publication: Publication) -> None:
    publication.store.look_again()
    images = publication.store.list_images()
    mains = [image for name in publication.all_names() for image in generations.roots_of(images, name)]
    own = [image for image in mains if _is_of_build(publication, image) and fact(image, "state") == NEW]
    ids = {image["id"] for image in own}
    rest = [image for image in images if image["id"] not in ids]
    parts = [image for image in generations.unneeded_parts(rest) if _is_of_build(publication, image)]
    delete_all(publication.store, parts + own)


def _is_of_build(publication: Publication, image: Image) -> bool:
    return fact(image, "build") == publication.manifest["build"]
