import pytest
from vmimage.apt.packages import changed_packages, digest_of_packages, list_packages
from vmimage.errors import ImageUnsound, RootNotOpen

STATUS = """\
Package: dpkg
Status: install ok installed
Architecture: amd64
Version: 1.21.22
Description: Debian package management system
 Package: not a field
 .
 Status: install ok installed

Package: libc6
Status: install ok installed
Architecture: amd64
Multi-Arch: same
Version: 2.36-9+deb12u9

Package: libc6
Status: install ok installed
Architecture: i386
Multi-Arch: same
Version: 2.36-9+deb12u8

Package: tzdata
Status: hold ok installed
Architecture: all
Version: 2024a-0+deb12u1

Package: nginx
Status: deinstall ok config-files
Architecture: amd64
Version: 1.22.1-9

Package: broken
Status: install ok half-installed
Architecture: amd64
Version: 1

Package: waiting
Status: install ok unpacked
Architecture: amd64
Version: 1

Package: known
Status: unknown ok not-installed
Architecture: amd64
"""


@pytest.mark.parametrize(
    "text", [STATUS, STATUS + "\n", f"\n\n{STATUS}\n\n\n"], ids=["as dpkg writes it", "blank end", "blank lines"]
)
def test_what_is_installed_is_listed_and_nothing_else(root, tree, text):
    tree(root, {"var/lib/dpkg/status": text})
    assert list_packages(root) == {
        "dpkg": "1.21.22",
        "libc6": "2.36-9+deb12u9",
        "libc6:i386": "2.36-9+deb12u8",
        "tzdata": "2024a-0+deb12u1",
    }


@pytest.mark.parametrize("entries", [{}, {"var/lib/dpkg/status": ""}], ids=["no file", "empty file"])
def test_a_root_without_packages_is_not_open(root, tree, entries):
    tree(root, entries)
    with pytest.raises(RootNotOpen, match="status"):
        list_packages(root)


def test_changes_are_listed_by_their_kind():
    before, after = {"a": "1", "b": "1", "c": "1"}, {"b": "2", "c": "1", "d": "1"}
    assert changed_packages(before, after) == {"added": {"d": "1"}, "removed": {"a": "1"}, "changed": {"b": ["1", "2"]}}
    assert changed_packages(after, after) == {"added": {}, "removed": {}, "changed": {}}


def test_the_digest_of_packages_tells_each_thing_that_an_upgrade_depends_on(root, tree):
    status, extended, found = "var/lib/dpkg/status", "var/lib/apt/extended_states", set()
    for files, state in [
        ({}, "state"),
        ({}, "another state"),
        ({status: STATUS}, "state"),
        ({status: STATUS.replace("hold ok", "install ok")}, "state"),
        ({extended: "Package: tzdata\nAuto-Installed: 1\n"}, "state"),
        ({status: "", extended: STATUS}, "state"),
    ]:
        tree(root, files)
        found.add(digest_of_packages(root, state))
    assert len(found) == 6


def test_the_digest_of_packages_that_are_as_they_were_is_the_same(root, tree):
    tree(root, {"var/lib/dpkg/status": STATUS})
    assert digest_of_packages(root, "state") == digest_of_packages(root, "state")


def test_an_entry_without_a_name_is_refused_by_the_name_of_the_file(root, tree):
    tree(root, {"var/lib/dpkg/status": f"{STATUS}\nStatus: install ok installed\nVersion: 1\n"})
    with pytest.raises(ImageUnsound, match="/var/lib/dpkg/status of the image has an entry without Package"):
        list_packages(root)
