"""One triplet on its way into the store, alone: who else publishes this name from this machine waits for another day."""

import os
import uuid
from contextlib import contextmanager
from pathlib import Path

from vmimage.glance.description import image_name
from vmimage.system.lock import locked
from vmimage.system.namespace import stoppable
from vmimage.system.whole_files import read_json, write_json


class Publication:
    """One triplet on its way into the store.

    :param Build build:
    :param Store store:
    """

    def __init__(self, build, store):
        self.build, self.store = build, store
        self.settings, self.triplet, self.progress = build.settings, build.triplet, build.progress
        self.name = image_name(build.settings)
        self.lock = _lock_directory(build.settings) / f"{self.name}.{store.project_id}.lock"
        self.builder = _builder(Path(build.settings.workspace))

    @contextmanager
    def alone(self):
        """Nobody else publishes this name from here, and the triplet stays as it is meanwhile; Ctrl-C and SIGTERM are errors."""
        with stoppable(), self.build.workspace.locked(), locked(self.lock, f"the image {self.name}", doing="published"):
            yield self


def _lock_directory(settings):
    """One for the machine, so that two workspaces do not publish one name at a time."""
    return Path("/run/vm_create/publish") if os.geteuid() == 0 else Path(settings.workspace)


def _builder(directory):
    """Who works in this directory of workspaces, whose locks keep two of us apart: only its own leftovers are surely nobody's upload
    of now."""
    path = directory / "builder"
    with locked(directory / "builder.lock", "the name of this builder", wait=True):
        if not path.exists():
            write_json(path, {"id": uuid.uuid4().hex})
    return read_json(path)["id"]
