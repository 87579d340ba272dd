"""create_variation on the sample: the triplet, the manifest, and nothing in the root image that was not asked for."""

import fnmatch
import hashlib
import subprocess

from looking import disk_usage_bytes, looked_into, tree_of

#: what packages, users and services change besides the files that dpkg lists
EXPLAINED = [
    "/boot/initrd.img-*",
    "/etc/apt/preferences.d/lsb-release",
    "/etc/group*",
    "/etc/gshadow*",
    "/etc/ld.so.cache",
    "/etc/machine-id",
    "/etc/motd",
    "/etc/nginx/*-enabled/*",
    "/etc/passwd*",
    "/etc/rc?.d/*",
    "/etc/shadow*",
    "/etc/ssh/ssh_host_*",
    "/etc/subgid*",
    "/etc/subuid*",
    "/etc/systemd/system/multi-user.target.wants/nginx.service",
    "/home/webmaster*",
    "/run/lock*",
    "/tmp",
    "/var/cache/apt/*",
    "/var/cache/debconf/*",
    "/var/cache/ldconfig/aux-cache",
    "/var/lib/apt/*",
    "/var/lib/dbus/machine-id",
    "/var/lib/dpkg/*",
    "/var/lib/nginx*",
    "/var/lib/systemd/deb-systemd-helper-enabled/*",
    "/var/lib/ucf/*",
    "/var/log/*",
    "/var/www*",
]
TRACES = ["*salt*", "*vm_create*", "*policy-rc.d*", "/files*", "/lost+found/*", "*.dpkg-*"]


def test_the_files_are_there_and_are_what_the_manifest_says(sample):
    manifest = sample.manifest()
    assert {path.name for path in sample.output.iterdir()} == {
        "variation.img",
        "kernel_variation",
        "ramdisk_variation",
        "variation.manifest.json",
        "variation.build.json",
    }
    for facts in manifest["files"].values():
        data = (sample.output / facts["path"]).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (facts["bytes"], facts["sha256"])


def test_the_manifest_tells_what_the_image_is_made_of(sample, bootstrapped):
    manifest = sample.manifest()
    assert manifest["packages"]["nginx-light"] == manifest["changes"]["added"]["nginx-light"]
    assert manifest["packages"]["lsb-release"].startswith("12.")
    assert manifest["base"]["digest"] == bootstrapped.digest
    assert {state["id"] for state in manifest["states"]} >= {"nginx is installed", "the page is there", "nginx runs at boot"}
    assert all(state["result"] for state in manifest["states"])
    assert [step["step"] for step in manifest["steps"]] == [  # the seal, which has many parts, once
        "base",
        "root",
        "update",
        "variation",
        "seal",
        "kernel",
        "pack",
        "close",
        "shrink",
        "triplet",
    ]
    assert manifest["versions"]["salt"] and manifest["versions"]["e2fsprogs"]
    assert manifest["distribution"]["oscodename"] == "bookworm"


def test_what_is_returned_tells_where_the_files_are(sample):
    files = sample.returned["files"]
    assert files["root_image"]["path"] == str(sample.output / "variation.img")
    assert (
        files["kernel"]["version"]
        in subprocess.run(["file", files["kernel"]["path"]], capture_output=True, text=True, check=True).stdout
    )


def test_the_root_image_is_clean_and_ends_at_its_content(sample):
    image = sample.output / "variation.img"
    subprocess.run(["e2fsck", "-f", "-n", image], check=True, capture_output=True)
    with looked_into(image) as root:
        ratio = image.stat().st_size / disk_usage_bytes(root)
    assert ratio <= 1.06, f"the image is {ratio:.3f} x its content"


def test_fstab_names_the_file_system_that_it_is_in(sample):
    label = sample.manifest()["file_system"]["label"]
    said = subprocess.run(
        ["blkid", "-o", "value", "-s", "LABEL", sample.output / "variation.img"], capture_output=True, text=True, check=True
    )
    with looked_into(sample.output / "variation.img") as root:
        assert f"LABEL={label} / ext4" in (root / "etc/fstab").read_text(encoding="utf-8")
    assert said.stdout.strip() == label == "root"


def test_the_root_is_the_base_and_the_variation_and_nothing_else(sample, bootstrapped):
    with looked_into(bootstrapped.image) as root:
        before = tree_of(root)
    with looked_into(sample.output / "variation.img") as root:
        after = tree_of(root)
        packaged = set()
        for listing in (root / "var/lib/dpkg/info").glob("*.list"):
            packaged |= set(listing.read_text(encoding="utf-8").splitlines())
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    unexplained = {path for path in changed - packaged if not any(fnmatch.fnmatch(path, pattern) for pattern in EXPLAINED)}
    unexplained -= {
        path for path in unexplained if path.replace("/usr/lib", "/lib", 1) in packaged or path.removeprefix("/usr") in packaged
    }
    assert not unexplained, sorted(unexplained)
    rewritten = {path for path in changed & packaged & before.keys() if before[path][4] != after.get(path, before[path])[4]}
    assert not {path for path in rewritten if not any(fnmatch.fnmatch(path, pattern) for pattern in EXPLAINED)}
    new = after.keys() - before.keys() - packaged
    assert not [path for path in new for trace in TRACES if fnmatch.fnmatch(path, trace)]
    assert after["/etc/resolv.conf"] == before["/etc/resolv.conf"]


def test_identity_and_residue_are_sealed(sample):
    with looked_into(sample.output / "variation.img") as root:
        assert (root / "etc/machine-id").read_bytes() == b""
        assert not list(root.glob("etc/ssh/ssh_host_*"))
        assert not list(root.glob("var/lib/apt/lists/*")) and not list(root.glob("var/cache/apt/archives/*.deb"))
        assert not list(root.glob("tmp/*")) and not list(root.glob("run/*")) and not (root / "root/.cache").exists()
        grown = [path for path in root.glob("var/log/**/*") if path.is_file() and not path.is_symlink() and path.stat().st_size]
        assert not grown
        assert not (root / "usr/sbin/policy-rc.d").exists()


def test_services_are_enabled_and_were_not_started(sample):
    with looked_into(sample.output / "variation.img") as root:
        assert (root / "etc/systemd/system/multi-user.target.wants/nginx.service").is_symlink()
        assert not (root / "var/log/nginx/access.log").exists() or (root / "var/log/nginx/access.log").stat().st_size == 0
