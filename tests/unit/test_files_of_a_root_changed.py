"""vmimage.root.files where it changes an image: writing, removing, emptying, and places to mount on."""

import os
import stat

import pytest
from vmimage.errors import RootHostile
from vmimage.root import files

pytestmark = pytest.mark.usefixtures("confining_kernel")


@pytest.mark.hostile("traps in a root", refused=True)
@pytest.mark.parametrize("path", ["/..", "..", "/etc/..", "/", "/etc/../..", "/.", "/../.."])
@pytest.mark.parametrize("change", [files.remove, lambda root, path: files.write_text(root, path, "x")], ids=["remove", "write"])
def test_a_path_that_ends_in_parents_is_refused_before_anything_is_changed(root, tree, path, change):
    tree(root, {"etc/hostname": "web"})
    with pytest.raises(RootHostile):
        change(root, path)
    assert (root / "etc/hostname").exists() and (root.parent / "outside/secret").exists()


@pytest.mark.hostile("traps in a root")
def test_writing_replaces_a_link_and_leaves_its_target_alone(root, tree, tmp_path):
    tree(root, {"run/resolv.conf": "of the image"})
    for target in ("/run/resolv.conf", f"{tmp_path}/outside/secret"):
        (root / "etc/resolv.conf").unlink(missing_ok=True)
        (root / "etc/resolv.conf").symlink_to(target)
        files.write_text(root, "/etc/resolv.conf", "new")
        assert (root / "etc/resolv.conf").read_text() == "new" and not (root / "etc/resolv.conf").is_symlink()
    assert (root / "run/resolv.conf").read_text() == "of the image"
    assert (tmp_path / "outside/secret").read_text() == "of the host"


@pytest.mark.hostile("traps in a root")
def test_writing_does_not_change_another_name_of_the_file(root, tree):
    tree(root, {"etc/a": "old"})
    os.link(root / "etc/a", root / "etc/b")
    files.write_text(root, "/etc/a", "new")
    assert ((root / "etc/a").read_text(), (root / "etc/b").read_text()) == ("new", "old")


@pytest.mark.hostile("traps in a root")
@pytest.mark.parametrize("trap", ["link out", "hard link", "fifo", "directory", "killed write"])
def test_what_lies_where_a_write_prepares_its_file_does_no_harm(root, tree, tmp_path, trap):
    tree(root, {"etc/shadow": "root:*"})
    place = root / "etc/.hostname.partial"
    {
        "link out": lambda: place.symlink_to(tmp_path / "outside/secret"),
        "hard link": lambda: os.link(root / "etc/shadow", place),
        "fifo": lambda: os.mkfifo(place),
        "directory": lambda: place.mkdir(),
        "killed write": lambda: place.write_text("half of something longer"),
    }[trap]()
    files.write_text(root, "/etc/hostname", "web")
    assert (root / "etc/hostname").read_text() == "web" and not os.path.lexists(place)
    assert (root / "etc/shadow").read_text() == "root:*"
    assert (tmp_path / "outside/secret").read_text() == "of the host"


def test_a_new_file_has_the_mode_that_was_asked_for_whatever_the_umask(root):
    before = os.umask(0o077)
    try:
        files.write_text(root, "/etc/program", "", mode=0o755)
    finally:
        os.umask(before)
    assert stat.S_IMODE((root / "etc/program").stat().st_mode) == 0o755


def test_directories_are_made_along_the_links_of_the_image(root, tree):
    tree(root, {"usr/lib/": None, "lib": "-> /usr/lib"})
    files.make_directory(root, "/lib/systemd/network/")
    files.make_directory(root, "/lib/systemd/network")
    assert (root / "usr/lib/systemd/network").is_dir()


@pytest.mark.hostile("traps in a root")
def test_removing_a_link_leaves_what_it_leads_to(root, tree):
    tree(root, {"var/lib/data": "kept", "link": "-> var/lib"})
    files.remove(root, "/link")
    assert not os.path.lexists(root / "link") and (root / "var/lib/data").exists()


@pytest.mark.hostile("traps in a root")
@pytest.mark.parametrize("path", ["/var/cache", "/var/cache/"])
def test_removing_a_directory_takes_its_content_and_no_target_of_its_links(root, tree, path):
    tree(root, {"var/cache/a/b": "", "var/cache/out": f"-> {root.parent}/outside", "var/lib/": None})
    files.remove(root, path)
    assert os.listdir(root / "var") == ["lib"] and (root.parent / "outside/secret").exists()


def test_removing_follows_directories_inside_the_image_only(root, tree):
    tree(root, {"door": f"-> {root.parent}/outside"})
    files.remove(root, "/door/secret")
    assert (root.parent / "outside/secret").exists()


def test_removing_what_is_not_there_is_no_error(root):
    files.remove(root, "/etc/none")
    files.remove(root, "/none/none")


def test_emptying_keeps_mode_and_refuses_links(root, tree):
    tree(root, {"etc/machine-id": "abc", "etc/link": "-> machine-id"})
    (root / "etc/machine-id").chmod(0o644)
    with pytest.raises(RootHostile):
        files.truncate(root, "/etc/link")
    files.truncate(root, "/etc/machine-id")
    facts = (root / "etc/machine-id").stat()
    assert (facts.st_size, stat.S_IMODE(facts.st_mode)) == (0, 0o644)


def test_a_directory_to_mount_on_is_made_or_given(root):
    assert files.own_directory(root, "run") == f"{root}/run"
    assert files.own_directory(root, "/sys") == f"{root}/sys" and (root / "sys").is_dir()


@pytest.mark.hostile("traps in a root", refused=True)
@pytest.mark.parametrize("target", ["{}/outside", "etc", "../outside", "nowhere"], ids=["out", "in", "relative out", "dangling"])
def test_a_link_is_no_directory_to_mount_on(root, tree, tmp_path, target):
    tree(root, {"proc": f"-> {target.format(tmp_path)}"})
    with pytest.raises(RootHostile):
        files.own_directory(root, "proc")
    with pytest.raises(RootHostile):
        files.own_directory(root, "proc/sys")
