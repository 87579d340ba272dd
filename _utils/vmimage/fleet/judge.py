"""What has become of a build that is under way: by the store first, then by what its builder shows, then by silence.  Pure functions."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from vmimage.fleet.published import Shelf
from vmimage.fleet.records import Claim, Ending, Phase, Seen, Sight, Wanted

#: how long a builder that answers may not know a build: its job is on its way to it, or its answer on the way to us
_GRACE_SECONDS = 20.0
#: what the machinery says of a build that somebody ended from outside
_STOPPED = "stopped by SIG"


class Act(StrEnum):
    """What is to be done."""

    WAIT = "wait"
    START = "start"  # it was claimed, and nobody knows whether its builder has heard of it
    PROMOTE = "promote"
    END = "end"


@dataclass(frozen=True)
class Verdict:
    """What is to be done about a build.

    :ivar reason: a sentence, of an end
    :ivar is_seen: its builder works on it: it is not lost for another lease
    :ivar is_ended: nothing more will come of its builder
    :ivar kinds: of the outputs that can have their names
    """

    act: Act
    ending: Ending | None = None
    reason: str = ""
    is_seen: bool = False
    is_ended: bool = True
    kinds: tuple[str, ...] = ()


def judge(
    claim: Claim,
    sight: Sight,
    shelf: Shelf | None,
    wanted: Wanted | None,
    *,
    is_known: bool,
    asked: Mapping[str, float],
    supersede: str,
    lease: float,
    deadline: float,
    now: float,
) -> Verdict:
    """What has become of a build.

    :param sight: taken before the shelf: what a builder that has ended has uploaded is on it
    :param shelf: None: the store cannot be asked
    :param wanted: what is wanted of this name now, or None
    :param is_known: whether its repository has said what it wants
    :param lease: seconds without a sight of its builder until it is lost
    :param deadline: seconds that it may take; 0: as its builder says
    """
    if f"cancel.{claim.number}" in asked:
        return Verdict(Act.END, Ending.CANCELLED, "cancelled by a person")
    if shelf is None:  # what has come of it lies there
        return Verdict(Act.WAIT, is_seen=True)
    if shelf.newest(claim.wanted.name) > claim.number:
        return Verdict(Act.END, Ending.SUPERSEDED, f"build {shelf.newest(claim.wanted.name)} is published")
    if waiting := shelf.waiting(claim.wanted.name, claim.number, claim.wanted.digest):
        is_ended = sight.seen is not Seen.RUNNING or claim.phase is Phase.PROMOTING and now > claim.deadline
        return Verdict(Act.PROMOTE, is_ended=is_ended, kinds=(*waiting.mains, *waiting.same))
    if sight.seen is Seen.ENDED:
        return _judge_ended(claim, sight, shelf)
    if is_known and wanted is None:
        return Verdict(Act.END, Ending.SUPERSEDED, "it is wanted no longer")
    if wanted and wanted.digest != claim.wanted.digest and (supersede == "stop" or claim.phase is Phase.CLAIMED):
        return Verdict(Act.END, Ending.SUPERSEDED, f"{wanted.revision[:12]} is wanted now")
    if sight.seen is Seen.RUNNING:
        if deadline and now - claim.since > deadline:
            return Verdict(Act.END, Ending.FAILED, f"it did not end within {deadline:.0f} s, and was stopped")
        return Verdict(Act.WAIT, is_seen=True)
    if sight.seen is Seen.GONE and claim.phase is Phase.CLAIMED:
        return Verdict(Act.START)
    seen_at = claim.deadline - lease
    if sight.seen is Seen.GONE and now > seen_at + min(lease, _GRACE_SECONDS):
        return Verdict(Act.END, Ending.LOST, f"{claim.builder} answers, and does not know the build")
    if now > claim.deadline:
        return Verdict(Act.END, Ending.LOST, f"{claim.builder} has not been seen for {now - seen_at:.0f} s")
    return Verdict(Act.WAIT)


def _judge_ended(claim: Claim, sight: Sight, shelf: Shelf) -> Verdict:
    """A build that has ended, and has nothing in the store that waits for its name."""
    if sight.error or sight.result is None:
        error = sight.error or "it returned nothing"
        if sight.is_lost:
            return Verdict(Act.END, Ending.LOST, _first_line(error))
        if _STOPPED in error:
            return Verdict(Act.END, Ending.LOST, f"somebody stopped it: {_first_line(error)}")
        return Verdict(Act.END, Ending.FAILED, _first_line(error))
    done = sight.result.get("published") or {}
    ids = {output["image"] for output in (done.get("outputs") or {}).values()}
    there = shelf.published(claim.wanted.name, list(done.get("outputs") or ()))
    if done.get("changed") is False and ids and ids == {image.id for image in there.values() if image}:
        return Verdict(Act.END, Ending.UNCHANGED, "what is published is made of the same")
    return Verdict(Act.END, Ending.FAILED, "it ended well, and its images are not in the store")


def _first_line(error: str) -> str:
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    return (lines[0] if lines else error)[:500]
