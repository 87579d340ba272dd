"""What the builder says of a root that its own machine is not: the release, and the kernel that a machine of it would run."""

from typing import Any

from vmimage.errors import KernelMissing
from vmimage.image.boot_files import newest_kernel
from vmimage.root import files
from vmimage.system.aliases import StrPath
from vmimage.variation.in_root.image_grains import VIRTUAL


def grains_of(root: StrPath) -> dict[str, Any]:
    """The grains that a pillar most often asks for: those of a root's release, as Salt derives them, and that an image is for virtual machines."""
    lines = files.read_text(root, "/etc/os-release", "").splitlines()
    release = {key: value.strip("\"'") for key, _, value in (line.partition("=") for line in lines)}
    name, version, codename = release.get("NAME", ""), release.get("VERSION_ID", ""), release.get("VERSION_CODENAME", "")
    found = {
        "os": release.get("ID", "").capitalize(),
        "os_family": "Debian",
        "osrelease": version,
        "oscodename": codename,
        "osfullname": name,
        "lsb_distrib_id": name,
        "lsb_distrib_release": version,
        "lsb_distrib_codename": codename,
        "virtual": VIRTUAL,
    }
    return found | _version_grains(found["os"], version)


def kernel_of(root: StrPath) -> str:
    """The release of the kernel that a machine of this root would run; empty where it has none."""
    try:
        return newest_kernel(root)
    except KernelMissing:
        return ""


def _version_grains(os_name: str, version: str) -> dict[str, Any]:
    """Those that Salt makes of ``osrelease``; sid has no number."""
    numbers = [int(part) if part.isdigit() else part for part in version.split(".")]
    major = numbers[0] if version else None
    return {
        "osrelease_info": numbers,
        "osmajorrelease": major,
        "osfinger": f"{os_name}-{version if os_name == 'Ubuntu' else numbers[0]}",
    }
