import hashlib
import os

import pytest
from vmimage.errors import ImageUnsound
from vmimage.image.triplet import ROLES, Triplet

CONTENT = {"root_image": b"image", "kernel": b"kernel", "ramdisk": b"ramdisk"}
NAMES = {"web.img", "kernel_web", "ramdisk_web", "web.manifest.json"}


@pytest.fixture
def triplet(tmp_path):
    return Triplet(tmp_path / "images", "web")


def make(triplet, content=None):
    triplet.directory.mkdir(exist_ok=True)
    for role in ROLES:
        triplet.partial(role).write_bytes((content or CONTENT)[role])
    triplet.complete({"build": "1", "files": triplet.describe_partials(lambda done, total: None)})
    return triplet


def test_a_complete_triplet_is_three_files_and_their_manifest(triplet):
    make(triplet)
    assert set(os.listdir(triplet.directory)) == NAMES
    manifest = triplet.check()
    assert {role: facts["path"] for role, facts in manifest["files"].items()} == {
        "root_image": "web.img", "kernel": "kernel_web", "ramdisk": "ramdisk_web"
    }  # fmt: skip
    assert manifest["files"]["kernel"]["bytes"] == 6


def test_what_the_programs_that_wrote_it_did_not_sync_is_safe_on_the_disk_before_it_has_its_name(triplet, monkeypatch):
    done = []
    monkeypatch.setattr("vmimage.image.triplet.sync", lambda path: done.append(os.path.basename(path)))
    monkeypatch.setattr(
        "os.replace", lambda source, target, replace=os.replace: (done.append("replaced"), replace(source, target))
    )
    make_with(triplet, "web.tar")
    partials = {f"{name}.partial" for name in (*NAMES, "web.tar")} - {"web.manifest.json.partial"}
    assert partials <= set(done[: done.index("replaced")])


@pytest.mark.parametrize(
    "change", [('"web.img"', '"wec.img"'), ("}", "}}"), ("{", "[")], ids=["a letter", "more", "no dictionary"]
)
def test_a_manifest_that_is_not_as_it_was_written_describes_no_triplet(triplet, change):
    make(triplet)
    text = triplet.manifest_path.read_text(encoding="utf-8")
    triplet.manifest_path.write_text(text.replace(*change, 1), encoding="utf-8")
    assert triplet.manifest() is None
    with pytest.raises(ImageUnsound, match="web.manifest.json is not as it was written"):
        triplet.check()


def make_with(triplet, *names, content=b"output"):
    """A triplet with other outputs, whose files have these names."""
    triplet.directory.mkdir(exist_ok=True)
    for role in ROLES:
        triplet.partial(role).write_bytes(CONTENT[role])
    outputs = {}
    for name in names:
        triplet.output_partial(name).write_bytes(content)
        outputs[name] = {"path": name, "bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    files = triplet.describe_partials(lambda done, total: None)
    triplet.complete({"build": "1", "files": files, "outputs": outputs})
    return triplet


def test_other_outputs_come_with_the_triplet_for_their_owner_alone(triplet):
    make_with(triplet, "web.disk.qcow2", "web.tar.zst")
    assert set(os.listdir(triplet.directory)) == NAMES | {"web.disk.qcow2", "web.tar.zst"}
    assert (triplet.directory / "web.disk.qcow2").stat().st_mode & 0o777 == 0o600
    triplet.check()


def test_an_output_that_is_no_longer_asked_for_goes_with_the_old_triplet(triplet):
    make_with(triplet, "web.disk.qcow2", "web.disk.raw", "web.bare.raw", "web.tar.gz")
    (triplet.directory / "web.disk.vmdk").write_bytes(b"of the user")
    make_with(triplet, "web.disk.raw", content=b"new")
    assert set(os.listdir(triplet.directory)) == NAMES | {"web.disk.raw", "web.disk.vmdk"}
    assert (triplet.directory / "web.disk.raw").read_bytes() == b"new"


def test_an_output_that_is_changed_or_missing_is_found(triplet):
    make_with(triplet, "web.disk.qcow2")
    (triplet.directory / "web.disk.qcow2").write_bytes(b"outpuT")
    with pytest.raises(ImageUnsound, match=r"web\.disk\.qcow2"):
        triplet.check()
    (triplet.directory / "web.disk.qcow2").unlink()
    with pytest.raises(ImageUnsound, match=r"web\.disk\.qcow2"):
        triplet.check()


def test_outputs_in_the_making_are_cleared_and_whole_outputs_stay(triplet):
    make_with(triplet, "web.disk.qcow2")
    for name in ("web.disk.qcow2", "web.disk.raw", "web.tar.zst"):
        triplet.output_partial(name).touch()
    triplet.clear_partials()
    assert set(os.listdir(triplet.directory)) == NAMES | {"web.disk.qcow2"}


def test_nothing_is_replaced_where_an_output_is_not_made_yet(triplet):
    make(triplet)
    for role in ROLES:
        triplet.partial(role).write_bytes(b"new")
    with pytest.raises(FileNotFoundError):
        triplet.complete({"build": "2", "outputs": {"tar": {"path": "web.tar"}}})
    assert triplet.check()["build"] == "1"


@pytest.mark.parametrize("quickly", [False, True])
@pytest.mark.parametrize("role", ROLES)
def test_one_changed_byte_is_found(triplet, role, quickly):
    path = getattr(make(triplet), role)
    triplet.check(quickly=quickly)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(ImageUnsound, match=path.name):
        triplet.check(quickly=quickly)


@pytest.mark.parametrize(("wrong", "quickly"), [("sha256", False), ("xxh3_128", True)])
def test_each_way_of_looking_compares_its_own_digest(triplet, wrong, quickly):
    manifest = make(triplet).manifest()
    manifest["files"]["kernel"][wrong] = "0"
    for role in ROLES:
        triplet.partial(role).write_bytes(CONTENT[role])
    triplet.complete(manifest)
    assert triplet.check(quickly=not quickly)
    with pytest.raises(ImageUnsound, match="kernel_web"):
        triplet.check(quickly=quickly)


@pytest.mark.parametrize("missing", sorted(NAMES))
def test_a_triplet_that_lacks_a_file_is_none(triplet, missing):
    (make(triplet).directory / missing).unlink()
    assert triplet.manifest() is None
    with pytest.raises(ImageUnsound, match="no complete triplet web"):
        triplet.check()


def test_files_in_the_making_are_no_triplet(triplet):
    triplet.directory.mkdir()
    for role in ROLES:
        triplet.partial(role).write_bytes(b"x")
    assert triplet.manifest() is None


def test_clearing_partials_leaves_a_whole_triplet(triplet):
    make(triplet)
    for role in ROLES:
        triplet.partial(role).write_bytes(b"of a run that was killed")
    (triplet.directory / "web.manifest.json.0123abcd.partial").touch()
    triplet.clear_partials()
    assert set(os.listdir(triplet.directory)) == NAMES
    triplet.check()


def test_a_new_triplet_takes_the_place_of_the_old_triplet(triplet):
    make(triplet)
    make(triplet, {**CONTENT, "kernel": b"newer bytes"})
    assert triplet.check()["files"]["kernel"]["bytes"] == 11


def test_where_a_new_triplet_came_only_half_there_is_none(triplet):
    make(triplet)
    for role in ("root_image", "kernel"):
        triplet.partial(role).write_bytes(b"new")
    os.mkdir(triplet.partial("ramdisk"))  # cannot take the place of a file
    with pytest.raises(OSError):
        triplet.complete({"build": "2"})
    assert triplet.manifest() is None


def test_nothing_is_replaced_where_a_file_is_not_made_yet(triplet):
    make(triplet)
    triplet.partial("root_image").write_bytes(b"new")
    with pytest.raises(FileNotFoundError):
        triplet.complete({"build": "2"})
    assert triplet.check()["build"] == "1"


@pytest.mark.parametrize("mode", [None, 0o640])
def test_the_files_are_for_their_owner_unless_it_is_said(triplet, mode):
    triplet.directory.mkdir()
    for role in ROLES:
        triplet.partial(role).write_bytes(CONTENT[role])
    triplet.complete({}, *([mode] if mode else []))
    assert {path.stat().st_mode & 0o777 for path in triplet.files().values()} == {mode or 0o600}
