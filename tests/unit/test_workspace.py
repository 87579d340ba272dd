import json
import os
from contextlib import suppress

import pytest
from vmimage.root.workspace import Workspace, all_workspaces
from vmimage.system.lock import work_for
from vmimage.system.whole_files import read_json, write_json, write_whole


@pytest.fixture
def workspace(tmp_path):
    return Workspace(tmp_path / "builds", "web")


def test_who_holds_the_lock_may_lock_again_and_keeps_it(workspace):
    with workspace.locked():
        with workspace.locked():
            pass
        assert workspace.is_busy()
    assert not workspace.is_busy()


def test_the_lock_is_given_back_when_the_work_fails(workspace):
    with suppress(RuntimeError), workspace.locked():
        raise RuntimeError
    assert not workspace.is_busy()


def test_the_lock_names_its_holder_and_nobody_before(workspace):
    workspace.path.mkdir(parents=True)
    (workspace.path / "lock").write_text("99999999999")
    with workspace.locked():
        assert (workspace.path / "lock").read_text() == str(os.getpid())


def test_a_lock_file_that_nobody_holds_is_not_busy(workspace):
    assert not workspace.is_busy()
    workspace.path.mkdir(parents=True)
    (workspace.path / "lock").write_text("1")
    assert not workspace.is_busy()


def test_two_workspaces_do_not_disturb_each_other(tmp_path):
    first, second = Workspace(tmp_path, "one"), Workspace(tmp_path, "other")
    with first.locked(), second.locked():
        assert first.is_busy() and second.is_busy()


def test_json_that_cannot_be_written_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})
    with pytest.raises(TypeError):
        write_json(path, {"new": object()})
    assert read_json(path) == {"old": 1}


def test_readers_see_the_old_file_until_the_new_file_is_whole(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})
    with open(path, encoding="utf-8") as reader:
        write_json(path, {"new": list(range(10_000))})
        assert json.load(reader) == {"old": 1}
    assert os.listdir(tmp_path) == ["a.json"] and "new" in read_json(path)


@pytest.mark.parametrize("is_private", [False, True])
def test_two_writers_of_a_name_at_the_same_instant_each_write_a_whole_file(tmp_path, monkeypatch, is_private):
    path, fsync = tmp_path / "a", os.fsync

    def meanwhile(descriptor):
        monkeypatch.setattr(os, "fsync", fsync)
        write_whole(path, "second " * 1000, is_private=is_private)
        assert path.read_text() == "second " * 1000
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", meanwhile)
    write_whole(path, "first", is_private=is_private)
    assert path.read_text() == "first" and os.listdir(tmp_path) == ["a"]
    assert path.stat().st_mode & 0o777 == (0o600 if is_private else 0o644)


def test_what_a_killed_writer_left_goes_with_the_next_and_nothing_else_does(tmp_path):
    others = ["a[1].partial", "a[1].b.01234567.partial", "a1.01234567.partial"]
    for name in (*others, "a[1].01234567.partial"):
        (tmp_path / name).touch()
    write_whole(tmp_path / "a[1]", "whole")
    assert sorted(os.listdir(tmp_path)) == sorted(["a[1]", *others])


def test_a_file_that_cannot_be_written_whole_leaves_nothing(tmp_path, monkeypatch):
    def fail(descriptor):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError):
        write_whole(tmp_path / "a", "text")
    assert os.listdir(tmp_path) == []


def test_forgetting_keeps_the_lock_and_follows_no_link(workspace, tmp_path, tree):
    tree(tmp_path / "outside", {"kept": "text"})
    with workspace.locked():
        tree(
            workspace.path,
            {
                "record.json": "{}",
                "upper/etc/a": "",
                "link": f"-> {tmp_path}/outside",
                "file-link": f"-> {tmp_path}/outside/kept",
            },
        )
        workspace.forget()
        assert os.listdir(workspace.path) == ["lock"]
        assert workspace.is_busy()
    assert (tmp_path / "outside/kept").exists()


def test_the_log_of_a_failure_can_be_kept(workspace, tree):
    tree(workspace.path, {"build.log": "E: no room", "record.json": "{}"})
    workspace.forget(keep_log=True)
    assert os.listdir(workspace.path) == ["build.log"]
    workspace.forget()
    assert os.listdir(workspace.path) == []


def test_forgetting_what_never_was_is_no_error(workspace):
    workspace.forget()
    assert not workspace.path.exists()


def test_all_workspaces_are_the_directories_by_name(tmp_path, tree):
    tree(tmp_path / "builds", {"b/": None, "a/": None, "file": ""})
    assert [workspace.name for workspace in all_workspaces(tmp_path / "builds")] == ["a", "b"]
    assert all_workspaces(tmp_path / "none") == []


def test_who_works_in_a_private_namespace_names_the_process_that_a_user_can_see(workspace, monkeypatch):
    monkeypatch.setattr("vmimage.system.lock._caller", None)
    work_for(4711)
    with workspace.locked():
        assert (workspace.path / "lock").read_text() == "4711"
