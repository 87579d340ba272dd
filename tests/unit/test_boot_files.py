import itertools

import pytest
from vmimage.errors import KernelMissing, RamdiskMissing
from vmimage.image.boot_files import copy_boot_files, find_boot_files, newest_kernel, version_key

ASCENDING = [
    ["5.10.0-30-amd64", "6.1.0-9-amd64", "6.1.0-18-amd64", "6.1.0-18-cloud-amd64", "6.10.11-amd64"],
    ["6.8.0-9-generic", "6.8.0-45-generic", "6.11.0-8-generic"],
    ["6.12~rc6-amd64", "6.12~rc7-amd64", "6.12-amd64", "6.12.3-amd64"],
    ["6.12~rc7", "6.12"],
    ["6.1", "6.1.1", "6.1.10", "7"],
]


@pytest.mark.parametrize("versions", ASCENDING, ids=lambda versions: versions[0])
def test_versions_sort_as_they_were_made(versions):
    for shuffled in itertools.islice(itertools.permutations(versions), 24):
        assert sorted(shuffled, key=version_key) == versions


def boot(root, tree, *names):
    return tree(root, {f"boot/{name}": "bytes" for name in names})


def test_the_newest_kernel_is_taken_not_the_last_by_name(root, tree):
    boot(root, tree, "vmlinuz-6.1.0-9-amd64", "vmlinuz-6.1.0-18-amd64", "initrd.img-6.1.0-9-amd64", "initrd.img-6.1.0-18-amd64")
    assert find_boot_files(root) == ("6.1.0-18-amd64", "/boot/vmlinuz-6.1.0-18-amd64", "/boot/initrd.img-6.1.0-18-amd64")


RESIDUE = [
    "vmlinuz-7.0.old",
    "vmlinuz-7.0.dpkg-new",
    "vmlinuz-7.0.dpkg-tmp",
    "vmlinuz",
    "vmlinuz.old",
    "config-7.0",
    "System.map-7.0",
]


@pytest.mark.parametrize("residue", RESIDUE)
def test_residue_is_no_kernel(root, tree, residue):
    boot(root, tree, "vmlinuz-6.1", residue)
    assert newest_kernel(root) == "6.1"


@pytest.mark.parametrize("name", ["vmlinuz-²", "vmlinuz-٣", "vmlinuz-", "vmlinuz-~", "vmlinuz-6.1-ü"])
def test_a_strange_name_beside_it_does_not_disturb(root, tree, name):
    boot(root, tree, "vmlinuz-6.1.0-9-amd64", name)
    newest_kernel(root)


def test_a_root_without_a_kernel_says_so(root):
    with pytest.raises(KernelMissing, match="/boot/vmlinuz-"):
        find_boot_files(root)


def test_a_root_without_boot_says_so(tmp_path, tree):
    with pytest.raises(KernelMissing):
        find_boot_files(tree(tmp_path / "bare", {}))


BAD = {
    "empty": "",
    "dangling link": "-> nowhere",
    "link to an empty file": "-> empty",
    "link out": "-> ../../outside/secret",
    "directory": None,
}


@pytest.mark.hostile("what does not boot", refused=True)
@pytest.mark.parametrize("content", BAD.values(), ids=BAD)
def test_a_kernel_without_bytes_is_missing(root, tree, content):
    tree(root, {"boot/empty": "", "boot/vmlinuz-6.1": content, "boot/initrd.img-6.1": "bytes"})
    with pytest.raises(KernelMissing, match=r"vmlinuz-6\.1"):
        find_boot_files(root)


@pytest.mark.hostile("what does not boot", refused=True)
@pytest.mark.parametrize("content", BAD.values(), ids=BAD)
def test_a_ramdisk_without_bytes_is_missing(root, tree, content):
    tree(root, {"boot/empty": "", "boot/vmlinuz-6.1": "bytes", "boot/initrd.img-6.1": content})
    with pytest.raises(RamdiskMissing, match=r"6\.1"):
        find_boot_files(root)


def test_the_ramdisk_of_another_version_does_not_do(root, tree):
    boot(root, tree, "vmlinuz-6.1.0-18", "vmlinuz-6.1.0-9", "initrd.img-6.1.0-9")
    with pytest.raises(RamdiskMissing, match=r"6\.1\.0-18"):
        find_boot_files(root)


def test_a_kernel_elsewhere_in_the_image_is_copied_out_through_its_link(root, tree, tmp_path):
    tree(
        root,
        {
            "usr/lib/modules/6.1/vmlinuz": "kernel",
            "boot/vmlinuz-6.1": "-> /usr/lib/modules/6.1/vmlinuz",
            "boot/initrd-6.1": "ramdisk",
        },
    )
    assert copy_boot_files(root, tmp_path / "k", tmp_path / "r") == "6.1"
    assert ((tmp_path / "k").read_text(), (tmp_path / "r").read_text()) == ("kernel", "ramdisk")


CONFIGURED = {
    "most": ({"initramfs.conf": "MODULES=most\n"}, ""),
    "dep": ({"initramfs.conf": "MODULES=dep\n"}, "initramfs.conf"),
    "a later file counts": ({"initramfs.conf": "MODULES=dep\n", "conf.d/policy": "MODULES='most'\n"}, ""),
    "the last word counts": (
        {"initramfs.conf": "MODULES=most\n", "conf.d/policy": 'MODULES=most\n MODULES="dep"\n'},
        "conf.d/policy",
    ),
    "a backup is no configuration": ({"initramfs.conf": "MODULES=most\n", "conf.d/policy~": "MODULES=dep\n"}, ""),
    "a comment": ({"initramfs.conf": "# MODULES=dep\n"}, ""),
}


@pytest.mark.parametrize(("files", "says"), CONFIGURED.values(), ids=CONFIGURED)
def test_a_ramdisk_made_for_this_machine_is_no_image(root, tree, tmp_path, files, says):
    boot(root, tree, "vmlinuz-6.1", "initrd.img-6.1")
    tree(root, {f"etc/initramfs-tools/{name}": text for name, text in files.items()})
    copy_boot_files(root, tmp_path / "k", tmp_path / "r", tree(tmp_path / "nothing changed", {}))
    changes = tree(tmp_path / "changes", {"boot/initrd.img-6.1": "made here"})
    if not says:
        copy_boot_files(root, tmp_path / "k2", tmp_path / "r2", changes)
        return
    with pytest.raises(RamdiskMissing, match=f"MODULES=dep in /etc/initramfs-tools/{says}"):
        copy_boot_files(root, tmp_path / "k2", tmp_path / "r2", changes)


def test_what_is_too_large_to_be_a_kernel_or_a_ramdisk_is_refused_by_name(root, tree):
    boot(root, tree, "vmlinuz-6.1", "initrd.img-6.1")
    for name, error in {"initrd.img-6.1": RamdiskMissing, "vmlinuz-6.1": KernelMissing}.items():
        with open(root / "boot" / name, "wb") as file:
            file.truncate(40 << 30)
        with pytest.raises(error, match=f"/boot/{name} of the image has 42949672960 bytes"):
            find_boot_files(root)


@pytest.mark.parametrize("version", ["6.1\udcff", "6.1 of mine", "6.1\x1b]52;c;x\x07"])
def test_a_kernel_of_a_strange_name_is_not_taken_and_is_named_where_there_is_no_other(root, tree, version):
    boot(root, tree, f"vmlinuz-{version}", f"initrd.img-{version}")
    with pytest.raises(KernelMissing, match="/boot/vmlinuz-6.1.* no name of a kernel") as caught:
        find_boot_files(root)
    assert str(caught.value).encode().isascii() and "\x1b" not in str(caught.value)
    boot(root, tree, "vmlinuz-5.10", "initrd.img-5.10")
    assert find_boot_files(root)[0] == "5.10"
