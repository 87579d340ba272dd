"""What the store holds at a moment, fetched by a plain client to be looked at when the store has gone on."""

import hashlib
from dataclasses import dataclass

from looking_at import images_of, sha256_of


@dataclass(frozen=True)
class Seen:
    """The images of a project at a moment.

    :ivar list images: what Glance tells of each, with the ``sha256`` of its bytes
    """

    images: list

    def named(self, name):
        (image,) = [one for one in self.images if one["name"] == name]
        return image

    def archived(self, name):
        return [one for one in self.images if one["name"].startswith(f"archive {name} ")]

    def with_id(self, image_id):
        (image,) = [one for one in self.images if one["id"] == image_id]
        return image


def look_at(client):
    """The images of a client's project, each read to its end."""
    return Seen([{**one, "sha256": sha256_of(client, one["id"])} for one in images_of(client)])


def download(client, image_id, path):
    """Fetch an image into a file; returns its sha256."""
    digest = hashlib.sha256()
    with open(path, "wb") as file:
        for chunk in client.images.data(image_id):
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()
