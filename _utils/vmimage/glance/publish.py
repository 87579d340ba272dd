"""The order of publishing, in this place alone:

complete what was begun -> clean -> kernel + ramdisk -> root image -> gate -> the name -> prune
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from vmimage.errors import BootFailed, NotPublished, VmImageError
from vmimage.glance import generations, promote
from vmimage.glance.description import image_name
from vmimage.glance.gate import pass_gate
from vmimage.glance.generations import ARCHIVED, NEW, PUBLISHED, ROOT_IMAGE, Image, Manifest, fact
from vmimage.glance.images import PARTS, clean, find_parts, given_part, has_same_files, upload_parts, whole_or_nothing
from vmimage.glance.prune import prune
from vmimage.glance.publication import Publication, PublishingBuild, Wanted
from vmimage.glance.upload import is_same
from vmimage.image.qemu import program as qemu_program
from vmimage.settings.schema import Settings
from vmimage.system.shell import check_installed

if TYPE_CHECKING:
    from vmimage.glance.client import Store

#: what a step of publishing did, as Salt returns it: ``name``, ``image``, ``kernel``, ``ramdisk`` (ids), ``build``, ``changed``,
#: ``reused``, ``archived``, ``pending``, ``removed``
Result = dict[str, Any]


def check_publishing(build: PublishingBuild, wanted: Wanted | None = None) -> "Store | None":
    """Refuse before any work what could not be published.

    :param wanted: default ``ami.publish``
    :returns: None if this build is not to be published: a build that may begin from the last root image is published only by ``True``
    :raises CredentialsWrong, StoreRefused, StoreUnreachable, NotReady:
    """
    if wanted is None and build.settings.publish == "auto" and not is_publishing(build.settings):
        if build.host.credentials(build.settings, wanted="auto"):
            build.progress.note("an incremental build is not published, unless ami.publish is true")
        return None
    store = open_store(build, wanted)
    if store is None:
        return None
    if build.settings.gate:
        check_installed(qemu_program())
    for role in PARTS:
        given_part(store, build.settings, role)
    return store


def is_publishing(settings: Settings) -> bool:
    """Whether the settings may ask to publish: not each try of a user who edits the states belongs in the store."""
    return settings.publish is True or settings.publish == "auto" and not settings.incremental


def open_store(build: PublishingBuild, wanted: Wanted | None = True) -> "Store | None":
    """The store, whose credentials were checked, or None if it is not wanted.

    :param wanted: None: as ``ami.publish``
    """
    credentials = build.host.credentials(build.settings, wanted=build.settings.publish if wanted is None else wanted)
    if credentials is None:
        return None
    store = build.open_store(credentials)
    store.check()
    return store


def publish(build: PublishingBuild, store: "Store") -> Result:
    """Upload a triplet into the store and let the name point to it.

    :raises NotPublished, StoreRefused, StoreUnreachable: then the name points to the same image as before, and nothing of the triplet
        is in the store, or the message says what is
    """
    with Publication(build, store).alone() as publication:
        manifest = publication.triplet.check()
        finished = promote.complete_promotion(store, publication.name)
        cleaned = clean(publication, manifest)
        current = generations.published_of(store.list_images(), publication.name)
        if current and has_same_files(publication, current, manifest):
            return _finish(publication, current, changed=False, archived=finished, removed=cleaned)
        _refuse_rolled_back(publication, manifest)
        with whole_or_nothing(publication, manifest):
            root, reused = upload_parts(publication, manifest)
            _pass_gate(publication, root)
            pending = _promote(publication, root)
        return _finish(publication, root, changed=True, reused=reused, archived=finished, pending=pending, removed=cleaned)


def upload_triplet(build: PublishingBuild, store: "Store") -> Result:
    """The first half of :func:`publish`: the triplet in the store, verified, under a name of its own."""
    with Publication(build, store).alone() as publication:
        manifest = publication.triplet.check()
        promote.complete_promotion(store, publication.name)
        clean(publication, manifest)
        _refuse_rolled_back(publication, manifest)
        with whole_or_nothing(publication, manifest):
            root, reused = upload_parts(publication, manifest)
        return _result(publication, root, changed=True, reused=reused)


def _refuse_rolled_back(publication: Publication, manifest: Manifest) -> None:
    """A triplet that was rolled back is not published again by the next run."""
    images, sha256 = publication.store.list_images(), manifest["files"][ROOT_IMAGE]["sha256"]
    if image := generations.was_rolled_back(images, publication.name, sha256):
        raise NotPublished(
            f"this triplet was rolled back at {fact(image, 'rolled_back')}, and is not published again",
            hint=f"build a new triplet; or take this one back: salt-call vm_create.rollback {publication.settings.name} to={image['id']}",
        )


def find_uploaded(build: PublishingBuild, store: "Store") -> Image | None:
    """The root image of the triplet in the store, complete, or None; changes nothing."""
    name, manifest = image_name(build.settings), build.triplet.check()
    for image in generations.roots_of(store.list_images(), name):
        in_place = fact(image, "state") == NEW or fact(image, "state") == PUBLISHED and image["name"] == name
        if in_place and fact(image, "build") == manifest["build"] and is_same(image, build.triplet.root_image):
            return image
    return None


def plan_publication(build: PublishingBuild, store: "Store") -> Result:
    """What :func:`publish` would do; changes nothing.

    :returns: ``name``, ``changed``, ``upload`` (roles), ``reuse`` (role: id), ``archive`` (ids), ``remove`` (names of what a run
        that did not end left), ``gate``
    """
    publication = Publication(build, store)
    manifest = publication.triplet.check()
    images = store.list_images()
    current = generations.published_of(images, publication.name)
    left = generations.leftovers(images, publication.name, build=manifest["build"], builder=publication.builder)
    present: dict[str, Image | None] = {}
    changed = not (current and has_same_files(publication, current, manifest))
    if current and not changed:
        archived = generations.replaced_by(current, images)
    else:
        _refuse_rolled_back(publication, manifest)
        archived = generations.under_name(images, publication.name)
        gone = {image["id"] for image in left}
        parts = {**find_parts(publication), ROOT_IMAGE: find_uploaded(build, store)}
        present = {role: None if image and image["id"] in gone else image for role, image in parts.items()}
    return {
        "name": publication.name,
        "changed": changed,
        "upload": [role for role, image in present.items() if image is None],
        "reuse": {role: image["id"] for role, image in present.items() if image},
        "archive": [image["id"] for image in archived],
        "remove": [image["name"] for image in left],
        "gate": publication.settings.gate if changed else False,
    }


def list_published(store: "Store", name: str | None = None) -> dict[str, list[dict[str, Any]]]:
    """The generations of our images in the store.

    :param name: of a single image
    :returns: ``{image name: [generation, ...]}``, the image that has the name first
    """
    images = store.list_images()
    names = sorted({fact(image, "name") for image in images if generations.is_ours(image)} if name is None else {name})
    return {key: found for key in names if (found := _generations_of(images, key))}


def _generations_of(images: Sequence[Image], name: str) -> list[dict[str, Any]]:
    """The generations of an image name, described, the current first."""
    current = generations.published_of(images, name)

    def rank(image: Image) -> tuple[bool, int, int]:
        return image is current, generations.generation(image), generations.serial(image)

    return [generations.describe(image) for image in sorted(generations.roots_of(images, name), key=rank, reverse=True)]


def roll_back(build: PublishingBuild, store: "Store", to: str | None = None, test: bool = False) -> Result:
    """Give the name back to the generation before.

    :param to: id of another generation
    :param test: only say which generation it is
    """
    with Publication(build, store).alone() as publication:
        finished = [] if test else promote.complete_promotion(store, publication.name)
        images = store.list_images()
        current = generations.published_of(images, publication.name)
        if to:
            image: Image | None = _archived_or_published(images, publication.name, to)
        else:
            image = generations.previous_of(current, images, publication.name)
        if image is None:
            before = f"before {current['id']} of" if current else "of"
            raise NotPublished(
                f"there is no generation {before} {publication.name} to roll back to",
                hint="salt-call vm_create.published lists what is there; ami.keep says how many stay",
            )
        changed = current is None or image["id"] != current["id"]
        if test:
            return _result(publication, image, changed=changed)
        if current and not changed:
            return _finish(publication, current, changed=False, archived=finished)
        pending = _promote(publication, image, rolls_back=current["id"] if current else "")
        return _finish(publication, image, changed=True, pending=pending, archived=finished)


def _archived_or_published(images: Sequence[Image], name: str, image_id: str) -> Image:
    found = next((image for image in generations.roots_of(images, name) if image["id"] == image_id), None)
    if found is None or fact(found, "state") not in (ARCHIVED, PUBLISHED):
        raise NotPublished(f"{image_id} is no archived generation of {name}", hint="salt-call vm_create.published lists them")
    if found["status"] != "active":
        raise NotPublished(
            f"{image_id} is {found['status']}, not active", hint="openstack image set --activate, or take another generation"
        )
    return found


def _promote(publication: Publication, root: Image, rolls_back: str | None = None) -> list[str]:
    with publication.progress.step("promote"):
        return promote.promote(publication.store, publication.settings, root, publication.name, rolls_back)


def _finish(
    publication: Publication,
    root: Image,
    *,
    changed: bool,
    archived: Iterable[str],
    removed: Iterable[str] = (),
    reused: Iterable[str] = (),
    pending: Iterable[str] = (),
) -> Result:
    """Archive and prune when the name has moved; nothing is lost if that fails: the next run does it."""
    try:
        publication.store.look_again()
        archived = [*archived, *promote.complete_promotion(publication.store, publication.name)]
        current = generations.published_of(publication.store.list_images(), publication.name)
        if current is None or current["id"] != root["id"]:
            raise NotPublished(
                f"{publication.name} points to {current['id'] if current else 'nothing'}, not to {root['id']}",
                hint="another builder took the name at the same time, or the store reports changes that it does not make",
            )
        removed = [*removed, *prune(publication.store, publication.name, publication.settings.keep, publication.builder)]
        return _result(publication, root, changed=changed, reused=reused, archived=archived, pending=pending, removed=removed)
    except NotPublished:
        raise
    except VmImageError as error:
        raise NotPublished(
            f"{publication.name} points to {root['id']} now, but the older images are not archived: {error.message}",
            hint=f"the next run does it; {error.hint}",
        ) from error


def _pass_gate(publication: Publication, root: Image) -> None:
    if not publication.settings.gate:
        return
    try:
        with publication.progress.step("gate"):
            pass_gate(publication.triplet, publication.settings.gate)
    except BootFailed as failure:
        title = promote.mark_broken(publication.store, root, publication.name)
        try:
            publication.store.look_again()
            prune(publication.store, publication.name, publication.settings.keep, publication.builder)
        except VmImageError as trouble:  # the next run does it; why the gate failed is of more interest
            publication.store.say(trouble.message)
        raise NotPublished(
            f"{publication.name} did not pass its gate and is kept as {title!r}: {failure.message}",
            hint="the name points to the same image as before; inspect the triplet with vm_create.boot",
        ) from failure


def _result(
    publication: Publication,
    root: Image,
    *,
    changed: bool,
    reused: Iterable[str] = (),
    archived: Iterable[str] = (),
    pending: Iterable[str] = (),
    removed: Iterable[str] = (),
) -> Result:
    ids = {"image": root["id"], "kernel": root.get("kernel_id"), "ramdisk": root.get("ramdisk_id")}
    lists = {"reused": reused, "archived": archived, "pending": pending, "removed": removed}
    return {
        "name": publication.name,
        **ids,
        "build": fact(root, "build"),
        "changed": changed,
        **{key: list(value) for key, value in lists.items()},
    }
