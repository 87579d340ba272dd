"""Several builds at a time, each in a process of its own; the bases that they share are made before."""

import functools
import os
import select
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vmimage.base import prepare
from vmimage.base.prepare import SharedReading
from vmimage.build.build import Build
from vmimage.build.pipeline import create_variation
from vmimage.build.preflight import check_basics
from vmimage.errors import BuildDied, SettingsWrong, VmImageError
from vmimage.image.triplet import Manifest
from vmimage.system.aliases import Say
from vmimage.system.background import BackgroundTask
from vmimage.system.memory import SHARE, free_mib
from vmimage.system.namespace import stoppable
from vmimage.system.progress import format_bytes

#: ``(manifest, published)`` or the error
Outcome = tuple[Manifest, dict[str, Any] | None] | VmImageError

_MIB_EACH = 512  # of memory for the programs of a build


def create_variations(builds: Sequence[Build], say: Say = lambda line: None) -> dict[str, Outcome]:
    """Make the triplets of several variations, and publish those that ask for it.

    :param builds: each of another name
    :param say: takes the lines of the summary at the end
    :returns: by name, in the order of the builds
    :raises VmImageError: only for what makes all of them impossible
    """
    _check_apart(builds)
    check_basics()
    jobs = max(build.settings.jobs for build in builds) or jobs_for(len(builds))
    for build in builds:
        _share_memory(build, min(jobs, len(builds)))
    found: dict[str, Outcome] = {}
    bases: dict[str, Path] = {}
    waiting = [build for build in builds if _prepared(build, found, bases)]
    running: dict[BackgroundTask, str] = {}
    readings: list[SharedReading] = []
    try:
        with stoppable():
            for image in {*bases.values()}:
                readings.append(SharedReading(image))  # each at once, to be stopped whatever comes next
            while waiting or running:
                while waiting and len(running) < jobs:
                    build = waiting.pop(0)
                    build.shared_readings = readings
                    running[BackgroundTask(functools.partial(_built, build), f"the build of {build.settings.name}")] = (
                        build.settings.name
                    )
                for ended in select.select(running, [], [])[0]:
                    found[running.pop(ended)] = _result_of(ended)
    finally:
        for task in running:
            task.stop()
        for reading in readings:
            reading.stop()
    found = {build.settings.name: found[build.settings.name] for build in builds}
    for line in summary_lines(found):
        say(line)
    return found


def summary_lines(found: Mapping[str, Outcome]) -> Iterator[str]:
    """A table of what came of several builds, for people."""
    yield f"{sum(not isinstance(outcome, Exception) for outcome in found.values())} of {len(found)} variations are built"
    for name, outcome in found.items():
        if isinstance(outcome, Exception):
            yield f"  {name:<24} failed: {str(outcome).splitlines()[0]}"
            continue
        manifest, published = outcome
        seconds = sum(step["seconds"] for step in manifest["steps"])
        image = f"published as {published['image']}" if published else "not published"
        yield f"  {name:<24} {seconds:7.1f} s  {format_bytes(manifest['files']['root_image']['bytes']):>10}  {image}"


def jobs_for(count: int) -> int:
    """How many builds this machine takes at a time."""
    return max(1, min(count, len(os.sched_getaffinity(0)), free_mib() // _MIB_EACH))


def _check_apart(builds: Sequence[Build]) -> None:
    names, roots = ([getattr(build.settings, key) for build in builds] for key in ("name", "root_path"))
    for values, what in ((names, "the name"), (roots, "the root")):
        twice = [value for value in values if values.count(value) > 1]
        if twice:
            raise SettingsWrong(f"{what} {twice[0]} is that of two variations", hint="give each its own, or leave ami.root out")


def _share_memory(build: Build, jobs: int) -> None:
    """Builds at the same time share the memory: each measures it for itself, before the others take theirs."""
    settings = build.settings
    if settings.memory in ("auto", True) and jobs > 1:
        each = int(free_mib() * SHARE / jobs)
        memory = max(each, 1) if settings.memory is True or each >= settings.room_mib else False
        build.settings = replace(settings, memory=memory)
        build.arguments["memory"] = memory


def _prepared(build: Build, found: dict[str, Outcome], bases: dict[str, Path]) -> bool:
    """Have the base of a build in the cache, and Salt's own directories, before several want them at once."""
    try:
        build.host.make_directories()
        base = prepare.prepare_base(build.settings, build.locate_base(), build.progress)
        bases[build.settings.name] = Path(base.image)
    except Exception as error:
        found[build.settings.name] = _as_ours(error)
        return False
    return True


def _result_of(ended: BackgroundTask) -> Outcome:
    try:
        return ended.finish()
    except BuildDied as error:
        return error


def _built(build: Build) -> Outcome:
    try:
        return create_variation(build)
    except Exception as error:
        return _as_ours(error)


def _as_ours(error: Exception) -> VmImageError:
    return error if isinstance(error, VmImageError) else VmImageError(f"{type(error).__name__}: {error}")
