"""pack_image and shrink_image on directory trees, looked at by e2fsck and debugfs."""

import os
import re

import pytest
from vmimage.image.ext4 import block_count, measure_content, pack_image, plan_size, shrink_image, superblock
from vmimage.system.digest import digest_of_tree
from vmimage.system.formats import read_ext
from vmimage.system.shell import run

pytestmark = pytest.mark.needs("mke2fs", "e2fsck", "resize2fs", "dumpe2fs", "debugfs")
MIB = 1 << 20
JOURNAL_MIB = 8
UUID = "0b1fe1d1-3e0c-4d1c-9d4b-6c1f1f1b2c3d"


@pytest.fixture(scope="module")
def varied(tmp_path_factory, tree, lacking):
    """A root with all that a packer can get wrong; it is only read."""
    top = tmp_path_factory.mktemp("varied")
    root = tree(top / "root", {
        "etc/hostname": "web", "etc/link": "-> hostname", "etc/far": "-> /usr/lib/nowhere", "etc/long": "-> " + "x/" * 900,
        "empty/": None, "deep/" + "d/" * 60: None, "n" * 255: "long name", "etc/ümläut and space": "text", "etc/new\nline": "text",
        "bin/program": b"\x7fELF" + os.urandom(3 * MIB), "boot/zeros": bytes(MIB), "var/empty-file": "", "var/one-block": b"x" * 4096,
    })  # fmt: skip
    for number in range(3000):
        (root / f"var/small-{number}").write_bytes(b"x" * (number % 5000))
    (root / "bin/program").chmod(0o4755)
    os.link(root / "bin/program", root / "bin/other-name")
    os.mkfifo(root / "run-fifo")
    with open(root / "sparse", "wb") as file:
        file.write(b"begin")
        file.seek(300 * MIB)
        file.write(b"end")
    try:
        os.setxattr(root / "etc/hostname", "user.origin", b"salt")
        os.setxattr(root / "empty", "user.long", b"y" * 2000)
    except OSError as error:
        lacking(f"no user xattrs in {top}: {error}; use a --basetemp on ext4, xfs or btrfs")
    return root


@pytest.fixture(scope="module")
def packed(varied):
    """Its image, which is only read."""
    image = varied.with_name("root.img")
    pack_image(varied, image, label="cloudimg-rootfs", uuid=UUID)
    shrink_image(image)
    return image


def inode(debugfs, image, path):
    return int(re.search(r"Inode: (\d+)", debugfs(image, f'stat "{path}"'))[1])


def test_every_name_and_byte_comes_out_as_it_went_in(varied, packed, tmp_path):
    run(["e2fsck", "-f", "-n", packed])
    (tmp_path / "out").mkdir()
    run(["debugfs", "-R", f"rdump / {tmp_path}/out", packed])
    (tmp_path / "out/lost+found").rmdir()
    if not (tmp_path / "out/run-fifo").exists():  # rdump passes over what is neither file, link nor directory
        os.mkfifo(tmp_path / "out/run-fifo")
    assert digest_of_tree(tmp_path / "out") == digest_of_tree(varied)


def test_hard_links_stay_one_file(packed, debugfs):
    assert inode(debugfs, packed, "/bin/program") == inode(debugfs, packed, "/bin/other-name")
    assert re.search(r"Links: 2\b", debugfs(packed, "stat /bin/program"))


def test_holes_stay_holes(packed, debugfs):
    facts = debugfs(packed, "stat /sparse")
    assert int(re.search(r"Size: (\d+)", facts)[1]) == 300 * MIB + 3
    assert int(re.search(r"Blockcount: (\d+)", facts)[1]) <= 32
    assert packed.stat().st_size < 60 * MIB


def test_modes_kinds_and_attributes_are_kept(packed, debugfs):
    assert re.search(r"Type: regular\s+Mode:\s+04755", debugfs(packed, "stat /bin/program"))
    assert re.search(r"Type: FIFO", debugfs(packed, "stat /run-fifo"))
    assert 'user.origin (4) = "salt"' in debugfs(packed, "ea_list /etc/hostname")
    assert "user.long (2000)" in debugfs(packed, "ea_list /empty")


def test_the_top_directory_belongs_to_root_whoever_packs(packed, debugfs):
    assert re.search(r"User:\s+0\s+Group:\s+0\s", debugfs(packed, "stat /"))


def test_label_and_uuid_are_those_asked_for(packed):
    ext = read_ext(packed)
    assert (ext.label, ext.uuid) == ("cloudimg-rootfs", UUID)


def test_a_uuid_that_is_not_asked_for_is_new_each_time(tmp_path, tree):
    root = tree(tmp_path / "root", {"a": "b"})
    for name in ("one", "two"):
        pack_image(root, tmp_path / name)
    first, second = read_ext(tmp_path / "one"), read_ext(tmp_path / "two")
    assert first.uuid != second.uuid and first.label == second.label == ""


def test_content_is_measured_as_du_sees_it(varied):
    content = measure_content(varied)
    kib = int(run(["du", "-sk", "--apparent-size", varied / "bin"]).output.split()[0])
    assert content.inodes == len(set(os.lstat(path).st_ino for path in [varied, *varied.rglob("*")]))
    assert measure_content(varied / "bin").blocks == pytest.approx(kib / 4, abs=3)
    on_disk = int(run(["du", "-s", "--block-size=4096", varied]).output.split()[0])
    assert on_disk * 0.97 - 8 <= content.blocks <= on_disk * 1.03 + 8


@pytest.mark.parametrize(
    ("large_mib", "small"), [(64, 0), (40, 9000), (160, 2000)], ids=["large files", "many small files", "a bit of both"]
)
def test_an_image_is_hardly_larger_than_its_content_and_its_journal(tmp_path, tree, large_mib, small):
    root = tree(tmp_path / "root", {"usr/lib/": None, "usr/share/": None})
    for number in range(large_mib // 8):
        (root / f"usr/lib/{number}").write_bytes(os.urandom(8 * MIB))
    for number in range(small):
        (root / f"usr/share/{number}").write_bytes(b"x" * (1 + number * 7 % 9000))
    content = int(run(["du", "-s", "--block-size=1", root]).output.split()[0])
    assert content > 60 * MIB
    pack_image(root, tmp_path / "root.img")
    size = shrink_image(tmp_path / "root.img")
    run(["e2fsck", "-f", "-n", tmp_path / "root.img"])
    assert content < size <= content * 1.06 + JOURNAL_MIB * MIB


def test_a_root_of_nothing_but_directories_and_links_has_inodes_enough(tmp_path, tree, debugfs):
    root = tree(tmp_path / "root", {f"{outer}/{inner}/": None for outer in range(60) for inner in range(200)})
    for number in range(6000):
        (root / f"link-{number}").symlink_to("x" * (number % 120 + 1))
    content = pack_image(root, tmp_path / "root.img")
    assert content.inodes == 1 + 60 * 201 + 6000
    shrink_image(tmp_path / "root.img")
    assert debugfs(tmp_path / "root.img", "ls -p /59").count("/") > 200


def test_where_the_estimate_falls_short_the_packing_is_tried_again(tmp_path, tree, monkeypatch):
    root = tree(tmp_path / "root", {"data": os.urandom(60 * MIB)})
    blocks, inodes = plan_size(measure_content(root))
    short = blocks * 9 // 10
    assert short < (60 + JOURNAL_MIB) * MIB // 4096
    monkeypatch.setattr("vmimage.image.ext4.plan_size", lambda content, journal, spare_inodes: (short, inodes))
    pack_image(root, tmp_path / "root.img")
    run(["e2fsck", "-f", "-n", tmp_path / "root.img"])
    assert block_count(tmp_path / "root.img") > short


@pytest.mark.parametrize("headroom_mib", [0, 8, 100])
def test_headroom_is_left_free_and_the_file_ends_with_the_file_system(tmp_path, tree, headroom_mib):
    root = tree(tmp_path / "root", {"data": os.urandom(20 * MIB)})
    image = tmp_path / "root.img"
    pack_image(root, image)
    assert shrink_image(image, headroom_mib) == image.stat().st_size == block_count(image) * 4096
    free, kept_back = int(superblock(image)["Free blocks"]), min(block_count(image) // 50, 4096)
    assert headroom_mib * MIB <= (free - kept_back) * 4096 <= (headroom_mib + 2) * MIB


def test_what_lies_scattered_is_kept_and_the_holes_between_are_cut_off(tmp_path):
    image, before, after = tmp_path / "root.img", tmp_path / "before", tmp_path / "after"
    pack_image(_full_of_files(before), image)
    gone = sorted(before.iterdir())[::2]
    run(["debugfs", "-w", "-f", "-", image], stdin=_commands(tmp_path, [f"rm {path.name}" for path in gone]))
    for path in gone:
        path.unlink()
    assert shrink_image(image, 1) < 26 * MIB
    after.mkdir()
    run(["debugfs", "-R", f"rdump / {after}", image])
    assert {path.name: path.read_bytes() for path in after.glob("f*")} == {
        path.name: path.read_bytes() for path in before.iterdir()
    }


def test_a_last_group_that_is_there_for_its_inodes_is_kept(tmp_path, tree):
    root = tree(tmp_path / "root", {f"f{number}": "x" for number in range(1900)})
    image = tmp_path / "root.img"
    argv = ["mke2fs", "-q", "-F", "-t", "ext4", "-b", 4096, "-g", 4096, "-N", 2048, "-O", "resize_inode", "-d", root, image, 8192]
    run(argv)
    shrink_image(image, 1)
    assert int(superblock(image)["Free blocks"]) * 4096 >= MIB


def _full_of_files(top):
    top.mkdir()
    for number in range(320):
        (top / f"f{number:03}").write_bytes(os.urandom(100_000))
    return top


def _commands(directory, lines):
    (directory / "commands").write_text("\n".join([*lines, ""]), encoding="ascii")
    return open(directory / "commands", encoding="ascii")


def test_room_for_the_group_descriptors_of_a_tebibyte_is_reserved(packed):
    facts = superblock(packed)
    groups = (int(facts["Reserved GDT blocks"]) + 1) * 4096 // int(facts.get("Group descriptor size", 32))
    assert groups * 128 * MIB >= 1 << 40  # a mounted file system cannot grow beyond


def test_an_image_can_grow_as_a_first_boot_does(packed, tmp_path):
    image = tmp_path / "root.img"
    run(["cp", "--sparse=always", packed, image])
    os.truncate(image, 10 << 30)
    run(["resize2fs", image])
    run(["e2fsck", "-f", "-n", image])
    facts = superblock(image)
    assert int(facts["Block count"]) == (10 << 30) // 4096
    assert int(facts["Inode count"]) >= (10 << 30) // 32768  # one for every 32 KiB


def test_a_swap_file_is_written_whole(tmp_path, debugfs):
    root, image = tmp_path / "root", tmp_path / "root.img"
    root.mkdir()
    (root / "swap.img").write_bytes(bytes(4 * MIB))
    run(["mkswap", root / "swap.img"])
    (root / "zeros").write_bytes(bytes(4 * MIB))
    pack_image(root, image)
    shrink_image(image)
    assert _blocks_in_image(debugfs, image, "/swap.img") == 1024
    assert _blocks_in_image(debugfs, image, "/zeros") == 0


def _blocks_in_image(debugfs, image, path):
    return int(re.search(r"Blockcount: (\d+)", debugfs(image, f"stat {path}")).group(1)) // 8


def test_an_image_is_for_its_owner_alone_from_the_first_byte(packed):
    assert packed.stat().st_mode & 0o777 == 0o600
