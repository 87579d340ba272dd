"""A new base that is kept beside the build that uses it first: killed at whatever instant, nothing wrong is taken for a base.

And a base that several builds begin from: read once for all of them, and again where anybody has written to it.
"""

import os
import pkgutil
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from vmimage.base import prepare
from vmimage.base.locate import Located
from vmimage.build import parallel
from vmimage.errors import BuildDied
from vmimage.settings.schema import Settings
from vmimage.system.background import BackgroundTask
from vmimage.system.lock import locked
from vmimage.system.progress import Progress

FACTS = {"packages": {}, "content_bytes": 1, "format": "raw", "label": "", "uuid": ""}
INSTANTS = ["sync", "digest_of_file", "_record_of", "write_json", "write_json #2"]


@pytest.fixture
def begin(tmp_path, monkeypatch):
    """A function that begins to prepare a base; the work itself needs root."""
    settings = Settings(cache=str(tmp_path))
    located = Located("base.img", "raw", f"sha256:{'0' * 64}", "by its digest")

    def work(_):
        prepare.image_path(settings, located).with_suffix(".img.partial").write_bytes(b"prepared")
        return {**FACTS, "digest": located.digest}, None

    monkeypatch.setattr(prepare, "run_privately", work)

    def begin():
        base, keeping, _ = prepare.begin_preparing(settings, located, Progress(), lambda files: None)
        return base, keeping, lambda: prepare.find_prepared(settings, located)

    return begin


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("instant", INSTANTS)
def test_what_is_killed_while_it_keeps_a_base_leaves_nothing_that_is_taken_for_one(begin, monkeypatch, instant, when):
    name, _, number = instant.partition(" #")
    place, calls = f"vmimage.base.prepare.{name}", []
    call = pkgutil.resolve_name(place)

    def die(*arguments, **options):
        calls.append(1)
        is_here = len(calls) == int(number or 1)
        found = None if is_here and when == "before" else call(*arguments, **options)
        if is_here:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(place, die)
        base, keeping, find = begin()
        with pytest.raises(BuildDied):
            keeping.finish()
    assert Path(base.image).read_bytes() == b"prepared", "the build that uses it goes on"
    if find():
        assert (instant, when) == (INSTANTS[-1], "after")  # all of it was written
    base, keeping, find = begin()
    if keeping:
        keeping.finish()
    assert find() == base and prepare.is_as_it_was(Path(base.image), prepare.begin_reading(Path(base.image)))
    assert begin()[1] is None, "it is prepared"


def test_a_base_of_a_salt_with_another_algorithm_is_not_taken_for_damaged(begin, monkeypatch, tmp_path):
    def build():
        base, keeping, find = begin()
        if keeping:
            keeping.finish()
        image = Path(base.image)
        return image if find() == base and prepare.is_as_it_was(image, prepare.begin_reading(image)) else None

    first = build()
    with monkeypatch.context() as patch:
        patch.setattr(prepare, "QUICK", "sha256")  # where Salt brings no xxhash
        second = build()
    assert first and second and first != second and build() == first
    assert not list(tmp_path.rglob("*.damaged"))


def test_another_build_waits_until_a_new_base_is_on_the_disk(begin, tmp_path, monkeypatch):
    held, release = os.pipe()
    sync = prepare.sync

    def wait(path):
        os.read(held, 1)
        sync(path)

    with monkeypatch.context() as patch:
        patch.setattr(prepare, "sync", wait)
        base, keeping, find = begin()
    assert find() is None
    if (pid := os.fork()) == 0:
        try:
            os._exit(0 if begin()[1] is None else 1)
        finally:
            os._exit(2)
    assert os.waitpid(pid, os.WNOHANG) == (0, 0)
    os.write(release, b"1")
    keeping.finish()
    assert os.waitpid(pid, 0)[1] == 0 and find() == base
    with locked(Path(base.image).with_suffix(".lock"), "the base"):
        pass


def test_a_base_that_somebody_has_touched_is_read_again_by_one_build_at_a_time(begin):
    base, keeping, find = begin()
    keeping.finish()
    image = Path(base.image)
    os.utime(image)
    before = image.with_suffix(".digest").read_bytes()
    held, begun = os.pipe()
    waiting = BackgroundTask(lambda: os.read(held, 1) and begin()[1], "a build")  # begun before there is a lock to inherit
    with locked(image.with_suffix(".lock"), "the base"):
        os.write(begun, b"1")
        time.sleep(0.5)
        assert image.with_suffix(".digest").read_bytes() == before, "half a record is that of a damaged base"
    assert waiting.finish() is None and find() == base
    assert image.with_suffix(".digest").read_bytes() != before


def test_a_base_that_another_build_sets_aside_as_a_build_begins_is_prepared_again(begin, monkeypatch):
    base, keeping, find = begin()
    keeping.finish()
    find_prepared = prepare.find_prepared

    def late(*arguments):
        monkeypatch.setattr(prepare, "find_prepared", find_prepared)
        found = find_prepared(*arguments)
        prepare._move_aside(Path(base.image))
        return found

    monkeypatch.setattr(prepare, "find_prepared", late)
    again, keeping, _ = begin()
    keeping.finish()
    assert again == base == find()


def flip(image):
    """Change a byte, and let neither size nor time of the file tell of it."""
    facts = image.stat()
    with open(image, "r+b") as file:
        file.write(b"P")
    os.utime(image, ns=(facts.st_atime_ns, facts.st_mtime_ns))


@pytest.fixture
def shared(begin, tmp_path, monkeypatch):
    """A base that is read for several builds, and how often it has been read."""
    base, keeping, _ = begin()
    keeping.finish()
    digest_of_file, noted = prepare.digest_of_file, tmp_path / "readings"

    def read(path, algorithm):
        with open(noted, "a") as file:
            file.write("1")
        return digest_of_file(path, algorithm)

    monkeypatch.setattr(prepare, "digest_of_file", read)
    reading = prepare.SharedReading(Path(base.image))
    yield Path(base.image), reading, lambda: len(noted.read_text())
    reading.stop()


def in_ten_builds(work):
    """What comes of the work in ten processes at a time."""
    tasks = [BackgroundTask(work, "a build") for _ in range(10)]
    return [task.finish() for task in tasks]


def test_ten_builds_that_begin_from_a_base_read_it_once(shared):
    image, reading, number = shared
    assert in_ten_builds(lambda: reading.is_of(image) and prepare.is_as_it_was(image, reading)) == [True] * 10
    assert number() == 1


def test_a_base_that_is_damaged_while_ten_build_is_refused_by_each(shared):
    image, reading, _ = shared
    assert prepare.is_as_it_was(image, reading)  # of a build that has already ended
    flip(image)
    assert in_ten_builds(lambda: prepare.is_as_it_was(image, reading)) == [False] * 10
    assert prepare.damaged_path(image).exists() and not image.exists() and not reading.is_of(image)


def test_a_base_that_another_build_sets_aside_at_the_same_instant_is_refused(shared, monkeypatch):
    image, reading, _ = shared
    flip(image)
    read_record = prepare._read_record

    def late(path):
        prepare._move_aside(path)
        return read_record(path)

    monkeypatch.setattr(prepare, "_read_record", late)
    assert not prepare.is_as_it_was(image, reading)


def test_a_base_that_another_build_sets_aside_while_it_is_looked_at_is_prepared_again(begin, monkeypatch):
    base, keeping, find = begin()
    keeping.finish()
    image, looks_whole, looked = Path(base.image), prepare._looks_whole, []

    def late(path):
        if not looked:
            prepare._move_aside(path)
        looked.append(path)
        return looks_whole(path)

    monkeypatch.setattr(prepare, "_looks_whole", late)
    base, keeping, find = begin()
    keeping.finish()
    assert find() == base and looked == [image] and prepare.damaged_path(image).exists()


def test_a_base_that_another_build_has_prepared_again_is_no_longer_that_of_the_reading(shared, begin):
    image, reading, _ = shared
    flip(image)
    prepare._move_aside(image)
    begin()[1].finish()
    assert not reading.is_of(image) and not prepare.is_as_it_was(image, reading)
    assert prepare.is_as_it_was(image, prepare.begin_reading(image))


def test_a_base_that_was_set_aside_and_prepared_again_between_its_mounting_and_its_reading_is_refused(shared, begin):
    """Step by step there are days between the two."""
    image, *_ = shared
    mounted = prepare.identity_of(image)
    flip(image)
    prepare._move_aside(image)
    begin()[1].finish()
    assert not prepare.is_as_it_was(image, prepare.begin_reading(image), mounted=mounted)
    assert image.exists(), "the new one is whole"
    assert prepare.is_as_it_was(image, prepare.begin_reading(image), mounted=prepare.identity_of(image))


def test_a_base_that_another_build_has_prepared_again_while_it_was_read_is_refused(shared, begin, monkeypatch):
    image, *_ = shared
    flip(image)
    identity_of = prepare.identity_of

    def late(path):
        monkeypatch.setattr(prepare, "identity_of", identity_of)
        found = identity_of(path)
        prepare._move_aside(image)
        begin()[1].finish()
        return found

    monkeypatch.setattr(prepare, "identity_of", late)
    read = prepare._read_image(image, prepare.QUICK)
    assert not prepare.is_as_it_was(image, BackgroundTask(lambda: read, "reading")) and image.exists()


def test_where_what_reads_for_all_is_killed_each_reads_for_itself(begin, monkeypatch):
    base, keeping, _ = begin()
    keeping.finish()
    image = Path(base.image)
    with monkeypatch.context() as patch:
        patch.setattr(prepare, "digest_of_file", lambda path, algorithm: os.kill(os.getpid(), signal.SIGKILL))
        reading = prepare.SharedReading(image)
        time.sleep(0.2)
    assert in_ten_builds(lambda: prepare.is_as_it_was(image, reading)) == [True] * 10
    reading.stop()


def test_a_reading_that_has_begun_is_stopped_where_the_next_cannot_begin(monkeypatch):
    stopped, begun = [], []

    class Reading:
        def __init__(self, image):
            if begun:
                raise OSError("no process more")
            begun.append(image)

        def stop(self):
            stopped.append(begun[0])

    def prepared(build, found, bases):
        bases[build.settings.name] = Path(build.settings.name)
        return True

    for name, stand_in in (("check_basics", lambda: None), ("_check_apart", lambda builds: None), ("_prepared", prepared)):
        monkeypatch.setattr(parallel, name, stand_in)
    monkeypatch.setattr(parallel, "SharedReading", Reading)
    with pytest.raises(OSError, match="no process more"):
        parallel.create_variations(
            [SimpleNamespace(settings=Settings(name=name, jobs=2, memory=False)) for name in ("one", "two")]
        )
    assert stopped == begun
