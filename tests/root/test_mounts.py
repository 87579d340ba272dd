"""Images that are mounted: what they say of themselves does no harm."""

import pytest
from vmimage.mounts import mounted
from vmimage.shell import run


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
