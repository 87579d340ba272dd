"""A pass: what should be is compared with what is, and builds are judged, published, given up and begun.

ask repositories -> look at builders -> look at stores -> judge what is under way -> remove what nobody waits for -> begin what is due

Each step may be the last that this process does: a claim is written before its builder hears of it, and before an image takes its name; the
result is written when nothing more is to be done for it but the removal of images, which each pass does for all builds that are given up.
Builders are looked at before the stores: what one that has ended has uploaded is then on the shelf.  Minions are asked before the repositories
are, and answer meanwhile.
"""

import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from vmimage.errors import CredentialsWrong, StoreUnreachable, VmImageError
from vmimage.fleet.builders import Builders
from vmimage.fleet.claims import Claims
from vmimage.fleet.configuration import MINIONS, Configuration
from vmimage.fleet.judge import Act, Verdict, judge
from vmimage.fleet.plan import Planned, in_order, plan_image, published_at
from vmimage.fleet.published import Shelf, look_at
from vmimage.fleet.records import Claim, Ending, Phase, Result, Seen, Sight, Wanted
from vmimage.fleet.wanted import Ask, Asked
from vmimage.glance.promote import OlderNumber
from vmimage.glance.waiting import promote_uploaded, remove_waiting
from vmimage.settings.gather import gather_settings

if TYPE_CHECKING:
    from vmimage.glance.client import Store

log = logging.getLogger("vm_fleet")

_SILENT = Sight(Seen.SILENT)


@dataclass
class Done:
    """What a pass has done, for people.

    :ivar problems: by repository, image or kind of builder
    """

    began: dict[str, dict[str, Any]] = field(default_factory=dict)
    ended: dict[str, dict[str, Any]] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Look:
    """All that is known at a moment.

    :ivar shelves: by cloud; None: it cannot be asked
    """

    asked: Asked
    claims: Sequence[Claim]
    sights: Mapping[int, Sight]
    shelves: Mapping[str, Shelf | None]
    results: dict[str, list[Result]]
    wishes: Mapping[str, float]


class Reconciler:
    """Compares and acts; its caller holds the fleet's lock.

    :param stores: opens the store of a cloud, by its name in clouds.yaml or an empty string
    """

    def __init__(
        self,
        configuration: Configuration,
        claims: Claims,
        builders: Mapping[str, Builders],
        stores: Callable[[str], "Store"],
        ask: Ask,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._configuration, self._claims, self._builders, self._clock = configuration, claims, builders, clock
        self._open_store, self._ask = stores, ask
        self._stores: dict[str, Store] = {}

    def reconcile(self, repositories: Collection[str] | None = None) -> Done:
        """One pass.

        :param repositories: that have changed; None: any may have
        """
        done = Done()
        for kind, builders in self._builders.items():
            with self._guarded(done, kind):
                builders.begin_look()
        look = self._look(done, repositories, is_plan=False)
        for claim in look.claims:
            with self._guarded(done, claim.wanted.name):
                self._settle(done, look, claim)
        self._sweep(done, look)
        self._begin_due(done, look)
        for name in done.ended:
            self._claims.prune(look.results.get(name, ()), self._configuration.keep_logs)
        return done

    def plan(self) -> tuple[list[Planned], dict[str, str]]:
        """What a pass would find; changes nothing but what is noted of repositories.

        :returns: the images that are wanted, and problems
        """
        done = Done()
        return self._plan(self._look(done, None, is_plan=True)), done.problems

    # looking

    def _look(self, done: Done, repositories: Collection[str] | None, *, is_plan: bool) -> Look:
        asked = self._ask(repositories)
        done.problems |= asked.problems
        claims = self._claims.open()
        if not is_plan:
            for claim in [claim for claim in claims if self._claims.result(claim.number)]:
                self._claims.forget(claim.number)  # it has ended, and a pass was killed before it could say so
                claims.remove(claim)
        clouds = {_cloud_of(wanted) for wanted in [*asked.wanted.values(), *(claim.wanted for claim in claims)]}
        for cloud in clouds:
            with suppress(Exception):  # is said when it is asked for its images
                self._store(cloud).sign_in()  # while the builders answer
        sights: dict[int, Sight] = {}
        for kind, builders in self._builders.items() if not is_plan else ():
            if own := [claim for claim in claims if claim.wanted.builders == kind]:
                with self._guarded(done, kind):
                    sights.update(builders.look(own))
        shelves: dict[str, Shelf | None] = dict.fromkeys(clouds)
        for cloud in clouds:
            self._look_at(done, cloud, shelves)
        results: dict[str, list[Result]] = {}
        for result in self._claims.results():
            results.setdefault(result.name, []).append(result)
        return Look(asked, claims, sights, shelves, results, self._claims.asked())

    def _look_at(self, done: Done, cloud: str, shelves: dict[str, Shelf | None]) -> None:
        """Note what a store has now; None where it cannot be asked."""
        shelves[cloud] = None
        with self._guarded(done, f"the store {cloud}".strip()):
            shelves[cloud] = look_at(self._store(cloud))

    def _store(self, cloud: str) -> "Store":
        if cloud not in self._stores:
            self._stores[cloud] = self._open_store(cloud)
        return self._stores[cloud]

    @contextmanager
    def _guarded(self, done: Done, name: str) -> Iterator[None]:
        """Work for an image, a store or a kind of builder, whose trouble stops no other."""
        try:
            yield
        except VmImageError as error:
            done.problems[name] = str(error)
        except Exception as error:
            log.exception("the pass for %s failed", name)
            done.problems[name] = f"{type(error).__name__}: {error}"

    # what is under way

    def _settle(self, done: Done, look: Look, claim: Claim) -> None:
        """Judge a build, and do what follows."""
        wanted, now = look.asked.wanted.get(claim.wanted.name), self._clock()
        own = self._configuration.builders
        lease = own.lease
        sight = look.sights.get(claim.number, _SILENT)
        verdict = judge(
            claim,
            sight,
            look.shelves.get(_cloud_of(claim.wanted)),
            wanted,
            is_known=claim.wanted.repository in look.asked.known or self._is_forgotten(claim),
            asked=look.wishes,
            supersede=self._configuration.supersede,
            lease=lease,
            deadline=own.deadline if claim.wanted.builders == MINIONS else 0,  # an instance has its own
            now=now,
        )
        if verdict.act is Act.PROMOTE:
            self._promote(done, look, claim, sight, verdict)
        elif verdict.act is Act.END and verdict.ending:
            self._end(done, look, claim, sight, verdict.ending, verdict.reason)
        elif verdict.act is Act.START:
            self._send(done, look, claim)
        elif verdict.is_seen:
            phase = Phase.SENT if claim.phase is Phase.CLAIMED and sight.seen is Seen.RUNNING else claim.phase
            if now + lease - claim.deadline > lease / 4 or phase is not claim.phase:
                self._claims.write(replace(claim, deadline=now + lease, phase=phase))

    def _is_forgotten(self, claim: Claim) -> bool:
        """Whether its repository is no longer configured."""
        own = self._configuration
        return claim.wanted.repository not in {*own.repositories, *own.problems}

    def _promote(self, done: Done, look: Look, claim: Claim, sight: Sight, verdict: Verdict) -> None:
        wanted, now = claim.wanted, self._clock()
        if claim.phase is not Phase.PROMOTING:
            claim = replace(claim, phase=Phase.PROMOTING, deadline=now + self._configuration.builders.lease)
            self._claims.write(claim)
        store, settings = self._store(_cloud_of(wanted)), gather_settings([], wanted.settings)
        try:
            taken = promote_uploaded(store, settings, wanted.name, claim.number, wanted.digest, kinds=verdict.kinds)
        except OlderNumber as error:
            self._end(done, look, claim, sight, Ending.SUPERSEDED, error.message)
        except (StoreUnreachable, CredentialsWrong):
            raise  # the next pass goes on
        except VmImageError as error:
            waiting = look_at(store).waiting(wanted.name, claim.number, wanted.digest)
            if waiting and waiting.has_begun and now <= claim.deadline:
                raise  # a name has moved: the next pass goes on
            if waiting and waiting.is_published:
                reason = f"published, and the older images are not archived: {error.message}"
                self._end(done, look, claim, sight, Ending.PUBLISHED, reason)
            else:
                self._end(done, look, claim, sight, Ending.FAILED, f"its images do not get their names: {error.message}")
        else:
            if verdict.is_ended:  # else its builder has yet to say how long each step took
                ids = {kind: output["image"] for kind, output in taken["outputs"].items()}
                facts = {"images": [*ids.values()], "outputs": ids, "pending": taken["pending"]}
                self._end(done, look, claim, sight, Ending.PUBLISHED, f"published as {wanted.name}", facts)

    def _end(
        self,
        done: Done,
        look: Look,
        claim: Claim,
        sight: Sight,
        ending: Ending,
        reason: str,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """Keep the log, let go of the builder, and write the result; images that nobody waits for go with the sweep."""
        builders = self._builders.get(claim.wanted.builders)
        if builders:
            if sight.seen in (Seen.ENDED, Seen.RUNNING) or claim.wanted.builders != MINIONS:
                with self._guarded(done, claim.builder):
                    self._claims.write_log(claim.number, builders.log(claim))
            builders.stop(claim)
        now, wanted = self._clock(), claim.wanted
        known = {**_facts(sight), **(facts or {}), "job": claim.job, "variation": wanted.variation}
        result = Result(claim.number, wanted.name, wanted.digest, wanted.revision, claim.builder, ending, reason, round(now - claim.since, 3), now, known)  # fmt: skip
        result = self._claims.end(result)
        look.results.setdefault(wanted.name, []).insert(0, result)
        self._claims.take_back(f"cancel.{claim.number}")
        log.info("build %s of %s: %s (%s)", claim.number, wanted.name, result.ending, result.reason)
        done.ended[wanted.name] = {"number": claim.number, "ending": str(result.ending), "reason": result.reason}

    # what nobody waits for

    def _sweep(self, done: Done, look: Look) -> None:
        """Remove images of builds that have been given up, and what their builders have left."""
        claims = self._claims.open()
        open_numbers = {claim.number for claim in claims}
        own = {claim.wanted.name for claim in claims} | {*look.results}
        for cloud, shelf in look.shelves.items():
            for name, numbers in shelf.left.items() if shelf else ():
                given_up = numbers - open_numbers
                if given_up and name in own:  # else it is another fleet's
                    with self._guarded(done, name):
                        done.removed += remove_waiting(self._store(cloud), name, given_up)
        for kind, builders in self._builders.items():
            with self._guarded(done, kind):
                done.removed += builders.sweep([claim for claim in claims if claim.wanted.builders == kind])

    # what is due

    def _plan(self, look: Look) -> list[Planned]:
        claims = {claim.wanted.name: claim for claim in look.claims}
        now = self._clock()
        found = []
        for name, wanted in look.asked.wanted.items():
            shelf, results = look.shelves.get(_cloud_of(wanted)), look.results.get(name, ())
            planned = plan_image(wanted, shelf, claims.get(name), results, look.wishes, self._configuration, now)
            found.append(replace(planned, published_at=published_at(wanted, shelf)))
        return found

    def _begin_due(self, done: Done, look: Look) -> None:
        """Give out what is due to builders that are free."""
        shelves, claims = dict(look.shelves), self._claims.open()
        for cloud in {_cloud_of(claim.wanted) for claim in look.claims if claim.number not in {one.number for one in claims}}:
            self._look_at(done, cloud, shelves)  # what has ended may be published now
        look = replace(look, shelves=shelves, claims=claims)
        due = in_order(self._plan(look), look.results)
        room = (self._configuration.limit or len(due) + len(claims)) - len(claims)
        free: dict[str, list[str]] = {}
        for planned in due:
            kind = planned.wanted.builders
            if room <= 0:
                break
            if kind not in free:
                own = [claim for claim in claims if claim.wanted.builders == kind]
                free[kind] = []
                with self._guarded(done, kind):
                    free[kind] = self._builders[kind].free(own)
                    if not free[kind] and not own:
                        done.problems[kind] = f"builds are due, and none of the {kind} answers and has room"
            if free[kind]:
                room -= 1
                builder = free[kind].pop(0)
                last = max((shelf.last for shelf in look.shelves.values() if shelf), default=0)
                with self._guarded(done, planned.wanted.name):
                    self._begin(done, look, planned, builder, last)

    def _begin(self, done: Done, look: Look, planned: Planned, builder: str, last: int) -> None:
        now, wanted, number = self._clock(), planned.wanted, self._claims.next_number(last)
        builder = builder or f"{wanted.name}-{number}"
        claim = Claim(number, wanted, builder, now, now + self._configuration.builders.lease)
        self._claims.write(claim)
        log.info("build %s of %s by %s: %s", number, wanted.name, builder, planned.reason)
        done.began[wanted.name] = {"number": number, "builder": builder, "revision": wanted.revision, "reason": planned.reason}
        self._send(done, look, claim)

    def _send(self, done: Done, look: Look, claim: Claim) -> None:
        """Let its builder hear of a claim."""
        try:
            job = self._builders[claim.wanted.builders].start(claim)
        except VmImageError as error:
            self._end(done, look, claim, _SILENT, Ending.LOST, f"it could not be begun: {error.message}")
        else:
            self._claims.write(replace(claim, phase=Phase.SENT, job=job))


def _cloud_of(wanted: Wanted) -> str:
    return str(wanted.settings.get("cloud", ""))


def _facts(sight: Sight) -> dict[str, Any]:
    """What is kept of what a build returned."""
    if not sight.result:
        return {}
    published = sight.result.get("published") or {}
    ids = [output["image"] for output in (published.get("outputs") or {}).values()]
    return {**{key: sight.result[key] for key in ("build", "steps", "unchanged") if key in sight.result}, "images": ids}
