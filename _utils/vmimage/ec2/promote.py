"""Taking the place of the old image in EC2: the name moves with one request, then the old image is archived.

A run that is killed between the two is completed by the next, from the note on the image that took the name.
"""

import time

from vmimage.ec2.publication import Publication
from vmimage.errors import NotPublished
from vmimage.glance import generations
from vmimage.glance.generations import ARCHIVED, MARK, PUBLISHED, Image, fact

PAUSE_SECONDS = 2.0
_SEEN_WITHIN_SECONDS = 60


def take_name(publication: Publication, image: Image, rolls_back: str = "") -> None:
    """Give an image the name, with one request, which also notes the images that it replaces.

    :param rolls_back: id of the image that loses the name because it is no good
    """
    publication.look_at_images()  # the last moment to see what others have done
    old = [former for former in generations.under_name(publication.images, publication.name) if former["id"] != image["id"]]
    taken = max(map(generations.generation, generations.roots_of(publication.images, publication.name)), default=0) + 1
    tags = {"state": PUBLISHED, "generation": str(taken), "replaces": " ".join(former["id"] for former in old)[:255]}
    tags |= {"rolls_back": rolls_back, "rolled_back": ""}
    with publication.progress.step("ec2 promote"):
        publication.cloud.tag(image["id"], {"Name": publication.name, **{f"{MARK}{key}": value for key, value in tags.items()}})


def _look_until_seen(publication: Publication, image: Image) -> None:
    """See what is in EC2, which shows new tags some seconds later."""
    left = float(_SEEN_WITHIN_SECONDS)
    while True:
        publication.look()
        if left <= 0 or any(seen["id"] == image["id"] and fact(seen, "state") == PUBLISHED for seen in publication.images):
            return
        publication.cloud.sleep(PAUSE_SECONDS)
        left -= PAUSE_SECONDS


def complete_promotion(publication: Publication) -> list[str]:
    """Archive the images that still have the name though another image took it: the second half of a promotion, also of a killed run.

    :returns: their new names
    """
    published = generations.published_of(publication.images, publication.name)
    archived = []
    for image in generations.replaced_by(published, publication.images) if published else ():
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        title, marks = f"archive {publication.name} {now}", {f"{MARK}state": ARCHIVED}
        if published and fact(published, "rolls_back") == image["id"]:
            marks[f"{MARK}rolled_back"] = now
        publication.cloud.tag(image["id"], {"Name": title, **marks})
        image |= {"name": title, **marks}
        archived.append(title)
    return archived


def settle(publication: Publication, image: Image) -> list[str]:
    """See that an image has taken the name, and archive those that had it.

    :returns: their new names
    :raises NotPublished: if another image has it
    """
    _look_until_seen(publication, image)
    archived = complete_promotion(publication)
    current = generations.published_of(publication.images, publication.name)
    if current is None or current["id"] != image["id"]:
        raise NotPublished(
            f"{publication.name} points to {current['id'] if current else 'nothing'}, not to {image['id']}",
            hint="another builder took the name at the same time, or EC2 does not show the change as yet: run it again",
        )
    return archived
