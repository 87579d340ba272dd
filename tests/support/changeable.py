"""A root that a test may change: a base below an overlay, so that nothing is copied."""

import shutil
import subprocess
from contextlib import contextmanager

from vmimage.root.mounts import mounted


@contextmanager
def changeable(image, work):
    """The root of a file system image, for the time of the block; the image is only read.

    :param Path work: a new directory, for what is changed
    """
    places = {name: work / name for name in ("lower", "upper", "work", "root")}
    for place in places.values():
        place.mkdir(parents=True)
    layers = f"lowerdir={places['lower']},upperdir={places['upper']},workdir={places['work']},index=off"
    with mounted(image, places["lower"], "ro"):
        subprocess.run(["mount", "-t", "overlay", "-o", layers, "overlay", places["root"]], check=True)
        try:
            yield places["root"]
        finally:
            subprocess.run(["umount", places["root"]], check=True)
    shutil.rmtree(places["upper"])
