"""An instance of the ami-creation image, emulated: it reads its userdata, fetches the variation, builds, and delivers to a real Glance.

Repository, base, Keystone and Glance are served on this machine's loopback; each instance says how long its parts took.
"""

import re
from dataclasses import dataclass

import pytest
from builder_machine import as_userdata, keystone_of
from building import Salt
from file_server import files_served
from instance import Instance, ec2_files, openstack_files, with_config_drive, with_metadata_server, write_files
from repository_server import hg_served
from small_base import make_small_base
from store_watch import download, look_at
from variations import make_history, text_of
from vmimage.triplet import Triplet

pytestmark = [pytest.mark.boot, pytest.mark.needs("hg", "genisoimage")]

RUN_SECONDS, BOOT_SECONDS = 900, 240
PUBLISHED = r"vm_create: web-amd64 is published: image (\S+), kernel (\S+), ramdisk (\S+), from (\S+)"
#: how systemd shows on the console what systemctl tells
FINISHED_UNIT, FAILED_UNIT = r"Finished vm_create\.service", r"vm_create\.service: Failed with result 'exit-code'"
#: what of the console tells the end of a part
PARTS = {
    "kernel and systemd, the userdata is read": r"vm_create: sync",
    "Salt synchronizes the modules": r"vm_create: highstate",
    "the highstate": r"vm_create: variation",
    "the clone": r"repository done",
    "the base is downloaded and prepared": r"base done",
    "the variation": r"\bvariation done",
    "seal, kernel, ramdisk": r"kernel done",
    "pack": r"pack done",
    "shrink, triplet": r"triplet done",
    "the upload": r"is published",
}


@pytest.fixture(scope="module")
def triplet(creation):
    return Triplet(creation.output, creation.returned["name"])


@dataclass(frozen=True)
class World:
    """What an instance reaches on this machine's loopback."""

    cloud: object
    source: object
    hg_port: int
    files: object
    base: str
    base_hash: str

    def told(self, host, **more):
        """Userdata for an instance that sees this machine at that address."""
        told = {
            "ami.name": "web",
            "ami.update": False,
            "ami.base": f"http://{host}:{self.files.server_port}/{self.base}",
            "ami.base_hash": f"sha256:{self.base_hash}",
            "ami.hg_address_variation": f"http://{host}:{self.hg_port}/{self.source.path.name}",
            **keystone_of(self.cloud, region=region_of(host), host=host),
        }
        return as_userdata(told | {f"ami.{key}": value for key, value in more.items()})


def region_of(host):
    return f"Seen-at-{host}"


@pytest.fixture(scope="module")
def world(cloud, bootstrapped, tmp_path_factory):
    directory = tmp_path_factory.mktemp("world")
    base, digest = make_small_base(Salt(directory / "small"))
    (directory / "repositories").mkdir()
    source = make_history("hg", directory / "repositories/web")
    for host in ("10.0.2.2", "169.254.169.2"):
        cloud.register(region_of(host), cloud.glances["RegionOne"].url.replace("127.0.0.1", host))
    with hg_served(directory / "repositories") as port, files_served(base.parent) as files:
        yield World(cloud, source, port, files, base.name, digest)
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
    one = Instance(delivered, directory, with_metadata_server(directory, {}), memory_mib=512)
    with one.running():
        return one.wait_for(r"This is (\w+)\.", BOOT_SECONDS)[1]


def test_an_instance_with_a_metadata_server_delivers_and_when_its_variation_is_wrong_its_unit_fails(world, triplet, tmp_path):
    host, source, client = "169.254.169.2", world.source, world.cloud.client("alice", "RegionOne")
    asked = source.shown(source.nodes["second"])
    files = openstack_files(world.told(host, hg_rev_variation=asked))
    instance = Instance(triplet, tmp_path, with_metadata_server(tmp_path, files))
    with instance.running():
        published = instance.wait_for(PUBLISHED, RUN_SECONDS)
        tell(instance, "by a metadata server of OpenStack, at a revision that is not the tip")
        instance.wait_for(FINISHED_UNIT, instance.seconds() + 30)

    seen = look_at(client)
    image = seen.named("web-amd64")
    assert published.groups() == (image["id"], image["kernel_id"], image["ramdisk_id"], asked)
    assert len(seen.images) == 3 and {one["status"] for one in seen.images} == {"active"}
    assert image["vm_create_revision"] == asked and image["vm_create_sha256"] == image["sha256"]
    assert boot_what_was_delivered(client, image, tmp_path / "delivered") == "second"

    # the same instance is booted again, and is told by EC2 to build what cannot be built
    source.commit(variation__sls="it cannot be:\n  cmd.run:\n    - name: 'false'\n")
    (tmp_path / "metadata/openstack/latest/user_data").unlink()
    write_files(tmp_path / "metadata", ec2_files(world.told(host)))
    with instance.running():
        instance.wait_for(r"vm_create: FAILED at variation", RUN_SECONDS)
        tell(instance, "by a metadata server of EC2, a variation that fails")
        instance.wait_for(FAILED_UNIT, instance.seconds() + 30)
    assert instance.when(r"it cannot be"), instance.said(40)
    assert "PUT /latest/api/token 200\nGET /latest/user-data 200" in (tmp_path / "metadata.log").read_text()
    assert look_at(client) == seen


def test_an_instance_with_a_config_drive_whose_power_is_cut_while_it_builds_starts_again_and_delivers(world, triplet, tmp_path):
    source, client = world.source, world.cloud.client("alice", "RegionOne")
    new = source.shown(source.commit(variation__sls=text_of("new")))
    old = look_at(client)
    userdata = world.told("10.0.2.2", when_done="poweroff")
    instance = Instance(triplet, tmp_path, with_config_drive(tmp_path, openstack_files(userdata)))
    with instance.running():
        instance.wait_for(r"\] root done", RUN_SECONDS)
        tell(instance, "by a config drive, until its power is cut")
    assert look_at(client) == old
    with instance.running():
        published = instance.wait_for(PUBLISHED, RUN_SECONDS)
        tell(instance, "by a config drive, after its power was cut")
        instance.wait_until_off(120)
    image = look_at(client).named("web-amd64")
    assert published[1] == image["id"] and published[4] == image["vm_create_revision"] == new
    assert re.search(r"[0-9a-f]{64}", image["sha256"]) and image["sha256"] == image["vm_create_sha256"]
    archived = [one["id"] for one in look_at(client).archived("web-amd64")]
    assert archived == [one["id"] for one in old.images if one["name"] == "web-amd64"]
