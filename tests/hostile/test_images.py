"""A base that is a disk image, with all that such an image can say of itself."""

import os
import struct
import subprocess

import pytest
from vmimage.base.convert import opened_base
from vmimage.base.locate import locate_base
from vmimage.errors import VmImageError
from vmimage.root.mounts import mounted
from vmimage.settings.schema import Settings
from vmimage.system import formats
from vmimage.system.namespace import run_privately
from vmimage.system.progress import Progress
from vmimage.system.shell import run

pytestmark = pytest.mark.needs("mke2fs", "debugfs", "tune2fs", "qemu-img", "sfdisk")
MIB = 1 << 20
SYSTEM = {
    "etc/os-release": "ID=debian\n",
    "etc/fstab": "LABEL=root / ext4 defaults 0 1\n",
    "srv/big": "x" * 300_000,
    "srv/d/file": "y",
}


def make_ext4(tree, path, files=SYSTEM, *options):
    run(["mke2fs", "-q", "-F", "-t", "ext4", "-L", "root", *options, "-d", tree(path.with_suffix(".d"), files), path, "16M"])
    return path


def poke(path, at, data):
    with open(path, "r+b") as file:
        file.seek(at)
        file.write(data)


def debugfs(*requests):
    def damage(path):
        for request in requests:
            subprocess.run(["debugfs", "-w", "-R", request, path], capture_output=True, check=True)

    return damage


def superblock(at, data):
    return lambda path: poke(path, 1024 + at, data)


def tune(*words):
    return lambda path: subprocess.run(["tune2fs", *words, path], capture_output=True, check=True)


def first_block_of(path, name):
    return int(subprocess.run(["debugfs", "-R", f"bmap {name} 0", path], capture_output=True, text=True, check=True).stdout)


def garbled_directory(path):
    poke(path, first_block_of(path, "/srv") * int(header_block(path)), b"\xff" * 1024)


def header_block(path):
    with open(path, "rb") as file:
        file.seek(1024 + 24)
        return 1024 << struct.unpack("<I", file.read(4))[0]


#: what the image says; it is mended and a base as any other, or refused, as this e2fsck likes
SAID = {
    "errors=panic": tune("-e", "panic"),
    "errors=panic, and errors": debugfs("ssv errors 3", "ssv error_count 7", "ssv state 2"),
    "mount options of its own": debugfs("set_super_value default_mount_opts 0xffffffff", "ssv mount_opts errors=panic,debug"),
    "mounted last at /": debugfs("ssv last_mounted /"),
    "a garbled directory": garbled_directory,
    "a directory that is its own parent": debugfs("link /srv /srv/d/again"),
    "a directory of a wrong kind": debugfs("sif /srv/d mode 0100644"),
    "a file of 16 TiB": debugfs("sif /srv/d/file size 17592186040320"),
    "a file in the blocks of another": debugfs("sif /srv/d/file block[0] 0xf30a"),
    "a file of no blocks that are there": debugfs("sif /srv/big block[2] 0xffff"),
    "links that were never counted": debugfs("sif /srv/big links_count 60000"),
    "inode tables that are full": debugfs("ssv free_inodes_count 4000000"),
    "a label with an escape sequence": superblock(120, b"\x1b]52;c;eA==\x07".ljust(16, b"\0")),
    "a label of two lines": superblock(120, b"x\n/dev/sda / e 0 0"[:16]),
    "a label that is no UTF-8": superblock(120, b"\xff\xfe" * 8),
    "more blocks than the file": superblock(4, struct.pack("<I", 1 << 31)),
    "blocks of four GiB": superblock(24, struct.pack("<I", 22)),
    "no blocks in a group": superblock(32, struct.pack("<I", 0)),
    "no inodes": superblock(0, struct.pack("<I", 0)),
    "inodes of no size": superblock(88, struct.pack("<H", 0)),
    "features nobody knows": superblock(96, b"\xff\xff\xff\xff"),
    "a journal on another disk": superblock(92, struct.pack("<II", 0x38 | 4, 0x2C2 | 0x8)),
}
REFUSED = {
    "a root directory that is a file": debugfs("sif <2> mode 0100644", "ssv state 1"),
    "half of it": lambda path: os.truncate(path, 3 * MIB),
    "nothing but the superblock": lambda path: os.truncate(path, 2048),
    "an encrypted system": debugfs("rm /etc/os-release", "symlink /etc/os-release /proc/self/environ"),
    "a system that is a device": debugfs("rm /etc/os-release", "cd /etc", "mknod /etc/os-release c 1 5"),
}  # fmt: skip


def converted(path, directory, kind="raw"):
    directory.mkdir(exist_ok=True)

    def convert():
        with opened_base(path, kind, directory):
            pass

    run_privately(convert)
    return directory / "loose.img"


def looked_at(image, directory):
    """What is in an image: ``{path: text}`` of its fstab, and its options while it is mounted."""
    point = directory / "look"
    point.mkdir()

    def look():
        with mounted(image, point, "ro"), open("/proc/self/mountinfo", encoding="utf-8") as table:
            options = next(line.split()[-1].split(",") for line in table if line.split()[4] == str(point))
            return (point / "etc/fstab").read_text(), options

    return run_privately(look)


@pytest.mark.hostile("disk images")
@pytest.mark.parametrize("said", SAID)
def test_what_a_file_system_says_of_itself_does_no_harm(tree, tmp_path, said):
    image = make_ext4(tree, tmp_path / "base.img")
    SAID[said](image)
    try:
        made = converted(image, tmp_path / "work")
    except VmImageError as error:
        assert "\x1b" not in str(error)
        return
    text, options = looked_at(made, tmp_path)
    assert "\x1b" not in text and text.count("\n") == 1 and text.split()[1:3] == ["/", "ext4"]
    assert "errors=panic" not in options
    assert run(["e2fsck", "-f", "-n", made]).code == 0


@pytest.mark.hostile("disk images", refused=True)
@pytest.mark.parametrize("said", REFUSED)
def test_a_file_system_that_cannot_be_is_refused(tree, tmp_path, said):
    image = make_ext4(tree, tmp_path / "base.img")
    REFUSED[said](image)
    with pytest.raises(VmImageError) as caught:
        converted(image, tmp_path / "work", formats.read_format(image) or "raw")
    assert "\x1b" not in str(caught.value)


def in_qcow2(path, target):
    run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", path, target])
    return target


NESTED = {
    "a qcow2": lambda host, path: subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", host.secret, path, "1M"], check=True),
    "a tar": lambda host, path: subprocess.run(["tar", "-cf", path, "-C", host.directory, "own"], check=True),
    "a description that names a file of the builder": lambda host, path: path.write_text(
        f'# Disk DescriptorFile\nversion=1\ncreateType="monolithicFlat"\nRW 2048 FLAT "{host.secret}" 0\n'),
    "nothing": lambda host, path: path.write_bytes(bytes(MIB)),
}  # fmt: skip


@pytest.mark.hostile("disk images", refused=True)
@pytest.mark.parametrize("inner", NESTED)
def test_what_lies_in_a_qcow2_is_a_disk_or_refused(host, tmp_path, inner):
    NESTED[inner](host, tmp_path / "inner")
    os.truncate(tmp_path / "inner", MIB)
    with pytest.raises(VmImageError, match="holds neither"):
        converted(in_qcow2(tmp_path / "inner", tmp_path / "base.qcow2"), tmp_path / "work", "qcow2")


def of_size(size):
    return lambda path: poke(path, 24, struct.pack(">Q", size))


QCOW2 = {
    "of eight EiB": of_size((1 << 63) - 512),
    "of a size that is negative": of_size((1 << 64) - 512),
    "with clusters of 2 bytes": lambda path: poke(path, 20, struct.pack(">I", 1)),
    "with clusters of 2^63 bytes": lambda path: poke(path, 20, struct.pack(">I", 63)),
    "with a table beyond its end": lambda path: poke(path, 40, struct.pack(">Q", 1 << 62)),
    "with a table of four billion entries": lambda path: poke(path, 36, struct.pack(">I", 0xFFFFFFFF)),
    "with features nobody knows": lambda path: poke(path, 72, struct.pack(">Q", 1 << 60)),
    "with a header of no length": lambda path: poke(path, 100, struct.pack(">I", 0)),
    "cut short": lambda path: os.truncate(path, 400),
}


@pytest.mark.hostile("disk images", refused=True)
@pytest.mark.parametrize("damage", QCOW2.values(), ids=QCOW2)
def test_a_qcow2_that_cannot_be_is_refused(tree, tmp_path, damage):
    path = in_qcow2(make_ext4(tree, tmp_path / "inner.img"), tmp_path / "base.qcow2")
    damage(path)
    with pytest.raises(VmImageError):
        converted(path, tmp_path / "work", "qcow2")


OTHERS = {
    "vmdk": b'# Disk DescriptorFile\nversion=1\ncreateType="monolithicFlat"\nRW 2048 FLAT "@" 0\n',
    "vhdx": b"vhdxfile" + bytes(70000),
    "vdi": b"<<< Oracle VM VirtualBox Disk Image >>>\n".ljust(64, b"\0") + b"\x7f\x10\xda\xbe" + bytes(70000),
    "vpc": b"conectix" + bytes(70000),
    "qed": b"QED\0" + bytes(70000),
    "luks": b"LUKS\xba\xbe\0\1" + bytes(70000),
    "bochs": b"Bochs Virtual HD Image" + bytes(70000),
    "parallels": b"WithoutFreeSpace" + bytes(70000),
    "a json of qemu": b'json:{"driver":"raw","file":{"driver":"host_device","filename":"@"}}',
    "an iso": bytes(32769) + b"CD001" + bytes(2048),
    "a squashfs": b"hsqs" + bytes(70000),
    "xfs": b"XFSB" + bytes(70000),
    "a script": b"#!/bin/sh\ntouch @\n",
    "nothing": b"",
}


@pytest.mark.hostile("disk images", refused=True)
@pytest.mark.parametrize("kind", OTHERS)
def test_another_format_is_no_base_whatever_it_refers_to(host, tmp_path, kind):
    path = tmp_path / "base.img"
    path.write_bytes(OTHERS[kind].replace(b"@", os.fsencode(host.secret)))
    settings = Settings(base=str(path), base_unverified=True, cache=str(tmp_path / "cache"))
    with pytest.raises(VmImageError, match="no file system, disk, qcow2 or tar that is known"):
        locate_base(settings, Progress())
    with pytest.raises(VmImageError, match="is called disk and is nothing known"):
        converted(path, tmp_path / "work", "disk")


def a_loop_of_links(path):
    path.symlink_to(path.name)


NO_FILES = {
    "a fifo": os.mkfifo,
    "a directory": os.mkdir,
    "a device without an end": lambda path: path.symlink_to("/dev/zero"),
    "a device that waits": lambda path: path.symlink_to("/dev/tty"),
    "a disk": lambda path: os.mknod(path, 0o060600, os.makedev(7, 0)),
    "a link to nothing": lambda path: path.symlink_to("nothing"),
    "a loop of links": a_loop_of_links,
}


@pytest.mark.hostile("disk images", refused=True)
@pytest.mark.parametrize("as_address", [str, lambda path: f"file://{path}"], ids=["a path", "an address"])
@pytest.mark.parametrize("make", NO_FILES.values(), ids=NO_FILES)
def test_what_is_no_file_is_no_base(tmp_path, make, as_address):
    make(tmp_path / "base.img")
    settings = Settings(base=as_address(tmp_path / "base.img"), base_unverified=True, cache=str(tmp_path / "cache"))
    with pytest.raises(VmImageError, match="there is no file"):
        locate_base(settings, Progress())


TABLES = {
    "partitions that overlap": "label: dos\nstart=2048, size=8MiB, type=83\n",
    "two roots by type": "label: gpt\nsize=1MiB, type=4f68bce3-e8cd-4db1-96e7-fbcaf984b709\nsize=1MiB, type=4f68bce3-e8cd-4db1-96e7-fbcaf984b709\n",
    "a name with markup and quotes": 'label: gpt\nsize=1MiB, type=linux, name="<script>$(touch x)`"\n',
}


def overlapping(path):
    """Two entries of one place, and a third across the end of both."""
    for number, (start, count) in enumerate([(2048, 32768), (2048, 32768), (10000, 32768)]):
        poke(path, 446 + 16 * number, bytes([0, 0, 0, 0, 0x83, 0, 0, 0]) + struct.pack("<II", start, count))
    poke(path, 510, b"\x55\xaa")


@pytest.mark.hostile("disk images", refused=True)
@pytest.mark.parametrize("table", TABLES)
def test_a_table_whose_root_is_not_clear_is_refused(tmp_path, table):
    path = tmp_path / "disk.raw"
    with open(path, "xb") as file:
        file.truncate(32 * MIB)
    subprocess.run(["sfdisk", "-q", path], input=TABLES[table], text=True, check=True, capture_output=True)
    if table == "partitions that overlap":
        overlapping(path)
    with pytest.raises(VmImageError, match="is not known"):
        converted(path, tmp_path / "work", "disk")


@pytest.mark.hostile("disk images", refused=True)
def test_a_root_in_two_partitions_of_one_place_is_refused(tree, tmp_path):
    path, inner = tmp_path / "disk.raw", make_ext4(tree, tmp_path / "inner.img")
    with open(path, "xb") as file:
        file.truncate(32 * MIB)
    overlapping(path)
    run(["dd", f"if={inner}", f"of={path}", "bs=1M", "seek=1", "conv=notrunc", "status=none"])
    with pytest.raises(VmImageError, match="2 of its 2 ext4 partitions hold a system"):
        converted(path, tmp_path / "work", "disk")
