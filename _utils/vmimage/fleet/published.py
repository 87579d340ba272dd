"""What is: one look at a store, and from it what each variation has there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from vmimage.glance.generations import ARCHIVED, Image, fact, is_main, is_ours, name_of, number, published_of
from vmimage.glance.waiting import Waiting, find_waiting, numbers_waiting, variation_of

if TYPE_CHECKING:
    from vmimage.glance.client import Store


@dataclass(frozen=True)
class Published:
    """The image that has a name.

    :ivar order: the digest of what was wanted when it was made, empty for one that no fleet has ordered
    :ivar at: when it was uploaded, in seconds since 1970
    """

    id: str
    name: str
    number: int
    order: str
    revision: str
    at: float


@dataclass(frozen=True)
class Shelf:
    """The images of a store at a moment.

    :ivar last: the greatest number of any image
    :ivar left: ``{name of a variation: numbers of builds}`` that have images which are in no use
    """

    images: Mapping[str, Sequence[Image]] = field(default_factory=dict)
    last: int = 0
    left: Mapping[str, set[int]] = field(default_factory=dict)

    def published(self, name: str, kinds: Sequence[str]) -> dict[str, Published | None]:
        """The images that have the names of a variation's outputs, by kind."""
        found = {kind: published_of(self.images.get(name, ()), name_of(name, kind)) for kind in kinds}
        return {kind: _described(image) if image else None for kind, image in found.items()}

    def waiting(self, name: str, wanted: int, order: str) -> Waiting | None:
        """A build that is whole in the store, and has its names or may take them."""
        return find_waiting(self.images.get(name, ()), name, wanted, order)

    def newest(self, name: str) -> int:
        """The greatest number of a build whose images have or had names of the variation."""
        images = self.images.get(name, ())
        return max(
            (number(image) for image in images if is_main(image) and fact(image, "state") in ("published", ARCHIVED)), default=0
        )

    def rolled_back_at(self, name: str, order: str) -> float:
        """When a person has taken a name from an image that was made to this order, in seconds since 1970; 0: never."""
        archived = [image for image in self.images.get(name, ()) if fact(image, "rolled_back") and fact(image, "order") == order]
        return max((datetime.fromisoformat(fact(image, "rolled_back")).timestamp() for image in archived), default=0.0)


def look_at(store: "Store") -> Shelf:
    """What a store has now."""
    store.look_again()
    images = store.list_images()
    shelves: dict[str, list[Image]] = {}
    for image in images:
        if is_ours(image):
            shelves.setdefault(variation_of(image), []).append(image)
    last = max((number(image) for own in shelves.values() for image in own), default=0)
    return Shelf(shelves, last, numbers_waiting(images))


def _described(image: Image) -> Published:
    at = datetime.fromisoformat(image["created_at"]).timestamp()
    return Published(image["id"], image["name"], number(image), fact(image, "order"), fact(image, "revision"), at)
