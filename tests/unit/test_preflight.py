import os

import pytest
from vmimage.build import preflight
from vmimage.build.preflight import check_directories, check_machine, check_root, check_space, needed_space
from vmimage.errors import NotReady, SettingsWrong
from vmimage.image import outputs
from vmimage.settings.gather import gather_settings


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


def mib_by_setting(needs):
    return {setting: mib for _, mib, setting in needs}


def test_of_a_prepared_base_a_copy_is_made_and_half_of_the_room_stays_in_it():
    settings = gather_settings([], {"room_mib": 100})
    (building,) = needed_space(settings, 700, is_prepared=True)
    assert mib_by_setting(building) == {"ami.output": 700 + 50 + 64, "ami.workspace": 100}


def test_a_base_is_prepared_before_the_build_begins_and_stays_in_the_cache():
    preparing, building = needed_space(gather_settings([], {"room_mib": 100}), 700, is_prepared=False)
    assert mib_by_setting(preparing) == {"ami.cache": 2100}
    assert mib_by_setting(building) == {"ami.output": 700 + 50 + 64, "ami.workspace": 100, "ami.cache": 700}


def test_room_for_the_other_outputs_is_asked_for_beside_that_of_the_triplet():
    def output_mib(**settings):
        (building,) = needed_space(gather_settings([], {"room_mib": 100, **settings}), 700, is_prepared=True)
        return mib_by_setting(building)["ami.output"] - (700 + 50 + 64)

    assert output_mib(outputs=["bare"]) == output_mib(outputs=["tar"]) == 500
    assert output_mib(outputs=["bare"], disk_format="raw") == 0  # it is the root image
    assert output_mib(outputs=["disk"]) == 67 + 500  # its root is never there uncompressed
    assert output_mib(outputs=["disk"], disk_format="raw") == output_mib(outputs=["ec2"]) == 750 + 67
    assert output_mib(outputs=["tar"], compression="none") == 750


@pytest.mark.parametrize(
    ("settings", "programs"),
    [
        ({}, set()),
        ({"outputs": ["bare"]}, set()),
        ({"outputs": ["bare"], "disk_format": "raw"}, set()),
        ({"outputs": ["disk"]}, {"sfdisk", "mkfs.fat", "mmd", "mcopy"}),
        ({"outputs": ["ec2"]}, {"sfdisk", "mkfs.fat", "mmd", "mcopy"}),
        ({"outputs": ["tar"]}, {"zstd"}),
        ({"outputs": ["tar"], "compression": "zlib"}, {"gzip"}),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_the_programs_of_the_outputs_are_looked_for_before_the_work_begins(monkeypatch, settings, programs):
    found = set()
    monkeypatch.setattr(preflight, "check_basics", lambda: None)
    for module in (preflight, outputs):
        monkeypatch.setattr(module, "check_installed", lambda *programs: found.update(programs))
    monkeypatch.setattr(preflight, "check_space", lambda needs: None)
    check_machine(gather_settings([], settings), "raw", None, 1 << 20)
    assert found == programs


@pytest.fixture
def asked(monkeypatch):
    """What room was asked for in all, one figure for each time at which it must be there."""
    found = []
    monkeypatch.setattr(preflight, "check_basics", lambda: None)
    monkeypatch.setattr(preflight, "check_installed", lambda *programs: None)
    monkeypatch.setattr(preflight, "check_space", lambda needs: found.append(sum(mib for _, mib, _ in needs)))
    return found


def test_with_the_default_settings_five_gigabytes_are_enough_for_base_and_build(asked):
    check_machine(gather_settings([]), "bootstrap", None)
    assert max(asked) << 20 < 5_000_000_000 * 0.9  # the rest is for the file system itself


@pytest.mark.parametrize(("kind", "factor"), [("raw", 1), ("disk", 1), ("qcow2", 3), ("tar", 4)])
def test_what_is_compressed_is_taken_to_be_larger(asked, kind, factor):
    check_machine(gather_settings([], {"room_mib": 100}), kind, None, 600 << 20)
    assert asked == [3 * factor * 600, 2 * factor * 600 + 50 + 64 + 100]


def test_only_root_may_build():
    if os.geteuid() == 0:
        check_root()
        return
    with pytest.raises(NotReady, match="needs root"):
        check_root()


@pytest.mark.parametrize("key", ["output", "workspace", "cache", "root"])
@pytest.mark.parametrize("below", ["", "/further/down"])
def test_a_file_in_place_of_a_directory_is_named_with_its_setting_before_any_work(key, below, tmp_path):
    (tmp_path / "file").write_text("")
    settings = gather_settings([], {key: f"{tmp_path}/not/made/yet"})
    check_directories(settings)
    with pytest.raises(SettingsWrong, match=rf"ami\.{key} is .*/file.* is no directory"):
        check_directories(gather_settings([], {key: f"{tmp_path}/file{below}"}))
