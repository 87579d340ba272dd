"""What the fleet knows of its builds: what is wanted, who builds it, what became of it.

Plain data: each is kept as JSON in Salt's cache, and shown as it is by ``vm_fleet.status`` and ``vm_fleet.history``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


@dataclass(frozen=True)
class Wanted:
    """An image that the configuration asks for, at the revision that its repository has now.

    :ivar name: of the image in the store: ``web-amd64``; the fleet knows a variation by it alone, and compares it whole
    :ivar variation: its name for ``vm_create.create_variation``: ``web``
    :ivar repository: its name in ``ami_fleet``
    :ivar revision: the full id of the commit
    :ivar settings: of ``vm_create.create_variation``, the revision among them
    :ivar builders: the kind of builder: ``minions``, or a name below ``instances`` of ``ami_fleet``
    :ivar digest: of all of it that shapes the image: an image with another digest is stale
    """

    name: str
    variation: str
    repository: str
    revision: str
    settings: Mapping[str, Any]
    builders: str
    digest: str


class Phase(StrEnum):
    """How far a build has come; each is written before its work begins."""

    CLAIMED = "claimed"  # no builder has heard of it
    SENT = "sent"  # a builder has been asked
    PROMOTING = "promoting"  # it lies in the store, and takes its name


class Ending(StrEnum):
    """What became of a build. Only ``FAILED`` counts against its input."""

    PUBLISHED = "published"
    UNCHANGED = "unchanged"  # what is published is made of the same
    FAILED = "failed"
    LOST = "lost"  # its builder vanished
    SUPERSEDED = "superseded"  # a newer commit, or a newer build is published
    CANCELLED = "cancelled"


@dataclass(frozen=True)
class Claim:
    """A build that is under way, written before any builder is asked.

    :ivar number: grows with each claim of the whole fleet; an image carries it as ``vm_create_number``, and no image takes a name from
        one with a greater number
    :ivar wanted: what is built
    :ivar builder: a minion's id, or the name of an instance: ``web-amd64-17``
    :ivar job: Salt's job id, or the id of the server; empty until it is known
    :ivar since: seconds since 1970
    :ivar deadline: seconds since 1970, when it counts as lost if its builder has not been seen
    """

    number: int
    wanted: Wanted
    builder: str
    since: float
    deadline: float
    phase: Phase = Phase.CLAIMED
    job: str = ""


@dataclass(frozen=True)
class Result:
    """How a build ended; written once.

    :ivar reason: a sentence; of a failure the first cause
    :ivar seconds: from the claim to the end
    :ivar at: seconds since 1970
    :ivar facts: of ``vm_create.create_variation``: ids of the images, steps with seconds
    """

    number: int
    name: str
    digest: str
    revision: str
    builder: str
    ending: Ending
    reason: str
    seconds: float
    at: float
    facts: Mapping[str, Any] = field(default_factory=dict)


class Seen(StrEnum):
    """What a look at a builder says of a build."""

    RUNNING = "running"
    ENDED = "ended"
    GONE = "gone"  # the builder answers, and does not know the build
    SILENT = "silent"  # the builder does not answer


@dataclass(frozen=True)
class Sight:
    """A build as its builder shows it.

    :ivar step: of the build, with its place: ``variation``; empty where it is not known
    :ivar percent: of the step, where it is known
    :ivar result: what ``vm_create.create_variation`` has returned, of an ended build
    :ivar error: why it failed, of an ended build; empty: it did not
    :ivar is_lost: the builder is to blame for the error, and not what was built
    """

    seen: Seen
    step: str = ""
    percent: int | None = None
    result: Mapping[str, Any] | None = None
    error: str = ""
    is_lost: bool = False
