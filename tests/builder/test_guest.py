"""An instance of the ami-creation image: it reads its userdata, fetches the variation, builds, and delivers to a real Glance.

All of that is seen in a container, in which the image's systemd boots, with userdata as a fleet's launcher renders them: the images wait for the fleet to
give them their names.  A machine with a kernel of its own, in QEMU, is seen to come as
far as the highstate by a config drive; all the rest there takes a quarter of an hour where the processor is emulated (``-m long``).
Repository, Keystone and Glance are served on this machine's loopback; the base lies prepared in the instance, as on a builder that
has built before.  Each instance prints how long its parts took.
"""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, replace

import pytest
from builder_machine import as_userdata, keystone_of
from building import Salt
from contained import Contained
from instance import Instance, ec2_files, openstack_files, with_config_drive, with_metadata_server
from nova_fixtures import credentials_of
from repository_server import hg_served
from small_base import make_small_base
from store_watch import download, look_at
from variations import make_history, page_of, text_of
from vmimage.base.locate import locate_base
from vmimage.base.prepare import prepare_base
from vmimage.fleet.console import read_console
from vmimage.fleet.records import Claim, Seen, Wanted
from vmimage.fleet.userdata import render_userdata
from vmimage.glance.client import Store
from vmimage.glance.waiting import promote_uploaded
from vmimage.image.triplet import Triplet
from vmimage.root.mounts import mounted
from vmimage.settings.schema import Settings
from vmimage.system.progress import Progress

pytestmark = pytest.mark.needs("hg", "genisoimage")

RUN_SECONDS, BOOT_SECONDS = 1800, 600
PUBLISHED = r"vm_create: web-amd64 is published: image (\S+), kernel (\S+), ramdisk (\S+), from (\S+)"
#: how systemd shows on the console what systemctl tells
FINISHED_UNIT, FAILED_UNIT = r"Finished vm_create\.service", r"vm_create\.service: Failed with result 'exit-code'"
#: what of the console tells the end of a part
PARTS = {
    "kernel and systemd, the userdata is read": r"vm_create: sync",
    "Salt synchronizes the modules": r"vm_create: highstate",
    "the highstate": r"vm_create: variation",
    "the clone": r"repository done",
    "the base is verified": r"base done",
    "the variation": r"\bvariation done",
    "seal, kernel, ramdisk": r"kernel done",
    "pack": r"pack done",
    "shrink, triplet": r"triplet done",
    "the upload": r"is published",
}


BASE = "/var/lib/base.img"
MIB = 1 << 20


@pytest.fixture(scope="module")
def small_base(bootstrapped, tmp_path_factory):
    """``(path, sha256)`` of a base that boots and has little else."""
    return make_small_base(Salt(tmp_path_factory.mktemp("base") / "small"))


@pytest.fixture(scope="module")
def triplet(creation, small_base, tmp_path_factory):
    """The ami-creation image with a base in it, as a file and prepared."""
    made, triplet = Triplet(creation.output, creation.returned["name"]), Triplet(tmp_path_factory.mktemp("instance"), "builder")
    os.link(made.kernel, triplet.kernel)
    os.link(made.ramdisk, triplet.ramdisk)
    base, digest = small_base
    subprocess.run(["cp", "--sparse=always", made.root_image, triplet.root_image], check=True)
    with open(triplet.root_image, "r+b") as file:
        file.truncate(made.root_image.stat().st_size + 3 * base.stat().st_size + 64 * MIB)
    subprocess.run(["resize2fs", triplet.root_image], check=True, capture_output=True)
    (triplet.directory / "point").mkdir()
    with mounted(triplet.root_image, triplet.directory / "point") as root:
        shutil.copy(base, root / BASE.lstrip("/"))
        settings, progress = (
            Settings(cache=str(root / "var/cache/vm_create"), base=str(base), base_hash=f"sha256:{digest}"),
            Progress(),
        )
        prepare_base(settings, locate_base(settings, progress), progress)
    return triplet


@dataclass(frozen=True)
class World:
    """What an instance reaches on this machine's loopback."""

    cloud: object
    source: object
    hg_port: int
    base_hash: str

    def settings(self, host):
        """Settings of a build in an instance that sees this machine at that address."""
        return {
            "update": False,
            "base": BASE,
            "base_hash": f"sha256:{self.base_hash}",
            "hg_address_variation": f"http://{host}:{self.hg_port}/{self.source.path.name}",
        }

    def userdata(self, host, **more):
        """Userdata that a user has written."""
        settings = {f"ami.{key}": value for key, value in {"name": "web", **self.settings(host), **more}.items()}
        return as_userdata(settings | keystone_of(self.cloud, region=region_of(host), host=host))

    def claim(self, host, node):
        """A fleet's claim of a build at a commit."""
        settings = {**self.settings(host), "architecture": "amd64", "hg_rev_variation": node}
        return Claim(17, Wanted("web-amd64", "web", "web", node, settings, "small", "d" * 64), "web-amd64-17", 0.0, 0.0)

    def rendered(self, host, claim):
        """Userdata as the fleet's launcher renders them for an instance, with an application credential."""
        user, own = self.cloud.users["alice"], credentials_of(self.cloud)
        auth = {**own.auth, "auth_url": own.auth["auth_url"].replace("127.0.0.1", host)}
        seen = replace(own, auth=auth, region_name=region_of(host))
        return render_userdata(claim, seen, (user.app_cred_id, user.app_cred_secret)).decode()


def region_of(host):
    return f"Seen-at-{host}"


@pytest.fixture(scope="module")
def world(cloud, small_base, tmp_path_factory):
    top = tmp_path_factory.mktemp("world")
    source = make_history("hg", top / "web")
    for host in ("10.0.2.2", "169.254.169.2"):
        cloud.register(region_of(host), cloud.glances["RegionOne"].url.replace("127.0.0.1", host))
    with hg_served(top) as port:
        yield World(cloud, source, port, small_base[1])
    cloud.remove_images()


def tell(instance, what):
    """How long each part took."""
    print(f"\n{what}:")
    before = 0
    for part, pattern in PARTS.items():
        at = instance.when(pattern)
        if at is not None:
            print(f"  {part:42} {at - before:6.1f} s")
            before = at
    print(f"  {'':42} {before:6.1f} s")


def boot_what_was_delivered(client, image, directory):
    """Download a published triplet as it lies in the store, boot it, and return what it calls itself on the console."""
    directory.mkdir()
    delivered = Triplet(directory, "web")
    for image_id, path in (
        (image["id"], delivered.root_image),
        (image["kernel_id"], delivered.kernel),
        (image["ramdisk_id"], delivered.ramdisk),
    ):
        download(client, image_id, path)
    instance = Instance(delivered, directory, with_metadata_server(directory, {}), memory_mib=512)
    with instance.running():
        return instance.wait_for(r"This is (\w+)\.", BOOT_SECONDS)[1]


@dataclass(frozen=True)
class Asked:
    """A revision that is not the tip, as userdata asks for it."""

    revision: str
    files: dict


@pytest.fixture
def asked(world):
    revision = world.source.shown(world.source.nodes["second"])
    return Asked(revision, openstack_files(world.userdata("10.0.2.2", hg_rev_variation=revision)))


def check_delivered(world, published, revision, named="web-amd64"):
    """What the console says of an instance's end, compared with the store; returns the image."""
    seen = look_at(world.cloud.client("alice", "RegionOne"))
    (image,) = [image for image in seen.images if image["name"].startswith(named)]
    assert published.groups() == (image["id"], image["kernel_id"], image["ramdisk_id"], revision)
    assert len(seen.images) == 3 and {entry["status"] for entry in seen.images} == {"active"}
    assert image["vm_create_revision"] == revision and image["vm_create_sha256"] == image["sha256"]
    return image


def test_an_instance_that_a_fleet_has_launched_delivers_and_switches_itself_off(world, triplet, tmp_path):
    node = world.source.nodes["second"]
    claim = world.claim("10.0.2.2", node)
    instance = Contained(triplet, tmp_path, openstack_files(world.rendered("10.0.2.2", claim)))
    with instance.running():
        published = instance.wait_for(PUBLISHED, RUN_SECONDS)
        tell(instance, "in a container, launched by a fleet, at a revision that is not the tip")
        instance.wait_until_off(120)
    image = check_delivered(world, published, world.source.shown(node), named="new web-amd64 ")
    assert (image["vm_create_number"], image["vm_create_order"]) == ("17", claim.wanted.digest)
    sight = read_console(instance.console.read_text(encoding="utf-8", errors="replace"), claim.wanted.name)
    assert sight.seen is Seen.ENDED and sight.result["published"]["outputs"] == {
        "triplet": {"name": "web-amd64", "image": image["id"]}
    }
    done = promote_uploaded(Store(credentials_of(world.cloud)), Settings(name="web"), "web-amd64", 17, claim.wanted.digest)
    assert done["outputs"]["triplet"]["image"] == image["id"]
    assert check_delivered(world, published, world.source.shown(node))["id"] == image["id"]
    download(world.cloud.client("alice", "RegionOne"), image["id"], tmp_path / "web.img")
    assert page_of(tmp_path / "web.img") == "second green"


def test_a_machine_reads_its_config_drive(world, triplet, asked, tmp_path):
    instance = Instance(triplet, tmp_path, with_config_drive(tmp_path, asked.files))
    with instance.running():
        instance.wait_for(r"vm_create: sync", RUN_SECONDS)
        tell(instance, "by a config drive, until its userdata is read")


@pytest.mark.long  # its parts are shown by the two tests above
def test_a_machine_with_a_config_drive_delivers_what_boots(world, triplet, asked, tmp_path):
    world.cloud.remove_images()
    instance = Instance(triplet, tmp_path, with_config_drive(tmp_path, asked.files))
    with instance.running():
        published = instance.wait_for(PUBLISHED, RUN_SECONDS)
        tell(instance, "by a config drive, at a revision that is not the tip")
        instance.wait_for(FINISHED_UNIT, instance.seconds() + 60)
    image = check_delivered(world, published, asked.revision)
    client = world.cloud.client("alice", "RegionOne")
    assert boot_what_was_delivered(client, image, tmp_path / "delivered") == "second"


@pytest.mark.long  # exit codes are shown by test_host_trouble, metadata servers by HTTP servers in the group tools
def test_an_instance_with_a_metadata_server_of_ec2_whose_variation_is_wrong_has_a_failed_unit(world, triplet, tmp_path):
    old = look_at(world.cloud.client("alice", "RegionOne"))
    world.source.commit(variation__sls="it cannot be:\n  cmd.run:\n    - name: 'false'\n")
    instance = Instance(triplet, tmp_path, with_metadata_server(tmp_path, ec2_files(world.userdata("169.254.169.2"))))
    with instance.running():
        instance.wait_for(r"vm_create: FAILED at variation", RUN_SECONDS)
        tell(instance, "by a metadata server of EC2, a variation that fails")
        instance.wait_for(FAILED_UNIT, instance.seconds() + 60)
    assert instance.when(r"it cannot be"), instance.said(40)
    assert "PUT /latest/api/token 200\nGET /latest/user-data 200" in (tmp_path / "metadata.log").read_text()
    assert look_at(world.cloud.client("alice", "RegionOne")) == old


@pytest.mark.long  # what a cut of the power adds to a kill (test_host_trouble), and OpenStack's metadata server to an HTTP server (tools)
def test_an_instance_with_a_metadata_server_whose_power_is_cut_while_it_builds_starts_again_and_delivers(
    world, triplet, tmp_path
):
    source, client, host = world.source, world.cloud.client("alice", "RegionOne"), "169.254.169.2"
    new = source.shown(source.commit(variation__sls=text_of("new")))
    old = look_at(client)
    files = openstack_files(world.userdata(host, when_done="poweroff"))
    instance = Instance(triplet, tmp_path, with_metadata_server(tmp_path, files))
    with instance.running():
        instance.wait_for(r"\] root done", RUN_SECONDS)
        tell(instance, "by a metadata server, until its power is cut")
    assert look_at(client) == old
    with instance.running():
        published = instance.wait_for(PUBLISHED, RUN_SECONDS)
        tell(instance, "by a metadata server, after its power was cut")
        instance.wait_until_off(120)
    image = look_at(client).named("web-amd64")
    assert published[1] == image["id"] and published[4] == image["vm_create_revision"] == new
    assert re.search(r"[0-9a-f]{64}", image["sha256"]) and image["sha256"] == image["vm_create_sha256"]
    archived = [entry["id"] for entry in look_at(client).archived("web-amd64")]
    assert archived == [entry["id"] for entry in old.images if entry["name"] == "web-amd64"]
