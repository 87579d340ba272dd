import pytest
from vmimage.errors import ImageUnsound
from vmimage.root.fstab import fit_disk, fit_fstab, names_of_root, settle

UUID = "0b1fe1d1-3e0c-4d1c-9d4b-6c1f1f1b2c3d"

DEBIAN = """\
# /etc/fstab: static file system information
PARTUUID=7c1a6b8e-4c1f-4d58-9c1f-0c2f5c6a7b8d / ext4 rw,discard,errors=remount-ro,x-systemd.growfs 0 1
PARTUUID=1b2c3d4e-5f60-4718-8293-a4b5c6d7e8f9 /boot/efi vfat defaults 0 0
"""
DEBIAN_GONE = {"PARTUUID=7c1a6b8e-4c1f-4d58-9c1f-0c2f5c6a7b8d", "PARTUUID=1b2c3d4e-5f60-4718-8293-a4b5c6d7e8f9"}
UBUNTU = """\
LABEL=cloudimg-rootfs\t/\t ext4\tdiscard,commit=30,errors=remount-ro\t0 1
LABEL=BOOT\t/boot\text4\tdefaults\t0 2
LABEL=UEFI\t/boot/efi\tvfat\tumask=0077\t0 1
"""
INSTALLED = """\
# / was on /dev/vda1 during installation
UUID=11111111-1111-1111-1111-111111111111 /               ext4    errors=remount-ro 0       1
# swap was on /dev/vda5 during installation
UUID=22222222-2222-2222-2222-222222222222 none            swap    sw              0       0
/dev/sr0        /media/cdrom0   udf,iso9660 user,noauto     0       0
"""


def mounting(text):
    return [line for line in text.splitlines() if line.strip() and not line.startswith("#")]


def test_debians_cloud_image_gets_its_root_by_uuid_and_loses_its_efi_partition():
    new = fit_fstab(DEBIAN, "", UUID, DEBIAN_GONE)
    assert mounting(new) == [f"UUID={UUID} / ext4 rw,discard,errors=remount-ro,x-systemd.growfs 0 1"]
    assert "# /etc/fstab: static file system information\n" in new
    assert "PARTUUID=1b2c3d4e-5f60-4718-8293-a4b5c6d7e8f9 /boot/efi" in new


def test_ubuntus_cloud_image_keeps_its_root_and_loses_boot_and_uefi():
    new = fit_fstab(UBUNTU, "cloudimg-rootfs", UUID)
    assert mounting(new) == ["LABEL=cloudimg-rootfs\t/\t ext4\tdiscard,commit=30,errors=remount-ro\t0 1"]
    assert "LABEL=BOOT\t/boot" in new and "LABEL=UEFI\t/boot/efi" in new


def test_an_installed_system_loses_its_swap_and_keeps_comments_and_the_rest():
    new = fit_fstab(INSTALLED, "", UUID)
    assert mounting(new) == [
        f"UUID={UUID} /               ext4    errors=remount-ro 0       1",
        "/dev/sr0        /media/cdrom0   udf,iso9660 user,noauto     0       0",
    ]
    assert [line for line in INSTALLED.splitlines() if line.startswith("#")] == [
        line for line in new.splitlines() if line in INSTALLED.splitlines() and line.startswith("#")
    ]


@pytest.mark.parametrize("root", ["/dev/vda1", "/dev/mapper/vg-root", "LABEL=other", '"PARTLABEL=root"'])
def test_a_root_by_any_other_name_is_renamed_with_its_options_kept(root):
    assert fit_fstab(f"{root} / ext4 noatime 0 1\n", "cloud", UUID) == f"UUID={UUID} / ext4 noatime 0 1\n"


@pytest.mark.parametrize("name", [f"UUID={UUID}", f'UUID="{UUID}"', "LABEL=cloud", 'LABEL="cloud"'])
def test_a_root_that_is_named_rightly_is_not_touched(name):
    text = f"{name}  /  ext4\tnoatime 0 1\n"
    assert fit_fstab(text, "cloud", UUID) == text


@pytest.mark.parametrize(
    ("line", "stays"),
    [
        ("/dev/vda2 none swap sw 0 0", False),
        ("/swapfile none swap sw 0 0", True),
        ("tmpfs /tmp tmpfs defaults 0 0", True),
        ("PARTUUID=ab-01 /srv ext4 defaults 0 2", False),
        ("PARTUUID=ab-02 /srv ext4 defaults 0 2", True),
        ("/dev/mapper/vg-swap none swap sw 0 0", True),
        ("server:/home /home nfs defaults 0 0", True),
        ("/srv/a /srv/b none bind 0 0", True),
    ],
)
def test_only_what_lay_on_the_old_disk_is_left_behind(line, stays):
    new = fit_fstab(f"UUID={UUID} / ext4 defaults 0 1\n{line}\n", "", UUID, {"PARTUUID=ab-01"})
    assert (line in mounting(new)) is stays
    assert line in new


@pytest.mark.parametrize(
    ("label", "first"),
    [("root", "LABEL=root / ext4 "), ("", f"UUID={UUID} / ext4 "), ("my root", f"UUID={UUID} / ext4 ")],
    ids=["label", "no label", "a label with a space"],
)
@pytest.mark.parametrize("text", ["", "# UNCONFIGURED FSTAB FOR BASE SYSTEM\n"], ids=["empty", "bootstrapped"])
def test_an_fstab_without_a_root_gets_a_root_that_grows(text, label, first):
    (line,) = mounting(fit_fstab(text, label, UUID))
    assert line.startswith(first) and "x-systemd.growfs" in line and line.endswith(" 0 1")


@pytest.mark.parametrize("label", ["", "cloudimg-rootfs", "my root"])
@pytest.mark.parametrize("text", ["", DEBIAN, UBUNTU, INSTALLED], ids=["empty", "Debian", "Ubuntu", "installed"])
def test_fitting_twice_is_fitting_once(text, label):
    once = fit_fstab(text, label, UUID, DEBIAN_GONE)
    assert fit_fstab(once, label, UUID, DEBIAN_GONE) == once


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (UBUNTU, {"LABEL": "cloudimg-rootfs"}),
        (INSTALLED, {"UUID": "11111111-1111-1111-1111-111111111111"}),
        (DEBIAN, {}),
        ("#LABEL=x / ext4 defaults\n", {}),
        ('LABEL="cloud" / ext4\n', {"LABEL": "cloud"}),
        ("", {}),
    ],
    ids=["Ubuntu", "installed", "Debian", "comment", "quotes", "empty"],
)
def test_the_names_of_the_root_are_those_of_its_line(text, names):
    assert names_of_root(text) == names


def test_settle_writes_only_where_it_must(root):
    assert settle(root, "cloud", UUID) is True
    assert (root / "etc/fstab").read_text().startswith("LABEL=cloud / ext4")
    assert settle(root, "cloud", UUID) is False


def test_what_came_along_is_no_longer_mounted():
    line = "LABEL=more /home/ ext4 defaults 0 2"
    new = fit_fstab(f"UUID={UUID} / ext4 defaults 0 1\n{line}\n", "", UUID, {"LABEL=more"}, ["/home"])
    assert line not in mounting(new) and f"# what was in this file system is in the image: {line}" in new


@pytest.mark.hostile("what does not boot", refused=True)
@pytest.mark.parametrize("name", ["UUID=clear", "UUID=", "UUID=1234", "LABEL=", "LABEL=longer-than-ext4-has-room", "UUID=\udcff"])
def test_a_name_that_no_file_system_has_is_refused(name):
    with pytest.raises(ImageUnsound, match="/etc/fstab of the image names its root"):
        names_of_root(f"{name} / ext4 defaults 0 1\n")


ESP_LINE = "UUID=1234-ABCD /boot/efi vfat umask=0077,nofail,x-systemd.automount,x-systemd.device-timeout=10s 0 0"


@pytest.mark.parametrize(
    ("old", "root_line"),
    [
        (DEBIAN, f"UUID={UUID} / ext4 rw,discard,errors=remount-ro,x-systemd.growfs 0 1"),
        (UBUNTU, f"UUID={UUID} / ext4 discard,commit=30,errors=remount-ro,x-systemd.growfs 0 1"),
        ("LABEL=root / ext4\n", f"UUID={UUID} / ext4 defaults,errors=remount-ro,x-systemd.growfs 0 1"),
        ("", f"UUID={UUID} / ext4 defaults,errors=remount-ro,x-systemd.growfs 0 1"),
        ("LABEL=root / ext4 noatime\n", f"UUID={UUID} / ext4 noatime,x-systemd.growfs 0 1"),
    ],
    ids=["Debian", "Ubuntu", "no options", "no root", "no numbers"],
)
def test_in_a_disk_the_root_has_its_uuid_and_grows_and_the_efi_system_may_be_missing(old, root_line):
    new = mounting(fit_disk(old, UUID, "1234-ABCD"))
    assert [line for line in new if line.split()[1] == "/"] == [root_line]
    assert [line for line in new if line.split()[1] == "/boot/efi"] == [ESP_LINE]


def test_the_fstab_of_a_disk_stays_as_it_is_when_it_is_made_again_and_keeps_what_else_is_mounted():
    once = fit_disk(INSTALLED, UUID, "1234-ABCD")
    assert fit_disk(once, UUID, "1234-ABCD") == once
    assert "/dev/sr0        /media/cdrom0   udf,iso9660 user,noauto     0       0" in once
    assert "# / was on /dev/vda1 during installation" in once
