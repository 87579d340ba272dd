"""A build: its settings, where it works, the Salt that helps, and what it has found out."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from vmimage.base.locate import Located, locate_base
from vmimage.base.prepare import SharedReading
from vmimage.build.record import BuildRecord, RecordFile, Timing
from vmimage.errors import RootNotOpen, VmImageError, printable
from vmimage.image.triplet import Triplet
from vmimage.root.overlay import close_root, is_open
from vmimage.root.workspace import Workspace
from vmimage.settings.schema import Settings
from vmimage.system.network import HOST, kind_of_network
from vmimage.system.progress import Progress
from vmimage.variation.apply import VariationHost

if TYPE_CHECKING:
    from vmimage.glance.client import Store
    from vmimage.glance.credentials import Credentials

_running: ContextVar["Build | None"] = ContextVar("the build that create_variation runs", default=None)


class BuildHost(VariationHost, Protocol):
    """What a build needs of the builder's Salt (:mod:`vmimage.host`)."""

    def build(self, arguments: dict[str, Any]) -> "Build":
        """Another build with these settings as arguments."""

    def credentials(self, settings: Settings, *, wanted: bool | str) -> "Credentials | None":
        """The OpenStack credentials, where they are wanted."""

    def cache_file(self, url: str) -> str:
        """The local copy of a ``salt://`` file, or an empty string."""

    def apply_sls(self, sls: str) -> Any:
        """What ``state.sls`` returns for an SLS of the builder."""

    def make_directories(self) -> None:
        """Make the directories of Salt's cache."""

    @property
    def versions(self) -> dict[str, str]:
        """The versions of the programs that make a build."""


class Build:
    """A build.

    :param arguments: the settings of the call itself, which outweigh all others

    :ivar is_whole: all steps are done in a single call, which can begin again by itself
    :ivar changed: why it is built although there is a triplet, in words, where that was asked (``ami.skip_unchanged``)
    :ivar beside: work that goes on beside the steps, by its name; a step that needs the result takes it from here
    :ivar shared_readings: of the bases of all builds that are made by one call
    """

    def __init__(self, settings: Settings, host: BuildHost, progress: Progress, arguments: dict[str, Any] | None = None) -> None:
        self.settings, self.host, self.progress = settings, host, progress
        self.arguments = arguments or {}
        self.workspace = Workspace(settings.workspace, settings.name)
        self.triplet = Triplet(settings.output, settings.name)
        self.root = settings.root_path
        self.is_whole = False
        self.changed = ""
        self.beside: dict[str, Any] = {}
        self.shared_readings: list[SharedReading] = []
        self._record = RecordFile(self.workspace)

    @property
    def record(self) -> BuildRecord:
        """What the steps have found out so far."""
        return self._record.read()

    def note(self, **facts: Any) -> None:
        """Add to the record, or with None take back what no longer holds."""
        self._record.write(replace(self.record, **facts))

    def note_change_of_root(self) -> None:
        """What was made of the root no longer holds."""
        record = self.record
        if (changed := record.of_changed_root()) != record:
            self._record.write(changed)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let the states of pre and post, which Salt calls, find this build (:func:`running_build`)."""
        token = _running.set(self)
        self.is_whole = True
        try:
            yield
        finally:
            self.is_whole = False
            _running.reset(token)

    def with_arguments(self, arguments: dict[str, Any]) -> "Build":
        """This build for a state that sets something itself; it has the same workspace, lock and record."""
        if not arguments:
            return self
        build = self.host.build(arguments)
        build.workspace, build.is_whole, build.beside, build._record = self.workspace, self.is_whole, self.beside, self._record
        build.shared_readings = self.shared_readings
        return build

    def locate_base(self) -> Located:
        """Fetch and verify the base, from wherever it is."""
        reading = self.beside.pop("file of the base", None)
        return locate_base(self.settings, self.progress, self.host.cache_file, self._fetch_image, reading)

    def _fetch_image(self, reference: str, directory: Path) -> tuple[Path, tuple[str, str]]:
        from vmimage.base.from_store import fetch_image

        credentials = self.host.credentials(self.settings, wanted=True)
        assert credentials is not None  # those that are wanted are there, or refused
        return fetch_image(self.open_store(credentials), reference, directory, self.progress.moved)

    def network(self) -> str:
        """Which network the root gets (:mod:`vmimage.system.network`)."""
        kind = kind_of_network(self.settings.network)
        if kind == HOST and not self.settings.network:
            self.progress.note(
                "the root shares the network of this machine: install slirp4netns for one of its own (ami.network)"
            )
        return kind

    def open_store(self, credentials: "Credentials") -> "Store":
        """The store, with these credentials."""
        from vmimage.glance.client import Store

        return Store(credentials, tries=self.settings.tries, say=self.progress.note)

    @contextmanager
    def step(self, name: str) -> Iterator[Callable[[str], None]]:
        """A step: shown as it goes, timed, and what its programs print kept in build.log."""
        self.workspace.make()
        began, started, failed = time.time(), time.monotonic(), True
        try:
            with (
                open(self.workspace.log, "a", encoding="utf-8", errors="backslashreplace") as log,
                self.progress.step(name, goes_on=self._is_last(name)),
            ):

                def say(line: str) -> None:
                    log.write(f"{printable(line)}\n")
                    log.flush()
                    self.progress.say(line)

                try:
                    yield say
                except VmImageError as error:
                    log.write(f"{name} failed: {printable(error.message).partition(chr(10))[0]}\n")
                    raise
                failed = False
        finally:
            timings = self.record.timings
            if self._is_last(name):
                began, started, timings = timings[-1].started, started - timings[-1].seconds, timings[:-1]
            timing = Timing(name, round(time.monotonic() - started, 3), round(began, 3), failed)
            self.note(timings=(*timings, timing))

    def _is_last(self, step: str) -> bool:
        """Whether the last step that was done is this: what is done now is another part of it."""
        timings = self.record.timings
        return bool(timings) and timings[-1].step == step and not timings[-1].failed

    def is_open(self) -> bool:
        """Whether the root is mounted."""
        return is_open(self.record.opened)

    def close_root(self) -> None:
        """Unmount the root, and the base, should the root alone have been unmounted."""
        close_root(self.workspace, self.record.opened)
        self.remove_mount_point()

    def remove_mount_point(self) -> None:
        """Remove the empty directory where the root was mounted, unless it is the user's."""
        if not self.settings.root:  # a directory of ours, below /mnt
            with suppress(OSError):
                self.root.rmdir()

    def needs_open(self) -> None:
        """Refuse a step that works in the root where none is open."""
        if not self.is_open():
            raise RootNotOpen(
                f"the root of {self.settings.name} is not open", hint=f"open it: salt-call state.sls {self.settings.pre}"
            )


def running_build() -> Build | None:
    """The build that create_variation runs in this process, or None."""
    return _running.get()
