"""The record of a build: written by a step, read by the next, be it another process and days later."""

import json

import pytest
from records import base, begun, finished, packed, updated, varied
from vmimage.build.pipeline import next_attempt
from vmimage.build.record import Attempt, Basis, BuildRecord, RecordFile, Sealed, Timing, read_record
from vmimage.image.loader import Loader
from vmimage.root.overlay import Opened
from vmimage.root.workspace import Workspace

BASIS = Basis("/srv/web.img", "sha256:1", "root", "u", [{"id": "x"}], None, "b0", 2)
ALL = finished(
    attempt=Attempt(on_disk=True),
    shaping={"the base": "1"},
    basis=BASIS,
    opened=Opened("/mnt/web", "/var/cache/x.img", "/dev/vm_create-1", False),
    updated=updated({"http://a": "1"}),
    varied=varied(results=[{"id": "bücher"}], states=[{"id": "x"}]),
    loader=Loader("/w/loader", "u", "debian", "x64", ["bios", "uefi"], True),
    sealed=Sealed(["/etc/machine-id"], [], [], []),
    timings=(Timing("base", 1.5, 2.5), Timing("root", 0.1, 4.0, failed=True)),
)


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "builds", "web")


def test_a_record_is_read_as_it_was_written_by_another_who_opens_the_workspace(workspace):
    RecordFile(workspace).write(ALL)
    assert read_record(Workspace(workspace.path.parent, "web")) == ALL


def test_a_record_that_another_process_has_written_since_is_read_again(workspace):
    mine, other = RecordFile(workspace), RecordFile(workspace)
    mine.write(BuildRecord(begun=begun()))
    other.write(ALL)
    assert mine.read() == ALL


def test_without_a_record_nothing_was_done(workspace):
    assert read_record(workspace) == BuildRecord()


@pytest.mark.parametrize("text", ["", "{", '{"begun": {"name": "web"', '{"begun": {}}', "[]", '{"timings": [1]}'])
def test_half_a_record_of_before_a_crash_of_the_machine_is_none(workspace, text):
    workspace.make()
    (workspace.path / "record.json").write_text(text, encoding="utf-8")
    assert read_record(workspace) == BuildRecord()


def test_what_a_later_version_has_added_is_no_reason_to_forget_the_rest(workspace):
    RecordFile(workspace).write(ALL)
    path = workspace.path / "record.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "further": 1}), encoding="utf-8")
    assert read_record(workspace) == ALL


def test_a_change_of_the_root_takes_back_what_was_made_of_it_and_nothing_else():
    after = ALL.of_changed_root()
    assert (after.kernel, after.packed, after.shrunk) == ("", None, None)
    assert (after.base, after.varied, after.sealed, after.timings) == (ALL.base, ALL.varied, ALL.sealed, ALL.timings)


def test_a_root_is_opened_over_the_last_root_image_or_the_base():
    assert ALL.origin == BASIS
    assert BuildRecord(base=base()).origin == base() and BuildRecord().origin is None


FAILED = RuntimeError("it broke\nhere")


@pytest.mark.parametrize(
    ("record", "attempt", "reason"),
    [
        (BuildRecord(packed=packed()), None, ""),
        (BuildRecord(memory_full=True), Attempt(on_disk=True), "the memory for this build is full: building again on the disk (ami.memory)"),
        (BuildRecord(memory_full=True, attempt=Attempt(on_disk=True)), None, ""),
        (BuildRecord(basis=BASIS), Attempt(clean=True), "building clean: it broke"),
        (BuildRecord(damaged="the base is damaged"), Attempt(again=True), "the base is damaged; building again without it"),
        (BuildRecord(damaged="the base is damaged", attempt=Attempt(again=True)), None, ""),
        (BuildRecord(damaged="x", basis=BASIS), Attempt(again=True, clean=True), "x; building again without it"),
        (
            BuildRecord(memory_full=True, attempt=Attempt(clean=True)),
            Attempt(on_disk=True, clean=True),
            "the memory for this build is full: building again on the disk (ami.memory)",
        ),
    ],
)  # fmt: skip
def test_whether_a_build_that_failed_is_attempted_again_and_without_what(record, attempt, reason):
    assert next_attempt(record, FAILED) == (attempt, reason)
