import os

import pytest
from vmimage.errors import NotReady
from vmimage.preflight import check_root, check_space, needed_space
from vmimage.settings import gather_settings


def free_mib(path):
    facts = os.statvfs(path)
    return facts.f_bavail * facts.f_frsize >> 20


def test_room_that_is_there_is_enough(tmp_path):
    check_space([(tmp_path, 0, "ami.output"), (tmp_path, 1, "ami.workspace")])


def test_room_that_is_not_there_is_named_with_its_setting(tmp_path):
    with pytest.raises(NotReady) as caught:
        check_space([(tmp_path, 1 << 40, "ami.output")])
    assert "(ami.output)" in str(caught.value) and str(tmp_path) in str(caught.value) and "TiB" in str(caught.value)


def test_needs_on_one_disk_are_taken_together(tmp_path):
    half = free_mib(tmp_path) * 6 // 10
    check_space([(tmp_path, half, "ami.output")])
    with pytest.raises(NotReady, match="ami.output and ami.workspace"):
        check_space([(tmp_path, half, "ami.output"), (tmp_path / "b", half, "ami.workspace")])


def test_a_directory_that_is_not_made_yet_counts_where_it_will_be(tmp_path):
    check_space([(tmp_path / "not/made/yet", 1, "ami.cache")])
    assert not (tmp_path / "not").exists()
    with pytest.raises(NotReady, match="ami.cache"):
        check_space([(tmp_path / "not/made/yet", 1 << 40, "ami.cache")])


def test_a_base_that_is_not_prepared_needs_room_in_the_cache():
    settings = gather_settings([], {"room_mib": 100})
    with_base = needed_space(settings, type("Base", (), {"content_bytes": 700 << 20}))
    assert {setting: mib for _, mib, setting in with_base} == {"ami.output": 750, "ami.workspace": 100}
    assert {setting for _, _, setting in needed_space(settings, None)} == {"ami.output", "ami.workspace", "ami.cache"}


def test_only_root_may_build():
    if os.geteuid() == 0:
        check_root()
        return
    with pytest.raises(NotReady, match="needs root"):
        check_root()
