"""Small machines: a build where 1 GiB of memory is free, and a build in 5 GB of disk, as the README of 2013 promised."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from building import Salt
from looking import looked_into
from small import SmallSalt, limited_memory
from vmimage.root.mounts import mounted

GIB = 1 << 30
# what the changes are kept on tells its size; a tmpfs would be smaller than the disk
VARIATION = """
{% if pillar.packages %}
packages are installed:
  pkg.installed:
    - pkgs: {{ pillar.packages }}
{% endif %}
files are there:
  cmd.run:
    - name: mkdir /srv/files && cd /srv/files && for n in $(seq {{ pillar.files }}); do yes $n | head -c 10M > $n; done
their digests are there:
  cmd.run:
    - name: cd /srv/files && sha256sum * > ../digests
the size of the disk is noted:
  cmd.run:
    - name: df --output=size --block-size=1 / | tail -n 1 > /srv/size
"""
PACKAGES_AND_100_MB = {"packages": ["nginx", "git"], "files": 10}
FILES_OF_1_GB = {"packages": [], "files": 100}
FILES_OF_1500_MB = {"packages": [], "files": 150}


@pytest.fixture
def group(lacking):
    """A control group with 1 GiB."""
    try:
        with limited_memory(GIB) as group:
            yield group
    except OSError as error:
        lacking(f"needs control groups that limit memory: {error}")


@pytest.fixture
def disk(tmp_path):
    """A maker of file systems, mounted for the time of the test: ``disk(bytes)`` returns where."""
    mounts = []

    def make(size):
        image, point = tmp_path / "disk.img", tmp_path / "disk"
        with open(image, "wb") as file:
            file.truncate(size)
        subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", image], check=True)
        point.mkdir()
        mounts.append(mounted(image, point))
        mounts[-1].__enter__()
        return point

    yield make
    for mount in mounts:
        mount.__exit__(None, None, None)


def built(salt, pillar, **settings):
    """What a build noted of the disk that took its changes, in bytes; every file of the image is looked at."""
    variation = salt.variation("web", variation=VARIATION)
    salt.good("vm_create.create_variation", name="web", variation=variation, pillar=pillar, publish=False, **settings)
    with looked_into(salt.output / "web.img") as root:
        subprocess.run(["sha256sum", "--quiet", "--check", "../digests"], cwd=root / "srv/files", check=True)
        assert len(list((root / "srv/files").iterdir())) == pillar["files"]
        return int((root / "srv/size").read_text(encoding="ascii"))


def size_of_disk(path):
    facts = os.statvfs(path)
    return facts.f_blocks * facts.f_frsize


@pytest.mark.parametrize("pillar", [PACKAGES_AND_100_MB, FILES_OF_1500_MB], ids=["packages and 100 MB", "files of 1.5 GB"])
def test_where_one_gib_of_memory_is_free_a_build_succeeds_on_the_disk(tmp_path, bootstrapped, group, pillar):
    salt = SmallSalt(tmp_path / "minion", group)
    assert built(salt, pillar) == size_of_disk(salt.workspace)
    assert group.kills() == 0
    assert 0 < group.peak_bytes() < GIB + (1 << 20)  # the kernel may take a few pages more


def test_where_one_gib_of_memory_is_free_more_is_refused(tmp_path, bootstrapped, group):
    salt = SmallSalt(tmp_path / "minion", group)
    said = salt.bad("vm_create.create_variation", variation=salt.variation("web", variation=VARIATION), memory=True)
    assert "the changes of the build may take 2048 MiB" in said and "of memory can be spared" in said


def test_five_gigabytes_of_disk_hold_base_workspace_and_triplet(disk, bootstrapped):
    top = disk(5_000_000_000)
    salt = Salt(top / "minion")
    salt.configure(**{"ami.cache": str(top / "cache")})
    bases, image = top / "cache/bases", Path(bootstrapped.image)
    bases.mkdir(parents=True)
    for path in (image, image.with_suffix(".json")):
        shutil.copy(path, bases)
    assert built(salt, FILES_OF_1_GB, memory=False) == size_of_disk(top)


def planned(directory, top, **settings):
    """What planning a build says where all directories are on one disk and the cache is empty."""
    salt = Salt(directory / "minion")
    salt.configure(**{f"ami.{name}": str(top / name) for name in ("cache", "output", "workspace")})
    return salt.call("vm_create.plan", variation=salt.variation("web", variation=VARIATION), **settings)


def test_five_gigabytes_are_enough_for_a_base_that_is_to_be_bootstrapped(disk, tmp_path):
    code, plan, said = planned(tmp_path, disk(5_000_000_000))
    assert code == 0, said
    assert plan["base"]["prepared"] is False and "room_mib" not in plan["settings"]  # the default


def test_less_is_refused_before_any_work(disk, tmp_path):
    code, _, said = planned(tmp_path, disk(4_000_000_000))
    assert code != 0
    assert "the build may need 4.1 GiB there (ami.output and ami.workspace and ami.cache)" in said and "ami.room_mib" in said
