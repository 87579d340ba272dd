"""What is to be built, and why, and why not yet.  Pure functions over what the repositories, the store and the memory say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from vmimage.fleet.configuration import Configuration
from vmimage.fleet.published import Published, Shelf
from vmimage.fleet.records import Claim, Ending, Result, Wanted
from vmimage.settings.properties import GLANCE_KINDS

#: of which the next attempt waits this long at most, in seconds
_LONGEST_WAIT = 6 * 3600.0


class State(StrEnum):
    """Of an image that is wanted."""

    FINE = "fine"
    MISSING = "missing"
    STALE = "stale"
    BUILDING = "building"
    WAITING = "waiting"  # to be built again, later
    PARKED = "parked"  # not built again until its input changes, or a person says so
    PAUSED = "paused"
    UNKNOWN = "unknown"  # its store cannot be asked


@dataclass(frozen=True)
class Planned:
    """What is to be done about an image.

    :ivar reason: a sentence
    :ivar until: seconds since 1970, of what waits
    :ivar published_at: when the oldest of its published images was uploaded, in seconds since 1970; 0: there is none
    """

    wanted: Wanted
    state: State
    reason: str
    until: float = 0.0
    published_at: float = 0.0

    @property
    def is_due(self) -> bool:
        """Whether it is to be built now."""
        return self.state in (State.MISSING, State.STALE)


def kinds_of(wanted: Wanted) -> list[str]:
    """The outputs of an image that go to Glance."""
    return [kind for kind in GLANCE_KINDS if kind in wanted.settings.get("outputs", ("triplet",))]


def published_at(wanted: Wanted, shelf: Shelf | None) -> float:
    """When the oldest of the published images of a variation was uploaded, in seconds since 1970; 0: there is none."""
    published = shelf.published(wanted.name, kinds_of(wanted)).values() if shelf else ()
    return min((image.at for image in published if image), default=0.0)


def plan_image(
    wanted: Wanted,
    shelf: Shelf | None,
    claim: Claim | None,
    results: Sequence[Result],
    asked: Mapping[str, float],
    configuration: Configuration,
    now: float,
) -> Planned:
    """What is to be done about an image.

    :param shelf: None: its store cannot be asked
    :param claim: its build that is under way
    :param results: of its builds, the newest first
    :param asked: what people have asked for (:meth:`vmimage.fleet.claims.Claims.asked`)
    """
    if claim:
        newer = "" if claim.wanted.digest == wanted.digest else f"; {_short(wanted)} waits for its end"
        return Planned(
            wanted, State.BUILDING, f"build {claim.number} of {_short(claim.wanted)} by {claim.builder}, {claim.phase}{newer}"
        )
    if shelf is None:
        return Planned(wanted, State.UNKNOWN, "its store cannot be asked")
    state, reason = _compare(wanted, shelf, results, configuration, now)
    if state is State.FINE:
        return Planned(wanted, state, reason)
    if "pause" in asked or f"pause.{wanted.name}" in asked:
        return Planned(wanted, State.PAUSED, f"{reason}; paused by a person")
    retried = asked.get(f"retry.{wanted.name}", 0.0)
    if shelf.rolled_back_at(wanted.name, wanted.digest) > retried:
        return Planned(
            wanted, State.PARKED, f"an image of {_short(wanted)} was rolled back: waits for a new commit, or vm_fleet.retry"
        )
    return _after_failures(Planned(wanted, state, reason), results, retried, configuration, now)


def _compare(
    wanted: Wanted, shelf: Shelf, results: Sequence[Result], configuration: Configuration, now: float
) -> tuple[State, str]:
    """Whether what is published is as it should be."""
    published = shelf.published(wanted.name, kinds_of(wanted))
    missing = [kind for kind, image in published.items() if image is None]
    if missing:
        return State.MISSING, f"there is no {' and no '.join(missing)} of {wanted.name} in the store"
    confirmed_at = _confirmed_at(wanted, published, results)
    stale = next((image for image in published.values() if image and image.order != wanted.digest), None)
    if stale and not confirmed_at:
        if not stale.order:
            return State.STALE, f"{stale.name} was not ordered by this fleet"
        return (
            State.STALE,
            f"{stale.name} is of build {stale.number}, and the commit or the settings have changed since; {_short(wanted)} is wanted",
        )
    at = max([confirmed_at, *(image.at for image in published.values() if image)])
    if configuration.max_age and now - at > configuration.max_age:
        return State.STALE, f"{wanted.name} was last made or looked at {_days(now - at)} ago"
    return State.FINE, f"{_short(wanted)} is published"


def _confirmed_at(wanted: Wanted, published: Mapping[str, Published | None], results: Sequence[Result]) -> float:
    """When a builder last said that what is published is made of what is wanted; 0: never."""
    ids = {image.id for image in published.values() if image}
    for result in results:
        if result.ending is Ending.UNCHANGED and result.digest == wanted.digest and ids <= {*result.facts.get("images", ())}:
            return result.at
    return 0.0


def _after_failures(due: Planned, results: Sequence[Result], retried: float, configuration: Configuration, now: float) -> Planned:
    """What is due, or why it is not built at once: earlier builds of the same input have failed."""
    wanted = due.wanted
    own = [result for result in results if result.digest == wanted.digest and result.at > retried]
    if own and own[0].ending is Ending.CANCELLED:
        return Planned(wanted, State.PARKED, f"build {own[0].number} was cancelled: waits for a new commit, or vm_fleet.retry")
    failed = [result for result in own if result.ending is Ending.FAILED]
    if len(failed) >= configuration.attempts:
        why = f"failed {len(failed)} times, last: {failed[0].reason}"
        return Planned(wanted, State.PARKED, f"{why}; waits for a new commit, or vm_fleet.retry")
    lost = _lost_in_a_row(own)
    count = max(len(failed), lost - 1)  # a builder that vanishes is no fault of the build, but again and again it may be
    if count > 0:
        until = own[0].at + min(configuration.retry * 2 ** (count - 1), _LONGEST_WAIT)
        if until > now:
            again = f"again in {until - now:.0f} s; build {own[0].number}: {own[0].reason}"
            return Planned(wanted, State.WAITING, again, until)
    return due


def _lost_in_a_row(results: Sequence[Result]) -> int:
    count = 0
    for result in results:
        if result.ending is not Ending.LOST:
            break
        count += 1
    return count


def in_order(planned: Sequence[Planned], results: Mapping[str, Sequence[Result]]) -> list[Planned]:
    """What is due, in the order in which it is begun: what is missing first, and of these who has waited longest."""

    def rank(due: Planned) -> tuple[bool, float, str]:
        last = results.get(due.wanted.name) or ()
        return due.state is not State.MISSING, last[0].at if last else 0.0, due.wanted.name

    return sorted((one for one in planned if one.is_due), key=rank)


def _short(wanted: Wanted) -> str:
    return f"{wanted.repository} {wanted.revision[:12]}"


def _days(seconds: float) -> str:
    return (
        f"{seconds / 86400:.1f} days"
        if seconds >= 86400
        else f"{seconds / 3600:.1f} hours"
        if seconds >= 3600
        else f"{seconds:.0f} s"
    )
