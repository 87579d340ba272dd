"""What is in the store, seen by a plain python-glanceclient: none of the project's own code looks here."""

import hashlib


def images_of(client):
    """All images of a project, hidden images too."""
    return [*client.images.list(), *client.images.list(filters={"os_hidden": True})]


def named(client, name):
    """The images of that name."""
    return [image for image in images_of(client) if image["name"] == name]


def sha256_of(client, image_id):
    """Download an image and hash it."""
    digest = hashlib.sha256()
    for chunk in client.images.data(image_id):
        digest.update(chunk)
    return digest.hexdigest()


def file_sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def assert_whole(client, image, triplet):
    """The image and what it points to are the three files of a triplet, byte for byte."""
    assert image["status"] == "active"
    for image_id, path in (
        (image["id"], triplet.root_image),
        (image["kernel_id"], triplet.kernel),
        (image["ramdisk_id"], triplet.ramdisk),
    ):
        assert client.images.get(image_id)["status"] == "active"
        assert sha256_of(client, image_id) == file_sha256(path), path


def assert_published(client, triplet, name="web-amd64", archived=None):
    """The name points to exactly this triplet, and nothing unfinished is in the store."""
    found = named(client, name)
    assert len(found) == 1, [(image["id"], image["status"]) for image in found]
    assert_whole(client, found[0], triplet)
    assert_nothing_unfinished(client)
    if archived is not None:
        assert len([image for image in images_of(client) if image["name"].startswith(f"archive {name} ")]) == archived
    return found[0]


def assert_nothing_unfinished(client):
    images = images_of(client)
    assert {image["status"] for image in images} <= {"active"}, [(image["name"], image["status"]) for image in images]
    assert not [image["name"] for image in images if image["name"].startswith("new ")]
    needed = {image.get(key) for image in images for key in ("kernel_id", "ramdisk_id")}
    ours = [
        image for image in images if image.get("vm_create_role") in ("kernel", "ramdisk") and image["visibility"] == "private"
    ]
    assert {image["id"] for image in ours} <= needed, "a kernel or ramdisk is left that nothing needs"
