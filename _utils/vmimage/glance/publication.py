"""A triplet on its way into the store; no other process of this machine publishes the same name at the same time."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from vmimage.glance.credentials import Credentials
from vmimage.glance.description import image_name
from vmimage.image.triplet import Triplet
from vmimage.root.workspace import Workspace
from vmimage.settings.schema import Settings
from vmimage.system.lock import locked
from vmimage.system.namespace import stoppable
from vmimage.system.progress import Progress
from vmimage.system.whole_files import read_json, write_json

if TYPE_CHECKING:
    from vmimage.glance.client import Store

#: whether to publish: True, False, or ``auto``: where the settings have credentials
Wanted = bool | str


class PublishingHost(Protocol):
    """What publishing needs of a :class:`vmimage.host.Host`."""

    def credentials(self, settings: Settings, *, wanted: Wanted) -> Credentials | None:
        """The OpenStack credentials."""


class PublishingBuild(Protocol):
    """What publishing needs of a :class:`vmimage.build.build.Build`."""

    settings: Settings
    progress: Progress
    workspace: Workspace
    triplet: Triplet

    @property
    def host(self) -> PublishingHost:
        """The builder's Salt."""

    def open_store(self, credentials: Credentials) -> "Store":
        """The store that the credentials are for."""


class Publication:
    """A triplet on its way into the store.

    :ivar name: of the image: ``web-amd64``
    :ivar builder: id of this builder
    """

    def __init__(self, build: PublishingBuild, store: "Store") -> None:
        self.build, self.store = build, store
        self.settings, self.triplet, self.progress = build.settings, build.triplet, build.progress
        self.name = image_name(build.settings)
        self.lock = _lock_directory(build.settings) / f"{self.name}.{store.project_id}.lock"
        self.builder = _builder(Path(build.settings.workspace))

    @contextmanager
    def alone(self) -> Iterator[Self]:
        """Lock the name on this machine, and the triplet, for the time of the block; Ctrl-C and SIGTERM are errors."""
        with stoppable(), self.build.workspace.locked(), locked(self.lock, f"the image {self.name}", doing="published"):
            self.store.look_again()
            yield self


def _lock_directory(settings: Settings) -> Path:
    """A single directory for the machine, so that two workspaces do not publish the same name at the same time."""
    return Path("/run/vm_create/publish") if os.geteuid() == 0 else Path(settings.workspace)


def _builder(directory: Path) -> str:
    """The id of the builder of this directory of workspaces, whose locks exclude a second run: so its own leftovers, and no other's,
    are surely no upload that runs now.
    """
    path = directory / "builder"
    with locked(directory / "builder.lock", "the name of this builder", wait=True):
        if not path.exists():
            write_json(path, {"id": uuid.uuid4().hex})
    return read_json(path)["id"]
