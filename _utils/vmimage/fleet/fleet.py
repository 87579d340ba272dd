"""The fleet as its commands see it: one reconciler at a time, and a note for it where another call wants a look as well."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vmimage.errors import SettingsWrong, VmImageError, WorkspaceBusy
from vmimage.fleet.claims import Cache, Claims
from vmimage.fleet.configuration import Configuration, read_configuration
from vmimage.fleet.deliveries import Deliveries
from vmimage.fleet.kinds import Means, builders_of
from vmimage.fleet.minions import Client
from vmimage.fleet.notify import Returner, read_notify
from vmimage.fleet.reconcile import Done, Reconciler
from vmimage.fleet.records import Claim, Phase
from vmimage.fleet.wanted import Repositories
from vmimage.fleet.watching import Place, steps_of
from vmimage.glance.credentials import Credentials, gather_credentials
from vmimage.settings.lookup import Source
from vmimage.system.lock import locked

if TYPE_CHECKING:
    from vmimage.glance.client import Store

log = logging.getLogger("vm_fleet")

#: of what people ask for: looks that are to come, of all repositories, of one (``poke.NAME``), or of what is under way alone
_POKE, _END = "poke", "end"


class Fleet:
    """The fleet of a master.

    :param options: of the master: ``ami_fleet``, ``cachedir``, and where it has them the credentials ``keystone``
    :param client: of Salt's jobs
    """

    def __init__(self, options: Mapping[str, Any], cache: Cache, client: Client) -> None:
        self._options = options
        self.configuration: Configuration = read_configuration(options)
        self.claims = Claims(cache, self.configuration.name)
        self._directory = Path(options["cachedir"]) / "vm_fleet"
        self.deliveries = Deliveries(cache, self.configuration.name, self._directory)
        self._lock = self._directory / f"{self.configuration.name}.lock"
        self._means = Means(client, self._credentials)

    def _credentials(self, cloud: str) -> Credentials:
        source: Source = ("master config", self._options, lambda key: look_up_option(self._options, key))
        found = gather_credentials([source], cloud=cloud, required=True, ambient=True)
        assert found is not None  # those that are required are there, or refused
        return found

    def _open_store(self, cloud: str) -> "Store":
        from vmimage.glance.client import Store

        return Store(self._credentials(cloud), tries=3)

    def _reconciler(self) -> Reconciler:
        repositories = Repositories(self.configuration, self.claims, self._directory)
        return Reconciler(
            self.configuration, self.claims, builders_of(self.configuration, self._means), self._open_store, repositories.ask
        )

    def plan(self) -> dict[str, Any]:
        """What is wanted of each image, and what is wrong."""
        planned, problems = self._reconciler().plan()
        found = {
            due.wanted.name: {
                "state": str(due.state),
                "reason": due.reason,
                "revision": due.wanted.revision,
                "repository": due.wanted.repository,
                "published_at": due.published_at,
            }
            for due in planned
        }
        return {"images": dict(sorted(found.items())), "problems": problems}

    def reconcile(self, repository: str | None = None, *, ask: bool = True) -> dict[str, Any]:
        """Passes, for as long as somebody has asked for another; where another process is at it, it is left a note.

        :param repository: that has changed; None: any may have
        :param ask: False: none has, as far as is known
        """
        if repository is not None and repository not in self.configuration.repositories:
            raise SettingsWrong(
                f"there is no repository {repository} in ami_fleet", hint=", ".join(self.configuration.repositories)
            )
        self.claims.ask(f"{_POKE}.{repository}" if repository else _POKE if ask else _END, time.time())
        total, passes = Done(), 0
        while True:
            try:
                with locked(self._lock, "the fleet", doing="reconciled"):
                    while pokes := self._take_pokes():
                        names = None if _POKE in pokes else {poke.partition(".")[2] for poke in pokes if poke != _END}
                        done = self._reconciler().reconcile(names)
                        passes += 1
                        total.began |= done.began
                        total.ended |= done.ended
                        total.removed += done.removed
                        total.problems = done.problems
            except WorkspaceBusy:
                return {"busy": True, "passes": passes, **asdict(total)}
            if not self._pokes():  # who came while the lock was being let go has seen it held
                return {"busy": False, "passes": passes, **asdict(total)}

    def hook(self, repositories: Sequence[str], digest: str = "") -> dict[str, Any]:
        """Reconcile, for repositories have changed.

        :param repositories: their names; none: any may have
        :param digest: of a forge's call; empty: of a hook's poke
        """
        unknown = [name for name in repositories if name not in self.configuration.repositories]
        if unknown:
            raise SettingsWrong(
                f"there is no repository {unknown[0]} in ami_fleet", hint=", ".join(self.configuration.repositories)
            )
        if digest and not self.deliveries.take(digest):
            log.warning("a call of the fleet's webhook came again: nothing is done for it (sha256 of its body: %s)", digest)
            return {"repeated": True}
        for name in repositories[1:]:
            self.claims.ask(f"{_POKE}.{name}", time.time())
        return self.reconcile(repositories[0] if repositories else None)

    def notify(self, call_returner: Returner) -> list[str]:
        """Notify whoever is configured of failures and their ends."""
        wanted = read_notify(self.configuration.notify)
        return self.deliveries.notify(wanted, self.claims.results(), call_returner) if wanted.command or wanted.returner else []

    def _pokes(self) -> list[str]:
        return [key for key in self.claims.asked() if key in (_POKE, _END) or key.startswith(f"{_POKE}.")]

    def _take_pokes(self) -> list[str]:
        pokes = self._pokes()
        for poke in pokes:
            self.claims.take_back(poke)
        return pokes

    def status(self) -> dict[str, Any]:
        """What is under way, what is planned, and how the last build of each image ended."""
        now = time.time()
        last: dict[str, dict[str, Any]] = {}
        facts: dict[str, list[Mapping[str, Any]]] = {}
        for result in self.claims.results():
            last.setdefault(result.name, _shown(asdict(result)))
            facts.setdefault(result.name, []).append(result.facts)
        claims = self.claims.open()
        places, problems = self._watch([claim for claim in claims if claim.phase is Phase.SENT], facts)
        running = [
            {
                "number": claim.number,
                "name": claim.wanted.name,
                "revision": claim.wanted.revision,
                "builder": claim.builder,
                "phase": str(claim.phase),
                "job": claim.job,
                "seconds": round(now - claim.since, 1),
                **dict(zip(("step", "percent"), places.get(claim.number, ("", None)), strict=True)),
            }
            for claim in claims
        ]
        asked = self.claims.asked()
        paused = ["fleet"] * ("pause" in asked) + sorted(key[6:] for key in asked if key.startswith("pause."))
        plan = self.plan()
        problems = {**problems, **plan["problems"]}
        return {"plan": plan["images"], "problems": problems, "running": running, "last": last, "paused": paused}

    def _watch(
        self, claims: Sequence[Claim], facts: Mapping[str, Sequence[Mapping[str, Any]]]
    ) -> tuple[dict[int, Place], dict[str, str]]:
        """Where builds are, by their numbers, and of kinds of builders that cannot be asked why not."""
        known = {name: steps_of(own) for name, own in facts.items()}
        places: dict[int, Place] = {}
        problems = {}
        for kind, builders in builders_of(self.configuration, self._means).items() if claims else ():
            if own := [claim for claim in claims if claim.wanted.builders == kind]:
                try:
                    places |= builders.watch(own, known)
                except VmImageError as error:
                    problems[kind] = str(error)
        return places, problems

    def history(self, name: str | None = None, limit: int = 50) -> list[dict[str, Any]]:
        """How builds ended, the newest first."""
        found = [result for result in self.claims.results() if name is None or result.name == name]
        return [_shown(asdict(result)) for result in found[:limit]]

    def log(self, number: int) -> str:
        """What a build printed."""
        for claim in self.claims.open():
            if claim.number == number:
                return builders_of(self.configuration, self._means)[claim.wanted.builders].log(claim)
        if self.claims.result(number) is None:
            raise SettingsWrong(f"there is no build {number}", hint="salt-run vm_fleet.history lists them")
        return self.claims.log(number)

    def cancel(self, number: int) -> dict[str, Any]:
        """Stop a build."""
        if number not in {claim.number for claim in self.claims.open()}:
            raise SettingsWrong(f"no build {number} is under way", hint="salt-run vm_fleet.status lists them")
        self.claims.ask(f"cancel.{number}", time.time())
        return self.reconcile()

    def retry(self, name: str) -> dict[str, Any]:
        """Forget failures of an image."""
        self._check_image(name)
        self.claims.ask(f"retry.{name}", time.time())
        return self.reconcile()

    def pause(self, name: str | None = None) -> bool:
        """Begin no builds, of an image or of any."""
        if name is not None:
            self._check_image(name)
        self.claims.ask(f"pause.{name}" if name else "pause", time.time())
        return True

    def resume(self, name: str | None = None) -> bool:
        """Take :meth:`pause` back; returns whether it was paused."""
        return self.claims.take_back(f"pause.{name}" if name else "pause")

    def _check_image(self, name: str) -> None:
        images = self.plan()["images"]
        if name not in images:
            raise SettingsWrong(f"there is no image {name} in the fleet", hint=f"its images are {', '.join(images)}")


def look_up_option(options: Mapping[str, Any], key: str) -> Any:
    """The value of an option of the master, of any type: ``keystone:user`` nested, ``keystone.user`` flat; or None."""
    if ":" not in key:
        return options.get(key)
    value: Any = options
    for word in key.split(":"):
        value = value.get(word) if isinstance(value, Mapping) else None
    return value


def _shown(result: dict[str, Any]) -> dict[str, Any]:
    return {**result, "ending": str(result["ending"])}


#: for faces that open a fleet
OpenFleet = Callable[[], Fleet]
