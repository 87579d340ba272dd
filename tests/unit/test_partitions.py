"""What comes along from other partitions of a base's disk, and what is refused."""

import pytest
from vmimage.base.partitions import wanted_places
from vmimage.errors import BaseRefused
from vmimage.system.formats import Ext, Partition

MORE, XFS = Partition(2, 1 << 20, 1 << 20, 0x83, "ab-02"), Partition(3, 2 << 20, 1 << 20, 0x83, "ab-03")
OTHERS = {MORE: Ext("more", "1-2"), XFS: None}

BROUGHT = ["LABEL=more", 'LABEL="more"', "UUID=1-2", "PARTUUID=ab-02", "/dev/vda2", "/dev/sda2", "/dev/nvme0n1p2"]


@pytest.mark.parametrize("name", BROUGHT)
def test_a_partition_is_found_by_any_of_its_names(name):
    assert wanted_places(f"{name} /home/ ext4 defaults 0 2\n", OTHERS) == {"/home": MORE}


IGNORED = {
    "swap": "PARTUUID=ab-03 none swap sw 0 0",
    "the firmware's": "LABEL=UEFI /boot/efi vfat umask=0077 0 1",
    "need not be there": "LABEL=data /srv ext4 defaults,nofail 0 2",
    "mounted by hand": "/dev/sda3 /srv xfs noauto 0 2",
    "no partition": "tmpfs /tmp tmpfs defaults 0 0",
    "of a server": "server:/home /home nfs defaults 0 0",
    "root": "PARTUUID=ab-01 / ext4 defaults 0 1",
}


@pytest.mark.parametrize("line", IGNORED.values(), ids=IGNORED)
def test_other_lines_bring_nothing(line):
    assert wanted_places(f"{line}\n", OTHERS) == {}


REFUSED = [
    "PARTUUID=ab-03 /var xfs defaults 0 2",
    "/dev/mapper/vg-var /var ext4 defaults 0 2",
    "LABEL=gone /var ext4 defaults 0 2",
]


@pytest.mark.parametrize("line", [*REFUSED, "/dev/sdb2 /var ext4 defaults 0 2"])
def test_what_cannot_be_had_is_refused_by_name(line):
    with pytest.raises(BaseRefused, match=r"at /var") as refused:
        wanted_places(f"{line}\n", OTHERS)
    assert line.split()[0] in str(refused.value)
