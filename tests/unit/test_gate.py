import platform
from pathlib import Path

import pytest
from vmimage.errors import BootFailed, NotReady
from vmimage.glance.gate import boots_of, pass_gate
from vmimage.glance.outputs import Output
from vmimage.image import qemu
from vmimage.image.triplet import Triplet


@pytest.fixture
def triplet(tmp_path):
    return Triplet(tmp_path, "web")


@pytest.fixture
def asked(monkeypatch):
    """A boot that succeeds, where port 22 answers and 81 and 82 do not; a list of ``(triplet, seconds, ports)``."""
    boots = []

    def look(triplet, seconds, ports):
        boots.append((triplet, seconds, ports))
        others = {81: qemu.REFUSED, 82: qemu.SILENT}
        answers = {port: others.get(port, "SSH-2.0") for port in ports}
        return {"seconds": 9.5, "accelerator": "kvm", "answers": answers, "failed": [] if 22 in ports else ["nginx.service"]}

    monkeypatch.setattr(qemu, "look", look)
    return boots


@pytest.mark.parametrize(
    ("gate", "seconds", "ports"),
    [
        (True, 300, []),
        ({}, 300, []),
        ({"seconds": 20}, 20, []),
        ({"ports": [22]}, 300, [22]),
        ({"seconds": 0.5, "ports": [22]}, 0.5, [22]),
    ],
)
def test_the_triplet_is_booted_once_as_the_gate_asks(triplet, asked, gate, seconds, ports):
    pass_gate(triplet, gate)
    assert asked == [(triplet, seconds, ports)]


def output(triplet, kind, **more):
    parts = () if kind == "disk" else ("kernel", "ramdisk")
    facts = {"sha256": "", "disk_format": "qcow2", "container_format": "bare", "virtual_bytes": 1, "content": "raw"}
    return Output(kind=kind, role=kind, name=kind, path=triplet.directory / kind, parts=parts, **facts, **more)


def test_a_triplet_and_a_bare_image_are_booted_once_and_a_disk_by_each_of_its_firmwares(triplet):
    both = [output(triplet, "triplet"), output(triplet, "bare")]
    assert boots_of(triplet, both) == [triplet] == boots_of(triplet, both[1:])
    disk = output(triplet, "disk", firmware=("bios", "uefi"))
    boots = boots_of(triplet, [*both, disk])
    assert boots[0] is triplet and [(boot.path, boot.format, boot.firmware) for boot in boots[1:]] == [
        (disk.path, "qcow2", "bios"),
        (disk.path, "qcow2", "uefi"),
    ]


def test_a_disk_is_booted_by_its_own_loader_and_a_triplet_by_its_kernel(triplet, monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")

    def argv(target):
        return list(map(str, qemu.qemu_argv(target, Path("overlay"), "kvm", Path("console"))))

    assert argv(triplet)[argv(triplet).index("-kernel") + 1] == str(triplet.kernel)
    by_bios, by_uefi = (argv(qemu.Disk("web", Path("disk"), "qcow2", firmware)) for firmware in ("bios", "uefi"))
    assert not {"-kernel", "-append", "-bios"} & set(by_bios)
    assert by_uefi[by_uefi.index("-bios") + 1].endswith("/OVMF.fd") and "-kernel" not in by_uefi


def test_a_machine_without_the_firmware_of_a_disk_is_named(monkeypatch):
    monkeypatch.setattr(qemu, "_UEFI", {platform.machine(): ("/nowhere/OVMF.fd", "ovmf")})
    with pytest.raises(NotReady, match="web boots by UEFI, and /nowhere/OVMF.fd is not there"):
        qemu.check_firmware("web", "uefi")
    qemu.check_firmware("web", "bios")


def test_who_passes_is_noted_with_what_was_seen(triplet, asked):
    assert pass_gate(triplet, {"ports": [22]}) == {
        "seconds": 9.5,
        "accelerator": "kvm",
        "answers": {22: "SSH-2.0"},
        "failed": [],
    }


@pytest.mark.parametrize(
    ("ports", "words"),
    [([81], "on port 81; units that failed: nginx.service"), ([82, 22, 81], "on port 82, 81")],
    ids=["one", "some"],
)
def test_ports_that_do_not_answer_are_named_with_the_triplet(triplet, asked, ports, words):
    with pytest.raises(BootFailed) as failed:
        pass_gate(triplet, {"ports": ports})
    assert failed.value.message.startswith("web came up") and failed.value.message.endswith(words)


def test_a_triplet_that_does_not_come_up_does_not_pass(triplet, monkeypatch):
    def look(*_):
        raise BootFailed("web did not come up in 300 s", hint="look")

    monkeypatch.setattr(qemu, "look", look)
    with pytest.raises(BootFailed, match="did not come up"):
        pass_gate(triplet, True)


DISK = {"disk": {"path": "web.disk.qcow2", "disk_format": "qcow2", "firmware": ["uefi"]}}


def test_the_disk_of_a_build_is_found_by_its_manifest(triplet):
    found = qemu.disk_of(triplet, {"outputs": DISK}, "uefi")
    assert (found.path, found.format, found.firmware) == (triplet.directory / "web.disk.qcow2", "qcow2", "uefi")


@pytest.mark.parametrize(
    ("outputs", "words"),
    [({}, "web has no disk"), (DISK, "the disk of web does not boot by bios")],
    ids=["none", "of another firmware"],
)
def test_a_disk_that_a_build_does_not_have_is_named(triplet, outputs, words):
    with pytest.raises(NotReady, match=words):
        qemu.disk_of(triplet, {"outputs": outputs}, "bios")
