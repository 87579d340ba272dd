"""A build of the sample with a disk and the other outputs: each is the same root, and the default pays for none of them."""

import subprocess

import pytest
from booting import asked_by_key
from building import RELEASE, Salt
from disks import HANGS_SECONDS, SETTINGS, build_disks, lacking_firmware
from looking import looked_into, tree_of
from once import made_once

KINDS = ["triplet", "bare", "disk", "tar", "ec2"]


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """A minion that has built the sample with all outputs."""

    def make(directory):
        salt = Salt(directory / "minion")
        salt.pillar("web: {title: Seen in a test}\n")
        salt.returned = build_disks(salt, RELEASE, outputs=KINDS, skip_unchanged=True)
        return salt

    return made_once(tmp_path_factory, "outputs", make)


def test_the_manifest_describes_each_output(outputs):
    found = outputs.manifest()["outputs"]
    assert {kind: facts["path"] for kind, facts in found.items()} == {
        "bare": "variation.bare.qcow2", "disk": "variation.disk.qcow2", "tar": "variation.tar.zst", "ec2": "variation.disk.raw"
    }  # fmt: skip
    for facts in found.values():
        path = outputs.output / facts["path"]
        said = subprocess.run(["sha256sum", path], check=True, capture_output=True, text=True).stdout.split()[0]
        assert (path.stat().st_size, said) == (facts["bytes"], facts["sha256"])
    assert found["disk"]["firmware"] == ["bios", "uefi"] and found["disk"]["secure_boot"] is True
    assert found["bare"]["virtual_bytes"] == outputs.manifest()["files"]["root_image"]["bytes"]
    assert {"loader", "outputs"} <= {step["step"] for step in outputs.manifest()["steps"]}
    assert outputs.returned["outputs"]["tar"]["path"] == str(outputs.output / "variation.tar.zst")


def test_the_tar_holds_the_files_of_the_root_image_with_all_that_they_have(outputs, tmp_path):
    kept = ["--numeric-owner", "--xattrs", "--xattrs-include=*", "--acls"]
    subprocess.run(["tar", "-xf", outputs.output / "variation.tar.zst", "-C", tmp_path, *kept], check=True)
    with looked_into(outputs.output / "variation.img") as root:
        expected = tree_of(root)
    expected.pop("/lost+found", None)
    assert tree_of(tmp_path) == expected


def test_the_root_of_a_disk_is_configured_by_its_own_grub(outputs):
    uuid = outputs.manifest()["file_system"]["uuid"]
    with looked_into(outputs.output / "variation.img") as root:
        fstab = (root / "etc/fstab").read_text(encoding="utf-8")
        grub = (root / "boot/grub/grub.cfg").read_text(encoding="utf-8")
        assert not list(root.glob("tmp/*"))
    assert f"UUID={uuid} / ext4" in fstab and "/boot/efi vfat" in fstab
    assert f"root=UUID={uuid} ro" in grub and "mitigations=off no_timer_check" in grub


def test_the_loaders_are_those_of_the_images_packages(outputs):
    place = f"{outputs.output / 'variation.disk.raw'}@@{2 << 20}"
    names = {"BOOTX64.EFI": "usr/lib/shim/shimx64.efi.signed", "grubx64.efi": "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed"}
    with looked_into(outputs.output / "variation.img") as root:
        for name, path in names.items():
            said = subprocess.run(["mtype", "-i", place, f"::/EFI/BOOT/{name}"], check=True, capture_output=True).stdout
            assert said == (root / path).read_bytes()


def test_outputs_that_are_there_are_not_made_again_and_the_plan_names_them(outputs):
    variation = {"states": ["tell"], "id": "variation"}
    settings = {**SETTINGS, "outputs": KINDS, "skip_unchanged": True, "variation": variation, "release": RELEASE}
    assert outputs.good("vm_create.create_variation", **settings)["unchanged"] is True
    plan = outputs.good("vm_create.plan", **settings)
    assert plan["outputs"]["disk"] == str(outputs.output / "variation.disk.qcow2")


def test_a_triplet_pays_for_no_disk(sample):
    manifest = sample.manifest()
    assert manifest["outputs"] == {} and not [name for name in manifest["packages"] if "grub" in name or "shim" in name]


@pytest.mark.light
def test_a_base_without_a_loader_is_refused_for_a_disk_by_name(salt):
    variation = salt.variation("none", variation="nothing:\n  test.nop: []\n")
    said = salt.bad("vm_create.create_variation", variation=variation, outputs=["triplet", "disk"], update=False)
    assert "the root cannot become a disk: it has no /usr/lib/shim/shimx64.efi.signed" in said
    assert "install grub-cloud-amd64" in said
    assert not [path for path in salt.output.iterdir() if path.name.endswith((".partial", ".manifest.json", ".raw", ".qcow2"))]


@pytest.mark.needs("qemu-system-x86_64", "curl")
def test_a_disk_boots_by_uefi_has_grown_and_lets_root_log_in_by_a_key(outputs, lacking):
    if lacking_firmware():
        lacking(lacking_firmware())
    asked = "df -BM --output=size / | tail -1; findmnt -no SOURCE /; ls /boot/efi; findmnt -t vfat -no SOURCE /boot/efi"
    asked += "; systemctl --failed --plain --no-legend; ls -d /sys/firmware/efi"
    answer, seen, _ = asked_by_key(outputs, asked, forward="80", firmware="uefi", seconds=HANGS_SECONDS)
    size, *others = answer.split()
    assert int(size.rstrip("M")) > 18000 and others == ["/dev/vda1", "EFI", "/dev/vda15", "/sys/firmware/efi"]
    assert seen["answers"]["80"].startswith("HTTP/1.1 200") and seen["failed"] == []
