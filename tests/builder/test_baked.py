"""A builder whose image brings its base: the first build of a fresh instance starts from what was prepared elsewhere, however old that is."""

import json
import os
import re
import subprocess
import time

import pytest
from builder_machine import as_userdata
from building import CACHE, RELEASE
from contained import Contained
from creation import build_creation
from instance import Instance, openstack_files, with_config_drive
from looking import looked_into
from repository_server import hg_served
from variations import make_history
from vmimage.base import prepare
from vmimage.image.triplet import Triplet
from vmimage.root.mounts import mounted
from vmimage.system.digest import QUICK
from vmimage.system.shell import run
from vmimage.system.whole_files import read_json, write_json

pytestmark = pytest.mark.needs("hg", "genisoimage")
RUN_SECONDS = 3600
MONTHS_SECONDS = 90 * 86400  # longer than what nobody uses is kept
#: a package of the base, and a version of it that no archive has any more; as long as the newest: the base's file system is full
PACKAGE, NEW, OLD = "sensible-utils", "0.0.17+nmu1", "0.0.16+nmu1"


@pytest.fixture(scope="module")
def baked(bootstrapped, tmp_path_factory):
    """The ami-creation triplet with the base that the tests share."""
    directory = tmp_path_factory.mktemp("baked") / "minion"
    return Triplet(build_creation(directory, brings={"bases": [RELEASE], "packages": True}).output, "ami-creation")


@pytest.fixture(scope="module")
def aged(baked, tmp_path_factory):
    """The same triplet months later: the archives have something newer than its base."""
    aged, point = Triplet(tmp_path_factory.mktemp("aged"), "ami-creation"), tmp_path_factory.mktemp("point")
    for path in (baked.root_image, baked.kernel, baked.ramdisk):
        run(["cp", "--sparse=always", "--reflink=auto", path, aged.directory])
    long_ago = time.time() - MONTHS_SECONDS
    with mounted(aged.root_image, point):
        (image,) = (point / CACHE.lstrip("/")).glob("bases/*.img")
        facts, inside = read_json(image.with_suffix(".json"), {}), point / "mnt"
        assert facts["packages"][PACKAGE] == NEW
        with mounted(image, inside):
            status = inside / "var/lib/dpkg/status"
            text = status.read_text(encoding="utf-8")
            at = text.index(f"Version: {NEW}", text.index(f"\nPackage: {PACKAGE}\n")) + len("Version: ")
            with open(status, "r+", encoding="utf-8") as file:  # in place
                file.write(text[:at] + OLD + text[at + len(OLD) :])
        run(["e2fsck", "-fy", image], ok=(0, 1))  # a prepared base was never mounted
        write_json(image.with_suffix(".json"), {**facts, "packages": {**facts["packages"], PACKAGE: OLD}})
        os.utime(image, (long_ago, long_ago))
        write_json(image.with_suffix(".digest"), prepare._record_of(image, read_json(image.with_suffix(".json"), {})))
        for directory, names, files in os.walk(point / CACHE.lstrip("/")):
            for name in [*names, *files] if "/lists" not in directory else ():
                os.utime(f"{directory}/{name}", (long_ago, long_ago))
    return aged


def contained(triplet, directory, files):
    return Contained(triplet, directory, files)


def machine(triplet, directory, files):
    return Instance(triplet, directory, with_config_drive(directory, files))


@pytest.fixture(params=[contained, pytest.param(machine, marks=pytest.mark.long)])  # the second takes a quarter of an hour
def first_build(request, tmp_path):
    """A function that boots a triplet as a fresh instance, lets it build by its userdata, and returns what its disk has then:

    what is known of its base, and the build's log and manifest.
    """

    def build(triplet):
        source = make_history("hg", tmp_path / "served/web")
        with hg_served(tmp_path / "served") as port:
            settings = {"name": "web", "release": RELEASE, "publish": False}
            settings["hg_address_variation"] = f"http://10.0.2.2:{port}/{source.path.name}"
            userdata = as_userdata({f"ami.{key}": value for key, value in settings.items()})
            instance = request.param(triplet, tmp_path, openstack_files(userdata))
            with instance.running():
                ended = instance.wait_for(r"(Finished|Failed to start) vm_create\.service", RUN_SECONDS)
                print(*(line for _, line in instance.seen if " done in " in line), sep="\n")
        assert ended[1] == "Finished", instance.said(60)
        disk, point = tmp_path / "raw", tmp_path / "inside"
        subprocess.run(["qemu-img", "convert", "-O", "raw", instance.disk, disk], check=True)
        point.mkdir()
        with mounted(disk, point, "ro", "noload"):
            images = point / "var/lib/vm_create/images"
            kept = [json.loads((images / f"web.{kind}.json").read_text(encoding="utf-8")) for kind in ("build", "manifest")]
            return base_in(point), kept[0]["log"], kept[1]

    return build


def base_in(root):
    """What is known of the only base in the cache of a root: its name, and the digest by which it is taken for whole."""
    (image,) = (root / CACHE.lstrip("/")).glob("bases/*.img")
    return image.name, json.loads(image.with_suffix(".digest").read_text(encoding="utf-8"))["digest"]


def base_of(triplet):
    with looked_into(triplet.root_image) as root:
        return base_in(root)


def test_the_image_holds_the_base_and_lists_and_says_how_much_that_is(baked, bootstrapped):
    with looked_into(baked.root_image) as root:
        name, digest = base_in(root)
        lists = [path.name for path in root.glob(f"{CACHE.lstrip('/')}/apt/*/lists/*InRelease")]
    assert name == bootstrapped.image.rpartition("/")[2] and digest.startswith(f"{QUICK}:") and lists
    said = json.loads((baked.directory / "ami-creation.build.json").read_text(encoding="utf-8"))["log"]
    assert re.search(rf"the image brings debian {RELEASE} \w+: [0-9.]+ MiB", said)
    assert re.search(rf"the image brings lists and packages of debian {RELEASE} \w+: [0-9.]+ MiB", said)


def test_the_first_build_of_a_fresh_instance_starts_from_what_its_image_brought(baked, first_build):
    base, said, _ = first_build(baked)
    assert base == base_of(baked)  # prepared again it would have another UUID, and so another digest
    assert said.startswith("the archives offer nothing that is newer"), said[:2000]


def test_a_base_that_is_months_old_is_brought_up_to_date_and_not_made_again(aged, first_build):
    base, said, manifest = first_build(aged)
    assert base == base_of(aged)
    assert manifest["packages"][PACKAGE] == NEW and f"Unpacking {PACKAGE} ({NEW}) over ({OLD})" in said, said[:2000]
