"""The order of publishing, in this one place:

complete what was begun -> clean -> kernel + ramdisk -> root image -> gate -> the name -> prune
"""

from vmimage.errors import BootFailed, NotPublished, VmImageError
from vmimage.glance import generations, promote
from vmimage.glance.description import image_name
from vmimage.glance.gate import pass_gate
from vmimage.glance.generations import ARCHIVED, NEW, PUBLISHED, ROOT_IMAGE, fact
from vmimage.glance.images import PARTS, bring_parts, clean, find_parts, given_part, holds, whole_or_nothing
from vmimage.glance.prune import prune
from vmimage.glance.publication import Publication
from vmimage.glance.upload import is_same
from vmimage.image.qemu import program as qemu_program
from vmimage.system.shell import check_installed


def check_publishing(build, wanted=None):
    """Refuse before any work what could not be published.

    :param wanted: True, False or "auto", default ``ami.publish``
    :returns: the Store, or None if this build is not to be published: one that may begin from the last root image only by ``True``
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


def is_publishing(settings):
    """Whether the settings may ask to publish: who edits and looks does not want each try in the store."""
    return settings.publish is True or settings.publish == "auto" and not settings.incremental


def open_store(build, wanted=True):
    """The store, seen to let us in, or None if nobody wants it."""
    credentials = build.host.credentials(build.settings, wanted=build.settings.publish if wanted is None else wanted)
    if credentials is None:
        return None
    store = build.open_store(credentials)
    store.check()
    return store


def publish(build, store):
    """Bring a triplet into the store and let the name lead to it.

    :returns: dict of ``name``, ``image``, ``kernel``, ``ramdisk`` (ids), ``build``, ``changed``, ``reused``, ``archived``, ``pending``,
        ``removed``
    :raises NotPublished, StoreRefused, StoreUnreachable: then the name leads to what it led to before, and nothing of the triplet
        is in the store, or the message says what is
    """
    with Publication(build, store).alone() as one:
        manifest = one.triplet.check()
        finished = promote.complete_promotion(store, one.name)
        cleaned = clean(one, manifest)
        current = generations.published_of(store.list_images(), one.name)
        if current and holds(one, current, manifest):
            return _finish(one, current, changed=False, archived=finished, removed=cleaned)
        _refuse_rolled_back(one, manifest)
        with whole_or_nothing(one, manifest):
            root, reused = bring_parts(one, manifest)
            _pass_gate(one, root)
            pending = _promote(one, root)
        return _finish(one, root, changed=True, reused=reused, archived=finished, pending=pending, removed=cleaned)


def bring(build, store):
    """The first half of :func:`publish`: the triplet in the store, verified, under a name of its own.

    :returns: dict as of :func:`publish`
    """
    with Publication(build, store).alone() as one:
        manifest = one.triplet.check()
        promote.complete_promotion(store, one.name)
        clean(one, manifest)
        _refuse_rolled_back(one, manifest)
        with whole_or_nothing(one, manifest):
            root, reused = bring_parts(one, manifest)
        return _result(one, root, changed=True, reused=reused)


def _refuse_rolled_back(one, manifest):
    """Who rolled back a triplet does not want it again at the next run."""
    images, sha256 = one.store.list_images(), manifest["files"][ROOT_IMAGE]["sha256"]
    if image := generations.was_rolled_back(images, one.name, sha256):
        raise NotPublished(
            f"this triplet was rolled back at {fact(image, 'rolled_back')}, and is not published again",
            hint=f"build a new one; or take it back: salt-call vm_create.rollback {one.settings.name} to={image['id']}",
        )


def find_brought(build, store):
    """The root image of the triplet in the store, whole, or None; changes nothing."""
    name, manifest = image_name(build.settings), build.triplet.check()
    for one in generations.roots_of(store.list_images(), name):
        in_place = fact(one, "state") == NEW or fact(one, "state") == PUBLISHED and one["name"] == name
        if in_place and fact(one, "build") == manifest["build"] and is_same(one, build.triplet.root_image):
            return one
    return None


def plan_publication(build, store):
    """What :func:`publish` would do, having changed nothing.

    :returns: dict of ``name``, ``changed``, ``upload`` (roles), ``reuse`` (role: id), ``archive`` (ids), ``remove`` (names of what a run
        that did not end left), ``gate``
    """
    one = Publication(build, store)
    manifest = one.triplet.check()
    images = store.list_images()
    current = generations.published_of(images, one.name)
    changed = not (current and holds(one, current, manifest))
    if changed:
        _refuse_rolled_back(one, manifest)
    left = generations.leftovers(images, one.name, build=manifest["build"], builder=one.builder)
    gone = {image["id"] for image in left}
    there = {**find_parts(one), ROOT_IMAGE: find_brought(build, store)} if changed else {}
    archived = generations.under_name(images, one.name) if changed else generations.replaced_by(current, images)
    there = {role: None if image and image["id"] in gone else image for role, image in there.items()}
    return {
        "name": one.name,
        "changed": changed,
        "upload": [role for role, image in there.items() if image is None],
        "reuse": {role: image["id"] for role, image in there.items() if image},
        "archive": [image["id"] for image in archived],
        "remove": [image["name"] for image in left],
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


def roll_back(build, store, to=None, test=False):
    """Give the name back to the generation before, or to the one with that id.

    :param bool test: only tell which
    :returns: dict as of :func:`publish`
    """
    with Publication(build, store).alone() as one:
        finished = [] if test else promote.complete_promotion(store, one.name)
        images = store.list_images()
        current = generations.published_of(images, one.name)
        image = _asked(images, one.name, to) if to else generations.previous_of(current, images, one.name)
        if image is None:
            before = f"before {current['id']} of" if current else "of"
            raise NotPublished(
                f"there is no generation {before} {one.name} to roll back to",
                hint="salt-call vm_create.published lists what is there; ami.keep says how many stay",
            )
        changed = current is None or image["id"] != current["id"]
        if test:
            return _result(one, image, changed=changed)
        if not changed:
            return _finish(one, current, changed=False, archived=finished)
        pending = _promote(one, image, rolls_back=current["id"] if current else "")
        return _finish(one, image, changed=True, pending=pending, archived=finished)


def _asked(images, name, image_id):
    found = next((one for one in generations.roots_of(images, name) if one["id"] == image_id), None)
    if found is None or fact(found, "state") not in (ARCHIVED, PUBLISHED):
        raise NotPublished(f"{image_id} is no archived generation of {name}", hint="salt-call vm_create.published lists them")
    if found["status"] != "active":
        raise NotPublished(
            f"{image_id} is {found['status']}, not active", hint="openstack image set --activate, or take another one"
        )
    return found


def _promote(one, root, rolls_back=None):
    with one.progress.step("promote"):
        return promote.promote(one.store, one.settings, root, one.name, rolls_back)


def _finish(one, root, *, archived, removed=(), **more):
    """What follows when the name has moved; nothing of it is lost if it fails: the next run does it."""
    try:
        archived = [*archived, *promote.complete_promotion(one.store, one.name)]
        leads_to = generations.published_of(one.store.list_images(), one.name)
        if leads_to is None or leads_to["id"] != root["id"]:
            raise NotPublished(
                f"{one.name} leads to {leads_to['id'] if leads_to else 'nothing'}, not to {root['id']}",
                hint="another builder took the name at the same time, or the store says that it does what it does not",
            )
        removed = [*removed, *prune(one.store, one.name, one.settings.keep, one.builder)]
        return _result(one, root, archived=archived, removed=removed, **more)
    except NotPublished:
        raise
    except VmImageError as error:
        raise NotPublished(
            f"{one.name} leads to {root['id']} now, but the older ones are not put away: {error.message}",
            hint=f"the next run does it; {error.hint}",
        ) from error


def _pass_gate(one, root):
    if not one.settings.gate:
        return
    try:
        with one.progress.step("gate"):
            pass_gate(one.triplet, one.settings.gate)
    except BootFailed as failure:
        title = promote.mark_broken(one.store, root, one.name)
        try:
            prune(one.store, one.name, one.settings.keep, one.builder)
        except VmImageError as trouble:  # the next run does it; why the gate failed is of more interest
            one.store.say(trouble.message)
        raise NotPublished(
            f"{one.name} did not pass its gate and is kept as {title!r}: {failure.message}",
            hint="the name leads to the image it led to before; look at it with vm_create.boot",
        ) from failure


def _result(one, root, *, changed, reused=(), archived=(), pending=(), removed=()):
    ids = {"image": root["id"], "kernel": root.get("kernel_id"), "ramdisk": root.get("ramdisk_id")}
    lists = {"reused": reused, "archived": archived, "pending": pending, "removed": removed}
    return {
        "name": one.name,
        **ids,
        "build": fact(root, "build"),
        "changed": changed,
        **{key: list(value) for key, value in lists.items()},
    }
