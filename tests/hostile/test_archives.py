"""A base that is a tar: members that want to lie elsewhere, or to be written through."""

import io
import os
import stat
import tarfile
from pathlib import Path

import pytest
from vmimage.base.convert import opened_base
from vmimage.errors import BaseRefused, CommandFailed, VmImageError
from vmimage.system.namespace import run_privately

pytestmark = pytest.mark.needs("tar", "mke2fs")
SYSTEM = b'ID=debian\nVERSION_ID="12"\n'
NO_UTF8 = b"etc/\xff\xfe\xc3".decode("utf-8", "surrogateescape")
ESCAPES = "etc/\x1b]52;c;eA==\x07\nname"
DEEP = "/".join(["d" * 100] * 30)


def member(name, kind=tarfile.REGTYPE, target="", content=b"", mode=0o644, **more):
    """A member and its content."""
    found = tarfile.TarInfo(name)
    found.type, found.linkname, found.size, found.mode = kind, target, len(content), mode
    for key, value in more.items():
        setattr(found, key, value)
    return found, content


def link(name, target):
    return member(name, tarfile.SYMTYPE, target)


def hard_link(name, target):
    return member(name, tarfile.LNKTYPE, target)


def make_tar(path, members):
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT, encoding="utf-8", errors="surrogateescape") as tar:
        for found, content in [member("etc", tarfile.DIRTYPE, mode=0o755), member("etc/os-release", content=SYSTEM), *members]:
            tar.addfile(found, io.BytesIO(content) if found.isreg() else None)
    return path


def sparse(name, size):
    """A member of GNU's kind that is nothing but a hole."""
    return member(name, **{"pax_headers": {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": name,
                                          "GNU.sparse.realsize": str(size)}, "content": f"1\n{size}\n0\n".encode().ljust(512, b"\0")})  # fmt: skip


#: name of the trick: (members, the path that is looked at, what stands there: a kind of file, and its text)
HELD = {
    "an absolute name": ([lambda host: member(f"{host.directory}/planted", content=b"x")], "{host}/planted", "file", "x"),
    "the name of a file of the builder": (
        [lambda host: member(f"{host.directory}/secret", content=b"of the tar")], "{host}/secret", "file", "of the tar"),
    "a link to a file of the builder": ([lambda host: link("etc/secret", str(host.secret))], "etc/secret", "link", "{host}/secret"),
    "a link that climbs": ([lambda host: link("etc/climb", "../" * 40 + "etc/shadow")], "etc/climb", "link", "../" * 40 + "etc/shadow"),
    "a link, then a file of its name": (
        [lambda host: link("etc/twice", str(host.secret)), lambda host: member("etc/twice", content=b"second")],
        "etc/twice", None, ""),  # either of both, as this tar makes links at the end
    "a file, then a link of its name": (
        [lambda host: member("etc/again", content=b"x"), lambda host: link("etc/again", str(host.secret))],
        "etc/again", "link", "{host}/secret"),
    "a file twice": (
        [lambda host: member("etc/dup", content=b"1"), lambda host: member("etc/dup", content=b"2")], "etc/dup", "file", "2"),
    "a hard link to an absolute name": (
        [lambda host: member("etc/real", content=b"real"), lambda host: hard_link("etc/other", "/etc/real")],
        "etc/other", "file", "real"),
    "a disk": ([lambda host: member("etc/sda", tarfile.BLKTYPE, devmajor=8, devminor=0)], "etc/sda", "disk", ""),
    "a device of memory": ([lambda host: member("etc/mem", tarfile.CHRTYPE, devmajor=1, devminor=1)], "etc/mem", "device", ""),
    "a fifo": ([lambda host: member("etc/fifo", tarfile.FIFOTYPE)], "etc/fifo", "fifo", ""),
    "a setuid program": ([lambda host: member("etc/su", content=b"x", mode=0o4755)], "etc/su", "file", "x"),
    "an owner beyond 16 bits": ([lambda host: member("etc/owned", content=b"x", uid=1 << 31)], "etc/owned", "file", "x"),
    "a file of the year 1901": ([lambda host: member("etc/old", content=b"x", mtime=-(1 << 31))], "etc/old", "file", "x"),
    "a hole of four TiB": ([lambda host: sparse("etc/hole", 4 << 40)], "etc/hole", "file of 4398046511104 bytes", ""),
    "a name that is no UTF-8": ([lambda host: member(NO_UTF8, content=b"x")], NO_UTF8, "file", "x"),
    "a name with escape sequences": ([lambda host: member(ESCAPES, content=b"x")], ESCAPES, "file", "x"),
    "a name that is an option": (
        [lambda host: member("--checkpoint-action=exec=touch planted", content=b"x")],
        "--checkpoint-action=exec=touch planted", "file", "x"),
    "a name of 3,000 bytes": ([lambda host: member(f"{DEEP}/file", content=b"x")], f"{DEEP}/file", "file", "x"),
    "an attribute of overlays": (
        [lambda host: member("opaque", tarfile.DIRTYPE, mode=0o755, pax_headers={"SCHILY.xattr.trusted.overlay.redirect": "/.."})],
        "opaque", "directory", ""),
}  # fmt: skip


def kind_of(path):
    facts = os.lstat(path)
    for name, is_kind in {"link": stat.S_ISLNK, "disk": stat.S_ISBLK, "device": stat.S_ISCHR, "fifo": stat.S_ISFIFO,
                          "directory": stat.S_ISDIR}.items():  # fmt: skip
        if is_kind(facts.st_mode):
            return name, os.readlink(path) if name == "link" else ""
    return ("file", path.read_text()) if facts.st_size < 1 << 20 else (f"file of {facts.st_size} bytes", "")


def opened(source, directory, memory_mib, look):
    """What is seen of the files of a tar while they are mounted."""
    directory.mkdir()

    def seen():
        with opened_base(source, "tar", directory, memory_mib) as base:
            return look(base.point)

    return run_privately(seen)


IN_MEMORY = pytest.mark.parametrize("memory_mib", [0, 64], ids=["on the disk", "in memory"], scope="module")


@pytest.fixture(scope="module")
def unpacked(host, tmp_path_factory, memory_mib):
    """What an archive with all tricks became: ``{trick: (kind, text)}``."""
    directory = tmp_path_factory.mktemp("archive")
    source = make_tar(directory / "base.tar", [make(host) for members, *_ in HELD.values() for make in members])
    paths = {trick: path.format(host=host.directory) for trick, (_, path, _, _) in HELD.items()}
    return opened(
        source,
        directory / "work",
        memory_mib,
        lambda point: {trick: kind_of(Path(f"{point}/{path}")) for trick, path in paths.items()},
    )


@pytest.mark.hostile("archives")
@IN_MEMORY
@pytest.mark.parametrize("trick", HELD)
def test_a_member_lies_in_the_image_and_nowhere_else(unpacked, host, trick):
    kind, text = HELD[trick][2:]
    assert (
        kind is None
        and unpacked[trick]
        or unpacked[trick] == (kind, text.format(host=host.directory) if kind == "link" else text)
    )


REFUSED = {
    "a name that climbs": [lambda host: member(f"../../../../../../../..{host.directory}/planted", content=b"x")],
    "parents in the middle": [lambda host: member(f"etc/../../../../../../../../..{host.directory}/planted", content=b"x")],
    "a file through a link": [lambda host: link("door", str(host.directory)), lambda host: member("door/planted", content=b"x")],
    "a file through a link that climbs": [
        lambda host: link("door", "../" * 40 + str(host.directory)[1:]), lambda host: member("door/planted", content=b"x")],
    "a file through two links": [
        lambda host: link("one", str(host.directory.parent)), lambda host: link("two", f"one/{host.directory.name}"),
        lambda host: member("two/planted", content=b"x")],
    "a hard link to a file of the builder": [lambda host: hard_link("etc/stolen", str(host.secret))],
    "a hard link that climbs": [lambda host: hard_link("etc/stolen", "../" * 40 + str(host.secret)[1:])],
    "a hard link through a link": [
        lambda host: link("door", str(host.directory)), lambda host: hard_link("etc/stolen", "door/secret")],
    "os-release leads out": [lambda host: link("etc/os-release", str(host.secret))],
    "os-release is a directory": [lambda host: link("etc/os-release", ".")],
    "etc leads out": [lambda host: link("etc/x", "/"), lambda host: link("etc/os-release", f"x{host.secret}")],
    "a hole beyond any file system": [lambda host: sparse("etc/hole", 1 << 60)],
    "a root whose name is a word of tune2fs": [lambda host: member("etc/fstab", content=b"UUID=clear / ext4 defaults 0 1\n")],
    "a root whose name is too long": [lambda host: member("etc/fstab", content=b"LABEL=" + b"x" * 200 + b" / ext4 defaults 0 1\n")],
    "fstab is a fifo": [lambda host: member("etc/fstab", tarfile.FIFOTYPE)],
    "fstab is a directory": [lambda host: member("etc/fstab", tarfile.DIRTYPE)],
    "fstab leads in circles": [lambda host: link("etc/fstab", "fstab")],
    "fstab of 60 GB": [lambda host: sparse("etc/fstab", 60 << 30)],
}  # fmt: skip


@pytest.mark.hostile("archives", refused=True)
@IN_MEMORY
@pytest.mark.parametrize("trick", REFUSED)
def test_a_member_that_is_written_through_is_refused(host, tmp_path, trick, memory_mib):
    source = make_tar(tmp_path / "base.tar", [make(host) for make in REFUSED[trick]])
    with pytest.raises(VmImageError) as caught:
        opened(source, tmp_path / "work", memory_mib, bool)
    assert "\x1b" not in str(caught.value) and caught.value.message


BROKEN = {
    "cut short": lambda data: data[: len(data) // 2 + 100],
    "a checksum that is wrong": lambda data: data[:600] + b"\xff" * 100 + data[700:],
    "gzip of nothing": lambda data: b"\x1f\x8b" + bytes(100),
    "xz of nothing": lambda data: b"\xfd7zXZ\0" + bytes(100),
    "zstd of nothing": lambda data: b"\x28\xb5\x2f\xfd" + bytes(100),
}


@pytest.mark.hostile("archives", refused=True)
@pytest.mark.parametrize("damage", BROKEN.values(), ids=BROKEN)
def test_an_archive_that_is_broken_is_refused(host, tmp_path, damage):
    source = make_tar(tmp_path / "base.tar", [member("etc/more", content=b"x" * 5000)])
    source.write_bytes(damage(source.read_bytes()))
    with pytest.raises((BaseRefused, CommandFailed)):
        opened(source, tmp_path / "work", 0, bool)
