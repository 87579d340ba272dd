"""Earlier generations of a disk in EC2: which there are, and the name given back to one of them."""

from typing import Any

from vmimage.ec2.client import Cloud
from vmimage.ec2.images import as_generation
from vmimage.ec2.promote import complete_promotion, settle, take_name
from vmimage.ec2.publication import Publication
from vmimage.errors import NotPublished
from vmimage.glance import generations
from vmimage.glance.generations import ARCHIVED, PUBLISHED, Image, fact
from vmimage.glance.publication import PublishingBuild

#: as :mod:`vmimage.ec2.publish` has it
Result = dict[str, Any]
_LIST = "salt-call vm_create.published lists them"


def list_published(cloud: Cloud, name: str | None = None) -> dict[str, list[dict[str, Any]]]:
    """The generations of our images in EC2, as :func:`vmimage.glance.publish.list_published` has those of Glance.

    :param name: of a single variation: ``web-amd64``
    """
    images = [as_generation(image) for image in cloud.list_images(name)]
    names = sorted({fact(image, "name") for image in images if generations.is_ours(image)})
    return {key: [_described(image) for image in generations.in_order(images, key)] for key in names}


def _described(image: Image) -> dict[str, Any]:
    return {**generations.describe(image), "output": "ec2", "format": "ami", "snapshot": image["snapshot"]}


def roll_back(build: PublishingBuild, cloud: Cloud, to: str | None = None, *, test: bool = False) -> Result:
    """Give the name back to an earlier generation.

    :param to: id of an image; default the generation before
    :param test: only say which it is
    :raises NotPublished: if there is none; then the name points to the same image as before
    """
    with Publication(build, cloud).alone(with_files=False) as publication:
        archived = [] if test else complete_promotion(publication)
        current = generations.published_of(publication.images, publication.name)
        image = _chosen(publication, to) if to else _previous(publication, current)
        changed = current is None or image["id"] != current["id"]
        if changed and not test:
            take_name(publication, image, rolls_back=current["id"] if current else "")
            archived += settle(publication, image)
        return {
            "name": publication.name,
            "region": cloud.region,
            "image": image["id"],
            "snapshot": image["snapshot"],
            "build": fact(image, "build"),
            "changed": changed,
            "archived": archived,
            "removed": [],
        }


def _previous(publication: Publication, current: Image | None) -> Image:
    image = generations.previous_of(current, publication.images, publication.name)
    if image is None:
        before = f"before {current['id']} of" if current else "of"
        raise NotPublished(
            f"there is no generation {before} {publication.name} in {publication.cloud.region} to roll back to", hint=_LIST
        )
    return image


def _chosen(publication: Publication, image_id: str) -> Image:
    for image in generations.roots_of(publication.images, publication.name):
        if image["id"] == image_id and fact(image, "state") in (ARCHIVED, PUBLISHED) and image["status"] == "active":
            return image
    raise NotPublished(
        f"{image_id} is no archived image of {publication.name} in {publication.cloud.region} that can be started", hint=_LIST
    )
