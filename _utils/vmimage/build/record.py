"""What a build has found out: a typed record in its workspace.

Each step goes on from the record and not from memory, so that each can be called by itself, days apart, from an SLS or from the
command line.
"""

import json
import os
import time
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from vmimage.base.prepare import Base
from vmimage.errors import RootNotOpen
from vmimage.image.loader import Loader
from vmimage.root.overlay import Opened, is_open
from vmimage.root.workspace import Workspace, all_workspaces
from vmimage.system.whole_files import write_whole

Part = TypeVar("Part")


@dataclass(frozen=True)
class Begun:
    """The beginning of a build.

    :ivar build: its id
    :ivar architecture: as ``uname -m`` says it
    :ivar settings: those that are set, without passwords in addresses
    :ivar changed: why it is built although there is a triplet, where ``ami.skip_unchanged`` asks
    :ivar at: seconds since 1970
    """

    name: str
    build: str
    architecture: str
    settings: dict
    changed: str = ""
    at: float = field(default_factory=time.time)


@dataclass(frozen=True)
class Attempt:
    """What a build does without, because an earlier attempt of the same build failed with it.

    :ivar on_disk: keep the changes on the disk, not in memory
    :ivar clean: start from the base, not from the last root image
    :ivar again: it started from something damaged, which was set aside
    """

    on_disk: bool = False
    clean: bool = False
    again: bool = False


FIRST_ATTEMPT = Attempt()


@dataclass(frozen=True)
class Basis:
    """The last root image, where an incremental build starts from it.

    :ivar digest: of the image, ``ALGORITHM:HEX``
    :ivar states: those that made it (:func:`vmimage.variation.in_root.state_diff.note_states`)
    :ivar offered: what apt's archives offered then
    :ivar of: id of the clean build that the first generation started from
    """

    image: str
    digest: str
    label: str
    uuid: str
    states: list
    offered: dict | None
    of: str
    generation: int


@dataclass(frozen=True)
class Updated:
    """An update of the root's packages.

    :ivar changes: packages ``added``, ``removed`` and ``changed``
    :ivar offered: what apt's archives offered
    :ivar state: of apt's settings (:func:`vmimage.apt.wrapper.state_of_update`)
    :ivar at: seconds since 1970
    """

    changes: dict
    offered: dict | None
    state: str
    at: float


@dataclass(frozen=True)
class Varied:
    """A variation that was applied.

    :ivar revision: of its repository, or empty
    :ivar results: of its states (:func:`vmimage.variation.outcome.check_results`)
    :ivar states: what an incremental build compares (:func:`vmimage.variation.in_root.state_diff.note_states`), or None
    """

    reference: str
    digest: str
    id: str
    revision: str
    results: list
    states: list | None


@dataclass(frozen=True)
class Sealed:
    """Paths that were removed, emptied, left to the variation, or written, all sealing of this build together."""

    removed: list
    truncated: list
    kept: list
    written: list


@dataclass(frozen=True)
class Packed:
    """The root image before it is shrunk.

    :ivar content_bytes: what its files take
    :ivar keys: paths of private keys that every instance will have
    :ivar packages: ``{name: version}``
    :ivar distribution: grains of the root
    :ivar machine: what a machine of it starts, and its users (:func:`vmimage.image.machine.describe_machine`)
    :ivar login: the user of the first login (:func:`vmimage.root.login.default_user`)
    """

    label: str
    content_bytes: int
    inodes: int
    keys: list
    packages: dict
    distribution: dict
    machine: dict = field(default_factory=dict)
    login: str = ""


@dataclass(frozen=True)
class Shrunk:
    """The size and the file system's UUID of the finished root image."""

    bytes: int
    uuid: str


@dataclass(frozen=True)
class Timing:
    """A step that has ended; ``started`` is in seconds since 1970."""

    step: str
    seconds: float
    started: float
    failed: bool = False

    def as_dict(self) -> dict:
        """As the manifest has it: ``failed`` only where it is true."""
        return {key: value for key, value in asdict(self).items() if key != "failed" or value}


@dataclass(frozen=True)
class BuildRecord:
    """All that is known of a build so far; None where a step was not done, or no longer holds.

    :ivar shaping: digests of what shapes the image beside base and states, as the build began
    :ivar kernel: version of the kernel whose files were copied out of the root
    :ivar loader: what boots its disk, where a disk is asked for
    :ivar memory_full: the memory for the changes did not do
    :ivar damaged: what the build started from and is damaged, in words
    """

    begun: Begun | None = None
    attempt: Attempt = FIRST_ATTEMPT
    shaping: dict = field(default_factory=dict)
    base: Base | None = None
    basis: Basis | None = None
    opened: Opened | None = None
    updated: Updated | None = None
    varied: Varied | None = None
    sealed: Sealed | None = None
    kernel: str = ""
    loader: Loader | None = None
    packed: Packed | None = None
    shrunk: Shrunk | None = None
    timings: tuple[Timing, ...] = ()
    memory_full: bool = False
    damaged: str = ""

    @property
    def origin(self) -> Base | Basis | None:
        """What the root is opened over: the last root image, or the base."""
        return self.basis or self.base

    @property
    def written(self) -> list:
        """The states of the variation, as far as they are known to the seal."""
        return (self.varied and self.varied.states) or []

    def of_changed_root(self) -> "BuildRecord":
        """This record after something was changed in the root: what was made of the root no longer holds."""
        return replace(self, kernel="", loader=None, packed=None, shrunk=None)


def made(part: Part | None) -> Part:
    """A part of the record that an earlier step has made for sure."""
    assert part is not None
    return part


class RecordFile:
    """The record of a workspace, read again when another process has written it.

    :param workspace: it lies in there as ``record.json``
    """

    def __init__(self, workspace: Workspace) -> None:
        self._workspace, self._path = workspace, workspace.path / "record.json"
        self._known: tuple[Any, BuildRecord] = (None, BuildRecord())

    def read(self) -> BuildRecord:
        """The record; empty where there is none, or half a record, of before a crash of the machine."""
        try:
            identity = _identity(self._path)
            if identity != self._known[0]:
                self._known = identity, _typed(BuildRecord, json.loads(self._path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return BuildRecord()
        except (ValueError, TypeError, KeyError):
            return BuildRecord()
        return self._known[1]

    def write(self, record: BuildRecord) -> None:
        """Replace the record; a crash of the machine may take it: the mounts of a build do not outlast that either."""
        self._workspace.make()
        write_whole(self._path, json.dumps(_plain(record)), lasts=False)  # unindented, which Python's C code does: written often
        self._known = _identity(self._path), record


def _identity(path: Path) -> tuple:
    facts = os.stat(path)
    return facts.st_ino, facts.st_size, facts.st_mtime_ns


def _typed(kind: Any, data: Any) -> Any:
    """A value of plain data: dataclasses, and tuples of them, by the hints of their fields."""
    arms = [arm for arm in get_args(kind) if arm is not type(None)]
    if data is None:
        return None
    if is_dataclass(kind):
        construct: Any = kind
        hints = get_type_hints(kind)
        return construct(**{part.name: _typed(hints[part.name], data[part.name]) for part in fields(kind) if part.name in data})
    if isinstance(data, list) and arms and is_dataclass(arms[0]):
        return tuple(_typed(arms[0], entry) for entry in data)
    return _typed(arms[0], data) if arms and is_dataclass(arms[0]) else data


def _plain(value: Any) -> Any:
    """Plain data of dataclasses; other values are not copied, some hold an entry for each directory of an image."""
    if is_dataclass(value):
        return {part.name: _plain(getattr(value, part.name)) for part in fields(value)}
    return [_plain(entry) for entry in value] if isinstance(value, tuple) else value


def read_record(workspace: Workspace) -> BuildRecord:
    """The record of a workspace, for inspection without working in it."""
    return RecordFile(workspace).read()


def owner_of(root: str, directory: str) -> Workspace:
    """The workspace whose root is mounted at a path.

    :param directory: of all workspaces
    :raises RootNotOpen: if the path is none of ours
    """
    wanted = os.path.realpath(root)
    for workspace in all_workspaces(directory):
        opened = read_record(workspace).opened
        if opened and os.path.realpath(opened.root) == wanted and is_open(opened):
            return workspace
    raise RootNotOpen(f"no root is open at {root}", hint="open one with: salt-call state.sls ami_creator_pre")
