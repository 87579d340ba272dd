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
        (image,) = [entry for entry in self.images if entry["name"] == name]
        return image

    def archived(self, name):
        return [entry for entry in self.images if entry["name"].startswith(f"archive {name} ")]

    def with_id(self, image_id):
        (image,) = [entry for entry in self.images if entry["id"] == image_id]
        return image


def look_at(client):
    """The images of a client's project, each read to its end."""
    return Seen([{**entry, "sha256": sha256_of(client, entry["id"])} for entry in images_of(client)])


def download(client, image_id, path):
    """Fetch an image into a file; returns its sha256."""
    digest = hashlib.sha256()
    with open(path, "wb") as file:
        for chunk in client.images.data(image_id):
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()
