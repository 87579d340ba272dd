"""The order of publishing, in this one place:

complete what was begun -> clean -> kernel + ramdisk -> root image -> gate -> the name -> prune
"""

import hashlib
import os
import platform
from contextlib import contextmanager
from pathlib import Path

from vmimage import generations, promote
from vmimage.description import image_name, part_image, root_image
from vmimage.digest import digest_of_file
from vmimage.errors import BootFailed, ImageGone, NotPublished, SettingsWrong, VmImageError
from vmimage.gate import pass_gate
from vmimage.generations import ARCHIVED, KERNEL, NEW, PREFIX, RAMDISK, ROOT_IMAGE, fact
from vmimage.namespace import stoppable
from vmimage.preflight import check_programs
from vmimage.qemu import program as qemu_program
from vmimage.upload import CutShort, find_same, place_file, verify_image
from vmimage.workspace import locked

_PARTS = {KERNEL: "aki", RAMDISK: "ari"}


class Publication:
    """One triplet on its way into the store.

    :param Build build:
    :param Store store:
    """

    def __init__(self, build, store):
        self.build, self.store = build, store
        self.settings, self.triplet, self.progress = build.settings, build.triplet, build.progress
        self.name = image_name(build.settings)
        self.lock = _lock_directory(build.settings) / f"{self.name}.{store.project_id}.lock"
        self.builder = _builder(self.lock)


def check_publishing(build, wanted=None):
    """Refuse before any work what could not be published.

    :param wanted: True, False or "auto", default ``ami.publish``
    :returns: the Store, or None if this build is not to be published
    :raises CredentialsWrong, StoreRefused, StoreUnreachable, ProgramMissing:
    """
    credentials = build.host.credentials(build.settings, wanted=build.settings.publish if wanted is None else wanted)
    if credentials is None:
        return None
    store = build.open_store(credentials)
    store.check()
    if build.settings.gate:
        check_programs(qemu_program())
    for role in _PARTS:
        _given_part(store, build.settings, role)
    return store


def publish(build, store):
    """Bring a triplet into the store and let the name lead to it.

    :returns: dict of ``name``, ``image``, ``kernel``, ``ramdisk`` (ids), ``build``, ``changed``, ``reused``, ``archived``, ``pending``,
        ``removed``
    :raises NotPublished, StoreRefused, StoreUnreachable: then the name leads to what it led to before, and nothing of the triplet
        is in the store, or the message says what is
    """
    with _published_alone(Publication(build, store)) as one:
        manifest = one.triplet.check()
        finished = promote.complete_promotion(store, one.name)
        current = generations.published_of(store.list_images(), one.name)
        if current and _holds(one, current, manifest):
            return _result(
                one, current, changed=False, archived=finished, removed=promote.prune(store, one.name, one.settings.keep)
            )
        with _whole_or_nothing(one, manifest):
            root, reused = _bring_parts(one, manifest)
            _pass_gate(one, root)
            with one.progress.step("promote"):
                moved = promote.promote(store, one.settings, root, one.name)
        moved["archived"] = finished + moved["archived"]
        removed = promote.prune(store, one.name, one.settings.keep)
        return _result(one, root, changed=True, reused=reused, removed=removed, **moved)


def bring(build, store):
    """The first half of :func:`publish`: the triplet in the store, verified, under a name of its own.

    :returns: dict as of :func:`publish`
    """
    with _published_alone(Publication(build, store)) as one:
        manifest = one.triplet.check()
        promote.complete_promotion(store, one.name)
        with _whole_or_nothing(one, manifest):
            root, reused = _bring_parts(one, manifest)
        return _result(one, root, changed=True, reused=reused)


def find_brought(build, store):
    """The root image of the triplet in the store, active, or None; changes nothing."""
    manifest = build.triplet.check()
    images = generations.roots_of(store.list_images(), image_name(build.settings))
    mine = [one for one in images if fact(one, "build") == manifest["build"] and one["status"] == "active"]
    return next((one for one in mine if fact(one, "state") in (generations.PUBLISHED, NEW)), None)


def plan_publication(build, store):
    """What :func:`publish` would do, having changed nothing.

    :returns: plain data: name, upload, reuse, replaces, remove
    """
    one = Publication(build, store)
    manifest = one.triplet.check()
    images = store.list_images()
    current = generations.published_of(images, one.name)
    changed = not (current and _holds(one, current, manifest))
    parts = {
        role: _given_part(store, one.settings, role) or find_same(store, kind, _path(one, role)) for role, kind in _PARTS.items()
    }
    dead = generations.leftovers(images, one.name, build=manifest["build"], builder=one.builder)
    return {
        "name": one.name,
        "changed": changed,
        "upload": [role for role in (*_PARTS, ROOT_IMAGE) if changed and not parts.get(role)],
        "reuse": {role: image["id"] for role, image in parts.items() if image},
        "replaces": [image["id"] for image in generations.under_name(images, one.name)] if changed else [],
        "remove": [image["name"] for image in dead],
        "gate": one.settings.gate if changed else False,
    }


def list_published(store, name=None):
    """What of ours is in the store.

    :param str name: of one image only
    :returns: ``{image name: [generation, ...]}``, who has the name first
    """
    images = store.list_images()
    names = sorted({fact(one, "name") for one in images if generations.is_ours(one)} if name is None else {name})
    found = {}
    for each in names:
        roots = generations.roots_of(images, each)
        current = generations.published_of(images, each)
        roots.sort(key=lambda one: (one is current, generations.generation(one), generations.serial(one)), reverse=True)
        found[each] = [generations.describe(one) for one in roots]
    return {each: roots for each, roots in found.items() if roots}


def roll_back(build, store, to=None):
    """Give the name back to the generation before, or to the one with that id.

    :returns: dict as of :func:`publish`
    """
    with _published_alone(Publication(build, store)) as one:
        finished = promote.complete_promotion(store, one.name)
        images = store.list_images()
        current = generations.published_of(images, one.name)
        if current is None:
            raise NotPublished(
                f"nothing of ours has the name {one.name}", hint="salt-call vm_create.published shows what is there"
            )
        image = _asked(images, one.name, to) if to else generations.previous_of(current, images)
        if image is None:
            raise NotPublished(
                f"there is no generation before {current['id']} of {one.name}",
                hint="vm_create.published lists them; ami.keep says how many stay",
            )
        if image["id"] == current["id"]:
            return _result(one, current, changed=False, archived=finished)
        with one.progress.step("promote"):
            moved = promote.promote(store, one.settings, image, one.name)
        moved["archived"] = finished + moved["archived"]
        return _result(one, image, changed=True, **moved)


def _asked(images, name, image_id):
    found = next((one for one in generations.roots_of(images, name) if one["id"] == image_id), None)
    if found is None or fact(found, "state") not in (ARCHIVED, generations.PUBLISHED):
        raise NotPublished(f"{image_id} is no archived generation of {name}", hint="salt-call vm_create.published lists them")
    return found


def _bring_parts(one, manifest):
    """The three images, from the store or from disk; returns the root image and the roles that were there already."""
    _clean(one, manifest)
    used, there = {}, {}
    for role, kind in _PARTS.items():
        there[role] = _given_part(one.store, one.settings, role) or find_same(one.store, kind, _path(one, role))
        used[role] = there[role] or place_file(
            one.store, part_image(one.settings, manifest, role, one.builder), _path(one, role), one.progress
        )
    there[ROOT_IMAGE] = _brought_before(one, manifest, used)
    if there[ROOT_IMAGE] is None:
        serial = max(map(generations.serial, generations.roots_of(one.store.list_images(), one.name)), default=0) + 1
        ids = {f"{role}_id": image["id"] for role, image in used.items()}
        told = root_image(one.settings, manifest, one.builder, serial=serial, **ids)
        used[ROOT_IMAGE] = place_file(one.store, told, _path(one, ROOT_IMAGE), one.progress)
    return there[ROOT_IMAGE] or used[ROOT_IMAGE], [role for role, image in there.items() if image]


def _path(one, role):
    return one.triplet.files()[role]


def _clean(one, manifest):
    """Remove what runs that ended too early left."""
    dead = generations.leftovers(one.store.list_images(), one.name, build=manifest["build"], builder=one.builder)
    for image in dead:
        one.store.say(f"removing {image['name']} ({image['status']}), left by a run that did not end")
        one.store.delete_image(image["id"])


def _brought_before(one, manifest, used):
    """The root image, if an earlier run of this build brought it and went no further."""
    for image in generations.roots_of(one.store.list_images(), one.name):
        if (fact(image, "build"), fact(image, "state"), image["status"]) != (manifest["build"], NEW, "active"):
            continue
        try:
            verify_image(one.store, image["id"], _path(one, ROOT_IMAGE))
        except CutShort:
            one.store.delete_image(image["id"])
            continue
        ids = {f"{role}_id": part["id"] for role, part in used.items()}
        if any(image[key] != value for key, value in ids.items()):
            one.store.change_image(image["id"], **ids)
        return {**image, **ids}
    return None


def _given_part(store, settings, role):
    """The kernel or ramdisk that the settings name, or None."""
    image_id = settings.kernel_id if role == KERNEL else settings.ramdisk_id or settings.initrd_id
    if not image_id:
        return None
    image = store.find_image(image_id)
    if image is None or image["status"] != "active" or image["container_format"] != _PARTS[role]:
        found = f"is {image['status']}, {image['container_format']}" if image else "does not exist"
        raise SettingsWrong(
            f"ami.{role}_id: the image {image_id} {found}", hint=f"name an active image of the format {_PARTS[role]}"
        )
    return image


def _holds(one, current, manifest):
    """Whether an image and its parts are the files of this triplet already."""
    if fact(current, "sha256") != manifest["files"][ROOT_IMAGE]["sha256"] or current["status"] != "active":
        return False
    for role in _PARTS:
        given, part = _given_part(one.store, one.settings, role), one.store.find_image(current[f"{role}_id"])
        if given:
            if given["id"] != current[f"{role}_id"]:
                return False
        elif part is None or part["os_hash_value"] != digest_of_file(_path(one, role), "sha512").split(":")[1]:
            return False
    return True


def _pass_gate(one, root):
    if not one.settings.gate:
        return
    try:
        with one.progress.step("gate"):
            pass_gate(one.triplet, one.settings.gate)
    except BootFailed as failure:
        title = promote.mark_broken(one.store, root, one.name)
        promote.prune(one.store, one.name, one.settings.keep)
        raise NotPublished(
            f"{one.name} did not pass its gate and is kept as {title!r}: {failure.message}",
            hint="the name leads to the image it led to before; look at it with vm_create.boot",
        ) from failure


@contextmanager
def _published_alone(one):
    """Nobody else publishes this name from here, and the triplet stays as it is meanwhile; Ctrl-C and SIGTERM are errors."""
    with stoppable(), one.build.workspace.locked(), locked(one.lock, f"the image {one.name}", doing="published"):
        yield one


@contextmanager
def _whole_or_nothing(one, manifest):
    """Take back what this build brought, should it go no further; after the name has moved there is nothing to take back."""
    try:
        yield
    except BaseException as error:
        try:
            _take_back(one, manifest)
        except VmImageError as trouble:
            if isinstance(error, VmImageError):
                error.hint = (
                    f"{error.hint}; what is left in the store could not be removed ({trouble.message}): the next run does"
                )
        raise


def _take_back(one, manifest):
    images = one.store.list_images()
    mine = [image for image in generations.roots_of(images, one.name) if _is_of(image, manifest) and fact(image, "state") == NEW]
    for image in mine:
        one.store.delete_image(image["id"])
    ids = {image["id"] for image in mine}
    for image in generations.unneeded_parts([image for image in images if image["id"] not in ids]):
        if _is_of(image, manifest):
            one.store.delete_image(image["id"])


def _is_of(image, manifest):
    return fact(image, "build") == manifest["build"]


def _result(one, root, *, changed, reused=(), archived=(), pending=(), removed=()):
    ids = {"image": root["id"], "kernel": root["kernel_id"], "ramdisk": root["ramdisk_id"]}
    lists = {"reused": reused, "archived": archived, "pending": pending, "removed": removed}
    return {
        "name": one.name,
        **ids,
        "build": fact(root, "build"),
        "changed": changed,
        **{key: list(value) for key, value in lists.items()},
    }


def _lock_directory(settings):
    """One for the machine, so that two workspaces do not publish one name at a time."""
    return Path("/run/vm_create/publish") if os.geteuid() == 0 else Path(settings.workspace)


def _builder(lock):
    """Who holds this lock, on this machine: only its own leftovers are surely nobody's upload of now."""
    try:
        machine = Path("/etc/machine-id").read_text(encoding="utf-8").strip()
    except OSError:
        machine = ""
    return hashlib.sha256(f"{machine} {platform.node()} {lock.parent.resolve()}".encode()).hexdigest()[:16]
