"""A disk boots under each firmware, grows to its disk, lives through what an upgrade does, and is refused where it was changed."""

import subprocess

import pytest
from disks import FIRMWARES, Machine
from vmimage.image import qemu
from vmimage.image.disk import ROOT_AT
from vmimage.image.triplet import Triplet

pytestmark = pytest.mark.needs("qemu-system-x86_64", "qemu-img", "curl", "debugfs")
FORMATS = {"bookworm": "qcow2", "trixie": "raw"}


def path_of(salt, form):
    outputs = salt.returned["outputs"]
    return outputs["disk" if form == "qcow2" else "ec2"]["path"]


@pytest.mark.parametrize("firmware", FIRMWARES)
@pytest.mark.parametrize(("release", "form"), FORMATS.items())
def test_a_disk_boots_serves_its_page_and_has_grown(built, tmp_path, release, form, firmware):
    with Machine(path_of(built(release), form), form, tmp_path, firmware).running() as machine:
        facts = machine.facts()
        assert "<h1>Seen in a test</h1>" in machine.page()
    assert int(facts["root_mib"]) > 18000 and facts["root"] == "/dev/vda1"
    assert facts["failed"] == "" and facts["esp"] == "vfat"
    assert facts["firmware"] == ("bios" if firmware == "bios" else "uefi")
    assert facts["secure_boot"] == {"bios": "", "uefi": "0", "secure": "1"}[firmware]
    words = facts["command_line"].split()
    assert {"console=tty0", "mitigations=off", "no_timer_check"} <= set(words) and "root=UUID=" in facts["command_line"]


@pytest.mark.parametrize("firmware", ["bios", "secure"])
@pytest.mark.parametrize("release", FORMATS)
def test_a_disk_boots_what_an_upgrade_in_the_instance_has_made(built, tmp_path, release, firmware):
    form = FORMATS[release]
    with Machine(path_of(built(release), form), form, tmp_path, firmware).running(again=True) as machine:
        before = machine.facts()
        after = machine.facts(boot=2, seconds=3600)
    assert "written.again=1" not in before["command_line"] and "written.again=1" in after["command_line"].split()
    assert after["failed"] == "" and after["secure_boot"] == before["secure_boot"]
    assert "EFI/debian/shimx64.efi" not in before["loaders"] and "EFI/debian/shimx64.efi" in after["loaders"]


def test_a_kernel_with_a_changed_byte_is_refused_under_secure_boot(built, tmp_path):
    disk = tmp_path / "disk.raw"
    subprocess.run(["cp", "--sparse=always", path_of(built("trixie"), "raw"), disk], check=True)
    change_kernel(disk, built("trixie").manifest()["files"]["kernel"]["version"])
    with Machine(disk, "raw", tmp_path, "secure").running() as machine:
        machine.wait_for("bad shim signature")
        assert not machine.answer.exists() or "@@BEGIN" not in machine.answer.read_text(errors="replace")


def change_kernel(disk, version):
    """Change a byte in the middle of the kernel on a disk."""
    root = f"{disk}?offset={ROOT_AT}"
    listed = subprocess.run(
        ["debugfs", "-R", f"blocks /boot/vmlinuz-{version}", root], check=True, capture_output=True, text=True
    )
    blocks = listed.stdout.split()
    at = ROOT_AT + int(blocks[len(blocks) // 2]) * 4096 + 100
    with open(disk, "r+b") as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))


def test_the_root_alone_boots_with_the_kernel_of_its_triplet(built, tmp_path):
    salt = built("bookworm")
    triplet = Triplet(salt.output, "variation")
    console, answer, own = tmp_path / "console", tmp_path / "answer", tmp_path / "own"
    bare = salt.returned["outputs"]["bare"]["path"]
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", bare, own, "20G"], check=True)
    machine = Machine.__new__(Machine)
    machine.console, machine.answer = console, answer
    argv = qemu.qemu_argv(triplet, own, "tcg", console, more=["-serial", f"file:{answer}"])
    with open(tmp_path / "log", "wb") as log, qemu.started(argv, log) as machine._child:
        facts = machine.facts()
    assert int(facts["root_mib"]) > 18000 and facts["root"] == "/dev/vda" and facts["failed"] == ""
