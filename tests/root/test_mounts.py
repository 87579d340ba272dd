"""Images that are mounted: what they say of themselves does no harm, and what is written to them is not lost without a word."""

import os
import threading

import pytest
from vmimage.errors import NotReady, StillMounted
from vmimage.root import mounts
from vmimage.root.mounts import is_mounted, mounted, unmount
from vmimage.system.shell import run


def make_image(path, mib, *options):
    with open(path, "xb") as file:
        file.truncate(mib << 20)
    run(["mke2fs", "-q", "-F", "-t", "ext4", *options, path])
    return path


def options_of(point):
    with open("/proc/self/mountinfo", encoding="utf-8") as table:
        return next(line.split()[-1].split(",") for line in table if line.split()[4] == str(point))


@pytest.fixture
def point(tmp_path):
    (tmp_path / "point").mkdir()
    return tmp_path / "point"


@pytest.mark.parametrize("options", [[], ["ro"]], ids=["written", "read"])
def test_a_superblock_that_asks_for_a_panic_is_not_asked(tmp_path, point, options):
    image = make_image(tmp_path / "image", 16, "-O", "^has_journal")
    run(["tune2fs", "-e", "panic", image])
    with mounted(image, point, *options):
        assert "errors=panic" not in options_of(point)
        assert "errors=remount-ro" in options_of(point)


@pytest.mark.parametrize("options", [[], ["-O", "^has_journal"]], ids=["with a journal", "without"])
def test_a_disk_that_is_full_below_an_image_is_seen_also_where_it_has_room_again(tmp_path, point, options):
    disk = tmp_path / "disk"
    disk.mkdir()
    with mounted(make_image(tmp_path / "small", 64, "-O", "^has_journal"), disk):
        image = make_image(disk / "image", 256, *options)
        (disk / "ballast").write_bytes(b"x" * (40 << 20))
        with pytest.raises(NotReady, match=f"{image} did not reach its disk") as caught, mounted(image, point):
            (point / "file").write_bytes(b"y" * (32 << 20))
            os.sync()  # as the kernel may at any time
            (disk / "ballast").unlink()
        assert str(disk) in caught.value.hint


def test_what_fits_is_written_and_no_error(tmp_path, point):
    image = make_image(tmp_path / "image", 32)
    with mounted(image, point):
        (point / "file").write_bytes(b"y" * (8 << 20))
    with mounted(image, point, "ro"):
        assert (point / "file").read_bytes() == b"y" * (8 << 20)


def test_who_works_in_an_image_for_a_moment_is_waited_for_and_else_is_an_error(tmp_path, point, monkeypatch):
    image, held = make_image(tmp_path / "image", 16), []
    with mounted(image, point, "ro"):
        held.append(os.open(point, os.O_RDONLY))
        threading.Timer(0.5, os.close, [held[0]]).start()
    assert not is_mounted(point)
    monkeypatch.setattr(mounts, "_TRIES", 1)
    with pytest.raises(StillMounted, match="cannot be unmounted"), mounted(image, point, "ro"):
        held.append(os.open(point, os.O_RDONLY))
    os.close(held[-1])
    unmount(point)
