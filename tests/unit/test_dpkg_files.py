"""What packages brought to a root, told by dpkg's own lists."""

import hashlib
import os

import pytest
from vmimage.variation.in_root.dpkg_files import find_brought


@pytest.fixture
def brought(root, tree):
    """Of a package that brings a program, a setting and a page; paths are told as the root has them."""
    info, content = "var/lib/dpkg/info", "of the package\n"
    paths = {name: f"{root}/{name}" for name in ("usr/share/web/index.html", "etc/web.conf", "usr/bin/web", "etc/motd")}
    listed = f"/.\n{root}\n" + "".join(f"{paths[name]}\n" for name in [*paths][:3])
    digest = hashlib.md5(content.encode()).hexdigest()
    sums = f"{digest}  {paths['usr/share/web/index.html'][1:]}\n"
    own = {f"{info}/web.list": listed, f"{info}/web.md5sums": sums, f"{info}/web.conffiles": f"{paths['etc/web.conf']}\n"}
    tree(root, {**own, **dict.fromkeys(paths, content)})

    def find(*names):
        found = find_brought([paths.get(name, name) for name in names], f"{root}/{info}")
        return {path.removeprefix(f"{root}/"): told for path, told in found.items()}

    return find


def test_a_file_that_is_as_its_package_brought_it_is_told_so(brought):
    assert brought("usr/share/web/index.html") == {"usr/share/web/index.html": True}


def test_one_that_was_written_since_is_told_so(brought, root):
    (root / "usr/share/web/index.html").write_text("ours\n")
    assert brought("usr/share/web/index.html") == {"usr/share/web/index.html": False}


def test_a_link_and_a_file_of_which_no_digest_is_told_may_be_the_package_s(brought, root):
    (root / "usr/share/web/index.html").rename(root / "page")
    (root / "usr/share/web/index.html").symlink_to(root / "page")
    assert brought("usr/share/web/index.html", "usr/bin/web") == {"usr/share/web/index.html": True, "usr/bin/web": True}


def test_a_configuration_file_is_told_apart(brought):
    assert brought("etc/web.conf") == {"etc/web.conf": None}


def test_what_is_gone_directories_and_what_no_package_brought_do_not_count(brought, root):
    (root / "usr/bin/web").unlink()
    (root / "usr/share/web/index.html").unlink()
    (root / "usr/share/web/index.html").mkdir()
    assert brought("usr/bin/web", "usr/share/web/index.html", "etc/motd", "/nowhere") == {} == brought()


def test_of_two_packages_that_list_a_file_either_may_have_brought_it(brought, root, tree):
    (root / "usr/share/web/index.html").write_text("of the other\n")
    tree(root / "var/lib/dpkg/info", {"a.list": f"{root}/usr/share/web/index.html\n"})
    assert brought("usr/share/web/index.html") == {"usr/share/web/index.html": True}


def test_a_file_of_a_merged_usr_is_found_by_either_name(root, tree):
    tree(root / "var/lib/dpkg/info", {"coreutils.list": "/bin/ls\n", "apt.list": "/usr/bin/apt\n"})
    find = lambda *paths: find_brought(paths, str(root / "var/lib/dpkg/info")).keys()  # noqa: E731
    assert find("/usr/bin/ls") == {"/usr/bin/ls"} and find("//bin/../bin/ls") == {"//bin/../bin/ls"}
    assert find("/bin/apt") == ({"/bin/apt"} if os.path.exists("/bin/apt") else set())


def test_a_root_without_lists_tells_nothing(root):
    assert find_brought(["/etc/motd"], f"{root}/nowhere") == {}
