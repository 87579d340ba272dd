"""The order of publishing, in this place alone:

complete what was begun -> clean -> kernel + ramdisk -> main images -> gate -> the names -> prune

Each output goes the same way, and all go together: no name moves before the images of all outputs are in the store, verified, and have passed
the gate.  Then the names move, each with a request of its own.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vmimage.errors import BootFailed, NotPublished, VmImageError
from vmimage.glance import generations, promote
from vmimage.glance.gate import boots_of, check_gate, pass_gate
from vmimage.glance.generations import ARCHIVED, NEW, PUBLISHED, Image, fact
from vmimage.glance.images import clean, find_parts, given_part, has_same_files, upload_outputs, whole_or_nothing
from vmimage.glance.inspection import check_description
from vmimage.glance.outputs import Output, kinds_of, parts_of
from vmimage.glance.prune import prune
from vmimage.glance.publication import Publication, PublishingBuild, Wanted
from vmimage.glance.takeover import find_differing
from vmimage.glance.upload import is_same
from vmimage.glance.waiting import mark_complete
from vmimage.settings.properties import NUMBERS, properties_of
from vmimage.settings.schema import Settings

if TYPE_CHECKING:
    from vmimage.glance.client import Store

#: what a step of publishing did, as Salt returns it: ``name``, ``image``, ``kernel``, ``ramdisk`` (ids), ``build``, ``changed``,
#: ``reused``, ``archived``, ``pending``, ``removed``, ``outputs``
Result = dict[str, Any]


def check_publishing(build: PublishingBuild, wanted: Wanted | None = None) -> "Store | None":
    """Refuse before any work what could not be published.

    :param wanted: default ``ami.publish``
    :returns: None if this build is not to be published: a build that may begin from the last root image is published only by ``True``
    :raises CredentialsWrong, StoreRefused, StoreUnreachable, NotReady:
    """
    settings = build.settings
    if wanted is None and settings.publish == "auto" and not is_publishing(settings):
        if build.host.credentials(settings, wanted="auto"):
            build.progress.note("an incremental build is not published, unless ami.publish is true")
        return None
    kinds = kinds_of(settings)
    if not kinds and (wanted or settings.publish is True and "ec2" not in settings.outputs):
        raise _nothing_to_publish(settings)
    store = open_store(build, wanted) if kinds else None
    if store is None:
        return None
    if settings.gate:
        check_gate(kinds)
    for role in dict.fromkeys(role for kind in kinds for role in parts_of(kind)):
        given_part(store, settings, role)
    _check_properties(store, settings, kinds)
    return store


def _nothing_to_publish(settings: Settings) -> NotPublished:
    return NotPublished(
        f"of {', '.join(settings.outputs)}, which ami.outputs asks for, nothing goes to Glance", hint="add triplet, bare or disk"
    )


def _check_properties(store: "Store", settings: Settings, kinds: Iterable[str]) -> None:
    """Refuse formats and properties that this store does not take."""
    for kind in kinds:
        configured = properties_of(settings.properties, kind)
        numbers = {key: int(configured[key]) for key in NUMBERS if key in configured}
        image = {**configured, **numbers, "container_format": "ami" if kind == "triplet" else "bare"}
        check_description(store.image_schema, image, configured, whole=False)


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
    """Upload what was built into the store and let the names point to it; without ``ami.promote`` leave the names to a fleet.

    :raises NotPublished, StoreRefused, StoreUnreachable: then the names point to the same images as before, and nothing of the build
        is in the store, or the message says what is
    """
    with Publication(build, store).alone() as publication:
        publication.check()
        finished = _complete(publication)
        cleaned = clean(publication)
        current = _published(publication)
        outputs = [output for output in publication.outputs if not _is_published(publication, current, output)]
        if not outputs:
            for kind, image in current.items():
                if differing := find_differing(publication.settings, kind, image):
                    publication.progress.note(
                        f"{image['name']} is published already, without {', '.join(differing)}: the next build has it"
                    )
            return _finish(publication, current, changed=False, archived=finished, removed=cleaned)
        _refuse_rolled_back(publication, outputs)
        with whole_or_nothing(publication):
            mains, reused = upload_outputs(publication, outputs)
            _pass_gate(publication, mains)
            if not publication.settings.promote:
                mark_complete(store, mains, current)
                return _result(publication, mains, changed=True, reused=reused, archived=finished, removed=cleaned)
            pending = _promote(publication, mains)
        mains = {kind: mains.get(kind) or current[kind] for kind in publication.names}
        return _finish(publication, mains, changed=True, reused=reused, archived=finished, pending=pending, removed=cleaned)


def upload_triplet(build: PublishingBuild, store: "Store") -> Result:
    """The first half of :func:`publish`: the images in the store, verified, under names of their own."""
    with Publication(build, store).alone() as publication:
        publication.check()
        _complete(publication)
        clean(publication)
        _refuse_rolled_back(publication, publication.outputs)
        with whole_or_nothing(publication):
            mains, reused = upload_outputs(publication, publication.outputs)
        return _result(publication, mains, changed=True, reused=reused)


def _complete(publication: Publication) -> list[str]:
    """Complete what a killed run began, of outputs that are not published now, too."""
    return [title for name in publication.all_names() for title in promote.complete_promotion(publication.store, name)]


def _published(publication: Publication) -> dict[str, Image]:
    """``{kind: image that has the name}``"""
    images = publication.store.list_images()
    found = {kind: generations.published_of(images, name) for kind, name in publication.names.items()}
    return {kind: image for kind, image in found.items() if image}


def _is_published(publication: Publication, current: Mapping[str, Image], output: Output) -> bool:
    return output.kind in current and has_same_files(publication, current[output.kind], output)


def _refuse_rolled_back(publication: Publication, outputs: Iterable[Output]) -> None:
    """A triplet that was rolled back is not published again by the next run."""
    images = publication.store.list_images()
    for output in outputs:
        if image := generations.was_rolled_back(images, output.name, output.sha256):
            raise NotPublished(
                f"this {output.kind} was rolled back at {fact(image, 'rolled_back')}, and is not published again",
                hint="build a new one; or take this one back: "
                f"salt-call vm_create.rollback {publication.settings.name} to={image['id']}",
            )


def find_uploaded(build: PublishingBuild, store: "Store") -> list[Image]:
    """The main images of the build in the store, if all are complete, else none; changes nothing."""
    publication = Publication(build, store).check()
    found = [_uploaded(publication, output) for output in publication.outputs]
    return [image for image in found if image] if all(found) else []


def _uploaded(publication: Publication, output: Output) -> Image | None:
    for image in generations.roots_of(publication.store.list_images(), output.name):
        in_place = fact(image, "state") == NEW or fact(image, "state") == PUBLISHED and image["name"] == output.name
        if in_place and fact(image, "build") == publication.manifest["build"] and is_same(image, output.path):
            return image
    return None


def plan_publication(build: PublishingBuild, store: "Store") -> Result:
    """What :func:`publish` would do; changes nothing.

    :returns: ``name``, ``outputs`` (kind: name), ``changed``, ``upload`` (roles), ``reuse`` (role: id), ``archive`` (ids), ``remove``
        (names of what a run that did not end left), ``gate``
    """
    publication = Publication(build, store).check()
    images, current = store.list_images(), _published(publication)
    left = generations.leftovers(images, publication.name, build=publication.manifest["build"], builder=publication.builder)
    outputs = [output for output in publication.outputs if not _is_published(publication, current, output)]
    changed = {output.kind for output in outputs}
    archived = [image for kind in current if kind not in changed for image in generations.replaced_by(current[kind], images)]
    present: dict[str, Image | None] = {}
    if outputs:
        _refuse_rolled_back(publication, outputs)
        archived += [image for output in outputs for image in generations.under_name(images, output.name)]
        gone = {image["id"] for image in left}
        mains = {output.role: _uploaded(publication, output) for output in outputs}
        found = {**find_parts(publication, outputs), **mains}
        present = {role: None if image and image["id"] in gone else image for role, image in found.items()}
    return {
        "name": next(iter(publication.names.values())),
        "outputs": publication.names,
        "changed": bool(outputs),
        "upload": [role for role, image in present.items() if image is None],
        "reuse": {role: image["id"] for role, image in present.items() if image},
        "archive": [image["id"] for image in archived],
        "remove": [image["name"] for image in left],
        "gate": publication.settings.gate if outputs else False,
    }


def list_published(store: "Store", name: str | None = None) -> dict[str, list[dict[str, Any]]]:
    """The generations of our images in the store.

    :param name: of a single variation: ``web-amd64``
    :returns: ``{image name: [generation, ...]}``, the image that has the name first
    """
    images = store.list_images()
    every = sorted({fact(image, "name") for image in images if generations.is_ours(image)})
    names = every if name is None else generations.names_of(name)
    found = {key: generations.in_order(images, key) for key in names}
    return {key: [generations.describe(image) for image in of_name] for key, of_name in found.items() if of_name}


def roll_back(build: PublishingBuild, store: "Store", to: str | None = None, test: bool = False) -> Result:
    """Give the names back to the generations before.

    :param to: id of another generation of an output: then it alone is rolled back
    :param test: only say which generations they are
    """
    with Publication(build, store).alone(with_files=False) as publication:
        finished = [] if test else _complete(publication)
        current = _published(publication)
        images = store.list_images()
        chosen = _chosen(publication, images, to) if to else _previous(publication, images, current)
        changed = {kind: image for kind, image in chosen.items() if kind not in current or image["id"] != current[kind]["id"]}
        if test:
            return _result(publication, chosen, changed=bool(changed))
        if not changed:
            return _finish(publication, current, changed=False, archived=finished)
        rolled_back = {kind: current[kind]["id"] if kind in current else "" for kind in changed}
        pending = _promote(publication, changed, rolled_back)
        mains = {kind: image for kind in publication.names if (image := changed.get(kind) or current.get(kind))}
        return _finish(publication, mains, changed=True, pending=pending, archived=finished)


def _previous(publication: Publication, images: Sequence[Image], current: Mapping[str, Image]) -> dict[str, Image]:
    """The generation before of each output."""
    found = {}
    for kind, name in publication.names.items():
        image = generations.previous_of(current.get(kind), images, name)
        if image is None:
            before = f"before {current[kind]['id']} of" if kind in current else "of"
            raise NotPublished(
                f"there is no generation {before} {name} to roll back to",
                hint="salt-call vm_create.published lists what is there; ami.keep says how many stay, ami.outputs which names are rolled back",
            )
        found[kind] = image
    return found


def _chosen(publication: Publication, images: Sequence[Image], image_id: str) -> dict[str, Image]:
    for kind, name in publication.names.items():
        for image in generations.roots_of(images, name):
            if image["id"] == image_id and fact(image, "state") in (ARCHIVED, PUBLISHED):
                if image["status"] != "active":
                    raise NotPublished(
                        f"{image_id} is {image['status']}, not active",
                        hint="openstack image set --activate, or take another generation",
                    )
                return {kind: image}
    names = " or ".join(publication.names.values())
    raise NotPublished(f"{image_id} is no archived generation of {names}", hint="salt-call vm_create.published lists them")


def _promote(publication: Publication, mains: Mapping[str, Image], rolled_back: Mapping[str, str] | None = None) -> list[str]:
    """Let the names point to main images.

    :param rolled_back: ids of the images that lose their names because they are no good
    :returns: the projects that have yet to accept
    """
    store, names = publication.store, publication.names
    with publication.progress.step("promote"):
        store.look_again()  # the last moment to see what others have done
        pending: set[str] = set()
        for kind, image in mains.items() if rolled_back is None else ():
            promote.refuse_older(store, image, names[kind])
        for kind, image in mains.items():
            pending |= {
                *promote.prepare_promotion(store, publication.settings, image, names[kind], properties=rolled_back is None)
            }
        moved: list[str] = []
        for kind, image in mains.items():
            try:
                promote.take_name(store, image, names[kind], None if rolled_back is None else rolled_back[kind])
            except VmImageError as error:
                if not moved:
                    raise
                raise NotPublished(
                    f"{', '.join(moved)} moved, and {names[kind]} did not: {error.message}",
                    hint=f"the next run moves it; {error.hint}",
                ) from error
            publication.has_moved = True
            moved.append(names[kind])
        return sorted(pending)


def _finish(
    publication: Publication,
    mains: Mapping[str, Image],
    *,
    changed: bool,
    archived: Iterable[str],
    removed: Iterable[str] = (),
    reused: Iterable[str] = (),
    pending: Iterable[str] = (),
) -> Result:
    """Archive and prune when the names have moved; nothing is lost if that fails: the next run does it."""
    store, settings, names = publication.store, publication.settings, publication.names
    try:
        store.look_again()
        archived = [*archived, *_complete(publication)]
        current = _published(publication)
        for kind, image in mains.items():
            found = current[kind]["id"] if kind in current else "nothing"
            if found != image["id"]:
                raise NotPublished(
                    f"{names[kind]} points to {found}, not to {image['id']}",
                    hint="another builder took the name at the same time, or the store reports changes that it does not make",
                )
        removed = [*removed, *prune(store, publication.name, names.values(), settings.keep, publication.builder)]
        return _result(publication, mains, changed=changed, reused=reused, archived=archived, pending=pending, removed=removed)
    except NotPublished:
        raise
    except VmImageError as error:
        lead = " and ".join(f"{names[kind]} points to {image['id']}" for kind, image in mains.items())
        raise NotPublished(
            f"{lead} now, but the older images are not archived: {error.message}", hint=f"the next run does it; {error.hint}"
        ) from error


def _pass_gate(publication: Publication, mains: Mapping[str, Image]) -> None:
    """Boot what is to be published; if any output does not come up, none of them is."""
    store, settings = publication.store, publication.settings
    if not settings.gate:
        return
    outputs = [output for output in publication.outputs if output.kind in mains]
    try:
        with publication.progress.step("gate"):
            for target in boots_of(publication.triplet, outputs):
                pass_gate(target, settings.gate)
    except BootFailed as failure:
        titles = [promote.mark_broken(store, mains[output.kind], output.name) for output in outputs]
        try:
            store.look_again()
            prune(store, publication.name, [output.name for output in outputs], settings.keep, publication.builder)
        except VmImageError as trouble:  # the next run does it; why the gate failed is of more interest
            store.say(trouble.message)
        raise NotPublished(
            f"{outputs[0].name} did not pass its gate and is kept as {' and '.join(map(repr, titles))}: {failure.message}",
            hint="the names point to the same images as before; inspect the triplet with vm_create.boot",
        ) from failure


def _result(
    publication: Publication,
    mains: Mapping[str, Image],
    *,
    changed: bool,
    reused: Iterable[str] = (),
    archived: Iterable[str] = (),
    pending: Iterable[str] = (),
    removed: Iterable[str] = (),
) -> Result:
    kind, first = next(iter(mains.items()))
    ids = {"image": first["id"], "kernel": first.get("kernel_id"), "ramdisk": first.get("ramdisk_id")}
    lists = {"reused": reused, "archived": archived, "pending": pending, "removed": removed}
    names = publication.names
    return {
        "name": names[kind],
        **ids,
        "build": fact(first, "build"),
        "changed": changed,
        **{key: list(value) for key, value in lists.items()},
        "outputs": {kind: {"name": names[kind], "image": image["id"]} for kind, image in mains.items()},
    }
