"""Uploading a file of a triplet into the store: whole and verified, or not at all."""

import hashlib
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from vmimage.errors import BuildStopped, ImageUnsound, NotPublished, StoreUnreachable
from vmimage.glance.generations import MARK, Image, is_ours
from vmimage.glance.takeover import is_as_open
from vmimage.system.aliases import Moved
from vmimage.system.digest import digest_of_file
from vmimage.system.progress import Progress
from vmimage.system.retry import retried

if TYPE_CHECKING:
    from vmimage.glance.client import Store


class UploadBroken(NotPublished):
    """The file did not arrive; another try, from its first byte, may help."""


class CutShort(UploadBroken):
    """The store holds something else than the file."""


def place_file(store: "Store", image: Image, path: Path, progress: Progress) -> Image:
    """Upload a file as a new image.  Every try begins with an image of its own, at the first byte; the image of a failed try is deleted.

    :param image: its description for Glance, without an id
    :returns: the image as the store has it, active and verified
    :raises NotPublished, StoreRefused, StoreUnreachable: then nothing of it is left, or the message says what
    """

    def attempt() -> Image:
        with progress.step(f"upload {image[f'{MARK}role'].replace('_image', '')}"):
            return _place_once(store, image, path, progress.moved)

    return retried(attempt, UploadBroken, tries=store.tries, say=store.say, sleep=store.sleep)


def _place_once(store: "Store", image: Image, path: Path, moved: Moved) -> Image:
    image_id = str(uuid.uuid4())
    store.create_image({**image, "id": image_id, f"{MARK}self": image_id})
    try:
        digests = store.send_file(image_id, path, moved)
        if digests["sha256"] != image[f"{MARK}sha256"]:
            raise ImageUnsound(f"{path} is no longer the file that its manifest describes", hint="make it again")
        return verify_image(store, image_id, path, digests)
    except StoreUnreachable as error:
        try:
            store.delete_image(image_id)
        except StoreUnreachable:  # then another try is of no use, and why this try broke is of more interest
            raise error from None
        raise UploadBroken(error.message, hint=error.hint) from error
    except Exception as error:
        if not isinstance(error, BuildStopped):  # then somebody waits for the end; whole_or_nothing takes the image back
            store.delete_image(image_id)
        raise


def verify_image(store: "Store", image_id: str, path: Path, digests: Mapping[str, str] | None = None) -> Image:
    """Compare an image with its file: only a match of size and hash counts.

    :param digests: ``{algorithm: hex}`` of the file, where they are known
    :returns: the image
    :raises CutShort: naming both
    """
    image = store.wait_active(image_id)
    if image is None or image["status"] != "active":
        raise CutShort(f"the image of {path} is {image['status'] if image else 'gone'} after its upload")
    return verify_digest(image, path, digests)


def verify_digest(image: Image, path: Path, digests: Mapping[str, str] | None = None) -> Image:
    """Compare the size and the hash that the store gives with those of a file.

    :raises CutShort: naming both
    """
    size = path.stat().st_size
    if image["size"] != size:
        raise CutShort(f"the store has {image['size']} bytes of {path}, the file has {size}")
    algorithm = str(image.get("os_hash_algo"))
    if algorithm not in hashlib.algorithms_available:
        raise NotPublished(
            f"the store gives no digest of {path} that can be checked ({algorithm})",
            hint="it needs Glance of 2018 (Rocky) or later",
        )
    if image["os_hash_value"] != ((digests or {}).get(algorithm) or _hash(path, algorithm)):
        raise CutShort(f"the store has {algorithm}:{image['os_hash_value']} of {path}, which is not the file's")
    return image


def is_same(image: Image, path: Path) -> bool:
    """Whether an image has the bytes of a file."""
    try:
        verify_digest(image, path)
    except NotPublished:
        return False
    return True


def find_same(store: "Store", kind: str, path: Path, visibility: str) -> Image | None:
    """An image of the project that has the same bytes, or None; an image of the user's own only where it is open enough as it is.

    :param kind: aki or ari
    :param visibility: of the root image that will refer to it
    """
    sha512 = _hash(path, "sha512")
    alike = [image for image in store.list_images() if (image.get("os_hash_value"), image["container_format"]) == (sha512, kind)]
    active = [image for image in alike if image["status"] == "active" and is_same(image, path)]
    return max((image for image in active if is_ours(image) or is_as_open(image, visibility)), key=is_ours, default=None)


def _hash(path: Path, algorithm: str) -> str:
    return digest_of_file(path, algorithm).split(":")[1]
