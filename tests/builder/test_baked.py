"""A builder whose image brings its base: the first build of a fresh instance starts from what was prepared elsewhere."""

import json
import re

import pytest
from builder_machine import as_userdata
from building import CACHE, RELEASE
from contained import Contained
from creation import build_creation
from instance import openstack_files
from looking import looked_into
from repository_server import hg_served
from variations import make_history
from vmimage.image.triplet import Triplet
from vmimage.root.mounts import mounted

pytestmark = pytest.mark.needs("hg")
RUN_SECONDS = 1800


@pytest.fixture(scope="module")
def baked(bootstrapped, tmp_path_factory):
    """The minion that made an ami-creation image with the base that the tests share."""
    return build_creation(tmp_path_factory.mktemp("baked") / "minion", brings={"bases": [RELEASE], "packages": True})


def base_in(root):
    """What is known of the only base in the cache of a root: its record, by which it is taken for whole."""
    (image,) = (root / CACHE.lstrip("/")).glob("bases/*.img")
    return image.name, json.loads(image.with_suffix(".digest").read_text(encoding="utf-8"))["digest"]


def test_the_image_holds_the_base_and_lists_and_says_how_much_that_is(baked, bootstrapped):
    with looked_into(baked.output / "ami-creation.img") as root:
        name, digest = base_in(root)
        lists = [path.name for path in root.glob(f"{CACHE.lstrip('/')}/apt/*/lists/*InRelease")]
    assert name == bootstrapped.image.rpartition("/")[2] and digest.startswith("sha256:") and lists
    said = json.loads((baked.output / "ami-creation.build.json").read_text(encoding="utf-8"))["log"]
    assert re.search(rf"the image brings debian {RELEASE} \w+: [0-9.]+ MiB", said)
    assert re.search(rf"the image brings lists and packages of debian {RELEASE} \w+: [0-9.]+ MiB", said)


def test_the_first_build_of_a_fresh_instance_starts_from_the_base_that_its_image_brought(baked, tmp_path):
    with looked_into(baked.output / "ami-creation.img") as root:
        brought = base_in(root)
    source = make_history("hg", tmp_path / "served/web")
    with hg_served(tmp_path / "served") as port:
        settings = {"name": "web", "release": RELEASE, "publish": False}
        settings["hg_address_variation"] = f"http://10.0.2.2:{port}/{source.path.name}"
        userdata = as_userdata({f"ami.{key}": value for key, value in settings.items()})
        instance = Contained(Triplet(baked.output, "ami-creation"), tmp_path, openstack_files(userdata))
        with instance.running():
            instance.wait_for(r"Finished vm_create\.service", RUN_SECONDS)
            print(*(line for line in instance.said(400).splitlines() if " done in " in line), sep="\n")
    point = tmp_path / "point"
    point.mkdir()
    with mounted(instance.disk, point, "ro", "noload"):
        assert base_in(point) == brought  # prepared again it would have another UUID, and so another digest
