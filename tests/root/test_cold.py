"""The first build from a base, with nothing in the cache: it gives what later builds give, and nothing of it that was killed is used."""

import os
import signal
import subprocess
import time

import pytest
from building import LEFT_BEHIND_SECONDS, Salt, processes_inside
from looking import looked_into, tree_of
from vmimage.base import prepare
from vmimage.base.locate import locate_base
from vmimage.settings.schema import Settings
from vmimage.system.progress import Progress

WRITTEN = """
a file is written:
  file.managed:
    - name: /srv/written
    - contents: by the variation
"""
VARIATION = f"""{WRITTEN}
a package is installed:
  pkg.installed:
    - name: tree
"""


def tar_of(image, path):
    with looked_into(image) as root:
        subprocess.run(["tar", "-C", root, "--xattrs", "--xattrs-include=*", "--acls", "-cf", path, "."], check=True)
    return {"ami.base": str(path), "ami.base_unverified": True}


@pytest.fixture(scope="module")
def small(light, tmp_path_factory):
    """Settings of a small base that is a tar."""
    return tar_of(light["ami.base"], tmp_path_factory.mktemp("tar") / "base.tar")


def trees(*images):
    found = []
    for image in images:
        with looked_into(image) as root:
            found.append(tree_of(root))
    return found


def differing(one, other):
    return [path for path in sorted(one.keys() | other.keys()) if one.get(path) != other.get(path)]


def test_a_base_is_the_same_whether_it_is_unpacked_in_memory_or_on_the_disk_or_the_memory_is_too_small(small, light, tmp_path):
    images = [light["ami.base"]]
    for memory in (True, False, 20):
        settings = Settings(
            base=small["ami.base"], base_unverified=True, cache=str(tmp_path / f"{memory}"), memory=memory, room_mib=300
        )
        images.append(prepare.prepare_base(settings, locate_base(settings, Progress()), Progress()).image)
    first, *others = trees(*images)
    assert "/etc/os-release" in first
    assert [differing(first, other) for other in others] == [[], [], []]


def test_the_first_build_gives_the_image_that_the_next_gives(bootstrapped, tmp_path):
    salt = Salt(tmp_path / "salt", **tar_of(bootstrapped.image, tmp_path / "base.tar"))
    salt.configure(**{"ami.cache": str(tmp_path / "cache")})
    variation = salt.variation("job", variation=VARIATION)
    for name in ("first", "second"):
        salt.good("vm_create.create_variation", name=name, variation=variation, publish=False)
    first, second = trees(salt.output / "first.img", salt.output / "second.img")
    assert differing(first, second) == [] and "/usr/bin/tree" in first
    assert list(tmp_path.glob("cache/apt/unpacked/*/tree_*.deb.tar")), "it is decompressed for the next"
    # the update of the very first build found lists that were fetched while its base was packed, and what apt had computed from them
    logs = [(salt.output / f"{name}.build.json").read_text(encoding="utf-8") for name in ("first", "second")]
    assert [log.count("Fetched ") for log in logs] == [1, 0] and "were not fetched" not in logs[0]
    assert ["the archives offer nothing that is newer" in log for log in logs] == [True, True]
    assert not [path for path in tmp_path.glob("salt/workspace/first/*") if path.name != "lock"]


OLD = """
a package of ours is installed, of which its archive has a newer version since:
  cmd.run:
    - name: |
        set -e; mkdir -p /srv/own/tree/DEBIAN && cd /srv/own
        offer() {
            printf 'Package: own\\nVersion: %s\\nArchitecture: all\\nMaintainer: us <us@example.org>\\nDescription: ours\\n' $1 > tree/DEBIAN/control
            dpkg-deb --build tree own_$1.deb
            { cat tree/DEBIAN/control; printf 'Filename: ./own_%s.deb\\nSize: %s\\nSHA256: %s\\n' $1 $(stat -c %s own_$1.deb) \
                $(sha256sum own_$1.deb | cut -d ' ' -f 1); } > Packages
        }
        offer 1; echo 'deb [trusted=yes] file:/srv/own ./' > /etc/apt/sources.list.d/own.list
        apt-get update; apt-get install -y own; offer 2
"""
# the update looks at the root as it is then, not as the base is
HELD = """
include: [ami_creator_pre]
the package is held before the update:
  cmd.run:
    - name: echo 'own hold' | chroot {{ salt['vm_create.setting']('root') }} dpkg --set-selections
    - require: [{sls: ami_creator_pre}]
"""


def test_the_first_build_from_an_old_base_has_the_newest_packages_unless_they_are_held_by_then(bootstrapped, tmp_path):
    salt = Salt(tmp_path / "salt", **{"ami.base": str(bootstrapped.image), "ami.base_unverified": True})
    salt.good("vm_create.create_variation", name="old", variation=salt.variation("old", variation=OLD), publish=False)
    (salt.states / "held.sls").write_text(HELD, encoding="utf-8")
    found = {}
    for name, pre in (("newest", "ami_creator_pre"), ("held", "held")):
        salt.configure(**{"ami.base": str(salt.output / "old.img"), "ami.cache": str(tmp_path / name), "ami.pre": pre})
        for time_of in ("first", "second"):
            said = salt.good(
                "vm_create.create_variation", name=time_of, variation=salt.variation(name, variation=WRITTEN), publish=False
            )
            found[name, time_of] = salt.manifest(time_of)["packages"]["own"]
            assert "were not fetched" not in str(said)
    assert found == {("newest", "first"): "2", ("newest", "second"): "2", ("held", "first"): "1", ("held", "second"): "1"}


@pytest.mark.parametrize("after", [0, 0.1, 0.3])
def test_a_first_build_that_is_killed_while_its_base_is_kept_leaves_nothing_that_the_next_takes(small, tmp_path, after):
    salt = Salt(tmp_path / "salt", **small)
    salt.configure(**{"ami.cache": str(tmp_path / "cache")})
    settings = {"name": "killed", "variation": salt.variation("killed", variation=WRITTEN)}
    process = salt.start("vm_create.create_variation", **settings, update=False)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("cache/bases/*.img")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.005)
    time.sleep(after)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + LEFT_BEHIND_SECONDS
    while processes_inside() and time.monotonic() < deadline:
        time.sleep(0.05)
    salt.good("vm_create.create_variation", **settings, update=False)
    (image,) = tmp_path.glob("cache/bases/*.img")
    assert image.with_suffix(".json").exists() and prepare.is_as_it_was(image, prepare.begin_reading(image))
    assert not list(tmp_path.glob("cache/bases/*.partial")) and not list(tmp_path.glob("cache/bases/*.preparing"))
