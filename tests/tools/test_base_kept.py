"""A new base that is kept beside the build that uses it first: killed at whatever instant, nothing wrong is taken for a base."""

import os
import pkgutil
import signal
from pathlib import Path

import pytest
from vmimage.base import prepare
from vmimage.base.locate import Located
from vmimage.errors import BuildDied
from vmimage.settings.schema import Settings
from vmimage.system.lock import locked
from vmimage.system.progress import Progress

FACTS = {"packages": {}, "content_bytes": 1, "format": "raw", "label": "", "uuid": ""}
INSTANTS = ["sync", "digest_of_file", "_record_of", "write_json", "write_json #2"]


@pytest.fixture
def begin(tmp_path, monkeypatch):
    """A function that begins to prepare a base; the work itself needs root."""
    settings = Settings(cache=str(tmp_path))
    located = Located("base.img", "raw", f"sha256:{'0' * 64}", "by its digest")
    image = prepare.image_path(settings, located)

    def work(_):
        image.with_suffix(".img.partial").write_bytes(b"prepared")
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
