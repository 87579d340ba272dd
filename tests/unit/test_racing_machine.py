"""benchmarks: what is measured of the machine."""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

from racing import machine, meter, warm  # noqa: E402
from racing.track import Lap, Track  # noqa: E402
from racing.warm import warm_up  # noqa: E402

MOUNTS = """/dev/vda / ext4 rw 0 0
tmpfs /srv tmpfs rw 0 0
/dev/vdb /srv/build xfs rw 0 0
tmpfs /srv/build btrfs rw 0 0
"""


@pytest.mark.parametrize(
    ("directory", "kind"),
    [("/", "ext4"), ("/home", "ext4"), ("/srv/x", "tmpfs"), ("/srv/builder", "tmpfs"), ("/srv/build/a", "btrfs")],
)
def test_the_file_system_is_that_of_the_nearest_mount_and_of_two_the_later(directory, kind):
    assert machine.file_system_of(Path(directory), MOUNTS) == kind


def test_this_machine_is_described_in_one_line(tmp_path):
    facts = machine.describe(tmp_path)
    words = machine.in_words(facts)
    assert facts["cores"] >= 1 and facts["memory_gib"] > 0 and facts["date"][:2] == "20"
    assert "\n" not in words and all(str(facts[key]) in words for key in facts)


def test_memory_in_use_is_the_sum_of_the_wanted_fields_alone():
    assert meter.bytes_in_use("anon 100\nfile 5000\nshmem 20\nanon_thp 3\n", {"anon", "shmem"}) == 120


@pytest.mark.parametrize(("kib", "gib"), [(6 << 20, 6), ((6 << 20) - 1, 5), (100, 0)])
def test_free_memory_is_given_in_whole_gib(kib, gib):
    assert meter.free_gib(f"MemTotal: 99999999 kB\nMemAvailable:   {kib} kB\n") == gib


def test_a_contest_has_a_cache_once_it_has_kept_something(tmp_path):
    track = Track(tmp_path, tmp_path / "tools")
    assert not track.has_cache("mkosi")
    (Lap(track, "mkosi", "").cache / "packages").mkdir()
    assert track.has_cache("mkosi") and not track.has_cache("ours")
    track.empty_cache("mkosi")
    assert not track.has_cache("mkosi")


def test_a_warm_run_reads_plain_files_and_nothing_that_never_ends(tmp_path, tree):
    tree(tmp_path, {"cache/a": "a", "cache/below/b": "b", "outside": "c"})
    os.mkfifo(tmp_path / "cache/fifo")
    (tmp_path / "cache/link").symlink_to("../outside")
    (tmp_path / "cache/lost").symlink_to("nowhere")
    places = [tmp_path / "cache", tmp_path / "missing"]
    warm_up(places)
    assert {path.name for path in warm.plain_files(places)} == {"a", "b"}
