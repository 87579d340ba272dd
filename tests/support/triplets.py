"""Triplets whose bytes are of no matter, and builds that publish them: what is tested here is the way to the store."""

import hashlib
import os
import shutil
import subprocess
import time
import uuid

from vmimage.build.steps import Build
from vmimage.glance import publish
from vmimage.glance.credentials import gather_credentials
from vmimage.image.qcow2 import Image, write_images
from vmimage.image.triplet import Triplet
from vmimage.settings.gather import gather_settings
from vmimage.system.progress import Progress
from vmimage.system.whole_files import write_json

MIB = 1 << 20


def make_triplet(directory, name="web", *, root=None, root_mib=2, kernel=b"a kernel", ramdisk=b"a ramdisk", build=None):
    """Three files and the manifest that describes them.

    :param bytes root: of the root image, default random bytes
    :returns: :class:`vmimage.image.triplet.Triplet`
    """
    triplet = Triplet(directory, name)
    directory.mkdir(parents=True, exist_ok=True)
    contents = {"root_image": root if root is not None else os.urandom(root_mib * MIB), "kernel": kernel, "ramdisk": ramdisk}
    for role, path in triplet.files().items():
        path.write_bytes(contents[role])
    write_json(triplet.manifest_path, manifest_of(triplet, build or uuid.uuid4().hex))
    return triplet


def make_outputs(directory, kinds=("bare", "disk"), *, disk_format="qcow2", firmware=("bios", "uefi"), **contents):
    """A triplet with further outputs, as a build writes them: the root image, and a disk with a partition table."""
    triplet = make_triplet(directory, **contents)
    manifest = triplet.manifest()
    for kind in kinds:
        source = triplet.root_image if kind == "bare" else make_disk(directory / "disk.img")
        path = directory / f"{triplet.name}.{kind}.{disk_format}"
        if disk_format == "qcow2":
            write_images([Image(path, source.stat().st_size, {source: 0})], "zstd")
        else:
            shutil.copyfile(source, path)
        manifest.setdefault("outputs", {})[kind] = {
            "path": path.name,
            "bytes": path.stat().st_size,
            "sha256": sha256(path),
            "disk_format": disk_format,
            "container_format": "bare",
            "virtual_bytes": source.stat().st_size,
            "firmware": list(firmware),
            "secure_boot": True,
        }
    write_json(triplet.manifest_path, manifest)
    return triplet


def make_disk(path):
    """A small disk with a GPT and a partition of random bytes."""
    with open(path, "wb") as file:
        file.truncate(3 * MIB)
        file.seek(MIB)
        file.write(os.urandom(1 << 16))
    subprocess.run(["sfdisk", "-q", path], input="label: gpt\nstart=2048,size=2048\n", text=True, check=True)
    return path


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def manifest_of(triplet, build):
    files = {}
    for role, path in triplet.files().items():
        files[role] = {"path": path.name, "bytes": path.stat().st_size, "sha256": sha256(path)}
    files["kernel"]["version"] = "6.1.0-test"
    return {
        "format": 1,
        "name": triplet.name,
        "build": build,
        "created": "2026-01-02T03:04:05Z",
        "architecture": "x86_64",
        "distribution": {"os": "Debian", "osrelease": "12", "oscodename": "bookworm"},
        "login": "debian",
        "files": files,
        "base": {"reference": "debian bookworm amd64", "format": "bootstrap", "digest": "sha256:" + "b" * 64, "verified": "apt"},
        "variation": {
            "reference": "/srv/variations/web",
            "digest": "sha256:" + "c" * 64,
            "id": "web",
            "revision": "249:9ed741a55f17",
        },
        "versions": {"salt": "3008.3", "e2fsprogs": "1.47.0"},
    }


class NoSalt:
    """The host of a build that only publishes: credentials from an environment, nothing else."""

    def __init__(self, environment):
        self.environment = environment

    def credentials(self, settings, *, wanted):
        return gather_credentials([], cloud=settings.cloud, environment=self.environment, required=True) if wanted else None


def publishing_build(directory, environment, *observers, name="web", **settings):
    """A build that publishes the triplet in a directory."""
    own = {"name": name, "output": str(directory), "workspace": str(directory / "workspace"), "architecture": "amd64"}
    return Build(gather_settings([], {**own, **settings}), NoSalt(environment), Progress(*observers))


def environment_of(user, auth_url, region="RegionOne"):
    """The OS_* variables of a user of the test cloud."""
    return {
        "OS_AUTH_URL": auth_url,
        "OS_USERNAME": user.name,
        "OS_PASSWORD": user.password,
        "OS_PROJECT_NAME": user.project_name,
        "OS_REGION_NAME": region,
    }


class Publisher:
    """Alice, who publishes from a directory of her own.

    :ivar float pauses: how much of each pause between two tries passes
    """

    pauses = 1.0

    def __init__(self, cloud, directory, region="RegionOne"):
        self.environment = environment_of(cloud.users["alice"], cloud.auth_url, region)
        self.directory = directory
        self.observers = []
        self.client = cloud.client("alice", region)

    def build(self, **settings):
        build = publishing_build(self.directory, self.environment, *self.observers, **settings)
        store = publish.check_publishing(build, wanted=True)
        store.sleep = lambda seconds: time.sleep(seconds * self.pauses)
        return build, store

    def publish(self, **settings):
        return publish.publish(*self.build(**settings))

    def publish_new(self, publish_settings=None, **contents):
        """A new triplet, published."""
        triplet = make_triplet(self.directory, **contents)
        return triplet, self.publish(**(publish_settings or {}))
