"""What is sent to EC2 of a disk, how its image is described, and which settings cannot be meant."""

import hashlib
import re
from base64 import b64decode
from datetime import UTC, datetime, timedelta

import pytest
from building import PROJECT
from hypothesis import given, settings
from hypothesis import strategies as st
from vmimage.ec2.blocks import BLOCK_BYTES, ZERO_DIGEST, Disk, aggregated, changed_blocks, checksum
from vmimage.ec2.images import as_generation, check_name, is_our_snapshot, is_ours, marks, orphans, registration
from vmimage.ec2.snapshot import Note, Sending
from vmimage.errors import NotPublished, SettingsWrong
from vmimage.settings.ec2 import Ec2Settings
from vmimage.settings.gather import gather_settings

MANIFEST = {
    "build": "1234567890abcdef" * 2,
    "created": "2026-01-02T03:04:05Z",
    "architecture": "x86_64",
    "files": {"kernel": {"version": "6.1.0-test"}},
    "base": {"reference": "debian bookworm amd64", "digest": "sha256:" + "b" * 64},
    "variation": {"reference": "x" * 400, "digest": "sha256:" + "c" * 64},
}
DIGESTS = st.dictionaries(st.integers(0, 40), st.binary(min_size=1, max_size=2), max_size=20)


@pytest.fixture
def disk(tmp_path):
    path = tmp_path / "web.disk.raw"
    path.write_bytes(b"a" * BLOCK_BYTES)
    return Disk(path, "ab" * 32)


@given(DIGESTS, DIGESTS)
def test_what_is_written_over_the_parent_makes_the_disk(digests, parent):
    changed = changed_blocks(digests, parent)
    merged = {index: digest for index, digest in {**parent, **changed}.items() if digest != ZERO_DIGEST}
    assert merged == digests and list(changed) == sorted(changed) and changed
    if digests != parent:
        assert all(digests.get(index, ZERO_DIGEST) != parent.get(index, ZERO_DIGEST) for index in changed)


def test_the_checksum_of_all_is_of_the_checksums_in_order():
    first, second = hashlib.sha256(b"first").digest(), hashlib.sha256(b"second").digest()
    assert b64decode(aggregated({7: second, 2: first})) == hashlib.sha256(first + second).digest()
    assert b64decode(checksum(first)) == first


@settings(max_examples=25)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2 * BLOCK_BYTES)), max_size=4), st.integers(1, 10 * BLOCK_BYTES))
def test_each_block_that_is_not_zeros_is_found(tmp_path_factory, places, size):
    path = tmp_path_factory.mktemp("disks") / "disk"
    with path.open("wb") as file:
        file.truncate(size)
        for index, offset in places:
            file.seek(index * BLOCK_BYTES + offset)
            file.write(b"x")
    data = path.read_bytes()
    expected = {}
    for at in range(0, len(data), BLOCK_BYTES):
        block = data[at : at + BLOCK_BYTES].ljust(BLOCK_BYTES, b"\0")
        if block.strip(b"\0"):
            expected[at // BLOCK_BYTES] = hashlib.sha256(block).digest()
    assert Disk(path, "").digests() == expected


@pytest.mark.parametrize(("size", "gib"), [(1, 1), (1 << 30, 1), ((1 << 30) + 1, 2), (5 << 30, 5)])
def test_the_volume_is_whole_gib(tmp_path, size, gib):
    path = tmp_path / "disk"
    with path.open("wb") as file:
        file.truncate(size)
    assert Disk(path, "").gib == gib


@pytest.mark.parametrize(
    ("own", "architecture", "expected"),
    [
        (Ec2Settings(), "x86_64", ("x86_64", "uefi-preferred", None)),
        (Ec2Settings(), "aarch64", ("arm64", "uefi", None)),
        (Ec2Settings(boot_mode="legacy-bios"), "x86_64", ("x86_64", "legacy-bios", None)),
        (Ec2Settings(boot_mode="uefi", tpm=True), "x86_64", ("x86_64", "uefi", "v2.0")),
    ],
)
def test_how_an_image_boots(disk, own, architecture, expected):
    asked = registration(own, MANIFEST | {"architecture": architecture}, disk, name="web", snapshot="snap-1", tags={}, serial=1)
    assert (asked["Architecture"], asked["BootMode"], asked.get("TpmSupport")) == expected


@pytest.mark.parametrize(
    ("firmware", "mode"), [(["uefi"], "uefi"), (["bios"], "legacy-bios"), (["bios", "uefi"], "uefi-preferred")]
)
def test_an_image_boots_by_the_firmware_that_its_disk_is_made_for(disk, firmware, mode):
    manifest = MANIFEST | {"outputs": {"ec2": {"firmware": firmware}}}
    assert registration(Ec2Settings(), manifest, disk, name="web", snapshot="snap-1", tags={}, serial=1)["BootMode"] == mode


def test_the_volume_of_an_instance_is_at_least_the_disk(tmp_path):
    path = tmp_path / "disk"
    with path.open("wb") as file:
        file.truncate(9 << 30)
    asked = registration(Ec2Settings(), MANIFEST, Disk(path, ""), name="web", snapshot="snap-1", tags={}, serial=1)
    assert asked["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] == 9


def test_tags_are_no_longer_than_ec2_allows(disk):
    tags = marks(MANIFEST, disk, "web-amd64", "a builder")
    assert max(map(len, tags.values())) == 255 and "vm_create_revision" not in tags and len(tags) < 40


@pytest.mark.parametrize("name", ["web+php-amd64", "w" * 120])
def test_a_name_that_ec2_does_not_take_is_refused_before_anything_is_sent(name):
    with pytest.raises(NotPublished, match="EC2 takes no image of the name"):
        check_name(name, MANIFEST)


def test_an_architecture_that_ec2_does_not_have_is_refused():
    with pytest.raises(NotPublished, match="no machines of the architecture riscv64"):
        check_name("web", MANIFEST | {"architecture": "riscv64"})


def image(snapshot, **tags):
    devices = [{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": snapshot}}]
    return {"ImageId": "ami-1", "State": "available", "BlockDeviceMappings": devices, "tags": tags}


def test_a_copy_of_an_image_with_its_tags_is_not_ours():
    assert is_ours(image("snap-1", vm_create_snapshot="snap-1"))
    assert not is_ours(image("snap-2", vm_create_snapshot="snap-1")) and not is_ours(image(""))
    assert as_generation(image("snap-2", vm_create_snapshot="snap-1"))["vm_create_self"] == ""


def snapshot(identity, age_hours=0, **tags):
    marked = {
        "vm_create_role": "snapshot",
        "vm_create_builder": "ours",
        **{f"vm_create_{key}": value for key, value in tags.items()},
    }
    return {"SnapshotId": identity, "StartTime": datetime.now(UTC) - timedelta(hours=age_hours), "tags": marked}


def test_a_copy_of_a_snapshot_with_its_tags_is_not_ours():
    assert is_our_snapshot(snapshot("snap-1", self="snap-1")) and is_our_snapshot(snapshot("snap-1"))
    assert not is_our_snapshot(snapshot("snap-2", self="snap-1")) and not is_our_snapshot({"SnapshotId": "snap-3", "tags": {}})


def test_orphans_are_what_no_image_has_and_nobody_works_on():
    snapshots = [
        snapshot("snap-used"),
        snapshot("snap-spared"),
        snapshot("snap-orphan"),
        snapshot("snap-copy", self="snap-used"),
        snapshot("snap-theirs", builder="theirs"),
        snapshot("snap-theirs-old", age_hours=25, builder="theirs"),
    ]
    found = orphans(snapshots, [{"snapshot": "snap-used"}], "ours", {"snap-spared"})
    assert [entry["SnapshotId"] for entry in found] == ["snap-orphan", "snap-theirs-old"]


def test_a_note_that_is_cut_short_says_no_more_than_is_sure(tmp_path):
    note = Note(tmp_path / "web.sending")
    note.begin(Sending("ab", "snap-0", 1, "token"))
    with note.path.open("a", encoding="utf-8") as file:
        file.write("3\n4\n12")  # of 123
    assert note.read() == (Sending("ab", "snap-0", 1, "token"), {3, 4})


@pytest.mark.parametrize("text", ["", "{}\n", "[1]\n3\n", '{"sha256": 1}\n', '{"a": "b"}\nx\n', "\0\0\0\n"])
def test_a_damaged_note_is_none(tmp_path, text):
    note = Note(tmp_path / "web.sending")
    note.path.write_text(text, encoding="utf-8")
    assert note.read() == (None, set())


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ({"regoin": "eu-west-1"}, "unknown key 'regoin': it takes region, profile"),
        ({"region": 1}, "region is a text"),
        ({"region": "eu west"}, "region is the name of a region"),
        ({"profile": "a\nb"}, "profile is the name"),
        ({"endpoint": "127.0.0.1"}, "endpoint is an address"),
        ({"endpoint": "https://alice:secret@ec2.example.org"}, "without a password"),
        ({"accounts": [12345678901]}, "accounts is a list of texts"),
        ({"accounts": "012345678901"}, "accounts is a list of texts"),
        ({"accounts": ["1234"]}, "the id of an account has 12 digits"),
        ({"boot_mode": "bios"}, "boot_mode is one of uefi-preferred, uefi, legacy-bios"),
        ({"tpm": True}, "tpm goes with boot_mode: uefi"),
        ({"tpm": True, "boot_mode": "uefi-preferred"}, "tpm goes with boot_mode: uefi"),
        ({"tpm": "yes", "boot_mode": "uefi"}, "tpm is true or false"),
        ({"volume_gib": 0}, "volume_gib is a number from 1"),
        ({"parallel": 1000}, "parallel is a number from 1 to 64"),
        ({"parallel": True}, "parallel is a number"),
    ],
)
def test_a_field_that_cannot_be_meant_is_refused_by_name(value, hint):
    with pytest.raises(SettingsWrong, match="argument ec2 cannot be meant") as caught:
        gather_settings([], {"ec2": value})
    assert hint in caught.value.hint


def test_a_secret_that_is_written_there_is_not_shown():
    with pytest.raises(SettingsWrong) as caught:
        gather_settings([], {"ec2": {"aws_secret_access_key": "s3cr3t"}})
    assert "aws_secret_access_key" in str(caught.value) and "s3cr3t" not in str(caught.value)


def test_what_is_meant_is_taken():
    value = {"region": "eu-west-1", "profile": "images", "accounts": ["012345678901"], "boot_mode": "uefi", "tpm": True}
    assert gather_settings([], {"ec2": value, "outputs": ["ec2"]}).ec2 == value


def test_the_page_allows_the_requests_that_the_client_makes_and_no_others():
    code = (PROJECT / "_utils/vmimage/ec2/client.py").read_text(encoding="utf-8")
    page = (PROJECT / "docs/guide/ec2.md").read_text(encoding="utf-8")
    called = {
        f"{service}:{''.join(map(str.capitalize, name.split('_')))}"
        for service, name in re.findall(r"_(ec2|ebs)\.([a-z_]+)\b", code)
    }
    assert set(re.findall(r'"((?:ec2|ebs):\w+)"', page)) == called - {"ec2:Meta"}
    assert len(called) == 12
