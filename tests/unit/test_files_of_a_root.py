import os

import pytest
from vmimage.errors import RootHostile
from vmimage.root import files

pytestmark = pytest.mark.usefixtures("confining_kernel")


LEADING_OUT = {
    "absolute": "-> {outside}/secret",
    "relative": "-> ../../outside/secret",
    "many parents": "-> " + "../" * 40 + "{outside}/secret",
    "by a directory": "-> ../door/secret",
    "by proc": "-> /proc/1/root/{outside}/secret",
}


@pytest.mark.hostile("traps in a root")
@pytest.mark.parametrize("link", LEADING_OUT.values(), ids=LEADING_OUT)
def test_a_link_never_leads_to_a_file_of_the_host(root, tree, tmp_path, link):
    outside = tmp_path / "outside"
    tree(root, {"door": f"-> {outside}", "etc/link": link.format(outside=outside)})
    assert files.read_text(root, "/etc/link", "nothing") == "nothing"
    assert not files.is_file(root, "/etc/link")
    assert files.exists(root, "/etc/link")


def test_an_absolute_link_leads_to_the_file_of_the_image(root, tree):
    tree(
        root,
        {
            "run/systemd/resolv.conf": "ours",
            "etc/resolv.conf": "-> /run/systemd/resolv.conf",
            "etc/two": "-> ../../../etc/resolv.conf",
        },
    )
    assert files.read_text(root, "/etc/resolv.conf") == files.read_text(root, "etc/two") == "ours"


@pytest.mark.hostile("traps in a root")
@pytest.mark.parametrize("path", ["/../outside/secret", "../outside/secret", "/etc/../../outside/secret", "/.."])
def test_parents_in_a_path_end_at_the_root(root, path):
    assert (
        files.read_text(root, path, "nothing") == "nothing"
        if path != "/.."
        else files.lstat(root, path).st_ino == root.stat().st_ino
    )


@pytest.mark.hostile("traps in a root", refused=True)
def test_a_loop_of_links_is_called_hostile(root, tree):
    tree(root, {"etc/a": "-> b", "etc/b": "-> a"})
    with pytest.raises(RootHostile):
        files.read_text(root, "/etc/a")


@pytest.mark.hostile("traps in a root", refused=True)
def test_a_magic_link_of_a_proc_in_the_image_is_called_hostile(tmp_path):
    with pytest.raises(RootHostile):
        files.read_text("/proc/self", "root/etc/hostname")


@pytest.mark.hostile("traps in a root", refused=True)
def test_reading_something_else_than_a_file_is_called_hostile(root):
    os.mkfifo(root / "etc/fifo")
    for path in ("/etc/fifo", "/etc"):
        with pytest.raises(RootHostile):
            files.read_text(root, path)


def test_a_missing_file_is_an_error_unless_a_default_is_given(root):
    with pytest.raises(FileNotFoundError):
        files.read_text(root, "/etc/none")
    assert files.read_text(root, "/etc/none", "") == ""
    assert files.read_text(root, "/none/none", "") == ""


PATTERNS = {
    "/etc/*.conf": ["/etc/a.conf", "/etc/b.conf"],
    "/etc/[ab].conf": ["/etc/a.conf", "/etc/b.conf"],
    "/etc/?.conf": ["/etc/a.conf", "/etc/b.conf"],
    "/*/a.conf": ["/etc/a.conf", "/link/a.conf"],
    "/**/*.log": ["/var/log/apt/c.log", "/var/log/b.log"],
    "/var/**/*.log": ["/var/log/apt/c.log", "/var/log/b.log"],
    "/var/log/**/*.log": ["/var/log/apt/c.log", "/var/log/b.log"],
    "/var/log/.*": ["/var/log/.hidden"],
    "/var/log/apt/": ["/var/log/apt"],
    "//var//log/b.log": ["/var/log/b.log"],
    "var/log/b.log": ["/var/log/b.log"],
    "/dangling": ["/dangling"],
    "/nothing/*": [],
    "/etc/a.conf/*": [],
    "/ETC/*": [],
}


@pytest.mark.parametrize(("pattern", "paths"), PATTERNS.items(), ids=PATTERNS)
def test_a_pattern_names_paths_of_the_image(root, tree, pattern, paths):
    tree(root, {"etc/a.conf": "", "etc/b.conf": "", "var/log/b.log": "", "var/log/apt/c.log": "", "var/log/.hidden": "",
                "link": "-> etc", "var/away": f"-> {root.parent}", "dangling": "-> nowhere"})  # fmt: skip
    assert files.match(root, pattern) == sorted(paths)


def test_a_file_is_copied_out_whole_and_never_over_another(root, tree, tmp_path):
    tree(root, {"boot/vmlinuz": b"\x00kernel" * 300_000, "boot/link": "-> /boot/vmlinuz"})
    assert files.copy_out(root, "/boot/link", tmp_path / "kernel") == 2_100_000
    assert (tmp_path / "kernel").read_bytes() == (root / "boot/vmlinuz").read_bytes()
    with pytest.raises(FileExistsError):
        files.copy_out(root, "/boot/vmlinuz", tmp_path / "kernel")


def sparse(path, size):
    with open(path, "wb") as file:
        file.truncate(size)


@pytest.mark.hostile("giants", refused=True)
def test_a_file_larger_than_its_limit_is_not_read_and_is_named(root):
    sparse(root / "etc/fstab", 60 << 30)
    with pytest.raises(RootHostile, match="/etc/fstab of the image has 64424509440 bytes"):
        files.read_text(root, "/etc/fstab", "")
    (root / "etc/fstab").write_text("x" * files.SMALL)
    assert len(files.read_text(root, "/etc/fstab")) == files.SMALL


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["a fifo", "a directory"])
def test_what_is_no_file_is_not_waited_for_and_is_named(root, make):
    make(root / "etc/machine-id")
    with pytest.raises(RootHostile, match="/etc/machine-id of the image is no regular file"):
        files.read_text(root, "/etc/machine-id", "")


def test_a_file_that_is_copied_out_keeps_its_holes(root, tmp_path):
    sparse(root / "boot/vmlinuz", 2 << 30)
    with open(root / "boot/vmlinuz", "r+b") as file:
        file.seek(1 << 30)
        file.write(b"x")
    assert files.copy_out(root, "/boot/vmlinuz", tmp_path / "copy") == 2 << 30
    assert (tmp_path / "copy").stat().st_blocks * 512 < 1 << 20
    with open(tmp_path / "copy", "rb") as file:
        file.seek(1 << 30)
        assert file.read(1) == b"x"
