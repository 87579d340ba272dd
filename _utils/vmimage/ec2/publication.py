"""A disk on its way to EC2; no other process of this machine publishes the same name there at the same time."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import Self

from vmimage.ec2.blocks import Disk, Holdings
from vmimage.ec2.client import Cloud, Resource
from vmimage.ec2.images import as_generation, check_name
from vmimage.ec2.snapshot import Note
from vmimage.errors import ImageUnsound
from vmimage.glance.generations import Image, Manifest
from vmimage.glance.outputs import image_name
from vmimage.glance.publication import PublishingBuild, builder_id, lock_directory
from vmimage.settings.ec2 import Ec2Settings, read_ec2
from vmimage.system.digest import digest_of_file
from vmimage.system.lock import locked
from vmimage.system.namespace import stoppable

#: the outputs that are a whole disk, in the manifest
_DISKS = ("ec2", "disk")


class Publication:
    """A disk on its way to EC2.

    :ivar name: that points to the image: ``web-amd64``
    :ivar images: ours of that name, in the words of :mod:`vmimage.glance.generations`
    :ivar snapshots: the account's with our tag of that name
    """

    def __init__(self, build: PublishingBuild, cloud: Cloud) -> None:
        self.build, self.cloud, self.settings, self.progress = build, cloud, build.settings, build.progress
        self.own = read_ec2(build.settings.ec2)
        self.name = image_name(build.settings)
        kept, where = Path(build.settings.cache) / "ec2", _place(self.own, cloud.region)
        self.holdings, self.note = Holdings(kept / "snapshots"), Note(kept / f"{self.name}.{where}.sending")
        self._lock = lock_directory(build.settings) / f"{self.name}.ec2.{where}.lock"
        self.images: list[Image] = []
        self.snapshots: list[Resource] = []

    @cached_property
    def builder(self) -> str:
        """The id of this builder."""
        return builder_id(Path(self.settings.workspace))

    @cached_property
    def _built(self) -> tuple[Manifest, Disk]:
        """What is to be published; a rollback needs none."""
        manifest, disk = disk_of(self.build)
        check_name(self.name, manifest)
        return manifest, disk

    @property
    def manifest(self) -> Manifest:
        """The manifest of the build."""
        return self._built[0]

    @property
    def disk(self) -> Disk:
        """The raw disk.

        :raises ImageUnsound: if there is none
        """
        return self._built[1]

    def with_disk(self) -> Self:
        """Refuse at once to go on without a disk, or by a name that EC2 does not take."""
        _ = self.disk
        return self

    @contextmanager
    def alone(self, *, with_files: bool = True) -> Iterator[Self]:
        """Lock the name on this machine, and the files, unless none is read, for the time of the block; Ctrl-C and SIGTERM are errors."""
        files = self.build.workspace.locked() if with_files else nullcontext()
        with stoppable(), files, locked(self._lock, f"the image {self.name}", doing="published"):
            self.look()
            yield self

    def look(self) -> None:
        """See what is in EC2 now."""
        self.look_at_images()
        self.snapshots = self.cloud.list_snapshots(self.name)

    def look_at_images(self) -> None:
        """See which images are in EC2 now."""
        self.images = [as_generation(image) for image in self.cloud.list_images(self.name)]

    def check_disk(self) -> None:
        """Compare the file with its manifest.

        :raises ImageUnsound:
        """
        with self.progress.step("ec2 check"):
            if digest_of_file(self.disk.path, moved=self.progress.moved) != f"sha256:{self.disk.sha256}":
                raise ImageUnsound(f"{self.disk.path} is not the file that its manifest describes", hint=_MAKE)


_MAKE = "make it: vm_create.create_variation, with ec2 in ami.outputs"


def disk_of(build: PublishingBuild) -> tuple[Manifest, Disk]:
    """The manifest of a build, and its raw disk.

    :raises ImageUnsound: if there is none
    """
    triplet, manifest = build.triplet, build.triplet.manifest()
    outputs = (manifest or {}).get("outputs") or {}
    for facts in (outputs[kind] for kind in _DISKS if kind in outputs):
        path = triplet.directory / facts["path"]
        if manifest and facts.get("disk_format") == "raw" and path.exists():
            return manifest, Disk(path, facts["sha256"])
    raise ImageUnsound(f"there is no raw disk of {triplet.name} in {triplet.directory}", hint=_MAKE)


def _place(own: Ec2Settings, region: str) -> str:
    """The region in names of files, with what tells accounts apart as far as settings do."""
    account = "\0".join([own.profile, own.endpoint]).encode()
    return f"{region}.{hashlib.sha256(account).hexdigest()[:8]}" if account != b"\0" else region
