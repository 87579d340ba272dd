"""A root image made of a copy of the base is the image that writing all files again gives: file by file."""

import os
import shutil
import stat
import subprocess

import pytest
from vmimage.image import ext4
from vmimage.image.patch import CannotPatch, begin_copy, pack_changes
from vmimage.root.mounts import mounted
from vmimage.root.overlay import close_root, mount_root, prepare_root
from vmimage.root.workspace import Workspace
from vmimage.system.attributes import read_flags, write_flags
from vmimage.system.namespace import run_privately

IMMUTABLE, APPENDED, NO_ATIME = 0x10, 0x20, 0x80  # chattr's i, a and A
PROTECTED = {
    "etc/removed": IMMUTABLE,
    "var/replaced/1": APPENDED,
    "var/replaced": IMMUTABLE,
    "usr/lib/a/1": NO_ATIME,
    "usr": APPENDED,
}
CAPABILITY = b"\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
ACL = bytes.fromhex("0200000001000600ffffffff02000600e803000004000400ffffffff10000600ffffffff20000400ffffffff")


def write(path, text="text"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def base_files(top, big_mib):
    for name in ("etc/kept", "etc/rewritten", "etc/removed", "etc/becomes a directory", "usr/lib/a/1", "usr/lib/a/2", "old/x/y"):
        write(top / name, f"{name} of the base\n" * 99)
    for name in ("var/emptied/1", "var/emptied/2", "var/replaced/1", "opt/renamed/1", "opt/renamed/below/2", "bin/program"):
        write(top / name, f"{name} of the base\n")
    os.link(top / "bin/program", top / "bin/other name")
    os.symlink("kept", top / "etc/link")
    os.setxattr(top / "bin/program", "security.capability", CAPABILITY)
    (top / "big").write_bytes(b"x" * (big_mib << 20))


def change(root):
    """What variations do to roots, and then some."""
    for name in ("etc/removed", "var/replaced", "var/replaced/1", "usr"):
        write_flags(root / name, 0)
    write(root / "etc/rewritten", "of the variation")
    (root / "etc/removed").unlink()
    (root / "etc/becomes a directory").unlink()
    write(root / "etc/becomes a directory/file")
    shutil.rmtree(root / "var/emptied")
    shutil.rmtree(root / "var/replaced")
    write(root / "var/replaced/new only")
    (root / "opt/renamed").rename(root / "opt/new name")
    write(root / "opt/new name/below/3")
    shutil.rmtree(root / "old")
    write(root / "old", "a file now")
    (root / "etc/link").unlink()
    os.symlink("/etc/elsewhere", root / "etc/link")
    first = write(root / "srv/links/first")
    os.link(first, root / "srv/links/second")
    os.chmod(first, 0o4711)
    os.chown(first, 33, 1000)
    os.setxattr(write(root / "srv/capable"), "security.capability", CAPABILITY)
    os.setxattr(write(root / "srv/acl"), "system.posix_acl_access", ACL)
    os.setxattr(write(root / "srv/user"), "user.colour", b"red")
    os.mkfifo(root / "srv/fifo", 0o620)
    with open(root / "srv/holes", "wb") as file:
        file.truncate(3 << 20)
        file.seek(1 << 20)
        file.write(b"in the middle")
    (root / "srv/names with\nlines and \udce4").touch()
    os.utime(root / "etc/kept", ns=(10**18, 10**18 + 123))
    os.chmod(root / "usr/lib/a", 0o2750)
    os.chown(root / "usr", 7, 8)
    (root / "srv/deep").joinpath(*["d"] * 60).mkdir(parents=True)
    write_flags(write(root / "srv/protected/fixed"), IMMUTABLE)
    write_flags(root / "srv/protected", IMMUTABLE | APPENDED)
    write_flags(root / "usr", APPENDED)


def facts_of(top):
    """All of a tree that an image keeps; times as far as mke2fs keeps them: to the second, and not that of the top directory."""
    found, links = {}, {}
    for path in sorted([top, *top.rglob("*")]):
        facts, name = path.lstat(), os.fspath(path.relative_to(top))
        if name == "lost+found":
            continue
        content = path.read_bytes() if stat.S_ISREG(facts.st_mode) else os.readlink(path) if path.is_symlink() else None
        xattrs = {key: os.getxattr(path, key, follow_symlinks=False) for key in os.listxattr(path, follow_symlinks=False)}
        holes = stat.S_ISREG(facts.st_mode) and facts.st_blocks * 512 < facts.st_size
        nlink = facts.st_nlink if not stat.S_ISDIR(facts.st_mode) else 0
        if nlink > 1:
            links.setdefault((facts.st_dev, facts.st_ino), []).append(name)
        found[name] = (
            facts.st_mode,
            facts.st_uid,
            facts.st_gid,
            nlink,
            facts.st_rdev,
            int(facts.st_mtime) if name != "." else 0,
            content,
            xattrs,
            holes,
            read_flags(path, facts),
        )
    return found, sorted(links.values())


@pytest.fixture
def changed(tmp_path):
    """Run with an open root: ``changed(change, work)`` returns what ``work(workspace, root, base image)`` does.

    The base has a file ``big`` of some MiB.
    """

    def run(change, work, *, big_mib=8):
        def inside():
            base = tmp_path / "base.img"
            base_files(tmp_path / "base", big_mib)
            ext4.pack_image(tmp_path / "base", base, label="root", journal=False)
            with mounted(base, tmp_path / "base"):
                for name, flags in PROTECTED.items():
                    write_flags(tmp_path / "base" / name, flags)
            ext4.cut_image(base)
            workspace, root = Workspace(tmp_path, "one"), tmp_path / "root"
            workspace.make()
            opened = prepare_root(workspace, base, root)
            mount_root(workspace, opened)
            change(root)
            try:
                return work(workspace, root, base)
            finally:
                close_root(workspace, opened)

        return run_privately(inside)

    return run


def copied(workspace, root, base, target):
    return pack_changes(
        begin_copy(base, target), (workspace.upper, workspace.lower, root), target, workspace.path / "image", label="root"
    )


def test_the_copy_with_the_changes_is_what_writing_all_files_gives(changed, tmp_path):
    def both(workspace, root, base):
        copy, written = tmp_path / "copy.img", tmp_path / "written.img"
        copied(workspace, root, base, copy)
        ext4.pack_image(root, written, label="root")
        found = []
        for image in (copy, written):
            ext4.shrink_image(image, 8)
            with mounted(image, workspace.path / "image", "ro"):
                found.append(facts_of(workspace.path / "image"))
        found.append(facts_of(root))
        return found, copy.stat().st_size, written.stat().st_size

    (copy, written, root), copy_bytes, written_bytes = changed(change, both)
    assert copy == root
    assert written == root
    assert copy_bytes <= written_bytes * 1.04


def test_the_copy_gets_a_journal_and_can_grow(changed, tmp_path):
    def work(workspace, root, base):
        target = tmp_path / "copy.img"
        copied(workspace, root, base, target)
        ext4.shrink_image(target, 8)
        return ext4.superblock(target)

    facts = changed(change, work)
    assert {"has_journal", "resize_inode"} <= set(facts["Filesystem features"].split())
    assert facts["Filesystem volume name"] == "root"


def verdict(workspace, root, base):
    """``copied``, or the name of what kept the changes from going into a copy of the base; ``unfit`` without such a cause."""
    try:
        copied(workspace, root, base, workspace.path / "copy.img")
    except CannotPatch as unfit:
        return type(unfit.__cause__).__name__ if unfit.__cause__ else "unfit"
    return "copied"


def test_a_change_by_only_one_name_of_a_file_that_has_two_is_left_to_writing_all_files(changed):
    assert changed(lambda root: os.chmod(root / "bin/program", 0o700), verdict) == "HardLinkSplit"


@pytest.mark.parametrize(("mib", "wanted"), [(8, "copied"), (96, "unfit")])
def test_the_base_is_copied_until_so_much_of_it_is_removed_that_cutting_would_take_longer(changed, mib, wanted):
    assert changed(lambda root: (root / "big").unlink(), verdict, big_mib=mib) == wanted


def test_more_files_than_the_base_has_inodes_for_are_left_to_writing_all_files(changed):
    def many(root):
        for number in range(30000):
            os.close(os.open(root / f"etc/{number}", os.O_CREAT | os.O_WRONLY))

    assert changed(many, verdict) == "unfit"


def test_a_base_with_a_journal_is_left_alone(changed, tmp_path):
    def work(workspace, root, base):
        with_journal = tmp_path / "journal.img"
        shutil.copyfile(base, with_journal)
        subprocess.run(["resize2fs", with_journal, "60000"], check=True, capture_output=True)
        subprocess.run(["tune2fs", "-J", "size=4", with_journal], check=True, capture_output=True)
        return verdict(workspace, root, with_journal)

    assert changed(lambda root: None, work) == "unfit"
