"""What packages installed in a root, seen by dpkg's own lists."""

import hashlib
import os

import pytest
from vmimage.variation.in_root.dpkg_files import find_brought


@pytest.fixture
def installed(root, tree):
    """Of a package that has a program, a setting and a page; paths are given as the root has them."""
    info, content = "var/lib/dpkg/info", "of the package\n"
    paths = {name: f"{root}/{name}" for name in ("usr/share/web/index.html", "etc/web.conf", "usr/bin/web", "etc/motd")}
    listed = f"/.\n{root}\n" + "".join(f"{paths[name]}\n" for name in [*paths][:3])
    digest = hashlib.md5(content.encode()).hexdigest()
    sums = f"{digest}  {paths['usr/share/web/index.html'][1:]}\n"
    own = {f"{info}/web.list": listed, f"{info}/web.md5sums": sums, f"{info}/web.conffiles": f"{paths['etc/web.conf']}\n"}
    tree(root, {**own, **dict.fromkeys(paths, content)})

    def find(*names):
        found = find_brought([paths.get(name, name) for name in names], f"{root}/{info}")
        return {path.removeprefix(f"{root}/"): unchanged for path, unchanged in found.items()}

    return find


def test_a_file_that_is_as_its_package_installed_it_is_unchanged(installed):
    assert installed("usr/share/web/index.html") == {"usr/share/web/index.html": True}


def test_a_file_that_was_written_since_is_changed(installed, root):
    (root / "usr/share/web/index.html").write_text("ours\n")
    assert installed("usr/share/web/index.html") == {"usr/share/web/index.html": False}


def test_a_link_and_a_file_of_which_no_digest_is_known_may_be_the_package_s(installed, root):
    (root / "usr/share/web/index.html").rename(root / "page")
    (root / "usr/share/web/index.html").symlink_to(root / "page")
    assert installed("usr/share/web/index.html", "usr/bin/web") == {"usr/share/web/index.html": True, "usr/bin/web": True}


def test_a_configuration_file_is_neither_changed_nor_unchanged(installed):
    assert installed("etc/web.conf") == {"etc/web.conf": None}


def test_what_is_gone_directories_and_what_no_package_installed_do_not_count(installed, root):
    (root / "usr/bin/web").unlink()
    (root / "usr/share/web/index.html").unlink()
    (root / "usr/share/web/index.html").mkdir()
    assert installed("usr/bin/web", "usr/share/web/index.html", "etc/motd", "/nowhere") == {} == installed()


def test_of_two_packages_that_list_a_file_either_may_have_installed_it(installed, root, tree):
    (root / "usr/share/web/index.html").write_text("of the other\n")
    tree(root / "var/lib/dpkg/info", {"a.list": f"{root}/usr/share/web/index.html\n"})
    assert installed("usr/share/web/index.html") == {"usr/share/web/index.html": True}


def test_a_file_of_a_merged_usr_is_found_by_either_name(root, tree):
    tree(root / "var/lib/dpkg/info", {"coreutils.list": "/bin/ls\n", "apt.list": "/usr/bin/apt\n"})
    find = lambda *paths: find_brought(paths, str(root / "var/lib/dpkg/info")).keys()  # noqa: E731
    assert find("/usr/bin/ls") == {"/usr/bin/ls"} and find("//bin/../bin/ls") == {"//bin/../bin/ls"}
    assert find("/bin/apt") == ({"/bin/apt"} if os.path.exists("/bin/apt") else set())


def test_a_root_without_lists_tells_nothing(root):
    assert find_brought(["/etc/motd"], f"{root}/nowhere") == {}
