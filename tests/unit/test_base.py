"""Prepared bases in the cache: which are used, and which go."""

import errno
import fcntl
import json
import os
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from vmimage.base import locate
from vmimage.base import prepare as base
from vmimage.base.locate import Located
from vmimage.errors import BaseUnverified, BuildStopped, KeptDamaged
from vmimage.settings.schema import Settings
from vmimage.system import digest
from vmimage.system.progress import Progress

DAY = 24 * 3600
LOCATED = Located("base.img", "raw", f"sha256:{'0' * 64}", "by its digest", Path("base.img"))
FACTS = '{"reference": "", "format": "raw", "digest": "", "verified": "", "label": "", "uuid": "", "packages": {}, "content_bytes": 1}'


@pytest.fixture
def settings(tmp_path):
    return SimpleNamespace(cache=tmp_path)


@pytest.fixture
def bases(tmp_path, tree):
    """The directory, with a base of each of these days ago."""
    directory = tree(tmp_path / "bases", {f"{days}.{end}": FACTS for days in (1, 59, 61) for end in ("img", "json", "lock")})
    for path in directory.iterdir():
        os.utime(path, (time.time() - int(path.stem) * DAY,) * 2)
    return directory


def prepare(settings):
    return base.prepare_base(settings, LOCATED, None)


@pytest.fixture
def prepare_another(settings, monkeypatch):
    """A function that begins to prepare a base that is not there yet, and is stopped: the rest needs root."""

    def stopped(work):
        raise BuildStopped("stopped")

    def begin():
        with pytest.raises(BuildStopped):
            base.prepare_base(settings, replace(LOCATED, digest=f"sha256:{'1' * 64}"), None)

    monkeypatch.setattr(base, "run_privately", stopped)
    monkeypatch.setattr(base, "_check_source", lambda *_: None)  # there is none
    return begin


def test_a_base_that_nobody_has_used_for_long_goes_when_another_is_prepared(bases, prepare_another):
    prepare_another()
    left = [f"{days}.{end}" for days in (1, 59) for end in ("img", "json")]
    assert sorted(path.name for path in bases.glob("[0-9]*") if path.suffix != ".lock") == left


def test_half_a_base_goes_too_and_a_base_that_somebody_prepares_now_does_not(bases, prepare_another):
    for name in ("half", "now"):
        (bases / f"{name}.img").touch()
        os.utime(bases / f"{name}.img", (0, 0))
    with open(bases / "now.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        prepare_another()
        assert not (bases / "half.img").exists() and (bases / "now.img").exists()
    prepare_another()
    assert not (bases / "now.img").exists()


def test_a_base_that_is_used_stays(bases, settings, prepare_another):
    image = base.image_path(settings, LOCATED)
    (bases / "61.img").rename(image), (bases / "61.json").rename(image.with_suffix(".json"))
    assert prepare(settings).image == str(image)
    prepare_another()
    assert prepare(settings).image == str(image)


def test_holes_in_the_file_of_a_base_do_not_count(tmp_path):
    path = tmp_path / "base.img"
    path.write_bytes(b"data" * 2048)
    os.truncate(path, 1 << 30)
    assert 8192 <= locate.file_bytes(Located("", "raw", "", "", path=path)) < 1 << 20
    assert locate.file_bytes(Located("", "bootstrap", "", "")) == 0


class AtOnce:
    def __init__(self, work, doing):
        self.result = work()

    def finish(self):
        return self.result


def flip(path, number):
    """A byte changes, and neither size nor time do."""
    facts, data = path.stat(), bytearray(path.read_bytes())
    data[number] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def replaced(path):
    other = path.with_name("other")
    other.write_bytes(path.read_bytes()[::-1])
    other.rename(path)


def written_to(path):
    with open(path, "r+b") as file:
        file.write(b"x")


@pytest.mark.parametrize("change", [replaced, written_to, lambda path: None], ids=["replaced", "written to", "as it was"])
def test_a_base_that_is_changed_between_its_digest_and_its_copy_is_not_cached(tmp_path, monkeypatch, change):
    path = tmp_path / "base.img"
    path.write_bytes(bytes(1080) + b"\x53\xef" + bytes(1000))
    settings = Settings(base=str(path), base_unverified=True, cache=str(tmp_path / "cache"))
    located = locate.locate_base(settings, Progress())

    def prepared(work):
        change(path)
        base.image_path(settings, located).with_suffix(".img.partial").write_bytes(b"prepared")
        return {"packages": {}, "content_bytes": 1, "format": "raw", "digest": located.digest, "label": "", "uuid": ""}, None

    monkeypatch.setattr(base, "run_privately", prepared)
    monkeypatch.setattr(base, "BackgroundTask", AtOnce)
    monkeypatch.setattr(os, "nice", lambda more: None)
    if change.__name__ == "<lambda>":
        assert base.prepare_base(settings, located, Progress()).digest == located.digest
        return
    with pytest.raises(BaseUnverified, match=f"{path} was changed"):
        base.prepare_base(settings, located, Progress())
    assert base.find_prepared(settings, located) is None and not list(tmp_path.glob("cache/bases/*.img*"))


@pytest.mark.parametrize("left", ["img", "img.partial", "preparing/loose.img"])
def test_what_a_killed_build_left_of_a_base_gives_way_where_its_room_is_needed(tmp_path, tree, left):
    settings = Settings(cache=str(tmp_path))
    stem = base.image_path(settings, LOCATED).stem
    assert not base.make_room(settings, LOCATED, Progress())
    tree(tmp_path / "bases", {f"{stem}.{left}": "half"})
    assert base.make_room(settings, LOCATED, Progress())
    assert [path.name for path in (tmp_path / "bases").iterdir()] == [f"{stem}.lock"]


def test_a_cache_that_is_only_read_has_no_room_to_give(tmp_path, tree, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EROFS, "Read-only file system")

    tree(tmp_path / "bases", {"other.damaged": "half"})
    monkeypatch.setattr(os, "open", refuse)
    assert not base.make_room(Settings(cache=str(tmp_path)), LOCATED, Progress()), "and what the build lacks is said"


def test_a_base_that_is_changed_while_its_digest_is_taken_is_refused(tmp_path):
    path = tmp_path / "base.img"
    path.write_bytes(bytes(1080) + b"\x53\xef" + bytes(1000))
    progress = Progress(lambda moment: written_to(path) if moment.what == "moved" else None)
    with pytest.raises(BaseUnverified, match=f"{path} was changed"):
        locate.locate_base(Settings(base=str(path), base_unverified=True, cache=str(tmp_path / "cache")), progress)


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """A function that prepares a base and counts how often that was work; the work itself needs root."""
    path = tmp_path / "base.img"
    path.write_bytes(bytes(1080) + b"\x53\xef" + bytes(1000))
    settings, notes, work = Settings(base=str(path), base_unverified=True, cache=str(tmp_path / "cache")), [], []
    located = locate.locate_base(settings, Progress())
    image = base.image_path(settings, located)

    def prepare(function):
        work.append(1)
        image.with_suffix(".img.partial").write_bytes(b"prepared")
        return {"packages": {}, "content_bytes": 1, "format": "raw", "digest": located.digest, "label": "", "uuid": ""}, None

    monkeypatch.setattr(base, "run_privately", prepare)
    monkeypatch.setattr(base, "BackgroundTask", AtOnce)  # no other process
    monkeypatch.setattr(os, "nice", lambda more: None)

    def begin():
        base.prepare_base(settings, located, Progress(lambda moment: notes.append(moment.text)))
        return image, len(work), notes

    return begin


def as_it_was(image):
    return base.is_as_it_was(image, base.begin_reading(image))


def test_a_prepared_base_that_is_as_it_was_is_used_again(prepared):
    image, *_ = prepared()
    os.utime(image)  # touched, and the same
    assert prepared()[1:] == (1, []) and prepared()[1:] == (1, [])


def test_a_flipped_byte_in_a_prepared_base_is_found_set_aside_and_said(prepared):
    image, *_ = prepared()
    with open(image, "r+b") as file:
        file.write(b"P")
    _, works, notes = prepared()
    assert works == 2 and image.read_bytes() == b"prepared"
    assert image.with_suffix(".damaged").read_bytes() == b"Prepared"
    assert len(notes) == 1 and str(image) in notes[0] and "prepared again" in notes[0]


def test_of_a_base_of_an_earlier_version_the_digest_is_taken_at_its_next_use(prepared):
    image, *_ = prepared()
    image.with_suffix(".digest").unlink()
    assert prepared()[1] == 1
    written_to(image)
    assert prepared()[1] == 2


def test_what_is_kept_of_an_image_is_no_fact_of_a_base(prepared):
    """Earlier versions share the cache, and know no other facts than these."""
    image, *_ = prepared()
    facts = json.loads(image.with_suffix(".json").read_text())
    assert set(facts) <= set(base.Base.__dataclass_fields__)


@pytest.mark.parametrize("ending", [".json", ".digest"])
def test_a_flipped_byte_in_what_is_kept_of_a_base_is_found_set_aside_and_said(prepared, ending):
    path = prepared()[0].with_suffix(ending)
    for number in range(0, path.stat().st_size, 9):
        flip(path, number)
        _, works, notes = prepared()
        assert works == len(notes) + 1 and "prepared again" in (notes or ["prepared again"])[-1]
        assert as_it_was(path.with_suffix(".img"))


def test_a_flipped_byte_that_nothing_else_tells_of_is_found_beside_the_build_and_set_aside(prepared):
    image, *_ = prepared()
    flip(image, 2)
    assert prepared()[1:] == (1, [])  # it looks as it did
    assert not as_it_was(image) and base.damaged_path(image).exists() and not image.exists()
    assert prepared()[1] == 2 and as_it_was(image)


def test_a_base_that_the_disk_cannot_read_is_set_aside(prepared, monkeypatch):
    def fail(path, algorithm="sha256"):
        raise OSError(errno.EIO, "Input/output error")

    image, *_ = prepared()
    monkeypatch.setattr(base, "digest_of_file", fail)
    assert not as_it_was(image) and base.damaged_path(image).exists() and not image.exists()


def test_the_base_that_another_build_has_prepared_again_stays(prepared):
    image, *_ = prepared()
    flip(image, 2)
    reading = base.begin_reading(image)
    base._set_aside(image, Progress())
    prepared()
    assert not base.is_as_it_was(image, reading) and image.read_bytes() == b"prepared"


def test_a_base_that_another_build_has_just_set_aside_is_not_as_it_was(prepared):
    image, *_ = prepared()
    flip(image, 2)
    reading = base.begin_reading(image)
    base._move_aside(image)  # nothing is known of it any more
    assert not base.is_as_it_was(image, reading) and not as_it_was(image)


def test_a_base_whose_file_has_lost_a_byte_unseen_is_not_prepared(tmp_path, monkeypatch):
    path = tmp_path / "base.img"
    path.write_bytes(bytes(1080) + b"\x53\xef" + bytes(1000))
    settings = Settings(base=str(path), base_unverified=True, cache=str(tmp_path / "cache"))
    monkeypatch.setattr(digest, "identity_of", lambda path: [1])  # ctime alone tells of a flip by a test
    monkeypatch.setattr(locate, "identity_of", lambda path: [1])
    locate.locate_base(settings, Progress())
    flip(path, 2000)
    located = locate.locate_base(settings, Progress())
    with pytest.raises(KeptDamaged, match=f"{path} is no longer what it was"):
        base.prepare_base(settings, located, Progress())
    assert locate.locate_base(settings, Progress()).digest != located.digest
