"""A build with a fault in it, then a look at what that has done, then a build without; the table of all outcomes ends the run."""

from collections import defaultdict
from types import SimpleNamespace

import pytest
from building import what_is_left
from root_fixtures import bootstrapped, machine, own_directories  # noqa: F401  fixtures
from small_job import NAME, Job, make_sources, served
from vmimage.system import syscalls

#: what may not be, one column each
COLUMNS = ("bad caches", "false successes", "blocked names", "left")
MIB = 1 << 20


@pytest.fixture(scope="session")
def job(bootstrapped, own_directories, tmp_path_factory):  # noqa: F811
    """The job of this worker, built once: cache, output and workspace lie on a small disk of their own each."""
    top = tmp_path_factory.mktemp("faults")
    with served(top / "served") as address:
        make_sources(bootstrapped, top / "served", address)
        job = Job(top / "job", address)
        for directory in (job.cache, job.output, job.workspace):
            directory.mkdir()
            # with room for a base that is set aside while other builds have it mounted: what is removed then takes its room until they end
            syscalls.mount("tmpfs", directory, "tmpfs", 0, "size=1g")
        job.before = what_is_left()
        code, said = job.build()
        assert code == 0, said
        job.tree, job.kept, job.is_good = job.image_tree(), job.look_at_cache(), True
        yield job


class Fault:
    """One fault: what comes of it is written into the table and judged.

    :param Job job:
    :param record: takes the outcome
    """

    def __init__(self, job, record):
        self.job, self.record = job, record

    def begin_cold(self):
        """Nothing is there yet."""
        self.job.forget_all()

    def begin_warm(self):
        """A build has filled the cache, and its triplet is there."""
        if not self.job.is_good:
            assert self.job.build()[0] == 0

    def judge(self, kind, code, said):
        """Look at what is there, then build without a fault; all that may not be is an error of the test."""
        job, job.is_good = self.job, False
        wrong = dict.fromkeys(COLUMNS, "")
        wrong["left"] = job.wait_until_nothing_is_left(job.before)
        wrong["false successes"] = self._false_success(code)
        wrong["bad caches"] = self._bad_entries()
        (job.cache / "ballast").unlink(missing_ok=True)
        (job.output / "ballast").unlink(missing_ok=True), (job.workspace / "ballast").unlink(missing_ok=True)
        last, last_said = job.build()
        wrong["blocked names"] = f"{last_said[-3000:]}" if last else self._wrong_image()
        wrong["bad caches"] += self._bad_entries()
        names = {path.name for path in job.output.iterdir()}
        wrong["left"] += job.wait_until_nothing_is_left(job.before) + str(sorted(
            names - {f"{NAME}.img", f"kernel_{NAME}", f"ramdisk_{NAME}", f"{NAME}.manifest.json", f"{NAME}.build.json"}
            | {str(path) for path in job.workspace.glob("*/*") if path.name != "lock"}) or "")  # fmt: skip
        job.is_good = not any(wrong.values())
        self.record(kind, "killed" if code < 0 else "went through" if code == 0 else "refused", wrong)
        assert job.is_good, f"{wrong}\nexit code {code}\n{said[-4000:]}"

    def _false_success(self, code):
        if not self.job.triplet.manifest_path.exists():
            return "" if code else "the exit code is 0, and there is no triplet"
        return self._wrong_image()

    def _wrong_image(self):
        self.job.triplet.check()
        found, wanted = self.job.image_tree(), self.job.tree
        return str([path for path in sorted(found.keys() | wanted.keys()) if found.get(path) != wanted.get(path)][:9] or "")

    def _bad_entries(self):
        """What is kept and is not what it should be; what is not kept comes again."""
        found = self.job.look_at_cache()
        return str([name for name, digest in found.items() if self.job.kept.get(name, digest) != digest or digest is False] or "")


@pytest.fixture
def fault(job, record_property):
    return Fault(
        job, lambda kind, outcome, wrong: record_property("fault", [kind, outcome, *(bool(wrong[column]) for column in COLUMNS)])
    )


def pytest_terminal_summary(terminalreporter):
    """A line for each kind of fault, and one for all."""
    rows = defaultdict(lambda: SimpleNamespace(outcomes=defaultdict(int), wrong=[0] * len(COLUMNS), number=0))
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, "user_properties", ()):
                if name == "fault" and report.when == "teardown":
                    for row in (rows[value[0]], rows["all"]):
                        row.number += 1
                        row.outcomes[value[1]] += 1
                        row.wrong = [before + now for before, now in zip(row.wrong, value[2:], strict=True)]
    if not rows:
        return
    terminalreporter.write_line("")
    terminalreporter.write_line(
        f"{'fault':34} {'number':>6}  {'refused':>7} {'killed':>6} {'went through':>12}   " + "  ".join(COLUMNS)
    )
    for kind in [*sorted(kind for kind in rows if kind != "all"), "all"]:
        row = rows[kind]
        counts = [row.outcomes[outcome] for outcome in ("refused", "killed", "went through")]
        wrong = "  ".join(f"{number:>{len(column)}}" for number, column in zip(row.wrong, COLUMNS, strict=True))
        terminalreporter.write_line(f"{kind:34} {row.number:>6}  {counts[0]:>7} {counts[1]:>6} {counts[2]:>12}   {wrong}")
