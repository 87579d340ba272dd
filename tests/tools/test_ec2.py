"""Disks published to EC2, at moto's server: what is asked, what is there then, what is sent again and what is not."""

import itertools
import logging
import os
import sys
from datetime import timedelta
from types import SimpleNamespace

import pytest
from botocore.awsrequest import AWSResponse
from ec2_account import ENVIRONMENT, SECRET, TOKEN, Account, answered, block, killed_at
from ec2_server import BLOCK, Ec2Server
from vmimage.build import publishing
from vmimage.ec2 import earlier, promote, publish
from vmimage.ec2.client import Cloud
from vmimage.ec2.publication import Publication
from vmimage.errors import (
    BootFailed,
    CredentialsWrong,
    ImageUnsound,
    NotPublished,
    NotReady,
    SettingsWrong,
    StoreRefused,
    StoreUnreachable,
)
from vmimage.glance import gate
from vmimage.image.table import line_of_ec2
from vmimage.settings.ec2 import Ec2Settings


@pytest.fixture(scope="module")
def server():
    with Ec2Server() as server:
        yield server


@pytest.fixture
def account(server, tmp_path, monkeypatch):
    for key, value in ENVIRONMENT.items():
        monkeypatch.setenv(key, value)
    server.reset()
    return Account(server, tmp_path)


def snapshot_of(account):
    return account.named("web-amd64")["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]


def blocks_sent(account):
    return {params["BlockIndex"]: params["BlockData"] for params in account.parameters("PutSnapshotBlock")}


def test_a_disk_becomes_an_image(account):
    disk = account.make_disk("ab..c", more=b"the end of the disk")
    build = account.build()
    done = account.publish()
    assert sorted(blocks_sent(account)) == [0, 1, 4, 5]
    assert blocks_sent(account)[5] == b"the end of the disk".ljust(BLOCK, b"\0")
    (started,), (asked,) = account.parameters("StartSnapshot"), account.parameters("RegisterImage")
    assert started["VolumeSize"] == 1 and "ParentSnapshotId" not in started
    tags = {tag["Key"]: tag["Value"] for tag in asked.pop("TagSpecifications")[0]["Tags"]}
    manifest = build.triplet.manifest()
    assert asked == {
        "Name": f"web-amd64-20260102T030405Z-{manifest['build'][:8]}",
        "Description": "web-amd64, built 2026-01-02T03:04:05Z, debian bookworm amd64",
        "Architecture": "x86_64",
        "VirtualizationType": "hvm",
        "BootMode": "uefi-preferred",
        "EnaSupport": True,
        "ImdsSupport": "v2.0",
        "RootDeviceName": "/dev/xvda",
        "BlockDeviceMappings": [
            {
                "DeviceName": "/dev/xvda",
                "Ebs": {
                    "SnapshotId": done["snapshot"],
                    "VolumeType": "gp3",
                    "VolumeSize": 8,
                    "DeleteOnTermination": True,
                },
            }
        ],
    }
    found = {key: tags[f"vm_create_{key}"] for key in ("name", "build", "sha256", "built", "revision", "kernel_version")}
    assert found == {
        "name": "web-amd64",
        "build": manifest["build"],
        "sha256": manifest["outputs"]["ec2"]["sha256"],
        "built": manifest["created"],
        "revision": "249:9ed741a55f17",
        "kernel_version": "6.1.0-test",
    }
    image = account.assert_right(disk, archived=0)
    assert image["tags"]["vm_create_generation"] == "1"
    known = {"image": image["ImageId"], "snapshot": snapshot_of(account), "changed": True, "bytes_sent": 4 * BLOCK, "parent": ""}
    assert {key: done[key] for key in known} == known


def test_the_next_generation_sends_what_has_changed_and_what_has_become_zeros(account):
    _, first = account.publish_new("abc.d")
    disk, second = account.publish_new("axcy.")
    assert blocks_sent(account) == {1: block("x"), 3: block("y"), 4: block(".")}
    (started,) = account.parameters("StartSnapshot")
    assert started["ParentSnapshotId"] == first["snapshot"] == second["parent"]
    assert account.content(second["snapshot"]) == disk
    account.assert_right(disk, archived=1)


def test_holes_of_a_disk_are_not_read(account):
    path = account.directory / "web.disk.raw"
    account.make_disk("a")
    with path.open("r+b") as file:
        file.truncate(BLOCK)
        file.seek(3 * BLOCK + 17)
        file.write(b"x")
        file.truncate(40 * BLOCK)
    account.describe_disk()
    account.publish()
    assert sorted(blocks_sent(account)) == [0, 3]


def test_a_disk_that_is_published_is_not_published_again(account):
    disk, first = account.publish_new("ab")
    again = account.publish()
    assert account.changing() == []
    assert (again["changed"], again["image"], again["bytes_sent"]) == (False, first["image"], 0)
    account.assert_right(disk, archived=0)


@pytest.mark.parametrize("harm", ["lost", "damaged"])
def test_without_a_sound_record_of_the_parent_all_blocks_are_sent(account, harm):
    account.publish_new("ab")
    (record,) = (account.directory / "cache/ec2/snapshots").iterdir()
    if harm == "lost":
        record.unlink()
    else:
        record.write_text(record.read_text(encoding="utf-8").replace('"1"', '"2"'), encoding="utf-8")
    disk, second = account.publish_new("ax")
    assert sorted(blocks_sent(account)) == [0, 1] and second["parent"] == ""
    account.assert_right(disk, archived=1)


def test_a_parent_that_ec2_does_not_take_is_done_without(account):
    _, first = account.publish_new("ab")
    disk = account.make_disk("ax")
    refusals = iter([refusal(400, "ValidationException"), None])
    with answered(account, "before-send.ebs.StartSnapshot", lambda operation: next(refusals)):
        done = account.publish()
    assert sorted(blocks_sent(account)) == [0, 1] and done["parent"] == ""
    account.assert_right(disk, archived=1)


def test_what_is_too_many_is_deregistered_with_its_snapshot(account):
    for _ in range(3):
        disk, done = account.publish_new(keep=1)
    account.assert_right(disk, archived=1)
    assert len(done["removed"]) == 2 and len(done["archived"]) == 1
    assert len(list((account.directory / "cache/ec2/snapshots").iterdir())) == 2


def test_an_archived_image_takes_the_name_again_without_being_sent(account):
    old = account.make_disk("ab", build="1" * 32)
    first = account.publish()
    account.publish_new("xy")
    account.write_disk(old, build="1" * 32)
    again = account.publish()
    assert blocks_sent(account) == {} and account.parameters("RegisterImage") == []
    assert again["image"] == first["image"]
    assert account.assert_right(old, archived=1)["tags"]["vm_create_generation"] == "3"


def test_who_may_start_the_old_image_may_start_the_new(account):
    _, first = account.publish_new()
    account.ec2.modify_image_attribute(ImageId=first["image"], LaunchPermission={"Add": [{"UserId": "210987654321"}]})
    _, second = account.publish_new(ec2={"accounts": ["012345678901", "210987654321"]})
    found = account.ec2.describe_image_attribute(ImageId=second["image"], Attribute="launchPermission")["LaunchPermissions"]
    assert sorted(entry["UserId"] for entry in found) == ["012345678901", "210987654321"]


def test_images_and_snapshots_of_the_users_own_stay(account):
    """Among them copies that were given our tags, and a copy's snapshot."""
    _, first = account.publish_new()
    ours = account.snapshots()[first["snapshot"]]
    copy = account.ec2.copy_snapshot(SourceSnapshotId=first["snapshot"], SourceRegion="eu-west-1", Description="a copy")
    alone = account.ec2.copy_snapshot(SourceSnapshotId=first["snapshot"], SourceRegion="eu-west-1", Description="a copy")
    account.ec2.create_tags(Resources=[copy["SnapshotId"], alone["SnapshotId"]], Tags=ours["Tags"])
    image = account.ec2.register_image(
        Name="mine", BlockDeviceMappings=[{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": copy["SnapshotId"]}}]
    )["ImageId"]
    account.ec2.create_tags(Resources=[image], Tags=account.ec2.describe_images(ImageIds=[first["image"]])["Images"][0]["Tags"])
    account.ec2.create_tags(Resources=[image], Tags=[{"Key": "Name", "Value": "mine"}])
    for _ in range(3):
        account.publish_new(keep=0)
    assert account.named("mine")["ImageId"] == image and {copy["SnapshotId"], alone["SnapshotId"]} <= set(account.snapshots())
    assert len(account.images()) == 2


def test_a_snapshot_that_an_image_of_the_users_own_needs_stays(account):
    _, first = account.publish_new()
    devices = [{"DeviceName": "/dev/xvda", "Ebs": {"SnapshotId": first["snapshot"]}}]
    account.ec2.register_image(Name="mine", BlockDeviceMappings=devices)
    said = []
    account.make_disk()
    account.publish(lambda moment: said.append(moment.text), keep=0)
    assert first["snapshot"] in account.snapshots()
    assert any(f"kept {first['snapshot']}" in text for text in said)


def test_what_another_builder_may_be_sending_stays_for_a_day(account, monkeypatch):
    account.publish_new()
    tags = {"name": "web-amd64", "role": "snapshot", "builder": "another", "sha256": "0" * 64}
    pending = account.ebs.start_snapshot(
        VolumeSize=1, Tags=[{"Key": f"vm_create_{key}", "Value": value} for key, value in tags.items()]
    )["SnapshotId"]
    account.publish_new()
    assert pending in account.snapshots()
    monkeypatch.setattr("vmimage.ec2.images._ABANDONED_AFTER", timedelta(0))
    account.publish_new()
    assert pending not in account.snapshots()


def test_a_killed_upload_goes_on_where_it_was(account):
    disk = account.make_disk("abcdefgh")
    assert killed_at(account, "response-received", 6) == "PutSnapshotBlock"
    (pending,) = account.snapshots()
    (note,) = (account.directory / "cache/ec2").glob("*.sending")
    noted = len(note.read_text(encoding="utf-8").splitlines()) - 1
    done = account.publish()
    assert done["snapshot"] == pending
    assert 0 < len(blocks_sent(account)) == 8 - noted < 8
    account.assert_right(disk, archived=0)


def test_what_a_killed_run_has_sealed_is_not_sent_again(account):
    disk = account.make_disk("ab")
    assert killed_at(account, "response-received", 5) == "CompleteSnapshot"
    (sealed,) = account.snapshots()
    assert account.publish()["snapshot"] == sealed and blocks_sent(account) == {}
    account.assert_right(disk, archived=0)


def test_an_upload_whose_note_is_lost_is_begun_again(account):
    disk = account.make_disk("abcd")
    assert killed_at(account, "response-received", 4) == "PutSnapshotBlock"
    (pending,) = account.snapshots()
    (note,) = (account.directory / "cache/ec2").glob("*.sending")
    note.unlink()
    assert pending in account.publish()["removed"]
    account.assert_right(disk, archived=0)


def test_an_upload_whose_note_names_too_much_is_begun_again(account):
    disk = account.make_disk("abcd")
    assert killed_at(account, "response-received", 4) == "PutSnapshotBlock"
    (note,) = (account.directory / "cache/ec2").glob("*.sending")
    with note.open("a", encoding="utf-8") as file:
        file.write("0\n1\n2\n3\n")
    account.publish()
    assert sorted(blocks_sent(account)) == [0, 1, 2, 3]
    account.assert_right(disk, archived=0)


def test_another_disk_after_a_killed_upload_leaves_nothing_of_it(account):
    account.make_disk("abcd")
    assert killed_at(account, "response-received", 4) == "PutSnapshotBlock"
    disk, _ = account.publish_new("xy")
    account.assert_right(disk, archived=0)


def test_a_disk_that_is_not_what_its_manifest_says_is_not_sent(account):
    account.make_disk("ab")
    (account.directory / "web.disk.raw").write_bytes(block("a") + block("c"))
    with pytest.raises(ImageUnsound, match="is not the file that its manifest describes"):
        account.publish()
    assert account.changing() == [] and account.snapshots() == {}


def test_a_disk_that_changes_while_it_is_sent_is_no_image(account):
    account.make_disk("ab")
    path = account.directory / "web.disk.raw"

    def change(operation):
        path.write_bytes(block("x") + block("y"))

    with (
        answered(account, "before-send.ebs.StartSnapshot", change),
        pytest.raises(ImageUnsound, match="changed while it was sent"),
    ):
        account.publish()
    assert account.images() == []


def test_a_build_without_a_disk_is_refused(account):
    account.make_disk("ab")
    (account.directory / "web.disk.raw").unlink()
    with pytest.raises(ImageUnsound, match="there is no raw disk of web"):
        account.publish()


def test_a_plan_says_what_would_be_done_and_does_nothing(account):
    _, first = account.publish_new("abc", keep=0)
    account.make_disk("axc")
    build = account.build(keep=0)
    account.asked.clear()
    plan = publish.plan_publication(build, account.cloud(build))
    manifest = build.triplet.manifest()
    assert plan == {
        "name": "web-amd64",
        "region": "eu-west-1",
        "changed": True,
        "register": f"web-amd64-20260102T030405Z-{manifest['build'][:8]}",
        "parent": first["snapshot"],
        "blocks": 1,
        "bytes": BLOCK,
        "archive": [first["image"]],
        "remove": [],
    }
    assert account.changing() == []
    account.publish(keep=0)
    assert len(blocks_sent(account)) == plan["blocks"]


def refusal(status, code, message="no"):
    """An answer of EBS, as its requests with JSON have it."""

    class Body:
        def read(self, *_):
            return b""

        def stream(self, **_):
            yield f'{{"message": "{message}", "__type": "{code}"}}'.encode()

    return AWSResponse("http://127.0.0.1/", status, {"x-amzn-ErrorType": code, "content-type": "application/json"}, Body())


def refusal_of_ec2(code):
    """An answer of EC2, which speaks XML."""
    answer = refusal(400, code)
    body = f"<Response><Errors><Error><Code>{code}</Code><Message>no</Message></Error></Errors></Response>"
    answer._content = body.encode()
    return answer


def test_what_ec2_shows_some_seconds_later_is_waited_for(account):
    """A snapshot that is too new for a tag; the tags of an image, of which the old state is shown for a while."""
    account.publish_new()
    disk = account.make_disk()
    refusals = itertools.chain([refusal_of_ec2("InvalidSnapshot.NotFound")], itertools.repeat(None))
    stale = []

    def show_old(parsed, **_):
        promoted = account.changing()[-1:] == ["CreateTags"] and account.changing().count("CreateTags") == 3
        for image in parsed.get("Images", ()) if promoted and len(stale) < 3 else ():
            for tag in image["Tags"]:
                if tag == {"Key": "vm_create_state", "Value": "published"} and image["Name"] != old:
                    stale.append(tag.update(Value="new"))

    old = account.named("web-amd64")["Name"]
    account.session.events.register("after-call.ec2.DescribeImages", show_old)
    with answered(account, "before-send.ec2.CreateTags", lambda operation: next(refusals)):
        account.publish()
    assert len(stale) == 3
    account.assert_right(disk, archived=1)


def test_a_name_that_another_builder_took_meanwhile_is_named(account, monkeypatch):
    monkeypatch.setattr(promote, "_SEEN_WITHIN_SECONDS", 0)
    _, first = account.publish_new()
    account.make_disk()

    def take(operation):
        if account.changing()[-1:] == ["CreateTags"] and account.changing().count("CreateTags") == 2:
            account.ec2.create_tags(Resources=[first["image"]], Tags=[{"Key": "vm_create_generation", "Value": "9"}])

    with (
        answered(account, "before-send.ec2.DescribeImages", take),
        pytest.raises(NotPublished, match="points to ami-.*, not to"),
    ):
        account.publish()


def test_what_passes_is_tried_again(account):
    disk = account.make_disk("ab")
    answers = iter([refusal(503, "ServiceUnavailable"), refusal(400, "RequestThrottledException"), *[None] * 9])
    with answered(account, "before-send.ebs.PutSnapshotBlock", lambda operation: next(answers)):
        account.publish()
    account.assert_right(disk, archived=0)


def test_what_does_not_pass_ends_it_and_the_next_run_goes_on(account):
    disk = account.make_disk("abcd")
    answers = itertools.chain([None, None], itertools.repeat(refusal(403, "AccessDeniedException")))
    with answered(account, "before-send.ebs.PutSnapshotBlock", lambda operation: next(answers)):
        with pytest.raises(StoreRefused, match="AccessDeniedException") as caught:
            account.publish()
    assert "docs/guide/ec2" in caught.value.hint and "the next run goes on with it" in caught.value.hint
    (pending,) = account.snapshots()
    assert account.images() == []
    assert account.publish()["snapshot"] == pending and len(blocks_sent(account)) <= 3
    account.assert_right(disk, archived=0)


def test_a_snapshot_that_ebs_gives_up_is_sent_again(account):
    disk = account.make_disk("ab")
    given_up = {"Snapshots": [{"SnapshotId": "snap-1", "State": "error", "StateMessage": "out of luck"}]}
    seen = []

    def give_up(parsed, params=None, **_):
        if parsed.get("Snapshots") and not seen and "CompleteSnapshot" in account.changing():
            seen.append(parsed.clear())
            parsed.update(given_up)

    account.session.events.register("after-call.ec2.DescribeSnapshots", give_up)
    with pytest.raises(NotPublished, match=r"EBS gave up snap-.* \(error\): out of luck"):
        account.publish()
    account.session.events.unregister("after-call.ec2.DescribeSnapshots", give_up)
    account.publish()
    account.assert_right(disk, archived=0)


def test_a_server_that_is_not_there_is_named(account):
    account.make_disk("ab")
    build = account.build(tries=1, ec2={"endpoint": "http://127.0.0.1:1"})
    with pytest.raises(StoreUnreachable, match="cannot list images in EC2: Could not connect"):
        publish.publish(build, Cloud(publish.read_ec2(build.settings.ec2), tries=1, session=account.session))


def test_without_credentials_or_region_it_is_said_what_lacks(account, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(CredentialsWrong, match="Unable to locate credentials|Partial credentials"):
        Cloud(Ec2Settings(region="eu-west-1", endpoint=account.server.url)).check()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOFTHETESTS")
    with pytest.raises(SettingsWrong, match="no region for EC2 is known"):
        Cloud(Ec2Settings(endpoint=account.server.url))
    with pytest.raises(CredentialsWrong, match="profile"):
        Cloud(Ec2Settings(region="eu-west-1", profile="nobody"))


def test_without_boto3_it_is_said_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(NotReady, match="no boto3") as caught:
        Cloud(Ec2Settings(region="eu-west-1"))
    assert "salt-pip install" in caught.value.hint


def test_no_log_result_or_tag_has_a_secret(account, caplog):
    said = []
    caplog.set_level(logging.DEBUG)
    account.make_disk("ab")
    done = account.publish(said.append)
    kept = [path.read_text(encoding="utf-8") for path in (account.directory / "cache").rglob("*") if path.is_file()]
    texts = [*map(str, said), caplog.text, str(done), str(account.images()), *kept]
    assert caplog.text and not [text for text in texts if SECRET in text or TOKEN in text]


def test_two_at_the_same_time_are_refused(account):
    account.make_disk("ab")
    build = account.build()
    with Publication(build, account.cloud(build)).alone(), pytest.raises(Exception, match="already being"):
        account.publish()


def test_memory_does_not_grow_with_the_disk(account):
    """No more blocks are read than are sent at a time."""
    account.make_disk("abcdefghijklmnop")
    most, running = [0], [0]

    def sending(operation):
        running[0] += 1
        most.append(running[0])

    def sent(operation):
        running[0] -= 1

    with answered(account, "before-send.ebs.PutSnapshotBlock", sending):
        account.session.events.register("response-received.ebs.PutSnapshotBlock", lambda **_: sent(None))
        account.publish()
    assert 0 < max(most) <= 2
    assert os.path.getsize(account.directory / "web.disk.raw") == 16 * BLOCK


def test_a_build_with_ec2_among_its_outputs_is_published_there(account):
    """By the functions that create_variation, upload and the state call; outputs that are for Glance would need its credentials."""
    disk = account.make_disk("ab")
    build = account.build(outputs=["ec2", "tar"])
    assert publishing.plan_of_ec2(build.settings) == {"name": "web-amd64", "region": "eu-west-1", "accounts": []}
    plan = publishing.plan_for(build, publishing.check_targets(build))
    assert plan["ec2"]["bytes"] == 2 * BLOCK and plan["changed"]
    done = publishing.publish_to(build, with_short_pauses(publishing.check_targets(build)))
    account.assert_right(disk, archived=0)
    assert done["image"] == done["ec2"]["image"] == account.named("web-amd64")["ImageId"]
    shown = f"\nin EC2, eu-west-1: {done['image']} of {done['snapshot']}, 1.0 MiB sent"
    assert line_of_ec2(done["ec2"]) == shown
    assert publishing.publish_to(build, publishing.check_targets(build))["changed"] is False


def with_short_pauses(targets):
    targets.cloud.sleep = lambda seconds: None
    return targets


@pytest.mark.parametrize(
    "settings", [{"publish": False}, {"outputs": ["tar"], "publish": False}, {"incremental": True}], ids=["no", "other", "edits"]
)
def test_a_build_that_is_not_to_be_published_asks_nothing_of_ec2(account, settings):
    account.make_disk("ab")
    build = account.build(**{"outputs": ["ec2"], "ec2": {"endpoint": "http://127.0.0.1:1"}, **settings})
    build.host = SimpleNamespace(credentials=lambda settings, *, wanted: None)
    assert publishing.check_targets(build) is None and publishing.plan_of_ec2(build.settings) is None


def roll_back(account, to=None, **options):
    build = account.build()
    return earlier.roll_back(build, account.cloud(build), to, **options)


def test_a_rollback_gives_the_name_back_and_the_next_run_does_not_publish_what_was_rolled_back(account):
    disk, first = account.publish_new()
    bad, second = account.publish_new()
    account.asked.clear()
    planned = roll_back(account, test=True)
    assert (planned["image"], planned["changed"], account.changing()) == (first["image"], True, [])
    done = roll_back(account)
    assert (done["image"], done["changed"], len(done["archived"])) == (first["image"], True, 1)
    account.assert_right(disk, archived=1)
    with pytest.raises(NotPublished, match="before .* to roll back to"):
        roll_back(account)
    with pytest.raises(NotPublished, match="this disk was rolled back at 20"):
        account.publish()
    account.assert_right(disk, archived=1)
    assert roll_back(account, second["image"])["changed"] is True  # it was good after all
    account.assert_right(bad, archived=1)
    assert account.publish()["changed"] is False and roll_back(account, second["image"])["changed"] is False


def test_a_rollback_that_is_killed_is_completed_by_the_next(account, monkeypatch):
    disk, first = account.publish_new()
    account.publish_new()

    def killed(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(earlier, "settle", killed)
        roll_back(account)
    assert roll_back(account, first["image"])["archived"]
    account.assert_right(disk, archived=1)
    with pytest.raises(NotPublished, match="was rolled back"):
        account.publish()


def test_a_rollback_to_what_is_no_generation_changes_nothing(account):
    disk, _ = account.publish_new()
    with pytest.raises(NotPublished, match="ami-0123 is no archived image of web-amd64 in eu-west-1"):
        roll_back(account, "ami-0123")
    with pytest.raises(NotPublished, match="to roll back to"):
        roll_back(account)
    account.assert_right(disk, archived=0)


def test_generations_are_listed_the_current_first(account):
    _, first = account.publish_new()
    _, second = account.publish_new()
    build = account.build(outputs=["ec2"])
    for name in (None, "web-amd64"):
        (found,) = publishing.list_published(build, name).values()
        listed = [(entry["id"], entry["state"], entry["output"], entry["bytes"]) for entry in found["web-amd64"]]
        assert listed == [(second["image"], "published", "ec2", 8 << 30), (first["image"], "archived", "ec2", 8 << 30)]
    assert publishing.list_published(build, "db-amd64") == {"ec2": {}}
    done = publishing.roll_back(build, None, test=False)
    assert (done["image"], done["ec2"]["image"]) == (first["image"], first["image"])


@pytest.mark.parametrize("outputs", [["ec2"], ["disk", "ec2"]], ids=" ".join)
def test_the_gate_boots_the_disk_before_anything_is_sent_unless_it_goes_to_glance_too(account, monkeypatch, outputs):
    booted = []

    def fail(target, gate):
        booted.append((target.firmware, target.path.name, gate))
        raise BootFailed("it hangs")

    monkeypatch.setattr(publish, "pass_gate", fail)
    account.make_disk("ab")
    if "disk" in outputs:  # Glance's gate has booted it then
        assert account.publish(outputs=outputs, gate=True)["changed"] is True and not booted
        return
    with pytest.raises(NotPublished, match="nothing was sent to EC2: it hangs"):
        account.publish(outputs=outputs, gate=True)
    assert booted == [("bios", "web.disk.raw", True)] and account.changing() == []
    monkeypatch.setattr(publish, "pass_gate", lambda target, gate: booted.append(target.firmware))
    assert account.publish(outputs=outputs, gate=True)["changed"] is True
    assert account.publish(outputs=outputs, gate=True)["changed"] is False  # and boots nothing
    assert booted[1:] == ["bios", "uefi"]


def test_a_gate_without_a_firmware_is_refused_before_the_build(account, monkeypatch):
    monkeypatch.setattr(gate.qemu, "_UEFI", dict.fromkeys(gate.qemu._UEFI, ("/nowhere/OVMF.fd", "ovmf")))
    with pytest.raises(NotReady, match="boots by UEFI, and /nowhere/OVMF.fd is not there"):
        publishing.check_targets(account.build(outputs=["ec2"], gate=True))
