"""vmimage.instance.metadata_drives and real disks: images with a label, attached as loop devices and mounted as an instance would."""

import os
import subprocess
from pathlib import Path

import pytest
from metadata_devices import mounted_devices
from vmimage.errors import UserdataWrong
from vmimage.instance import metadata_drives
from vmimage.instance.metadata import read_userdata
from vmimage.instance.metadata_drives import read_config_drive, read_nocloud
from vmimage.instance.metadata_source import Found, Machine
from vmimage.settings.strict_yaml import LIMIT_BYTES
from vmimage.system.shell import find_program, run

pytestmark = pytest.mark.needs("genisoimage", "mke2fs", "losetup", "blkid")
DATA = b"ami.name: web\n\xff\0"


@pytest.fixture(autouse=True)
def machine(lacking, tmp_path):
    """A machine without disks but those of its test, and with nothing mounted or left after it."""
    if os.geteuid() != 0 or not Path("/dev/loop-control").exists():
        lacking("needs root and loop devices: sudo ./run-tests tools")
    yield Machine(top=tmp_path / "machine")
    assert "/vm_create-userdata-" not in Path("/proc/self/mountinfo").read_text()  # other programs may mount meanwhile


@pytest.fixture
def attached(tmp_path, machine):
    """A function that attaches an image as a loop device and makes udev's link to it."""
    devices = []

    def attach(image, label=None):
        devices.append(run(["losetup", "--find", "--show", "--read-only", image]).output.strip())
        if label:
            links = machine.top / "dev/disk/by-label"
            links.mkdir(parents=True, exist_ok=True)
            (links / label).symlink_to(devices[-1])
        return devices[-1]

    yield attach
    for device in devices:
        run(["losetup", "--detach", device])


def iso(top, label, image):
    run(["genisoimage", "-quiet", "-R", "-V", label, "-o", image, top])


def ext4(top, label, image):
    run(["mke2fs", "-q", "-t", "ext4", "-L", label, "-d", top, image, "4M"])


def knows_iso():
    """Whether the kernel mounts ISO 9660; stock kernels do, by a module."""
    if find_program("modprobe"):
        subprocess.run(["modprobe", "-q", "isofs"], check=False)
    return "\tiso9660\n" in Path("/proc/filesystems").read_text()


@pytest.fixture
def burned(tmp_path, tree, attached):
    """A function that makes a disk: an ISO image as clouds make it, or where the kernel knows none, the same as ext4."""

    def burn(label, entries):
        top, image = tree(tmp_path / f"{label}.d", entries), tmp_path / f"{label}.img"
        (iso if knows_iso() else ext4)(top, label, image)
        return attached(image, label)

    return burn


@pytest.mark.parametrize("make", [iso, ext4])
@pytest.mark.parametrize(("label", "read"), [("config-2", read_config_drive), ("cidata", read_nocloud)])
def test_a_disk_is_found_by_its_label_where_there_is_no_udev(tmp_path, tree, attached, make, label, read, monkeypatch):
    image = tmp_path / "image"
    make(tree(tmp_path / "empty", {"openstack/": None}), label, image)
    device = attached(image)
    devices = mounted_devices(monkeypatch, lambda argv: run(argv, ok=(0, 2)).output)
    assert read(Machine(top=tmp_path)) is None and device in devices  # beside those that this machine has itself


def test_a_config_drive_is_read(machine, burned):
    device = burned("config-2", {"openstack/latest/user_data": DATA, "ec2/latest/user-data": b"other"})
    found = read_config_drive(machine)
    assert (found.data, found.where) == (DATA, f"openstack/latest/user_data of {device}")


def test_a_config_drive_of_ec2_is_read(machine, burned):
    device = burned("config-2", {"openstack/latest/meta_data.json": "{}", "ec2/latest/user-data": DATA})
    assert read_config_drive(machine) == Found(DATA, f"ec2/latest/user-data of {device}")


def test_a_config_drive_without_userdata_is_an_answer(machine, burned):
    device = burned("config-2", {"openstack/latest/meta_data.json": "{}"})
    assert read_userdata(base_url="http://127.0.0.1:9", top=machine.top, deadline_seconds=1) == (b"", device)


def test_a_disk_that_has_the_label_alone_is_no_config_drive(machine, burned):
    burned("config-2", {"holidays.jpg": "x"})
    assert read_config_drive(machine) is None


def test_a_disk_of_nocloud_is_read(machine, burned):
    device = burned("cidata", {"user-data": DATA, "meta-data": ""})
    assert read_nocloud(machine) == Found(DATA, f"user-data of {device}")


def test_a_config_drive_goes_before_nocloud_and_before_the_network(machine, burned):
    burned("cidata", {"user-data": "other", "meta-data": ""})
    burned("config-2", {"openstack/latest/user_data": DATA})
    said = []
    assert read_userdata(base_url="http://127.0.0.1:9", top=machine.top, say=said.append)[0] == DATA
    assert len(said) == 2


def test_a_link_on_a_disk_never_leads_out(machine, burned):
    burned(
        "config-2", {"openstack/latest/user_data": "-> /etc/passwd", "ec2/latest/user-data": "-> ../../../../../../etc/passwd"}
    )
    assert read_config_drive(machine).data == b""


def test_a_pipe_on_a_disk_does_not_keep_us_waiting(machine, burned, tmp_path, tree):
    os.makedirs(tmp_path / "config-2.d/openstack/latest")
    os.mkfifo(tmp_path / "config-2.d/openstack/latest/user_data")
    burned("config-2", {})
    with pytest.raises(UserdataWrong, match="no regular file"):
        read_config_drive(machine)


def test_more_than_64_kib_are_refused(machine, burned):
    burned("config-2", {"openstack/latest/user_data": b"#" * (LIMIT_BYTES + 1)})
    with pytest.raises(UserdataWrong, match="more than 64 KiB"):
        read_userdata(base_url="http://127.0.0.1:9", top=machine.top)


def test_a_disk_that_cannot_be_mounted_is_reported_and_the_others_are_asked(machine, attached, tmp_path, tree):
    (tmp_path / "rubbish").write_bytes(bytes(1 << 20))
    device = attached(tmp_path / "rubbish", "config-2")
    tree(machine.top, {"var/lib/cloud/seed/nocloud/user-data": DATA})
    said = []
    assert read_userdata(base_url="http://127.0.0.1:9", top=machine.top, say=said.append)[0] == DATA
    assert any(f"config drive: {device} cannot be read: mount: " in line for line in said)


def test_a_disk_is_mounted_read_only_without_programs_and_devices_where_nobody_sees_it(machine, burned, monkeypatch):
    """What the process sees that reads it."""
    burned("config-2", {"openstack/latest/user_data": DATA})

    def look(top, path, where):
        options = [line.split()[3] for line in Path("/proc/mounts").read_text().splitlines() if line.split()[1] == str(top)]
        return f"{options} {top}".encode()

    monkeypatch.setattr(metadata_drives, "_read_file", look)
    seen = read_config_drive(machine).data.decode()
    assert all(f"{option}," in seen for option in ("ro", "nosuid", "nodev", "noexec"))
    assert not os.path.exists(seen.split()[-1])
