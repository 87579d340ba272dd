"""Bringing one file of a triplet into the store: whole and verified, or not at all."""

import hashlib
import uuid

from vmimage.errors import BuildStopped, ImageUnsound, NotPublished, StoreUnreachable
from vmimage.glance.generations import MARK, is_ours
from vmimage.glance.takeover import is_as_open
from vmimage.system.digest import digest_of_file
from vmimage.system.retry import retried


class UploadBroken(NotPublished):
    """The file did not arrive; another try, from its first byte, may help."""


class CutShort(UploadBroken):
    """The store holds something else than the file."""


def place_file(store, image, path, progress):
    """Upload a file as a new image.  Every try begins with an image of its own, at the first byte; what a failed one left goes.

    :param Store store:
    :param dict image: as Glance is told, without an id
    :param Path path: of the file
    :param Progress progress:
    :returns: the image as the store has it, active and verified
    :raises NotPublished, StoreRefused, StoreUnreachable: then nothing of it is left, or the message says what
    """

    def attempt():
        with progress.step(f"upload {image[f'{MARK}role'].replace('_image', '')}"):
            return _place_once(store, image, path, progress.moved)

    return retried(attempt, UploadBroken, tries=store.tries, say=store.say, sleep=store.sleep)


def _place_once(store, image, path, moved):
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
        except StoreUnreachable:  # then another try is of no use, and why this one broke is of more interest
            raise error from None
        raise UploadBroken(error.message, hint=error.hint) from error
    except Exception as error:
        if not isinstance(error, BuildStopped):  # then somebody waits for us to end; who stopped the whole takes it back
            store.delete_image(image_id)
        raise


def verify_image(store, image_id, path, digests=None):
    """Compare an image with its file: only a match of size and hash counts.

    :param dict digests: ``{algorithm: hex}`` of the file, where they are known
    :returns: the image
    :raises CutShort: naming both
    """
    image = store.wait_active(image_id)
    if image is None or image["status"] != "active":
        raise CutShort(f"the image of {path} is {image['status'] if image else 'gone'} after its upload")
    return verify_digest(image, path, digests)


def verify_digest(image, path, digests=None):
    """Compare the size and the hash that the store tells with those of a file."""
    size = path.stat().st_size
    if image["size"] != size:
        raise CutShort(f"the store has {image['size']} bytes of {path}, the file has {size}")
    algorithm = image.get("os_hash_algo")
    if algorithm not in hashlib.algorithms_available:
        raise NotPublished(
            f"the store tells no digest of {path} that can be checked ({algorithm})",
            hint="it needs Glance of 2018 (Rocky) or later",
        )
    if image["os_hash_value"] != ((digests or {}).get(algorithm) or _hash(path, algorithm)):
        raise CutShort(f"the store has {algorithm}:{image['os_hash_value']} of {path}, which is not the file's")
    return image


def is_same(image, path):
    """Whether an image holds the bytes of a file."""
    try:
        verify_digest(image, path)
    except NotPublished:
        return False
    return True


def find_same(store, kind, path, visibility):
    """An image of the project that holds the same bytes, or None; one of the user's own only where it is open enough as it is.

    :param str kind: aki or ari
    :param str visibility: of the root image that will lead to it
    """
    alike = store.list_images(os_hash_value=_hash(path, "sha512"), container_format=kind, status="active")
    fits = [one for one in alike if is_same(one, path) and (is_ours(one) or is_as_open(one, visibility))]
    return max(fits, key=is_ours, default=None)


def _hash(path, algorithm):
    return digest_of_file(path, algorithm).split(":")[1]
