"""A result, looked at: is everything there that the job asks for?"""

import filecmp
import json
import re
import subprocess
from contextlib import contextmanager

from vmimage.errors import VmImageError
from vmimage.image.boot_files import version_key
from vmimage.image.ext4 import superblock

from racing.track import PACKAGES, USER


class ResultWrong(VmImageError):
    """A contest did not do the job."""


def look_at(triplet, lap):
    """Refuse a result that is not what the job asks for.

    :returns: ``{image_bytes, image_disk_bytes, content_bytes, free_bytes, journal, packages}``; content is what du says of the files
    :raises ResultWrong: naming what is missing
    """
    image = triplet.root_image
    _expect_clean(image, lap)
    with shown(image, lap) as root:
        packages = _look_into(root, triplet.motd, lap)
        kernel = max(root.glob("boot/vmlinuz-*"), key=lambda path: version_key(path.name))
        ramdisk = kernel.with_name(kernel.name.replace("vmlinuz-", "initrd.img-"))
        for ours, theirs in ((kernel, triplet.kernel), (ramdisk, triplet.ramdisk)):
            _expect(filecmp.cmp(ours, theirs, shallow=False), lap, f"{theirs.name} is not the image's {ours.name}")
        content = _content_bytes(root)
    return {**_sizes(image, superblock(image)), "content_bytes": content, "packages": packages}


def look_at_disk(disk, lap):
    """Refuse a whole disk that is not what the job asks for, in its largest partition; it is not booted.

    :returns: as :func:`look_at`, bytes of the whole disk
    :raises ResultWrong: naming what is missing
    """
    table = json.loads(subprocess.check_output(["sfdisk", "--json", disk.image]))["partitiontable"]
    bytes_of = table.get("sectorsize", 512)
    root_at = max(table["partitions"], key=lambda partition: partition["size"])
    window = ["--offset", str(root_at["start"] * bytes_of), "--sizelimit", str(root_at["size"] * bytes_of)]
    device = subprocess.check_output(["losetup", "--find", "--show", "--read-only", *window, disk.image], text=True).strip()
    try:
        _expect_clean(device, lap)
        with shown(device, lap) as root:
            packages, content = _look_into(root, disk.motd, lap), _content_bytes(root)
        fields = superblock(device)
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)
    return {**_sizes(disk.image, fields), "content_bytes": content, "packages": packages}


def _expect_clean(image, lap):
    clean = subprocess.run(["e2fsck", "-f", "-n", image], capture_output=True, text=True)
    _expect(clean.returncode == 0, lap, f"e2fsck is not content: {clean.stdout}")


def _look_into(root, motd, lap):
    """What the job asks for, in a mounted root; returns its packages."""
    packages = _packages(root)
    _expect(not (lacking := set(PACKAGES) - set(packages)), lap, f"{', '.join(lacking)} is not installed")
    _expect(re.search(rf"^{USER}:.*:/bin/bash$", (root / "etc/passwd").read_text(), re.M), lap, f"there is no user {USER}")
    _expect((root / "home" / USER).is_dir(), lap, f"{USER} has no home")
    _expect((root / "etc/motd").read_text() == f"{motd}\n", lap, "/etc/motd is not what was asked")
    _expect((root / "var/lib/postgresql/15/main/PG_VERSION").exists(), lap, "PostgreSQL has no database cluster")
    return packages


def _content_bytes(root):
    return int(subprocess.check_output(["du", "-s", "-x", "--block-size=1", root]).split()[0])


def _sizes(image, fields):
    facts = image.stat()
    return {
        "image_bytes": facts.st_size,
        "image_disk_bytes": facts.st_blocks * 512,
        "free_bytes": int(fields["Free blocks"]) * int(fields["Block size"]),
        "journal": fields.get("Total journal size", fields.get("Journal size", "none")),
    }


@contextmanager
def shown(image, lap):
    """The image mounted, read-only, its journal left alone."""
    point = lap.directory / "shown"
    point.mkdir(exist_ok=True)
    subprocess.run(["mount", "-o", "loop,ro,noload", image, point], check=True)
    try:
        yield point
    finally:
        subprocess.run(["umount", point], check=True)


def compare_packages(summaries):
    """Take the lists of packages out of the laps, and note with each contest how its list differs from that of the first.

    :returns: the packages of the first
    """
    first = {}
    for summary in summaries.values():
        found = [lap.pop("packages") for lap in [*filter(None, [summary["cold"]]), *summary["warm"]] if "packages" in lap]
        first = first or (found[-1] if found else {})
        names = set(found[-1]) ^ set(first) if found else set()
        versions = {name for name, version in (found[-1] if found else {}).items() if first.get(name, version) != version}
        summary["differs"] = {
            "has also": sorted(names - set(first)),
            "has not": sorted(names & set(first)),
            "has other versions of": sorted(versions),
        }
    return first


def _packages(root):
    wanted = "${Package} ${Version} ${db:Status-Status}\n"
    argv = ["dpkg-query", f"--admindir={root}/var/lib/dpkg", "--show", f"--showformat={wanted}"]
    lines = (line.split() for line in subprocess.check_output(argv, text=True).splitlines())
    return {words[0]: words[1] for words in lines if words[-1] == "installed"}


def _expect(fact, lap, fault):
    if not fact:
        raise ResultWrong(f"the result of {lap.name} is wrong: {fault}", hint=f"all it said is in {lap.log}")
