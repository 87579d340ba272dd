"""A disk becomes a snapshot: started, its blocks written, sealed.  A run that was killed is continued where it was.

What was written is noted in a file of this machine, for EBS lists the blocks of completed snapshots only.  A block that is written
twice does no harm; if the note is lost or wrong, the snapshot is deleted and begun again.
"""

import json
import os
import uuid
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from vmimage.ec2.blocks import BLOCK_BYTES, Digests, Disk, aggregated, changed_blocks
from vmimage.ec2.client import Cloud, RequestInvalid
from vmimage.errors import ImageGone, NotPublished, StoreConflict
from vmimage.glance.generations import MARK
from vmimage.system.aliases import Moved

_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1.0, 15.0
_SEALED_WITHIN_SECONDS = 3600
_SETTLED_WITHIN_SECONDS = 60  # what a killed run has sealed is completed by then
COMPLETED, PENDING, ERROR = "completed", "pending", "error"


@dataclass(frozen=True)
class Sending:
    """A snapshot on its way, as its note has it.

    :ivar sha256: of the disk
    :ivar parent: the snapshot that it is written over, or an empty string
    :ivar gib: its size
    :ivar token: by which a second request to start it finds the first
    :ivar snapshot: its id, once that is known
    """

    sha256: str
    parent: str
    gib: int
    token: str
    snapshot: str = ""


class Note:
    """What a run has sent so far: the first line says of what, each other line is the index of a block that EBS has."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> tuple[Sending | None, set[int]]:
        """The snapshot on its way and its blocks; None where there is none, or the note is no more whole."""
        try:
            head, *lines = self.path.read_text(encoding="utf-8").split("\n")
            return Sending(**json.loads(head)), set(map(int, lines[:-1]))  # what follows the last newline is cut short
        except (OSError, ValueError, TypeError):
            return None, set()

    def begin(self, sending: Sending) -> None:
        """Note what is on its way, and no block as yet."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_name(f"{self.path.name}.partial")
        partial.write_text(f"{json.dumps(asdict(sending))}\n", encoding="utf-8")
        os.replace(partial, self.path)

    def forget(self) -> None:
        """Nothing is on its way."""
        self.path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Sent:
    """What came of it.

    :ivar blocks: how many blocks this run has sent
    :ivar parent: the snapshot that it was written over, or an empty string
    """

    snapshot: str
    blocks: int
    parent: str

    @property
    def bytes(self) -> int:
        """What this run has sent."""
        return self.blocks * BLOCK_BYTES


class Sender:
    """Makes a snapshot of a disk.

    :param tags: of the snapshot
    :param parent: the snapshot to write over, or an empty string
    :param held: what the parent holds
    :param gib: the size of the snapshot
    """

    def __init__(
        self,
        cloud: Cloud,
        disk: Disk,
        note: Note,
        *,
        digests: Digests,
        tags: Mapping[str, str],
        description: str,
        gib: int,
        parent: str = "",
        held: Digests | None = None,
    ) -> None:
        self.cloud, self.disk, self.note, self.tags, self.description = cloud, disk, note, tags, description
        self.changed = changed_blocks(digests, held or {})
        self.wanted = Sending(disk.sha256, parent, gib, uuid.uuid4().hex)

    def send(self, moved: Moved) -> Sent:
        """Send what the parent does not hold, and wait until the snapshot is completed.

        :raises NotPublished, StoreRefused, StoreUnreachable: then the next run goes on with it
        """
        begun, there = self.note.read()
        if begun is not None and self._continues(begun):
            self.wanted = begun
            if begun.snapshot:
                try:
                    return self._fill(there, moved)
                except (RequestInvalid, ImageGone) as error:
                    if self._is_sealed_already():
                        return self._sent(0)
                    self.cloud.say(f"{begun.snapshot} is begun again: {error.message}")
                    self.cloud.delete_snapshot(begun.snapshot)
                    self.wanted = replace(begun, token=uuid.uuid4().hex, snapshot="")
        self._start()
        return self._fill(set(), moved)

    def _continues(self, begun: Sending) -> bool:
        return replace(begun, token="", snapshot="") == replace(self.wanted, token="", snapshot="")

    def _start(self) -> None:
        """Start the snapshot; the note has its token first, so that a run that is killed now leaves none that is not found."""
        self.note.begin(self.wanted)
        try:
            snapshot = self._started()
        except StoreConflict:  # the tags of the first request were others
            self.wanted = replace(self.wanted, token=uuid.uuid4().hex)
            self.note.begin(self.wanted)
            snapshot = self._started()
        self.wanted = replace(self.wanted, snapshot=snapshot)
        self.note.begin(self.wanted)
        self.cloud.tag(snapshot, {f"{MARK}self": snapshot})

    def _started(self) -> str:
        wanted = self.wanted
        return self.cloud.start_snapshot(
            wanted.gib, parent=wanted.parent, token=wanted.token, tags=self.tags, description=self.description
        )

    def _fill(self, there: set[int], moved: Moved) -> Sent:
        missing = {index: digest for index, digest in self.changed.items() if index not in there}
        with self.note.path.open("a", encoding="utf-8", buffering=1) as note:
            self._put(missing, lambda index: note.write(f"{index}\n"), moved)
        self.cloud.complete_snapshot(self.wanted.snapshot, len(self.changed), aggregated(self.changed))
        if not self._wait(_SEALED_WITHIN_SECONDS):
            raise NotPublished(
                f"{self.wanted.snapshot} is not completed within {_SEALED_WITHIN_SECONDS} s",
                hint="run it again: it goes on there",
            )
        return self._sent(len(missing))

    def _put(self, missing: Digests, put: Callable[[int], object], moved: Moved) -> None:
        """Write blocks, some at a time: no more than those are in memory.

        :param put: is called with each block that EBS has
        """
        done, total = 0, len(missing) * BLOCK_BYTES
        running: dict[Future[None], int] = {}
        left = iter(missing.items())
        pool = ThreadPoolExecutor(self.cloud.settings.parallel, "block")
        try:
            while True:
                while len(running) < self.cloud.settings.parallel and (entry := next(left, None)):
                    running[pool.submit(self._put_block, *entry)] = entry[0]
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    future.result()
                    put(running.pop(future))
                    done += BLOCK_BYTES
                    moved(done, total)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _put_block(self, index: int, digest: bytes) -> None:
        self.cloud.put_block(self.wanted.snapshot, index, self.disk.read(index, digest), digest)

    def _is_sealed_already(self) -> bool:
        """Whether a run that was killed has sealed the snapshot: then it takes no block and no seal."""
        try:
            return self.cloud.find_snapshot(self.wanted.snapshot) is not None and self._wait(_SETTLED_WITHIN_SECONDS)
        except NotPublished:
            return False

    def _wait(self, seconds: float) -> bool:
        """Whether the snapshot is completed in time.

        :raises NotPublished: if EBS has given it up, or it is gone
        """
        pause = _PAUSE_SECONDS
        while True:
            found = self.cloud.find_snapshot(self.wanted.snapshot)
            state = found["State"] if found else PENDING  # too new to be seen
            if state == COMPLETED:
                return True
            if state != PENDING:
                reason = (found or {}).get("StateMessage") or "no reason given"
                raise NotPublished(
                    f"EBS gave up {self.wanted.snapshot} ({state}): {reason}", hint="run it again: it is sent again"
                )
            if seconds <= 0:
                return False
            self.cloud.say(f"{self.wanted.snapshot} is {state}, {(found or {}).get('Progress') or '0%'}")
            self.cloud.sleep(pause)
            seconds, pause = seconds - pause, min(pause * 1.5, _LONGEST_PAUSE_SECONDS)

    def _sent(self, blocks: int) -> Sent:
        return Sent(self.wanted.snapshot, blocks, self.wanted.parent)
