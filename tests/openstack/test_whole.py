"""From the variation to the name in the store: create_variation as a user calls it, on a machine that builds."""

import json
import subprocess

import pytest
from looking import looked_into
from looking_at import assert_published, images_of, named, sha256_of
from root_fixtures import machine  # noqa: F401  a fixture of all these tests
from triplets import Publisher, make_triplet
from vmimage.errors import NotPublished
from vmimage.image.triplet import Triplet

VARIATION = """
a motd line:
  file.append:
    - name: /etc/motd
    - text: Published by a test.

what the root can see of the builder:
  file.managed:
    - name: /etc/seen
    - contents: {{ [salt["config.get"]("keystone.password", "no"), salt["config.get"]("keystone", "no"), pillar, opts] | json }}
"""


def keystone_of(cloud, region="RegionOne"):
    user = cloud.users["alice"]
    known = {
        "user": "alice",
        "password": user.password,
        "tenant": user.project_name,
        "auth_url": cloud.auth_url,
        "region": region,
    }
    return {f"keystone.{key}": value for key, value in known.items()}


def test_a_variation_is_built_passes_its_gate_and_is_published(cloud, salt):
    """The credentials stand in the pillar, too: the root must not see them there either."""
    salt.configure(**keystone_of(cloud))
    password = cloud.users["alice"].password
    salt.pillar(f"keystone.password: {password}\nkeystone: {{password: {password}}}\n")
    where = salt.variation("web", variation=VARIATION)
    built = salt.good("vm_create.create_variation", name="web", variation=where, revision="12:abcdef", gate=True, update=False)
    client = cloud.client("alice", "RegionOne")
    image = assert_published(client, Triplet(salt.output, "web"))
    assert built["published"]["image"] == image["id"]
    assert image["vm_create_revision"] == salt.manifest("web")["variation"]["revision"] == "12:abcdef"
    assert sha256_of(client, image["id"]) == built["files"]["root_image"]["sha256"]
    assert password not in json.dumps(built)
    assert subprocess.run(["grep", "-c", "-a", "-F", password, salt.output / "web.img"], check=False).returncode == 1
    with looked_into(salt.output / "web.img") as root:
        assert "Published by a test." in (root / "etc/motd").read_text()


def test_a_build_that_is_not_to_be_published_needs_no_cloud_and_a_build_that_is_fails_before_any_work(salt):
    where = salt.variation("web", variation=VARIATION)
    said = salt.bad("vm_create.create_variation", name="web", variation=where, publish=True)
    assert "ami.cloud" in said and not (salt.workspace / "web" / "begun.json").exists()
    plan = salt.good("vm_create.plan", name="web", variation=where)
    assert plan["publish"] is False


@pytest.mark.light
def test_when_the_store_is_lost_after_the_build_the_triplet_stays(cloud, salt, lane):
    salt.configure(**keystone_of(cloud, lane.region))
    where = salt.variation("web", variation=VARIATION)
    lane.wire.on_request = lambda number, method, path, headers: (503, "Service Unavailable") if method == "POST" else None
    said = salt.bad("vm_create.create_variation", name="web", variation=where, tries=2, update=False)
    assert "503" in said and "salt-call vm_create.upload web" in said
    triplet = Triplet(salt.output, "web")
    assert triplet.check() and images_of(cloud.client("alice", "RegionOne")) == []
    lane.wire.on_request = None
    assert salt.good("vm_create.upload", "web")["changed"] is True
    assert_published(cloud.client("alice", "RegionOne"), triplet)


def test_a_base_comes_from_the_store(cloud, salt, light, tmp_path):
    """The first variation is the base of the second: an ami, whose kernel and ramdisk are of no matter."""
    salt.configure(**keystone_of(cloud), **{"ami.cache": light["ami.cache"]})
    first, base = salt.variation("first", variation=VARIATION), {"base": light["ami.base"], "base_unverified": True}
    salt.good("vm_create.create_variation", name="first", variation=first, update=False, **base)
    second = salt.variation("second", variation="a file:\n  file.managed:\n    - name: /etc/second\n    - contents: two\n")
    built = salt.good(
        "vm_create.create_variation", name="second", variation=second, base="glance:first-amd64", update=False, publish=False
    )
    stored = named(cloud.client("alice", "RegionOne"), "first-amd64")[0]
    assert built["base"]["reference"] == "glance:first-amd64" and built["base"]["verified"] == "sha512 from the store"
    assert built["base"]["digest"] == f"sha256:{stored['vm_create_sha256']}"
    with looked_into(salt.output / "second.img") as root:
        assert (root / "etc/second").read_text().strip() == "two"
        assert "Published by a test." in (root / "etc/motd").read_text()


def test_a_triplet_that_does_not_pass_its_gate_is_kept_as_broken(cloud, tmp_path):
    alice = Publisher(cloud, tmp_path)
    old, _ = alice.publish_new()
    bad = make_triplet(tmp_path, kernel=b"boots nothing")
    with pytest.raises(NotPublished, match="did not pass its gate and is kept as 'broken web-amd64 "):
        alice.publish(gate={"seconds": 2})
    broken = [entry for entry in images_of(alice.client) if entry["name"].startswith("broken web-amd64 ")]
    assert [entry["vm_create_build"] for entry in broken] == [bad.manifest()["build"]]
    assert named(alice.client, "web-amd64")[0]["vm_create_sha256"] != bad.manifest()["files"]["root_image"]["sha256"]
    assert old
