"""Whole disks, raw: a partition table, what boots, and the same root; and what ours makes besides of one root.

No disk is booted in the race; the tests boot ours.
"""

import subprocess

from racing.track import PACKAGES

from peers import diskimage_builder, mkosi, ours
from peers.contest import Contest, Disk, needs_program


class _OfDiskBase(ours.CleanBuild):
    """Ours from the base that has what boots a disk."""

    clean = default = False

    def install(self):
        super().install()
        self.track.make_disk_base()

    @property
    def base(self):
        return self.track.disk_base


class Triplet(_OfDiskBase):
    """What the other outputs are compared with."""

    name = "triplet-of-disk"
    title = "ours, the triplet of a disk's base"
    note = "the base has GRUB for BIOS and UEFI, shim and growpart besides"


class Outputs(_OfDiskBase):
    """All that one root can become."""

    name = "outputs"
    title = "ours, triplet + bare + disk + tar"
    note = "of one root in one run: qcow2, qcow2 and tar, compressed with zstd"
    settings = ("outputs=[triplet,bare,disk,tar]",)

    def details(self, lap):
        made = self.manifest(lap)["outputs"]
        return super().details(lap) | {"outputs_bytes": {kind: facts["bytes"] for kind, facts in made.items()}}


class Ours(_OfDiskBase):
    """A disk for BIOS, UEFI and Secure Boot."""

    name = "disk"
    title = "ours, a whole disk"
    note = "boots by BIOS, UEFI and Secure Boot; the triplet is made, too"
    settings = ("outputs=[disk]", "disk_format=raw")

    def disks(self, lap):
        return [Disk(self.output(lap) / "race.disk.raw", lap.motd)]


class _DiskAlone(Contest):
    """A peer whose result is a disk and nothing else."""

    clean = default = False

    def triplets(self, lap):
        return []

    def disks(self, lap):
        return [Disk(lap.directory / "disk.raw", lap.motd)]


_MKOSI = """
tar=$1 cache=$2 memory=$3 out=$4; shift 4
mkdir -p "$cache/packages" "$cache/images" "$memory/work" "$memory/made"
unpack_base "$tar" "$cache/base"
rm -rf "$cache/base/dev"/*  # it copies the base, and may open no device
mkdir -p "$cache/base/efi"
"$@"
cp --sparse=always "$memory/made/root.raw" "$out/disk.raw"
sync "$out/disk.raw"
"""


class Mkosi(_DiskAlone, mkosi.Mkosi):
    """Its disk image: systemd-repart's partitions, a unified kernel image."""

    name = "mkosi-disk"
    title = "mkosi, its disk"
    note = "UEFI alone: systemd-boot and a unified kernel image with the ramdisk of the base, instead of one that mkosi builds"
    script = _MKOSI

    def choose(self, lap):
        initrds = sorted((lap.cache / "base/boot").glob("initrd.img-*"))
        boot = ["Bootable=yes", "Bootloader=systemd-boot", *(f"Initrds={path}" for path in initrds[-1:])]
        return {**super().choose(lap), "overlay": "no", "packages": [*PACKAGES, "systemd-boot"], "format": "disk", "boot": boot}


_DIB = """
tools=$1 cache=$2 memory=$3 out=$4; shift 4
export PATH="$tools/dib/bin:/usr/sbin:/usr/bin:/sbin:/bin" LC_ALL=C.UTF-8
export DIB_IMAGE_CACHE="$cache" DIB_LOCKFILES="$cache/locks" TMP_DIR="$memory"
cd "$memory"
disk-image-create -n -a "$(dpkg --print-architecture)" -t raw -u -o "$out/disk" -p "$PACKAGES" vm "$@"
sync "$out/disk.raw"
""".replace("$PACKAGES", ",".join(PACKAGES))


class DiskimageBuilder(_DiskAlone, diskimage_builder.PreparedBase):
    """Its disk image, by the element vm."""

    name = "diskimage-builder-disk"
    title = "diskimage-builder, its disk"
    note = "the element vm: BIOS alone, GRUB installed by its loop device"
    script = _DIB

    def install(self):
        super().install()
        needs_program("kpartx", "kpartx")
        subprocess.run(["dmsetup", "version"], check=True, capture_output=True)  # some kernels have no device mapper
