"""Run groups of tests, each by a pytest of its own: a line for each group, and a closing line for all.

python tests/run.py [--changed] [GROUP...] [-- ARGUMENTS OF PYTEST]
"""

import argparse
import ast
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

TOP = Path(__file__).resolve().parents[1]
# Two workers in a lane; who waits for servers leaves room for a third.  A file goes whole to a worker where its tests share
# what is costly to make.
_FILES = ["--dist", "loadfile", "--no-loadscope-reorder"]
WORKERS = {
    "unit": ["-n", "2", "--dist", "worksteal"],
    "tools": ["-n", "3", *_FILES],
    "salt": ["-n", "2", *_FILES],
    "docs": ["-n", "2", *_FILES],
    "builder": ["-n", "1"],  # a machine runs one builder at a time
    "openstack": ["-n", "2", "--dist", "worksteal"],
    "root": ["-n", "2", *_FILES],
    "hostile": ["-n", "2", *_FILES, "-m", "hostile and not long"],
    "cases": ["-n", "2", "--dist", "load"],
    "fleet": ["-n", "1"],  # a master, four minions and a cloud are enough for two cores
    "parity": ["-n", "2", "--dist", "load"],
    "faults": ["-n", "2", "--dist", "load"],
    "disk": ["-n", "2", "--dist", "load"],  # each is mostly one emulated boot
}
#: files that take longest, to be begun first
LONG = (
    "guest",
    "outputs",
    "crash",
    "builder_image",
    "boot",
    "bases",
    "repository_trouble",
    "repository_safety",
    "incremental",
    "fast_paths",
    "delivery",
)
GROUPS = tuple(WORKERS)
#: lanes beside the other groups, in each one group after the other: alone a lane leaves a core without work for half of its time
BESIDE = (("openstack", "cases", "hostile", "salt", "docs"), ("builder", "fleet"))
BY_NAME_ALONE = ("parity", "faults", "disk")  # "all groups" begins to hold a group when its name goes from here
RUN = "VMIMAGE_TESTS_RUN"  # a variable of the environment: what a group has started has it
#: more for a group that is named: what our own cases prove already is built from others' cases only when asked, and the processes of a
#: fleet are killed for seven minutes
NAMED = {"cases": [f"--shared={TOP.parent / 'shared/cases'}"], "fleet": ["-m", "long or not long"]}
NO_TESTS = 5  # pytest's exit code where it found nothing to run


@dataclass(frozen=True)
class Outcome:
    """How a group ended; ``xfailed`` are known failures, and ``busy`` how much of all cores' time the machine was at work."""

    group: str
    seconds: float
    passed: int
    failed: int
    skipped: int
    xfailed: int
    code: int
    left: tuple
    busy: float

    def line(self):
        known = f", {self.xfailed} known to fail" if self.xfailed else ""
        times = f"{self.group:10} {self.seconds:7.0f} s, cores {self.busy:4.0%} busy"
        return f"{times}   {self.passed:5} passed, {self.failed} failed, {self.skipped} skipped{known}"


def run_groups(chosen, arguments, reports, stopping):
    """All groups, those of :data:`BESIDE` in their lanes beside the others; an :class:`Outcome` each.

    :param stopping: a threading.Event: where it is set no further group begins
    """
    outcomes = {}

    def run(groups, output=None):
        for group in groups:
            if stopping.is_set():
                return
            outcomes[group] = run_group(group, chosen[group], arguments(group), reports, output)

    main, *beside = lanes_of(chosen) or [[]]
    with ExitStack() as open_logs:
        logs = [
            open_logs.enter_context(Path(reports, f"lane-{number}.log").open("w+", encoding="utf-8", errors="replace"))
            for number in range(len(beside))
        ]
        threads = [threading.Thread(target=run, args=lane) for lane in zip(beside, logs, strict=True)]
        for thread in threads:
            thread.start()
        try:
            run(main)
        except BaseException:
            stopping.set()
            raise
        finally:
            for thread in threads:
                thread.join()
        for log in logs:
            log.seek(0)
            print(log.read(), flush=True)
    return [outcomes[group] for group in chosen]


def lanes_of(groups):
    """The groups of each lane that has any; first those that are beside no others."""
    main = [group for group in groups if not any(group in lane for lane in BESIDE)]
    lanes = [main, *([group for group in lane if group in groups] for lane in BESIDE)]
    return [lane for lane in lanes if lane]


def run_group(group, paths, arguments, reports, output=None):
    """One group by pytest, then a look at the machine for what its tests have left behind.

    :param output: an open file, default the terminal
    """
    print(f"\n=== {group}", flush=True, file=output)
    begun, before, directory = time.monotonic(), core_seconds(), f"{reports}/{group}"
    report = Path(f"{directory}.xml")
    # short: sockets lie below it, whose paths have 107 characters at most
    argv = [sys.executable, "-m", "pytest", *WORKERS[group], "--basetemp", directory, "--junitxml", report, *arguments]
    environment = {**os.environ, RUN: directory}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # hundreds of processes would compile the project, each for itself
    code = subprocess.run([*argv, *paths], cwd=TOP, check=False, env=environment, stdout=output).returncode
    seconds = time.monotonic() - begun
    busy, waited = (now - then for now, then in zip(core_seconds(), before, strict=True))
    left = left_behind(directory)
    for what in left:
        print(f"left behind by {group}: {what}", flush=True, file=output)
    return Outcome(group, seconds, *counted(report), code, left, busy / (busy + waited or 1))


def core_seconds():
    """How long the cores of this machine have worked since it started, and how long they had nothing to do: two numbers of one unit."""
    times = [int(word) for word in Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()[1:9]]
    return sum(times) - sum(times[3:5]), sum(times[3:5])


def long_first(directory):
    """The test files of a group, those first that take longest."""
    order = {f"test_{name}.py": number for number, name in enumerate(LONG)}
    return sorted(directory.glob("test_*.py"), key=lambda path: (order.get(path.name, len(LONG)), path.name))


def files_of(group, *, is_named):
    """The test files of a group; that of hostile inputs, where it is named, has those of other groups, too, whose tests have its mark."""
    own = long_first(TOP / "tests" / group)
    if group != "hostile" or not is_named:
        return own
    others = [path for other in ("unit", "tools") for path in sorted((TOP / "tests" / other).glob("test_*.py"))]
    return own + [path for path in others if "pytest.mark.hostile(" in path.read_text(encoding="utf-8")]


def counted(report):
    """``(passed, failed, skipped, known to fail)`` of a JUnit report."""
    if not report.exists():
        return 0, 0, 0, 0
    cases = list(ElementTree.parse(report).iter("testcase"))
    failed = sum(1 for case in cases if case.find("failure") is not None or case.find("error") is not None)
    skips = [case.find("skipped") for case in cases if case.find("skipped") is not None]
    xfailed = sum(1 for skip in skips if skip.get("type") == "pytest.xfail")
    return len(cases) - failed - len(skips), failed, len(skips) - xfailed, xfailed


def left_behind(directory, seconds=120):
    """Mounts and loop devices of files below the directory of a group, and processes that its tests have started, after some seconds."""
    deadline = time.monotonic() + seconds
    while (left := [*mounts_below(directory), *processes_of(directory)]) and time.monotonic() < deadline:
        time.sleep(0.1)
    return tuple(left)


def mounts_below(directory):
    mounts = (line.split()[4] for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines())
    loops = (path.read_text(encoding="utf-8").strip() for path in Path("/sys/block").glob("loop*/loop/backing_file"))
    return sorted(f"mount {path}" for path in (*mounts, *loops) if path.startswith(f"{directory}/"))


def processes_of(directory):
    """Of each process that the tests of a group have started, whoever is its parent by now: its pid and command line."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes().split(b"\0")
            if f"{RUN}={directory}".encode() in environment:
                found.append(f"process {process.name} {(process / 'cmdline').read_text(errors='replace').replace(chr(0), ' ')}")
        except OSError:
            continue
    return found


def end_all(groups, reports):
    """Kill what the groups have started; namespaces, mounts and loop devices go with their processes.

    Found as descendants, for Salt's processes change their environment; and by that, for daemons have another parent.
    """
    while left := descendants(os.getpid()) | {
        int(line.split()[1]) for group in groups for line in processes_of(f"{reports}/{group}")
    }:
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def descendants(top):
    """Pids of the living processes below a process."""
    parents = {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state, parent = (process / "stat").read_text(errors="replace").rpartition(") ")[2].split()[:2]
            if state != "Z":
                parents[int(process.name)] = int(parent)
    found = {top}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {top}


def changed_files():
    """Files that differ from the commit that main had upstream, or else from the last commit; new files among them."""
    base = next((ref for ref in ("@{upstream}", "HEAD~1", "HEAD") if _git("rev-parse", "-q", "--verify", ref)), "HEAD")
    listed = _git("diff", "--name-only", base).splitlines() + _git("ls-files", "--others", "--exclude-standard").splitlines()
    return sorted({TOP / name for name in listed if (TOP / name).exists()})


def _git(*words):
    return subprocess.run(["git", *words], cwd=TOP, capture_output=True, text=True, check=False).stdout


def imports_of(path):
    """Names of the modules that a Python file imports, ``vmimage.x`` and ``from vmimage import x`` alike as ``x``."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.rpartition(".")[2] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module.rpartition(".")[2], *(alias.name for alias in node.names)}
    return found


def importers_of(modules):
    """Names of the modules of the project that import some modules, or a module that imports them."""
    imports = {path.stem: set() for path in TOP.glob("_utils/**/*.py")}
    for path in TOP.glob("_utils/**/*.py"):
        imports[path.stem] |= imports_of(path)
    found = set(modules)
    while more := {name for name, known in imports.items() if known & found} - found:
        found |= more
    return found


#: groups that are light enough for the daily loop; of the heavy groups, the files that show a whole build
DAILY = ("unit", "tools", "salt")
#: what pages are made of, besides their own files and the code
PAGES = ("README.rst", "CONTRIBUTING.md", "CHANGELOG.md", "userdata.example", "pillar.example", "quickstart", "run-tests")
#: what Salt and the pages are told by; other code is seen through by a few files of these groups
FACES = ("_modules", "_states", "states", *(f"_utils/vmimage/{part}" for part in ("host.py", "delivery.py", "errors.py")))
FACES += tuple(f"_utils/vmimage/{room}" for room in ("settings", "build", "instance", "repository"))
SMOKE = {
    "root": ("test_sample.py",),
    "salt": ("test_delivery.py", "test_sls.py"),
    "docs": ("test_functions.py", "test_messages.py"),
}


def touched(changed, groups):
    """``{group: test files}`` of what a change touches, by the imports of the tests.

    A test file is touched when it, or something that it imports directly, has changed; in the group unit, or indirectly.  Where code has changed, the sample is built,
    too, the faces are loaded and the messages on the pages compared; where a face has, or a page, all of these groups is run.
    """
    modules = {path.stem for path in changed if path.suffix == ".py"}
    code = any(path.relative_to(TOP).parts[0] in ("_utils", "_modules", "_states", "states") for path in changed)
    faces = any(path.is_relative_to(TOP / face) for path in changed for face in FACES)
    pages = any(path.is_relative_to(TOP / "docs") or os.fspath(path.relative_to(TOP)) in PAGES for path in changed)
    found = {}
    for group in groups:
        paths = sorted((TOP / "tests" / group).glob("test_*.py"))
        wanted = importers_of(modules) if group == "unit" else modules
        chosen = [path for path in paths if path in changed or group in DAILY and imports_of(path) & wanted]
        if code and group in SMOKE:
            chosen = sorted({*chosen, *(TOP / "tests" / group / name for name in SMOKE[group])})
        if group == "salt" and faces or group == "docs" and (faces or pages):
            chosen = paths
        if chosen:
            found[group] = chosen
    return found


def main(words):
    split = words.index("--") if "--" in words else len(words)
    parser = argparse.ArgumentParser(prog="run-tests", description="Run groups of tests; none: all.")
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"{', '.join(GROUPS)}")
    parser.add_argument("--changed", action="store_true", help="only what the changes since the upstream commit touch")
    options, more = parser.parse_args(words[:split]), words[split + 1 :]
    for group in options.groups:
        if group not in GROUPS:
            parser.error(f"there is no group {group}; groups: {' '.join(GROUPS)}")
    groups = [group for group in GROUPS if group in options.groups or not options.groups and group not in BY_NAME_ALONE]
    chosen = {group: files_of(group, is_named=group in options.groups) for group in groups}
    if options.changed:
        chosen = touched(changed_files(), groups)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="t-", ignore_cleanup_errors=True) as reports:
        named, stopping = {group: NAMED.get(group, []) for group in options.groups}, threading.Event()

        def stop(number, _frame):
            stopping.set()
            end_all(chosen, reports)  # before pytest ends: then its workers' programs are descendants no more
            sys.exit(128 + number)

        signal.signal(signal.SIGTERM, stop)
        outcomes = run_groups(chosen, lambda group: ["--durations=10", *named.get(group, []), *more], reports, stopping)
    print()
    for outcome in outcomes:
        print(outcome.line())
    failed = sum(max(outcome.failed, outcome.code not in (0, NO_TESTS) or bool(outcome.left)) for outcome in outcomes)
    passed, skipped = sum(outcome.passed for outcome in outcomes), sum(outcome.skipped for outcome in outcomes)
    print(f"in {time.monotonic() - begun:.0f} s")
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or any(outcome.code for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
