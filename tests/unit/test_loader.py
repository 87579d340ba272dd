"""What a root needs to become a disk, and what it gets."""

import pytest
from vmimage.errors import LoaderMissing, RootHostile
from vmimage.image.loader import check_root, esp_identity, fit_root, take_loader

UUID = "0b1fe1d1-3e0c-4d1c-9d4b-6c1f1f1b2c3d"
SHIM, GRUB = "usr/lib/shim/shimx64.efi.signed", "usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed"
BOOT, MKCONFIG, REPART = "usr/lib/grub/i386-pc/boot.img", "usr/sbin/grub-mkconfig", "usr/bin/systemd-repart"
PARTS = {SHIM: b"shim", GRUB: b"MZ /EFI/debian\0", BOOT: b"B" * 512, MKCONFIG: "#!/bin/sh", REPART: "program"}
CFG = f"menuentry x {{\n\tlinux\t/boot/vmlinuz-6.1 root=UUID={UUID} ro\n}}\n"


@pytest.fixture
def with_parts(root, tree):
    return tree(root, {**PARTS, "etc/fstab": "LABEL=root / ext4 defaults 0 1\n"})


def test_a_root_with_all_parts_is_taken(with_parts):
    check_root(with_parts, "x86_64")


@pytest.mark.parametrize("part", [SHIM, GRUB, BOOT, MKCONFIG])
def test_what_the_root_lacks_is_named_with_the_package_that_has_it(with_parts, part):
    (with_parts / part).unlink()
    with pytest.raises(LoaderMissing, match=f"it has no /{part}") as refused:
        check_root(with_parts, "x86_64")
    assert "install grub-cloud-amd64" in refused.value.hint


def test_a_root_that_cannot_grow_is_refused(with_parts, tree):
    (with_parts / REPART).unlink()
    with pytest.raises(LoaderMissing, match="neither systemd-repart nor growpart"):
        check_root(with_parts, "x86_64")
    tree(with_parts, {"usr/bin/growpart": "program"})
    check_root(with_parts, "x86_64")


def test_arm64_has_loaders_of_its_own_and_none_for_bios(with_parts, tree):
    with pytest.raises(LoaderMissing, match="shimaa64"):
        check_root(with_parts, "aarch64")
    tree(with_parts, {SHIM.replace("x64", "aa64"): b"shim", "usr/lib/grub/arm64-efi-signed/grubaa64.efi.signed": b"grub"})
    (with_parts / BOOT).unlink()
    check_root(with_parts, "aarch64")


def test_the_root_gets_its_names_consoles_and_words_for_the_kernel(with_parts):
    fit_root(with_parts, "x86_64", UUID, "net.ifnames=0")
    assert f"UUID={UUID} / ext4 defaults,x-systemd.growfs 0 1\n" in (with_parts / "etc/fstab").read_text()
    assert f"UUID={esp_identity(UUID)} /boot/efi vfat" in (with_parts / "etc/fstab").read_text()
    assert "Type=root" in (with_parts / "etc/repart.d/50-root.conf").read_text()
    assert (with_parts / "boot/efi").is_dir()
    assert not (with_parts / "etc/grub.d/enable_cloud").exists()  # grub-cloud is not installed


def test_grub_cloud_may_write_to_the_disk_once_it_is_one(with_parts, tree):
    tree(with_parts, {"var/lib/dpkg/info/grub-cloud-amd64.postinst": "#!/bin/sh"})
    fit_root(with_parts, "x86_64", UUID, "")
    assert (with_parts / "etc/grub.d/enable_cloud").exists()


def take(root, target, monkeypatch, configuration=CFG):
    """take_loader with programs of the root that write what they would."""

    def run_in_root(root, argv):
        if argv[0] == "grub-mkimage":
            (root / "tmp/core.img").write_bytes(b"core")
        else:
            (root / "boot/grub/grub.cfg").write_text(configuration, encoding="utf-8")

    monkeypatch.setattr("vmimage.image.loader.run_in_root", run_in_root)
    for directory in ("boot/grub", "tmp"):
        (root / directory).mkdir(exist_ok=True)
    return take_loader(root, "x86_64", UUID, target, lambda work: work())


def test_the_loaders_are_taken_out_of_the_root(with_parts, tmp_path, monkeypatch):
    found = take(with_parts, tmp_path / "loader", monkeypatch)
    assert (found.vendor, found.firmware, found.secure_boot, found.ending) == ("debian", ["bios", "uefi"], True, "x64")
    contents = {path.name: path.read_bytes() for path in (tmp_path / "loader").iterdir()}
    assert contents.pop("grub.cfg").startswith(f"search.fs_uuid {UUID} root\n".encode())
    assert contents == {"boot.img": b"B" * 512, "core.img": b"core", "shim.efi": b"shim", "grub.efi": PARTS[GRUB]}


@pytest.mark.parametrize("text", ["", CFG.replace("0b1f", "1b1f"), CFG.replace("UUID=", "/dev/"), f"# {CFG}"], ids=range(4))
def test_a_configuration_that_would_not_boot_this_root_is_refused(with_parts, tmp_path, monkeypatch, text):
    with pytest.raises(LoaderMissing, match=f"root=UUID={UUID}"):
        take(with_parts, tmp_path / "loader", monkeypatch, text.replace("\n\t", " ") if text.startswith("#") else text)


def test_a_grub_that_does_not_say_where_it_looks_is_refused(with_parts, tmp_path, monkeypatch):
    (with_parts / GRUB).write_bytes(b"MZ")
    with pytest.raises(LoaderMissing, match="where it looks"):
        take(with_parts, tmp_path / "loader", monkeypatch)


@pytest.mark.parametrize("part", [SHIM, GRUB, BOOT])
def test_a_loader_of_a_size_that_none_has_is_refused_unread(with_parts, tmp_path, monkeypatch, part):
    with open(with_parts / part, "r+b") as file:
        file.truncate(1 << 40)
    with pytest.raises(LoaderMissing, match="1099511627776 bytes"):
        take(with_parts, tmp_path / "loader", monkeypatch)


def test_a_link_out_of_the_root_is_followed_to_nothing_of_the_machine(with_parts, tmp_path, monkeypatch):
    (with_parts / SHIM).unlink()
    (with_parts / SHIM).symlink_to(tmp_path / "outside/secret")
    with pytest.raises((FileNotFoundError, RootHostile)):
        take(with_parts, tmp_path / "loader", monkeypatch)
