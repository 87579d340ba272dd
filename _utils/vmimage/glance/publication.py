"""The outputs of a build on their way into the store; no other process of this machine publishes the same variation at the same time."""

import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self

from vmimage.glance.credentials import Credentials
from vmimage.glance.description import main_image, part_image
from vmimage.glance.generations import Manifest, names_of
from vmimage.glance.inspection import check_description, check_output, check_part
from vmimage.glance.outputs import Output, image_name, image_names, outputs_of
from vmimage.image.triplet import Triplet
from vmimage.root.workspace import Workspace
from vmimage.settings.properties import properties_of
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
    """The outputs of a build on their way into the store.

    :ivar name: of the variation: ``web-amd64``
    :ivar names: ``{kind: name}`` of the outputs that the settings ask for
    :ivar manifest: of the build, once it is checked
    :ivar outputs: of the build, once they are checked
    :ivar has_moved: a name points to an image of this build now: what is uploaded is to stay
    """

    manifest: Manifest
    outputs: list[Output]

    def __init__(self, build: PublishingBuild, store: "Store") -> None:
        self.build, self.store = build, store
        self.settings, self.triplet, self.progress = build.settings, build.triplet, build.progress
        self.name, self.names, self.has_moved = image_name(build.settings), image_names(build.settings), False
        self.lock = lock_directory(build.settings) / f"{self.name}.{store.project_id}.lock"

    @cached_property
    def builder(self) -> str:
        """The id of this builder."""
        return builder_id(Path(self.settings.workspace))

    @contextmanager
    def alone(self, *, with_files: bool = True) -> Iterator[Self]:
        """Lock the variation's names on this machine, and its files, unless none is read, for the time of the block; Ctrl-C and SIGTERM are errors."""
        files = self.build.workspace.locked() if with_files else nullcontext()
        with stoppable(), files, locked(self.lock, f"the image {self.name}", doing="published"):
            self.store.look_again()
            yield self

    def check(self) -> Self:
        """Refuse, before anything is uploaded, files and properties that the store or a cloud would refuse.

        :raises ImageUnsound: if a file is not what the manifest describes
        :raises NotPublished: if an output was not built
        :raises SettingsWrong, StoreRefused: naming a property
        """
        self.manifest = self.triplet.check()
        self.outputs = outputs_of(self.settings, self.triplet, self.manifest)
        for output in self.outputs:
            check_output(output)
            self._check_description(output)
        for role in self.roles(self.outputs):
            check_part(role, self.path_of(role))
            check_description(self.store.image_schema, part_image(self.settings, self.manifest, role, self.builder), ())
        return self

    def _check_description(self, output: Output) -> None:
        ids = {f"{role}_id": str(uuid.UUID(int=0)) for role in output.parts}
        image = main_image(self.settings, self.manifest, output, self.builder, serial=1, ids=ids)
        check_description(self.store.image_schema, image, properties_of(self.settings.properties, output.kind))

    def roles(self, outputs: Iterable[Output]) -> list[str]:
        """The roles of the parts that outputs need, each once."""
        return list(dict.fromkeys(role for output in outputs for role in output.parts))

    def path_of(self, role: str) -> Path:
        """The file of a part on this machine."""
        return self.triplet.files()[role]

    def all_names(self) -> list[str]:
        """The names of all outputs of the variation, those that are not published now, too."""
        return names_of(self.name)


def lock_directory(settings: Settings) -> Path:
    """A single directory for the machine, so that two workspaces do not publish the same name at the same time."""
    return Path("/run/vm_create/publish") if os.geteuid() == 0 else Path(settings.workspace)


def builder_id(directory: Path) -> str:
    """The id of the builder of this directory of workspaces, whose locks exclude a second run: so its own leftovers, and no other's,
    are surely no upload that runs now.
    """
    path = directory / "builder"
    with locked(directory / "builder.lock", "the name of this builder", wait=True):
        if not path.exists():
            write_json(path, {"id": uuid.uuid4().hex})
    return read_json(path)["id"]
