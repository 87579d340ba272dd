"""diskimage-builder of PyPI: with a base prepared by hand, and with the cache that it has by itself.

Both keep debs in DIB_IMAGE_CACHE and work in the tmpfs that it mounts where memory is plenty.  `baremetal` gives kernel and
ramdisk.
"""

import json
import subprocess

from racing.track import PACKAGES, RELEASE, USER

from peers.contest import Contest, needs_program, shell

_SCRIPT = """
tools=$1 cache=$2 memory=$3 out=$4; shift 4
export PATH="$tools/dib/bin:/usr/sbin:/usr/bin:/sbin:/bin" LC_ALL=C.UTF-8
export DIB_IMAGE_CACHE="$cache" DIB_LOCKFILES="$cache/locks" TMP_DIR="$memory"
export DIB_JOURNAL_SIZE=8  # MiB, as all; its option of this name is not accepted
cd "$memory"
disk-image-create -n -a "$(dpkg --print-architecture)" -t raw -u -o "$out/root" --root-label root -p "$PACKAGES" baremetal "$@"
mv "$out/root.raw" "$out/root.img"
mv "$out/root.vmlinuz" "$out/kernel"
mv "$out/root.initrd" "$out/ramdisk"
sync "$out/root.img" "$out/kernel" "$out/ramdisk"
""".replace("$PACKAGES", ",".join(PACKAGES))
_UPDATE = "#!/bin/bash\nset -eu\ninstall-packages -u\n"
_JOB = f"""#!/bin/bash
set -eu
useradd --create-home --shell /bin/bash {USER}
echo '{{motd}}' > /etc/motd
"""
_UNPACK = """#!/bin/bash
set -eu
sudo tar -C "$TARGET_ROOT" --numeric-owner --xattrs --xattrs-include='*' -xf {tar}
"""


class PreparedBase(Contest):
    name = "diskimage-builder"
    title = "diskimage-builder, prepared base"
    note = "an element of ours unpacks the base; fetches apt's lists and leaves them in the image; chooses du / 0.6 as its size"
    elements = ["race-base", "race-job"]
    script = _SCRIPT

    def install(self):
        needs_program("sudo", "sudo")
        venv = self.track.tools / "dib"
        if not (venv / "bin/disk-image-create").exists():
            subprocess.run(["/usr/bin/python3", "-m", "venv", "--clear", venv], check=True, capture_output=True)
            subprocess.run([venv / "bin/pip", "install", "-q", "diskimage-builder"], check=True, capture_output=True)

    def version(self):
        argv = [self.track.tools / "dib/bin/pip", "list", "--format", "json", "--disable-pip-version-check"]
        listed = json.loads(subprocess.check_output(argv, stderr=subprocess.DEVNULL))
        return next(package["version"] for package in listed if package["name"].replace("_", "-") == "diskimage-builder")

    def command(self, lap):
        elements = lap.directory / "elements"
        self._write_elements(elements, lap)
        places = [self.track.tools, lap.cache, lap.memory, lap.directory]
        return ["env", f"ELEMENTS_PATH={elements}", *self.environment(), *shell(self.script, *places, *self.elements)]

    def environment(self):
        return []

    def _write_elements(self, top, lap):
        files = {
            "race-job/install.d/05-update": _UPDATE,
            "race-job/install.d/50-job": _JOB.format(motd=lap.motd),
            "race-base/element-deps": "dpkg\n",
            "race-base/element-provides": "operating-system\n",
            "race-base/environment.d/10-base.bash": f"export DISTRO_NAME=debian DIB_RELEASE={RELEASE} DIB_INIT_SYSTEM=systemd\n",
            "race-base/root.d/10-base": _UNPACK.format(tar=self.track.tar),
            **self.more_files(),
        }
        for name, text in files.items():
            path = top / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            path.chmod(0o755)

    def more_files(self):
        return {}


class StockCache(PreparedBase):
    """Its own debootstrap, cached as a tar by DIB_DEBOOTSTRAP_CACHE and DIB_DEBIAN_USE_DEBOOTSTRAP_CACHE."""

    name = "diskimage-builder-stock"
    title = "diskimage-builder, stock cache"
    note = "its own cache holds a minimal Debian: kernel, ssh, cloud-init are installed each time"
    elements = ["race-debian", "race-job"]
    default = False  # 40 s a round

    def install(self):
        super().install()
        needs_program("debootstrap", "debootstrap")

    def environment(self):
        sources = "\n".join(f"race{number}:{line}" for number, line in enumerate(self.track.plan["sources"]))
        own = [
            f"DIB_DISTRIBUTION_MIRROR={self.track.main_mirror()}",
            f"DIB_APT_SOURCES_CONF={sources}",
            f"http_proxy={self.track.proxy()}",
        ]
        return [*own, f"DIB_RELEASE={RELEASE}", "DIB_DEBOOTSTRAP_CACHE=1", "DIB_DEBIAN_USE_DEBOOTSTRAP_CACHE=1"]

    def more_files(self):
        """A copy of its debian-minimal under another name, with the cloud kernel and what else the base has."""
        site = next((self.track.tools / "dib/lib").glob("python3*/site-packages/diskimage_builder/elements/debian-minimal"))
        names = [
            "element-deps",
            "element-provides",
            "environment.d/10-debian-minimal.bash",
            "root.d/75-debian-minimal-baseinstall",
        ]
        copied = {f"race-debian/{name}": (site / name).read_text() for name in names}
        return copied | {"race-debian/package-installs.yaml": "".join(f"{package}:\n" for package in self.track.plan["packages"])}
