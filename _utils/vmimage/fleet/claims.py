"""What the fleet remembers, in Salt's cache: claims of builds, their results and logs, and what people have asked for.

    vm_fleet/NAME/state         number: the last that was given out
    vm_fleet/NAME/claims        NUMBER: a build that is under way
    vm_fleet/NAME/results       NUMBER: how a build ended; written once
    vm_fleet/NAME/logs          NUMBER: what a build printed
    vm_fleet/NAME/asked         pause, pause.IMAGE, retry.IMAGE, cancel.NUMBER: what a person wants, and since when
    vm_fleet/NAME/repositories  NAME: what the files of its last revision say

The reconciler alone writes, under its lock; people write below ``asked``, each a key of its own.  All of it may be lost: what is published is
known from the store, the numbers go on from those in it, and what was under way is built again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, Protocol

from vmimage.fleet.records import Claim, Ending, Phase, Result, Wanted


class Cache(Protocol):
    """Salt's cache (:mod:`salt.cache`)."""

    def store(self, bank: str, key: str, data: Any) -> Any:
        """Write an entry, whole or not at all."""

    def fetch(self, bank: str, key: str) -> Any:
        """An entry; something empty where there is none."""

    def list(self, bank: str) -> list[str]:
        """The keys of a bank."""

    def flush(self, bank: str, key: str) -> Any:
        """Remove an entry."""


class Claims:
    """The memory of a fleet.

    :param name: of the fleet
    """

    def __init__(self, cache: Cache, name: str) -> None:
        self._cache, self._name = cache, name

    def _bank(self, part: str) -> str:
        return f"vm_fleet/{self._name}/{part}"

    def _numbers(self, part: str) -> list[int]:
        return sorted(int(key) for key in self._cache.list(self._bank(part)) or () if key.isdecimal())

    # claims

    def next_number(self, at_least: int = 0) -> int:
        """A number that no build has had.

        :param at_least: the greatest number in the store: the memory may be lost, and images stay
        """
        last = int((self._cache.fetch(self._bank("state"), "number") or {}).get("number", 0))
        known = [last, at_least, *self._numbers("claims"), *self._numbers("results")]
        number = max(known) + 1
        self._cache.store(self._bank("state"), "number", {"number": number})
        return number

    def write(self, claim: Claim) -> None:
        """Write a claim, or how far it has come."""
        self._cache.store(self._bank("claims"), str(claim.number), asdict(claim))

    def open(self) -> list[Claim]:
        """Builds that are under way, the oldest first."""
        found = (self._cache.fetch(self._bank("claims"), str(number)) for number in self._numbers("claims"))
        return [_claim(data) for data in found if data]

    def end(self, result: Result) -> Result:
        """Write how a build ended, then forget its claim; a result that is there stays.

        :returns: the result that holds
        """
        before = self.result(result.number)
        if before is None:
            self._cache.store(self._bank("results"), str(result.number), asdict(result))
            self._count(result)
        self.forget(result.number)
        return before or result

    def _count(self, result: Result) -> None:
        totals = self.totals()
        total = totals.setdefault(result.ending.value, {"builds": 0, "seconds": 0.0})
        total["builds"] += 1
        total["seconds"] += result.seconds
        self._cache.store(self._bank("state"), "totals", totals)

    def totals(self) -> dict[str, dict[str, float]]:
        """``{ending: {"builds": how many, "seconds": of all of them}}`` since the fleet began; results that are no longer kept count, too."""
        return dict(self._cache.fetch(self._bank("state"), "totals") or {})

    def forget(self, number: int) -> None:
        """Remove the claim of a build that has a result."""
        if str(number) in (self._cache.list(self._bank("claims")) or ()):
            self._cache.flush(self._bank("claims"), str(number))

    # results

    def result(self, number: int) -> Result | None:
        """How a build ended, or None."""
        data = self._cache.fetch(self._bank("results"), str(number))
        return _result(data) if data else None

    def results(self) -> list[Result]:
        """All that are kept, the newest first."""
        found = (self.result(number) for number in reversed(self._numbers("results")))
        return [result for result in found if result]

    def prune(self, results: Sequence[Result], keep: int) -> None:
        """Forget results of an image, and their logs.

        :param results: of the image, the newest first
        :param keep: how many stay
        """
        for result in results[keep:]:
            for part in ("logs", "results"):
                if str(result.number) in (self._cache.list(self._bank(part)) or ()):
                    self._cache.flush(self._bank(part), str(result.number))

    def write_log(self, number: int, text: str) -> None:
        """Keep what a build printed; what is kept already stays."""
        if text and not self.log(number):
            self._cache.store(self._bank("logs"), str(number), {"text": text})

    def log(self, number: int) -> str:
        """What a build printed; empty where that is not known."""
        return str((self._cache.fetch(self._bank("logs"), str(number)) or {}).get("text", ""))

    # what people ask for

    def ask(self, what: str, at: float) -> None:
        """Note what a person wants: ``pause``, ``pause.IMAGE``, ``retry.IMAGE`` or ``cancel.NUMBER``."""
        self._cache.store(self._bank("asked"), what, {"at": at})

    def asked(self) -> dict[str, float]:
        """``{what: since when}``"""
        keys = self._cache.list(self._bank("asked")) or ()
        found = {key: self._cache.fetch(self._bank("asked"), key) for key in keys}
        return {key: float(data["at"]) for key, data in found.items() if data}

    def take_back(self, what: str) -> bool:
        """Forget what a person wanted; returns whether there was anything."""
        was_there = what in (self._cache.list(self._bank("asked")) or ())
        if was_there:
            self._cache.flush(self._bank("asked"), what)
        return was_there

    # repositories

    def repository(self, name: str) -> dict[str, Any]:
        """What was noted of a repository; empty where nothing was."""
        return dict(self._cache.fetch(self._bank("repositories"), name) or {})

    def note_repository(self, name: str, facts: Mapping[str, Any]) -> None:
        """Note what the files of a repository's last revision say."""
        self._cache.store(self._bank("repositories"), name, dict(facts))


def _claim(data: Mapping[str, Any]) -> Claim:
    return Claim(**{**data, "wanted": Wanted(**data["wanted"]), "phase": Phase(data["phase"])})


def _result(data: Mapping[str, Any]) -> Result:
    return Result(**{**data, "ending": Ending(data["ending"])})
