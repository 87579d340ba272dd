"""Several outputs of a build on their way into a real Glance, seen by a plain python-glanceclient."""

import signal

import pytest
from looking_at import assert_nothing_unfinished, file_sha256, images_of, named, sha256_of
from publishing import Publishers
from servers import until
from triplets import Publisher, make_outputs, make_triplet
from vmimage.errors import ImageUnsound, NotPublished, SettingsWrong
from vmimage.glance import publish
from vmimage.system.whole_files import write_json

KINDS = ["triplet", "bare", "disk"]
NAMES = {"triplet": "web-amd64", "bare": "web-amd64-bare", "disk": "web-amd64-disk"}


@pytest.fixture
def alice(cloud, lane, tmp_path):
    publisher = Publisher(cloud, tmp_path, lane.region)
    publisher.plain = cloud.client("alice", "RegionOne")  # beside the wire
    return publisher


def publish_new(publisher, outputs=KINDS, **settings):
    """New bytes of all outputs, published."""
    triplet = make_outputs(publisher.directory)
    return triplet, publisher.publish(outputs=outputs, **settings)


def assert_all_published(client, triplet, kinds=KINDS, archived=None):
    """Each name points to its file, byte for byte, and nothing else of a build is in the store."""
    made = triplet.manifest()["outputs"]
    found = {}
    for kind in kinds:
        (image,) = named(client, NAMES[kind])
        path = triplet.root_image if kind == "triplet" else triplet.directory / made[kind]["path"]
        assert (image["status"], sha256_of(client, image["id"])) == ("active", file_sha256(path))
        found[kind] = image
        if archived is not None:
            assert len([entry for entry in images_of(client) if entry["name"].startswith(f"archive {NAMES[kind]} ")]) == archived
    assert_nothing_unfinished(client)
    return found


def listings(wire):
    return len([path for method, path in wire.requests if method == "GET" and path.startswith("/v2/images?")])


def test_outputs_are_published_together_each_under_its_name(alice, lane):
    """Seen twice: then they are archived together, and go back together; a listing costs the same for one output and for three."""
    first, published = publish_new(alice)
    images = assert_all_published(alice.client, first)
    assert published["outputs"] == {kind: {"name": NAMES[kind], "image": images[kind]["id"]} for kind in KINDS}
    formats = {kind: (image["container_format"], image["disk_format"]) for kind, image in images.items()}
    assert formats == {"triplet": ("ami", "ami"), "bare": ("bare", "qcow2"), "disk": ("bare", "qcow2")}
    made = first.manifest()["outputs"]
    for kind in ("bare", "disk"):  # what Glance's own inspector found in the file
        assert images[kind]["virtual_size"] == made[kind]["virtual_bytes"]
    for key in ("kernel_id", "ramdisk_id"):
        assert images["bare"][key] == images["triplet"][key] and key not in images["disk"]
    assert len([entry for entry in images_of(alice.client) if entry["container_format"] in ("aki", "ari")]) == 2
    before = {entry["id"]: entry["updated_at"] for entry in images_of(alice.client)}
    again = alice.publish(outputs=KINDS)
    assert again["changed"] is False and again["outputs"] == published["outputs"]
    assert {entry["id"]: entry["updated_at"] for entry in images_of(alice.client)} == before

    lane.wire.requests.clear()
    second, _ = publish_new(alice, keep=1)
    of_three = listings(lane.wire)
    assert_all_published(alice.client, second, archived=1)
    back = publish.roll_back(*alice.build(outputs=KINDS))
    assert {kind: entry["image"] for kind, entry in back["outputs"].items()} == {kind: images[kind]["id"] for kind in KINDS}
    assert [named(alice.client, NAMES[kind])[0]["id"] for kind in KINDS] == [images[kind]["id"] for kind in KINDS]
    with pytest.raises(NotPublished, match="this triplet was rolled back"):
        alice.publish(outputs=KINDS)
    lane.wire.requests.clear()
    publish_new(alice, ["triplet"], keep=1)
    assert 0 < listings(lane.wire) == of_three


def test_what_a_cloud_asks_is_on_each_image(alice):
    given = {"replace_frequency": "monthly", "hw_disk_bus": "scsi", "disk": {"hw_firmware_type": "uefi"}, "colour": "red"}
    triplet, _ = publish_new(alice, properties={**given, "min_ram": "256"})
    images = assert_all_published(alice.client, triplet)
    expected = {
        "architecture": "x86_64", "os_distro": "debian", "os_version": "12", "min_disk": 1, "min_ram": 256, "hw_disk_bus": "scsi",
        "replace_frequency": "monthly", "provided_until": "none", "uuid_validity": "last-3", "image_source": "private",
        "image_description": "web on Debian 12, revision 249:9ed741a55f17", "image_build_date": "2026-01-02 03:04:05",
        "image_original_user": "debian", "colour": "red",
    }  # fmt: skip
    for image in images.values():
        assert {key: image[key] for key in expected} == expected
    assert [images[kind].get("hw_firmware_type") for kind in KINDS] == [None, None, "uefi"]


def test_what_followed_from_the_old_file_is_not_taken_over(alice):
    """The old disk boots by UEFI alone, the new disk both ways; what an administrator said by hand goes on."""
    make_outputs(alice.directory, ["disk"], firmware=["uefi"], disk_format="raw")
    old = alice.client.images.get(alice.publish(outputs=["disk"])["image"])
    assert (old["hw_firmware_type"], old["disk_format"]) == ("uefi", "raw")
    alice.client.images.update(old["id"], hw_vif_model="virtio")
    make_outputs(alice.directory, ["disk"], disk_format="raw")
    new = alice.client.images.get(alice.publish(outputs=["disk"])["image"])
    assert "hw_firmware_type" not in new and new["hw_vif_model"] == "virtio"


def test_an_output_joins_and_leaves_without_the_others_being_touched(alice):
    first, published = publish_new(alice, ["triplet"])
    joined = alice.publish(outputs=["triplet", "disk"])
    images = assert_all_published(alice.client, first, ["triplet", "disk"])
    assert joined["changed"] is True and joined["image"] == published["image"]
    second, _ = publish_new(alice, ["triplet"])
    assert_all_published(alice.client, second, ["triplet"], archived=1)
    assert named(alice.client, NAMES["disk"])[0]["id"] == images["disk"]["id"]
    listed = publish.list_published(alice.build()[1], "web-amd64")
    assert {name: [(entry["output"], entry["state"]) for entry in found] for name, found in listed.items()} == {
        "web-amd64": [("triplet", "published"), ("triplet", "archived")],
        "web-amd64-disk": [("disk", "published")],
    }


def replaced_by_raw(path):
    path.write_bytes(bytes(3 << 20))


def backed(path):
    """As a careless hand would leave it: its header names another file of the host."""
    content = bytearray(path.read_bytes())
    content[8:20] = (512).to_bytes(8, "big") + (11).to_bytes(4, "big")
    content[512:523] = b"/etc/shadow"
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (replaced_by_raw, "is to be published as qcow2, and is no qcow2 image"),
        (backed, "is not safe: .*backing file"),
    ],
)
def test_a_file_that_is_not_what_it_is_called_is_refused_and_nothing_is_uploaded(alice, damage, words):
    triplet = make_outputs(alice.directory)
    manifest = triplet.manifest()
    disk = manifest["outputs"]["disk"]
    path = alice.directory / disk["path"]
    damage(path)
    disk["sha256"] = file_sha256(path)
    write_json(triplet.manifest_path, manifest)
    with pytest.raises(ImageUnsound, match=f"web.disk.qcow2 {words}"):
        alice.publish(outputs=KINDS)
    assert images_of(alice.client) == []


def test_what_cannot_be_published_is_refused_by_name_before_anything_is_uploaded(alice):
    make_triplet(alice.directory)
    for settings, kind, words in (
        ({"outputs": ["triplet", "disk"]}, NotPublished, "web was built without disk"),
        ({"outputs": ["tar"]}, NotPublished, "of tar, which ami.outputs asks for, nothing goes to Glance"),
        ({"properties": {"colour": "blue"}}, SettingsWrong, "colour in ami.properties: 'blue' is not one of"),
        ({"properties": {"os_secure_boot": "required"}}, SettingsWrong, "web-amd64 is not made to boot by UEFI"),
    ):
        with pytest.raises(kind, match=words):
            alice.publish(**settings)
    assert images_of(alice.client) == []


def test_lost_between_the_names_what_is_uploaded_stays_and_the_next_run_moves_the_rest(alice, lane):
    first, _ = publish_new(alice)
    second, moved = make_outputs(alice.directory), []

    def refuse(_, method, path, headers):
        """The first name moves, then the store lets nothing more be renamed."""
        if method == "PATCH" and len(named(plain, NAMES["triplet"])) == 2:
            moved.append(path)
        return (503, "Service Unavailable") if moved and method == "PATCH" else None

    plain = alice.plain
    lane.wire.on_request = refuse
    with pytest.raises(NotPublished, match="web-amd64 moved, and web-amd64-bare did not: .*503"):
        alice.publish(outputs=KINDS, tries=1)
    lane.wire.on_request = None
    assert len([entry for entry in images_of(plain) if entry["name"].startswith("new web-amd64-")]) == 2
    again = alice.publish(outputs=KINDS)
    assert {"bare", "disk"} <= set(again["reused"])
    assert_all_published(alice.client, second, archived=1)
    assert first


def test_if_any_output_does_not_pass_the_gate_none_is_published(alice):
    make_outputs(alice.directory)
    with pytest.raises(NotPublished, match="'broken web-amd64 .*' and 'broken web-amd64-bare .*': web did not come up"):
        alice.publish(outputs=["triplet", "bare"], gate={"seconds": 1})
    assert {
        entry["vm_create_state"]
        for entry in images_of(alice.client)
        if entry["container_format"] != "aki" and entry["container_format"] != "ari"
    } == {"broken"}


def killed_at(wire, victim, number):
    """The victim's end, just before the store hears of a request that changes it."""
    seen = []

    def kill(_, method, path, headers):
        if method in ("POST", "PUT", "PATCH", "DELETE"):
            seen.append((method, path))
            if len(seen) == number + 1:
                victim.kill()
                return "cut"
        return None

    wire.on_request = kill
    code, _ = victim.wait()
    wire.on_request = None
    return code


def test_killed_between_the_names_the_next_run_lets_all_of_them_move(alice, lane):
    """At the upload of the disk, between the names, and before the old images are archived."""
    publish_new(alice, keep=1)
    with Publishers() as publishers:
        lane.wire.requests.clear()
        publish_new(alice, keep=1)
        steps = [(method, path) for method, path in lane.wire.requests if method in ("POST", "PUT", "PATCH", "DELETE")]
        names = [number for number, (method, _) in enumerate(steps) if method == "PATCH"][-6:]
        disk = [number for number, (method, _) in enumerate(steps) if method == "PUT"][-1]
        for number in (disk, *names[1:4]):
            triplet = make_outputs(alice.directory)
            victim = publishers.start(alice.directory, alice.environment, outputs=KINDS, keep=1)
            assert killed_at(lane.wire, victim, number) == -signal.SIGKILL, steps[number]
            for kind in KINDS:  # the names point to whole images, of the old build or of the new
                found = named(alice.client, NAMES[kind])
                assert found and {image["status"] for image in found} == {"active"}, (steps[number], kind)
            alice.publish(outputs=KINDS, keep=1)
            assert_all_published(alice.client, triplet, archived=1)


#: as an administrator lets Glance treat what users import
PLUGINS = {
    "inject_image_metadata": ("inject_metadata_properties", {"inject": "seen_by:the import", "ignore_user_roles": ""}),
    "image_conversion": ("image_conversion", {"output_format": "raw"}),
}


def test_the_plugins_of_glances_import_take_our_files_and_refuse_what_is_called_by_another_format(cloud, tmp_path):
    """Theirs is another inspection than that of an upload; what they make of a qcow2 is the disk that was in it."""
    packed, raw = make_outputs(tmp_path / "packed"), make_outputs(tmp_path / "raw", ["disk"], disk_format="raw")
    qcow2, whole = packed.directory / "web.disk.qcow2", raw.directory / "web.disk.raw"
    with cloud.glance("Import", import_plugins=PLUGINS) as glance:
        client = cloud.client("alice", glance.region)

        def imported(path, disk_format):
            image = client.images.create(name=path.name, disk_format=disk_format, container_format="bare")
            with path.open("rb") as file:
                client.images.stage(image.id, file)
            client.images.image_import(image.id, method="glance-direct")
            assert until(lambda: client.images.get(image.id).status not in ("uploading", "importing"))
            return client.images.get(image.id)

        for path, disk_format, content in (
            (packed.directory / "web.bare.qcow2", "qcow2", packed.root_image),
            (qcow2, "qcow2", packed.directory / "disk.img"),
            (whole, "raw", whole),
        ):
            image = imported(path, disk_format)
            assert (image.status, image.disk_format, image.seen_by) == ("active", "raw", "the import")
            assert sha256_of(client, image.id) == file_sha256(content) and image.virtual_size == content.stat().st_size
        assert imported(qcow2, "raw").status == "queued"
