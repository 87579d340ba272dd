"""From a userdata file to the published triplet, without an instance: what a builder does, on this machine."""

import json
import re
import subprocess
from dataclasses import dataclass

import pytest
from builder_machine import Builder, keystone_of
from looking import looked_into
from store_watch import look_at
from variations import make_history, page_of, text_of

pytestmark = pytest.mark.needs("hg")


@dataclass(frozen=True)
class Runs:
    """Two runs, of the second of three revisions and of a revision that was committed after that, and what each left."""

    builder: Builder
    source: object
    password: str
    ended: list
    seen: list
    manifests: list
    pages: list


@pytest.fixture(scope="module")
def runs(light, cloud, repositories, tmp_path_factory):
    """Of hg; a variation of git is built by a builder in test_host_code."""
    directory = tmp_path_factory.mktemp("hg")
    source = make_history("hg", repositories.top / directory.name, headroom_mib=5, room_mib=500, update="true")
    builder, client = Builder(directory / "builder", light), cloud.client("alice", "RegionOne")
    builder.pillar("ami: {room_mib: 600, update: true}\n")
    settings = {"ami.name": "web", "ami.update": False, "ami.hg_address_variation": repositories.address(source)}
    settings |= keystone_of(cloud)
    asked = source.shown(source.nodes["second"])
    found = Runs(builder, source, cloud.users["alice"].password, [], [], [], [])
    for name, revision in (("asked", asked), ("new", "")):
        if name == "new":
            source.nodes["new"] = source.commit(variation__sls=text_of("new"))
        found.ended.append(builder.run(settings | ({"ami.hg_rev_variation": revision} if revision else {})))
        assert found.ended[-1].code == 0, found.ended[-1]
        found.seen.append(look_at(client))
        found.manifests.append(builder.manifest("web"))
        found.pages.append(page_of(builder.output / "web.img"))
    cloud.remove_images()
    return found


def test_the_image_in_the_store_is_that_of_the_revision_that_was_asked(runs):
    assert runs.pages[0] == "second green"
    seen, manifest = runs.seen[0], runs.manifests[0]
    image, shown = seen.named("web-amd64"), runs.source.shown(runs.source.nodes["second"])
    assert image["vm_create_revision"] == manifest["variation"]["revision"] == shown
    parts = {"root_image": image, "kernel": seen.with_id(image["kernel_id"]), "ramdisk": seen.with_id(image["ramdisk_id"])}
    assert {role: part["sha256"] for role, part in parts.items()} == {
        role: entry["sha256"] for role, entry in manifest["files"].items()
    }
    assert len(seen.images) == 3


def test_the_last_line_tells_what_was_published_and_from_which_revision(runs):
    image, shown = runs.seen[0].named("web-amd64"), runs.source.shown(runs.source.nodes["second"])
    ids = f"image {image['id']}, kernel {image['kernel_id']}, ramdisk {image['ramdisk_id']}"
    assert runs.ended[0].last == f"vm_create: web-amd64 is published: {ids}, from {shown}"


def test_a_commit_and_another_run_give_a_new_image_and_archive_the_old(runs):
    old, new = (seen.named("web-amd64") for seen in runs.seen)
    assert runs.pages[1] == "new green"
    assert new["id"] != old["id"] and new["vm_create_revision"] == runs.source.shown(runs.source.nodes["new"])
    assert [entry["id"] for entry in runs.seen[1].archived("web-amd64")] == [old["id"]]
    assert new["sha256"] == runs.manifests[1]["files"]["root_image"]["sha256"]


def test_the_repository_weighs_less_than_pillar_and_pillar_less_than_userdata(runs):
    settings = runs.manifests[0]["settings"]
    assert (settings["headroom_mib"], settings["room_mib"], settings["update"]) == (5, 600, False)


def test_after_a_run_the_password_is_in_the_file_for_root_alone_and_nowhere_else(runs):
    """Grains, logs at level debug, job cache, caches, notes, manifest, image, and what was printed."""
    builder = runs.builder
    grep = ["grep", "--recursive", "--files-with-matches", "--text", "--fixed-strings", runs.password]
    found = subprocess.run([*grep, builder.directory], capture_output=True, text=True, check=False).stdout.splitlines()
    secret = builder.etc / "minion.d/vm_create-userdata.conf"
    assert found == [str(secret)] and secret.stat().st_mode & 0o777 == 0o600
    assert not [line for ended in runs.ended for line in ended.lines if runs.password in line]
    with looked_into(builder.output / "web.img") as root:
        assert subprocess.run([*grep, root], capture_output=True, check=False).returncode == 1
    assert (builder.directory / "salt/var/log/salt/minion").stat().st_size > 10000, "there was no log to look into"
    assert json.dumps(runs.seen[0].images).count(runs.password) == 0
    assert re.fullmatch(r"[0-9a-f]{32}", runs.password)
