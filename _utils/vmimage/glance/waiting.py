"""Images that a builder has uploaded, and that wait for a fleet to give them their names.

Their builder has verified all of them, and booted them where that is asked, before any of them says in ``vm_create_complete`` what belongs
to the build: the kinds of its outputs, and with ``KIND=ID`` those whose published image has the same bytes.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vmimage.errors import NotPublished
from vmimage.glance import generations
from vmimage.glance.generations import MARK, NEW, PUBLISHED, Image, fact, name_of, names_of, number, roots_of
from vmimage.glance.promote import complete_promotion, prepare_promotion, refuse_older, take_name
from vmimage.glance.prune import delete_all, prune
from vmimage.settings.schema import Settings

if TYPE_CHECKING:
    from vmimage.glance.client import Store

#: in place of a builder's id: what builders upload at this moment is not ours to remove
_FLEET = "fleet"


@dataclass(frozen=True)
class Waiting:
    """A build in the store, whole.

    :ivar mains: ``{kind: main image}``, each new, or with its name already
    :ivar same: ``{kind: id of the published image}`` of outputs that have not changed
    """

    mains: Mapping[str, Image]
    same: Mapping[str, str]

    @property
    def is_published(self) -> bool:
        """Whether each has its name."""
        return all(fact(image, "state") == PUBLISHED for image in self.mains.values())

    @property
    def has_begun(self) -> bool:
        """Whether any has its name."""
        return any(fact(image, "state") == PUBLISHED for image in self.mains.values())


def mark_complete(store: "Store", mains: Mapping[str, Image], current: Mapping[str, Image]) -> None:
    """Say on each main image that all of the build is in the store.

    :param mains: by kind
    :param current: published images, by kind: of outputs that have not changed
    """
    same = [f"{kind}={image['id']}" for kind, image in current.items() if kind not in mains]
    words = " ".join([*mains, *same])
    for image in mains.values():
        store.change_image(image["id"], **{f"{MARK}complete": words})


def find_waiting(images: Collection[Image], name: str, wanted: int, order: str = "") -> Waiting | None:
    """The images of a build, if all of them are there; None where any is missing, or has lost its name to a newer image.

    :param name: of the variation: ``web-amd64``
    :param wanted: the build's number
    :param order: what was ordered with it: where a fleet has lost its memory, another build may have the same number
    """
    mains = [image for own in names_of(name) for image in roots_of(images, own) if number(image) == wanted and _may_stand(image)]
    mains = [image for image in mains if not order or fact(image, "order") == order]
    for build in sorted({fact(image, "build") for image in mains}):
        own = [image for image in mains if fact(image, "build") == build]
        words = fact(own[0], "complete").split()
        same = dict(word.split("=", 1) for word in words if "=" in word)
        found = {_kind(image): image for image in own if fact(image, "complete")}
        if words and {*found} == {word for word in words if "=" not in word}:
            return Waiting(found, same)
    return None


def _may_stand(image: Image) -> bool:
    """Whether an image has its name, or may take it."""
    has_name = fact(image, "state") == PUBLISHED and image["name"] == fact(image, "name")
    return image["status"] == "active" and (has_name or fact(image, "state") == NEW)


def _kind(image: Image) -> str:
    return next(kind for kind, role in generations.MAIN_ROLES.items() if role == fact(image, "role"))


def promote_uploaded(
    store: "Store",
    settings: Settings,
    name: str,
    wanted: int,
    order: str = "",
    *,
    kinds: Collection[str] = tuple(generations.MAIN_ROLES),
) -> dict[str, Any]:
    """Give the images of a build their names, archive what had them, and prune; whatever of that is done already stays done.

    The store is asked for the images of the variation alone, before the first name moves and behind the last: of two fleets that do it at
    once, each sees what the other has done.

    :param settings: ``visibility``, ``carry_over`` and ``keep`` of them
    :param name: of the variation: ``web-amd64``
    :param wanted: the build's number
    :param order: as of :func:`find_waiting`
    :param kinds: of the build's outputs, as far as they are known
    :returns: ``outputs`` (kind: name and image), ``changed`` (False: all was done), ``archived``, ``removed``, ``pending``
    :raises NotPublished: the build is not there, or :class:`vmimage.glance.promote.OlderNumber`; then no name has moved
    :raises StoreRefused, StoreUnreachable: the next call goes on
    """
    names, ours = names_of(name), {name, *(name_of(name, kind) for kind in kinds)}
    store.look_again()  # what changes here, a listing that was made before does not have
    own = store.narrowed(names, sorted(ours))
    archived = [title for its in names for title in complete_promotion(own, its)]
    waiting = find_waiting(own.list_images(), name, wanted, order)
    if waiting is None:
        raise NotPublished(f"the images of build {wanted} of {name} are not all in the store", hint="build it again")
    new = {kind: image for kind, image in waiting.mains.items() if fact(image, "state") == NEW}
    pending: set[str] = set()
    for kind, image in waiting.mains.items():
        refuse_older(own, image, name_of(name, kind))
    for kind, image in new.items():
        pending |= {*prepare_promotion(own, settings, image, name_of(name, kind))}
    for kind, image in new.items():
        take_name(own, image, name_of(name, kind))
    _confirm_same(own, name, waiting)
    own.look_again()
    archived += [title for its in names for title in complete_promotion(own, its)]
    mains = {kind: generations.published_of(own.list_images(), name_of(name, kind)) for kind in waiting.mains}
    if lost := [kind for kind, image in mains.items() if image is None or image["id"] != waiting.mains[kind]["id"]]:
        raise NotPublished(
            f"{name_of(name, lost[0])} points to another image than that of build {wanted}", hint="publish by the fleet alone"
        )
    removed = prune(own, name, [name_of(name, kind) for kind in waiting.mains], settings.keep, _FLEET)
    outputs = {kind: {"name": name_of(name, kind), "image": image["id"]} for kind, image in waiting.mains.items()}
    return {"outputs": outputs, "changed": bool(new), "archived": archived, "removed": removed, "pending": sorted(pending)}


def _confirm_same(store: "Store", name: str, waiting: Waiting) -> None:
    """Let published images whose bytes the build has made again say so: they are what was ordered last."""
    main = next(iter(waiting.mains.values()))
    marks = {f"{MARK}{key}": fact(main, key) or None for key in ("number", "order")}
    for kind, image_id in waiting.same.items():
        image = generations.published_of(store.list_images(), name_of(name, kind))
        if image and image["id"] == image_id and any(image.get(key) != value for key, value in marks.items()):
            store.change_image(image_id, **marks)


def remove_waiting(store: "Store", name: str, is_given_up: Collection[int]) -> list[str]:
    """Delete new images of builds that the fleet has given up, and kernels and ramdisks of theirs that nothing needs.

    :param name: of the variation
    :param is_given_up: the builds' numbers
    :returns: the names deleted
    """
    images = store.list_images()
    mains = [image for own in names_of(name) for image in roots_of(images, own) if fact(image, "state") == NEW]
    mains = [image for image in mains if number(image) in is_given_up and not image.get("protected")]
    gone = {image["id"] for image in mains}
    parts = generations.unneeded_parts([image for image in images if image["id"] not in gone])
    parts = [
        part for part in parts if fact(part, "name") == name and number(part) in is_given_up and part["visibility"] == "private"
    ]
    return delete_all(store, [*parts, *mains])


def numbers_waiting(images: Collection[Image]) -> dict[str, set[int]]:
    """``{name of a variation: numbers of builds}`` that have new images or parts that nothing needs in the store."""
    needless = {image["id"] for image in generations.unneeded_parts(images)}
    found: dict[str, set[int]] = {}
    for image in images:
        if generations.is_ours(image) and number(image) and (fact(image, "state") == NEW or image["id"] in needless):
            found.setdefault(variation_of(image), set()).add(number(image))
    return found


def variation_of(image: Image) -> str:
    """The name of the variation whose image it is: of a disk ``web-amd64``, too."""
    name = fact(image, "name")
    if not generations.is_main(image):
        return name
    kind = _kind(image)
    return name if kind == "triplet" else name.removesuffix(f"-{kind}")
