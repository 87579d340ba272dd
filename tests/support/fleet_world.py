"""A fleet in memory: its cache, its store, its builders and its repositories, each with a place for a fault at each request."""

from copy import deepcopy
from dataclasses import dataclass, field

from memory_store import MemoryStore
from vmimage.errors import CallFailed
from vmimage.fleet.claims import Claims
from vmimage.fleet.configuration import Configuration, Standing
from vmimage.fleet.reconcile import Reconciler
from vmimage.fleet.records import Seen, Sight, Wanted
from vmimage.fleet.wanted import Asked
from vmimage.glance.generations import NEW, fact, is_ours, number, published_of, unneeded_parts

LEASE = 60.0


class Killed(BaseException):
    """As a signal ends a process: nothing is done after it."""


class MemoryCache:
    """Salt's cache."""

    def __init__(self, before=lambda request: None):
        self.banks, self.before = {}, before

    def store(self, bank, key, data):
        self.before(f"write {bank.rpartition('/')[2]}")
        self.banks.setdefault(bank, {})[key] = deepcopy(data)

    def fetch(self, bank, key):
        return deepcopy(self.banks.get(bank, {}).get(key, {}))

    def list(self, bank):
        return [*self.banks.get(bank, {})]

    def flush(self, bank, key):
        self.before(f"forget {bank.rpartition('/')[2]}")
        self.banks.get(bank, {}).pop(key, None)


@dataclass
class Job:
    """A build at a builder.

    :ivar str state: running, ended, gone (with its builder), or stopped (as by SIGSTOP: it goes on later)
    """

    claim: object
    state: str = "running"
    result: dict | None = None
    error: str = ""
    outputs: tuple = ("triplet", "disk")


class MemoryBuilders:
    """Builders whose jobs do nothing until a test lets them."""

    def __init__(self, store, names, before=lambda request: None):
        self.store, self.names, self.before = store, names, before
        self.jobs, self.silent, self.started = {}, set(), []

    def free(self, claims):
        busy = {claim.builder for claim in claims}
        busy |= {job.claim.builder for job in self.jobs.values() if job.state in ("running", "stopped")}
        return [name for name in self.names if name not in busy | self.silent]

    def start(self, claim):
        self.before("ask to start")
        if claim.builder in self.silent:
            raise CallFailed(f"{claim.builder} is silent")
        if claim.number not in self.jobs:
            self.jobs[claim.number] = Job(claim)
            self.started.append(claim.number)
        self.before("asked to start")
        return f"job-{claim.number}"

    def begin_look(self):
        self.before("begin to look at builders")

    def look(self, claims):
        self.before("look at builders")
        return {claim.number: self._sight(claim) for claim in claims}

    def _sight(self, claim):
        job = self.jobs.get(claim.number)
        if claim.builder in self.silent or job and job.state == "stopped":
            return Sight(Seen.SILENT)
        if job is None or job.state == "gone":
            return Sight(Seen.GONE)
        if job.state == "running":
            return Sight(Seen.RUNNING)
        return Sight(Seen.ENDED, result=job.result, error=job.error)

    def stop(self, claim):
        self.before("stop")
        job = self.jobs.get(claim.number)
        if job and job.state == "running" and claim.builder not in self.silent:
            job.state, job.error = "ended", "stopped by SIGTERM"

    def log(self, claim):
        self.before("log")
        return f"log of {claim.number}"

    def sweep(self, claims):
        return []

    # what a test does

    def upload(self, claim_number, *, complete=True):
        job = self.jobs[claim_number]
        wanted = job.claim.wanted
        mains = self.store.add_build(
            wanted.name, claim_number, job.outputs, complete=complete, builder=job.claim.builder, order=wanted.digest
        )
        return mains

    def finish(self, claim_number):
        """The build ends well: all of it is in the store."""
        job = self.jobs[claim_number]
        mains = self.upload(claim_number)
        outputs = {kind: {"name": kind, "image": image_id} for kind, image_id in mains.items()}
        job.state, job.result = (
            "ended",
            {"build": f"build-{claim_number}", "steps": [], "published": {"changed": True, "outputs": outputs}},
        )

    def finish_all(self):
        for claim_number in [
            key for key, job in self.jobs.items() if job.state == "running" and job.claim.builder not in self.silent
        ]:
            self.finish(claim_number)


@dataclass
class World:
    """A fleet whose parts a test lets work, fail and die."""

    names: tuple = ("web",)
    builders_names: tuple = ("b1", "b2", "b3")
    options: dict = field(default_factory=dict)

    def __post_init__(self):
        self.now, self.fault, self.requests = 1000.0, None, []
        self.store, self.cache = MemoryStore(self._before), MemoryCache(self._before)
        self.builders = MemoryBuilders(self.store, self.builders_names, self._before)
        self.configuration = Configuration(builders=Standing("*", 1, LEASE), retry=10.0, **self.options)
        self.wanted, self.unknown = {}, set()
        self.claims = Claims(self.cache, "main")
        self.last_done = None

    def _before(self, request):
        self.requests.append(request)
        if self.fault:
            self.fault(request)

    def commit(self, name, revision, **settings):
        image = f"{name}-amd64"
        digest = f"{name}-{revision}"
        settings = {"outputs": ["triplet", "disk"], "keep": 1, **settings}
        self.wanted[image] = Wanted(image, name, name, revision, settings, "minions", digest)

    def ask(self, names):
        known = {wanted.repository for wanted in self.wanted.values()} - self.unknown
        wanted = {name: one for name, one in self.wanted.items() if one.repository in known}
        return Asked(wanted, known, dict.fromkeys(self.unknown, "it cannot be asked"))

    def reconcile(self):
        self.now += 1
        reconciler = Reconciler(
            self.configuration,
            self.claims,
            {"minions": self.builders},
            lambda cloud: self.store,
            self.ask,
            clock=lambda: self.now,
        )
        self.last_done = reconciler.reconcile()
        return self.last_done

    def killed_at(self, count, kind=Killed):
        """The next requests fail from the one of this number on where it is an error of a service, or just there where it kills."""
        seen = []

        def fault(request):
            seen.append(request)
            if len(seen) == count:
                raise kind(f"at {request}")

        self.fault = fault

    def published(self, name="web"):
        """``{output: (number, order)}`` of what the names point to."""
        images = self.store.list_images()
        found = {
            kind: published_of(images, f"{name}-amd64{'' if kind == 'triplet' else f'-{kind}'}") for kind in ("triplet", "disk")
        }
        return {kind: (number(image), fact(image, "order")) for kind, image in found.items() if image}

    def problems_of_end(self):
        """What is not as it should be where nothing is under way, in words."""
        found = []
        for image, wanted in self.wanted.items():
            published = self.published(image.removesuffix("-amd64"))
            if {order for _, order in published.values()} != {wanted.digest} or len(published) != 2:
                found.append(f"{image} is {published}, and {wanted.digest} is wanted")
            for name in (image, f"{image}-disk"):
                if len(self.store.named(name)) != 1:
                    found.append(f"{len(self.store.named(name))} images have the name {name}")
        images = self.store.list_images()
        found += [f"{image['name']} is left" for image in images if is_ours(image) and fact(image, "state") == NEW]
        found += [f"{image['name']} of build {number(image)} is left" for image in unneeded_parts(images)]
        found += [f"the claim of {claim.number} is left" for claim in self.claims.open()]
        return found
