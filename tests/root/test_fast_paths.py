"""The fast paths give what the slow paths give: changes in memory, apt's lists and packages shared, an update that is skipped."""

import json
from shutil import rmtree

import pytest
from building import Salt, cache_with
from looking import looked_into, tree_of
from vmimage.system.digest import QUICK, digest_of_file, read_record

VARIATION = """
a package is installed:
  cmd.run:
    - name: apt-get install -y --no-install-recommends less > /etc/said-of-install
another is, by Salt:
  pkg.installed:
    - name: tree
files of many kinds are there:
  cmd.run:
    - name: |
        mkdir -p -m 2750 /srv/files && cd /srv/files && echo text > one && ln one other && ln -s one link && mkfifo pipe
        chmod 4711 one && chown 33:1000 other && rm -rf /usr/share/doc/tar && mv /usr/share/doc/sed /usr/share/doc/moved
there is room for what is needed for a while:
  cmd.run:
    - name: fallocate -l 700M /srv/needed && rm /srv/needed
"""

SOURCES = """
an update right after the update is skipped:
  cmd.run:
    - name: apt-get -q update > /etc/first 2>&1
a source behind a link is fetched:
  cmd.run:
    - name: |
        mkdir -p /srv/own && cd /srv/own && echo 'deb [trusted=yes] file:/srv/own ./' > own.list
        printf 'Package: own\\nVersion: 1\\nArchitecture: all\\nFilename: own.deb\\nSize: 1\\nSHA256: %064d\\n' 0 > Packages
        ln -s /srv/own/own.list /etc/apt/sources.list.d/own.list
        apt-get -q update > /etc/second 2>&1 && apt-cache show own > /etc/own
lists are fetched again where the root is as it was, but without them:
  cmd.run:
    - name: |
        rm -r /etc/apt/sources.list.d/own.list /var/lib/apt/lists/*
        apt-get -q update > /etc/third 2>&1
a package is installed:
  cmd.run:
    - name: apt-get install -y --no-install-recommends less
the machine's disks are no way out of what is shown here:
  cmd.run:
    - name: /run/vm_create/python/bin/python3 /run/vm_create/states/0/handle.py > /etc/reached
"""
# open_by_handle_at: by its number, the top directory of the file system that apt's lists lie on
HANDLE = """
import ctypes, os, struct
handle = struct.pack("IiII", 8, 1, 2, 0)
found = ctypes.CDLL(None).open_by_handle_at(os.open("/var/lib/apt/lists", os.O_RDONLY), handle, os.O_RDONLY)
print("reached" if found >= 0 else "refused")
"""
#: what differs from build to build: what apt and dpkg date or draw, and what apt says of its downloads
DIFFERING = (
    "/etc/said-of-install",
    "/var/cache/ldconfig/aux-cache",
)


def started(salt, name, **settings):
    return salt.start("vm_create.create_variation", name=name, publish=False, **settings)


def ended(build):
    _, said = build.communicate(timeout=900)
    assert build.returncode == 0, said
    return said


def offered(image):
    """What the archives offered to a build."""
    return json.loads(image.with_suffix(".build.json").read_text(encoding="utf-8"))["again"]["offered"]


@pytest.fixture(scope="module")
def builds(bootstrapped, tmp_path_factory):
    """Builds by name, each with what it ``said`` on its way, with a cache of their own that is empty at first but for the base.

    Two at a time fill it: a build with its changes on disk, another that changes its sources.  Then, of the same
    variation, a build with its changes in memory, and two whose memory is too small: for apt's lists, and for what the variation
    needs for a while.  At last a build changes its sources whose lists are those of the cache.
    """
    top = tmp_path_factory.mktemp("fast")
    cache = cache_with(bootstrapped, top / "cache")
    found = {}

    def together(**named):
        running = {}
        for name, settings in named.items():
            rmtree(top / name, ignore_errors=True)
            salt = Salt(top / name)
            salt.configure(**{"ami.cache": cache})
            files = {"variation": SOURCES, "handle.py": HANDLE} if name.startswith("sources") else {"variation": VARIATION}
            running[name] = salt, started(salt, name, variation=salt.variation(name, **files), **settings)
        for name, (salt, build) in running.items():
            found[name] = salt.output / f"{name}.img", ended(build)

    together(disk={"memory": False}, sources={"memory": False})
    found["archives"] = {path.name: path.stat().st_ino for path in top.glob("cache/apt/archives/*/*.deb")}
    for _ in range(2):  # again, where the archives published something between the builds
        together(memory={"memory": True}, tiny={"memory": 40}, tight={"memory": 600})
        if all(offered(found[name][0]) == offered(found["disk"][0]) for name in ("memory", "tiny", "tight")):
            break
    together(sources_shared={"memory": True})
    found["cache"] = top / "cache/apt"
    return found


@pytest.fixture(scope="module")
def on_disk(builds):
    with looked_into(builds["disk"][0]) as root:
        return tree_of(root)


def text_of(builds, name, path):
    with looked_into(builds[name][0]) as root:
        return (root / path).read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["memory", "tiny", "tight"])
def test_changes_in_memory_give_the_same_image_as_on_disk(builds, on_disk, name):
    with looked_into(builds[name][0]) as root:
        found = tree_of(root)
    paths = sorted(found.keys() | on_disk.keys())
    assert [path for path in paths if found.get(path) != on_disk.get(path) and path not in DIFFERING] == []
    assert "/usr/bin/tree" in found and "/usr/bin/less" in found


@pytest.mark.parametrize(("name", "times"), [("disk", 0), ("memory", 0), ("tiny", 1), ("tight", 1)])
def test_a_build_whose_memory_is_full_says_that_it_is_made_again_on_the_disk(builds, name, times):
    assert builds[name][1].count("the memory for this build is full") == times


@pytest.mark.parametrize(("name", "is_skipped"), [("disk", False), ("memory", True), ("tiny", True), ("tight", True)])
def test_packages_of_which_nothing_newer_is_to_be_had_are_not_upgraded_again(builds, name, is_skipped):
    log = builds[name][0].with_suffix(".build.json").read_text(encoding="utf-8")
    assert ("the archives offer nothing that is newer" in log) is is_skipped
    assert ("0 upgraded, 0 newly installed, 0 to remove and 0 not upgraded" in log) is not is_skipped


def test_neither_lists_nor_packages_nor_the_wrapper_are_in_an_image(on_disk):
    assert [path for path in on_disk if path.startswith(("/var/lib/apt/lists/", "/run/"))] == []
    assert [path for path in on_disk if path.endswith((".deb", "pkgcache.bin", "apt-updated", "bin/apt-get"))] == [
        "/usr/bin/apt-get"
    ]


def test_a_package_is_downloaded_by_the_first_build_alone(builds):
    assert "Need to get 0 B/" not in text_of(builds, "disk", "etc/said-of-install")
    for name in ("memory", "tiny", "tight"):
        assert "Need to get 0 B/" in text_of(builds, name, "etc/said-of-install")
    assert {name.split("_")[0] for name in builds["archives"]} >= {"less", "tree"}
    now = {path.name: path.stat().st_ino for path in builds["cache"].glob("archives/*/*.deb")}
    assert now == builds["archives"]


def test_builds_at_the_same_time_leave_one_cache_and_nothing_half_made(builds):
    assert len([path for path in builds["cache"].iterdir() if len(path.name) == 32]) == 1
    assert not list(builds["cache"].rglob("*partial*"))


@pytest.mark.parametrize("name", ["sources", "sources_shared"])
def test_an_update_is_skipped_right_after_the_update_only(builds, name):
    assert text_of(builds, name, "etc/first") == ""
    assert "file:/srv/own" in text_of(builds, name, "etc/second")
    assert "Package: own" in text_of(builds, name, "etc/own")
    assert "Get:" in text_of(builds, name, "etc/third")


def test_lists_that_a_variation_has_removed_are_in_the_cache_as_they_were(builds):
    (record,) = builds["cache"].glob("*/record.json")
    digests = read_record(record)["digests"]
    assert {name: digest_of_file(record.parent / name, QUICK) for name in digests} == digests
    assert any(name.endswith("_Packages") for name in digests)


def test_a_variation_cannot_open_files_of_the_machine_by_their_numbers(builds):
    assert text_of(builds, "sources", "etc/reached") == "refused\n"
