"""Bringing one file of a triplet into the store: whole and verified, or not at all."""

import hashlib
import uuid

from vmimage.digest import digest_of_file
from vmimage.errors import BuildStopped, NotPublished, StoreUnreachable
from vmimage.generations import PREFIX
from vmimage.retry import retried


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
        with progress.step(f"upload {image[f'{PREFIX}role'].replace('_image', '')}"):
            return _place_once(store, image, path, progress.moved)

    return retried(attempt, UploadBroken, tries=store.tries, say=store.say, sleep=store.sleep)


def _place_once(store, image, path, moved):
    image_id = str(uuid.uuid4())
    store.create_image({**image, "id": image_id, f"{PREFIX}self": image_id})
    try:
        digests = store.send_file(image_id, path, moved)
        return verify_image(store, image_id, path, digests)
    except BaseException as error:
        if not isinstance(error, Exception) or isinstance(error, BuildStopped):
            store.tries = 1  # somebody waits for us to end; the next run knows what is left by its build
        store.delete_image(image_id)
        if isinstance(error, StoreUnreachable):
            raise UploadBroken(error.message, hint=error.hint) from error
        raise


def verify_image(store, image_id, path, digests=None):
    """Compare an image with its file: only a match of size and hash counts.

    :param dict digests: ``{algorithm: hex}`` of the file, where they are known
    :returns: the image
    :raises CutShort: naming both
    """
    image, size = store.wait_active(image_id), path.stat().st_size
    if image is None or image["status"] != "active":
        raise CutShort(f"the image of {path} is {image['status'] if image else 'gone'} after its upload")
    if image["size"] != size:
        raise CutShort(f"the store has {image['size']} bytes of {path}, the file has {size}")
    algorithm = image.get("os_hash_algo")
    if algorithm not in hashlib.algorithms_available:
        raise NotPublished(
            f"the store tells no digest of {path} that can be checked ({algorithm})",
            hint="it needs Glance of 2018 (Rocky) or later",
        )
    found = (digests or {}).get(algorithm) or digest_of_file(path, algorithm).split(":")[1]
    if image["os_hash_value"] != found:
        raise CutShort(f"the store has {algorithm}:{image['os_hash_value']} of {path}, the file is {algorithm}:{found}")
    return image


def find_same(store, kind, path):
    """An image of the project that holds the same bytes, or None.

    :param str kind: aki or ari
    """
    digest = digest_of_file(path, "sha512").split(":")[1]
    alike = store.list_images(os_hash_value=digest, container_format=kind, status="active")
    fits = [one for one in alike if one["os_hash_value"] == digest and one["size"] == path.stat().st_size]
    return fits[0] if fits else None
