"""What the fleet remembers besides its builds: forges' calls that it has had, and results of which somebody was notified.

Each in the fleet's bank of Salt's cache, written under a lock of its own: these come from other processes than the reconciler's.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from vmimage.fleet.claims import Cache
from vmimage.fleet.notify import Notify, Returner, notify
from vmimage.fleet.records import Result
from vmimage.fleet.webhook import is_new
from vmimage.system.lock import locked


class Deliveries:
    """The memory of calls and notifications.

    :param name: of the fleet
    :param directory: for locks
    """

    def __init__(self, cache: Cache, name: str, directory: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._cache, self._name, self._clock = cache, name, clock
        self._bank, self._lock = f"vm_fleet/{name}/deliveries", directory / f"{name}.deliveries.lock"

    def take(self, digest: str) -> bool:
        """Whether a call with this body comes for the first time; it is remembered."""
        with locked(self._lock, "the memory of calls", wait=True):
            known = (self._cache.fetch(self._bank, "calls") or {}).get("calls", [])
            first, known = is_new(digest, known, self._clock())
            if first:
                self._cache.store(self._bank, "calls", {"calls": known})
        return first

    def notify(self, wanted: Notify, results: Sequence[Result], call_returner: Returner) -> list[str]:
        """Notify whoever is configured of results that nobody was notified of; who begins to be notified hears of nothing past.

        Called again after a crash, it notifies of the last result once more: rather twice than never.

        :param results: all that are kept, the newest first
        :returns: ``failed web-amd64``, ``recovered db-amd64``
        """
        changes = []
        with locked(self._lock, "the memory of notifications", wait=True):
            kept = {result.number for result in results}
            known = (self._cache.fetch(self._bank, "notified") or {}).get("numbers")
            seen = kept if known is None else kept & set(known)
            for result in sorted(results, key=lambda result: result.number):
                if result.number in seen:
                    continue
                earlier = [other for other in results if other.name == result.name and other.number < result.number]
                if change := notify(wanted, self._name, result, earlier, call_returner):
                    changes.append(f"{change} {result.name}")
                seen.add(result.number)
                self._cache.store(self._bank, "notified", {"numbers": sorted(seen)})
            if known is None or set(known) != seen:
                self._cache.store(self._bank, "notified", {"numbers": sorted(seen)})
        return changes
