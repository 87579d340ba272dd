"""A base from the store: an image by name or id, downloaded once and known by the digest that Glance keeps of it."""

import hashlib
import os
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from vmimage.errors import BaseMissing, BaseRefused, BaseUnverified
from vmimage.system import formats
from vmimage.system.aliases import Moved
from vmimage.system.lock import locked

#: as Glance describes it
Image = dict[str, Any]
_KINDS = {"qcow2": ("qcow2",), "raw": ("raw", "disk"), "ami": ("raw",)}


class Store(Protocol):
    """What is needed of :class:`vmimage.glance.client.Store`."""

    def find_image(self, image_id: str) -> Image | None:
        """The image of that id."""

    def list_images(self) -> list[Image]:
        """Images of the project."""

    def list_public(self) -> list[Image]:
        """Public images."""

    def receive_file(self, image: Image, path: Path, moved: Moved) -> None:
        """Write the data of an image to a path."""


def fetch_image(store: Store, reference: str, directory: Path, moved: Moved) -> tuple[Path, tuple[str, str]]:
    """Bring an image of the store onto this machine.

    :param reference: name or id; of several with the same name the project's newest, else the only public image
    :param directory: of downloads; the file is named by its digest, and a file that is there is not downloaded again
    :param moved: called with bytes done and in all
    :returns: ``(path, (algorithm, hex))``; the caller compares them
    :raises BaseMissing, BaseRefused, BaseUnverified:
    """
    image = _find(store, reference)
    algorithm, value = image.get("os_hash_algo"), image.get("os_hash_value")
    if algorithm not in ("sha256", "sha512") or not value:
        raise BaseUnverified(
            f"the store tells no sha512 of {_words(image)}", hint="download it, and name the file and its ami.base_hash"
        )
    if image["disk_format"] not in _KINDS or image["container_format"] not in ("bare", "ami"):
        raise BaseRefused(
            f"{_words(image)} is {image['disk_format']} in {image['container_format']}",
            hint="a base is raw or qcow2 in bare, or an ami",
        )
    path = directory / f"glance-{hashlib.sha256(f'{algorithm}:{value}'.encode()).hexdigest()[:32]}"
    with locked(path.with_name(f"{path.name}.lock"), f"the base {reference}", doing="downloaded", wait=True):
        if not path.exists():
            partial = path.with_name(f"{path.name}.partial")
            store.receive_file(image, partial, moved)
            os.replace(partial, path)
    _check_kind(image, path)
    return path, (algorithm, value)


def _find(store: Store, reference: str) -> Image:
    found = store.find_image(reference) if _is_id(reference) else None
    by_name = [] if found else _active(store.list_images(), reference)
    by_name = by_name[:1] or ([] if found else _active(store.list_public(), reference))
    if found is None and not by_name:
        raise BaseMissing(f"there is no image {reference} in the store for us", hint="openstack image list shows what is there")
    if len(by_name) > 1:
        ids = ", ".join(image["id"] for image in by_name)
        raise BaseRefused(f"there are several public images {reference}", hint=f"name one by its id: {ids}")
    image = found or by_name[0]
    if image["status"] != "active":
        raise BaseMissing(f"{_words(image)} is {image['status']}, not active", hint="name another one in ami.base")
    return image


def _active(images: Iterable[Image], name: str) -> list[Image]:
    """Those of that name that can be used, hidden images last; not asked of Glance, to whom ``in:a,b`` is no name."""
    return sorted(
        (image for image in images if image["name"] == name and image["status"] == "active"), key=lambda image: image["os_hidden"]
    )


def _is_id(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def _check_kind(image: Image, path: Path) -> None:
    """What the store calls raw must not be a qcow2, which can name other files of this machine."""
    kind = formats.read_format(path)
    if kind and kind not in _KINDS[image["disk_format"]]:
        raise BaseRefused(f"{_words(image)} is called {image['disk_format']}, and is {kind}", hint="name another one in ami.base")


def _words(image: Image) -> str:
    return f"the image {image['name']} ({image['id']})"
