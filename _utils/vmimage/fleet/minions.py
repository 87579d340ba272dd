"""Standing minions as builders: Salt's jobs, each with an id that follows from its claim.

A job is sent once and never waited for.  What runs is asked once in a pass, of all minions at once; who does not answer in time is silent.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from vmimage.errors import CallFailed, printable
from vmimage.fleet.configuration import Standing
from vmimage.fleet.order import FUNCTION, arguments_of
from vmimage.fleet.records import Claim, Seen, Sight
from vmimage.fleet.watching import Place, Steps, place_of
from vmimage.system.aliases import Sleep

#: a keyword argument that no setting has: whose build a job is
_MARK = "__fleet"
_WATCH_SECONDS, _LONGEST_ANSWER_SECONDS, _LOG_SECONDS, _LOOK_SECONDS = 4.0, 10.0, 10.0, 0.05


class Client(Protocol):
    """Salt's jobs (:class:`salt.client.LocalClient`), as far as they are used here."""

    def run_job(self, tgt: Any, fun: str, arg: Any = (), tgt_type: str = "glob", **more: Any) -> Any:
        """Send a job; ``jid`` and ``minions`` of it, or nothing where no minion is meant."""

    def get_cache_returns(self, jid: str) -> dict[str, Any]:
        """What minions have returned."""


def job_id(claim: Claim) -> str:
    """The id of a claim's job, in a form of Salt's own: 20 digits, first those of a time, and a mark, by which the reactor knows its return."""
    return time.strftime("%Y%m%d%H%M%S", time.gmtime(claim.since)) + f"{claim.number % 10**6:06d}_vm_fleet"


class Minions:
    """The minions of a target.

    :param fleet: its name: a minion may serve two of them
    """

    def __init__(
        self,
        client: Client,
        fleet: str,
        standing: Standing,
        *,
        sleep: Sleep = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client, self._fleet, self._standing = client, fleet, standing
        self._sleep, self._clock = sleep, clock
        self._jobs: dict[str, list[Mapping[str, Any]]] | None = None
        self._asked: Mapping[str, Any] | None = None

    def free(self, claims: Sequence[Claim]) -> list[str]:
        """Minions that answer and have room, those first that have most; whoever works for nobody that is known has none."""
        open_numbers = {claim.number for claim in claims}
        room = {}
        for minion, jobs in self._running().items():
            builds = [job for job in jobs if job.get("fun") == FUNCTION and self._number(job) not in open_numbers]
            others = sum(1 for job in builds if not self._is_over(minion, job))
            room[minion] = self._standing.per_builder - others - sum(1 for claim in claims if claim.builder == minion)
        places = sorted((given - room[minion], given, minion) for minion in room for given in range(max(room[minion], 0)))
        return [minion for _, _, minion in places]

    def start(self, claim: Claim) -> str:
        """Send the job of a claim, unless its minion has it."""
        jid = job_id(claim)
        if self._runs(claim) or self._returned(claim) is not None:
            return jid
        arguments = {**arguments_of(claim), _MARK: self._fleet}
        sent = self._client.run_job([claim.builder], FUNCTION, tgt_type="list", jid=jid, kwarg=arguments)
        if not sent or claim.builder not in sent.get("minions", ()):
            raise CallFailed(
                f"no minion {claim.builder} is known to the master", hint="salt-key lists the minions that are accepted"
            )
        return jid

    def begin_look(self) -> None:
        """Ask all minions what runs; they answer while other things are looked at."""
        self._jobs, self._asked = None, self._send(self._standing.target, "compound", "saltutil.running", ())

    def look(self, claims: Sequence[Claim]) -> dict[int, Sight]:
        """What has been returned, and of other builds whether they run; minions are waited for where there are such builds."""
        self._jobs = None
        return {claim.number: self._sight(claim) for claim in claims}

    def _sight(self, claim: Claim) -> Sight:
        returned = self._returned(claim)
        if returned is None:
            if self._runs(claim):
                return Sight(Seen.RUNNING)
            returned = self._returned(claim)  # a job that ended before its minion was asked has returned by now
        if returned is None:
            return Sight(Seen.GONE if claim.builder in self._running() else Seen.SILENT)
        if isinstance(returned, Mapping):
            return Sight(Seen.ENDED, result=returned)
        return Sight(Seen.ENDED, error=printable(returned).strip() or "it returned nothing")

    def watch(self, claims: Sequence[Claim], known: Mapping[str, Steps]) -> dict[int, Place]:
        """Where builds are, as far as their minions say in time which steps are done: asked once of all of them."""
        found: dict[int, Place] = {}
        workspaces = {str(claim.wanted.settings.get("workspace", "")) for claim in claims}
        for workspace in workspaces:
            own = [claim for claim in claims if claim.wanted.settings.get("workspace", "") == workspace]
            words = [f"workspace={workspace}"] if workspace else []
            answers = self._ask(sorted({claim.builder for claim in own}), "list", "vm_create.status", words, _WATCH_SECONDS)
            for claim in own:
                builds = answers.get(claim.builder)
                build = builds.get(claim.wanted.variation) if isinstance(builds, Mapping) else None
                if isinstance(build, Mapping) and build.get("busy"):
                    found[claim.number] = place_of(list(build.get("steps") or ()), known.get(claim.wanted.name, ()))
        return found

    def stop(self, claim: Claim) -> None:
        """End the job with SIGTERM, by which a build leaves nothing; where it has returned there is nothing to end."""
        if self._returned(claim) is not None:
            return
        self._client.run_job([claim.builder], "saltutil.term_job", [job_id(claim)], tgt_type="list")

    def log(self, claim: Claim) -> str:
        """What the build has printed, from the minion's own file."""
        answers = self._ask([claim.builder], "list", "vm_create.build_log", [claim.wanted.variation, claim.number], _LOG_SECONDS)
        text = answers.get(claim.builder)
        return text if isinstance(text, str) and not text.startswith("'vm_create.build_log' is not available") else ""

    def sweep(self, claims: Sequence[Claim]) -> list[str]:
        """End jobs of this fleet whose builds it has given up."""
        open_numbers, ended = {claim.number for claim in claims}, []
        for minion, jobs in self._running().items():
            for job in jobs:
                number = self._number(job)
                if number is not None and number not in open_numbers and not self._is_over(minion, job):
                    self._client.run_job([minion], "saltutil.term_job", [job["jid"]], tgt_type="list")
                    ended.append(f"the job {job['jid']} of {minion}")
        return ended

    def _running(self) -> dict[str, list[Mapping[str, Any]]]:
        """``{minion: its jobs}`` of those that answer, asked once in a pass."""
        if self._jobs is None:
            if self._asked is None:
                self.begin_look()
            sent, self._asked = self._asked or {}, None
            answers = self._answers(sent, self._answer_seconds())
            self._jobs = {minion: jobs for minion, jobs in answers.items() if isinstance(jobs, list)}
        return self._jobs

    def _answer_seconds(self) -> float:
        """How long an answer of minions is waited for: there are several looks in a lease."""
        return min(self._standing.lease / 8, _LONGEST_ANSWER_SECONDS)

    def _runs(self, claim: Claim) -> bool:
        return any(job.get("jid") == job_id(claim) for job in self._running().get(claim.builder, ()))

    def _returned(self, claim: Claim) -> Any:
        """What the job has returned, of any type, or None."""
        found = self._client.get_cache_returns(job_id(claim)).get(claim.builder)
        return None if found is None else found.get("ret") if found.get("ret") is not None else ""

    def _is_over(self, minion: str, job: Mapping[str, Any]) -> bool:
        """Whether a job that a minion has named has returned since, or just before: its process ends after that."""
        return minion in self._client.get_cache_returns(str(job.get("jid")))

    def _number(self, job: Mapping[str, Any]) -> int | None:
        """The number of the build that a job of this fleet makes."""
        words = [word for word in job.get("arg") or () if isinstance(word, Mapping)]
        if job.get("fun") != FUNCTION or not any(word.get(_MARK) == self._fleet for word in words):
            return None
        return next((word["number"] for word in words if "number" in word), None)

    def _ask(self, target: str | list[str], kind: str, function: str, words: Sequence[Any], seconds: float) -> dict[str, Any]:
        """``{minion: answer}`` of those that answer in time."""
        return self._answers(self._send(target, kind, function, words), seconds)

    def _send(self, target: str | list[str], kind: str, function: str, words: Sequence[Any]) -> Mapping[str, Any]:
        """The job of a question: its ``jid`` and ``minions``, or nothing where no minion is meant."""
        return self._client.run_job(target, function, list(words), tgt_type=kind) or {}

    def _answers(self, sent: Mapping[str, Any], seconds: float) -> dict[str, Any]:
        """What was answered to a question, by minions, as far as they answer in so many seconds."""
        if not sent:
            return {}
        deadline, answers = self._clock() + seconds, {}
        while True:
            answers = self._client.get_cache_returns(sent["jid"])
            if len(answers) >= len(sent["minions"]) or self._clock() > deadline:
                return {minion: answer.get("ret") for minion, answer in answers.items()}
            self._sleep(_LOOK_SECONDS)
