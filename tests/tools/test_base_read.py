"""The digest of a base's file is taken beside Salt's own work: of the very file that is then prepared."""

import os
import signal
from dataclasses import replace

import pytest
from vmimage.base import locate
from vmimage.settings.schema import Settings
from vmimage.system import digest
from vmimage.system.progress import Progress


def replaced(path):
    other = path.with_name("other")
    other.write_bytes(path.read_bytes()[:-1] + b"x")
    os.replace(other, path)


def written_to(path):
    with open(path, "ab") as file:
        file.write(b"x")


def test_a_file_whose_digest_is_taken_beside_other_work_is_read_once(tmp_path, monkeypatch):
    path = tmp_path / "base.img"
    path.write_bytes(bytes(1080) + b"\x53\xef" + bytes(1000))
    settings = Settings(base=str(path), base_unverified=True, cache=str(tmp_path / "cache"))
    expected = locate.locate_base(replace(settings, cache=str(tmp_path / "other")), Progress())
    reading = locate.begin_reading(settings)
    while not locate.is_known(path, tmp_path / "cache/digests.json"):
        pass
    monkeypatch.setattr(digest, "digest_of_file", lambda *_, **__: pytest.fail("it is read again"))
    assert locate.locate_base(settings, Progress(), reading=reading) == expected and expected.is_just_read
    assert locate.begin_reading(settings) is None, "its digest is known"
    assert not locate.locate_base(settings, Progress()).is_just_read, "it is out of the table"


@pytest.mark.parametrize("change", [replaced, written_to, lambda path: None], ids=["replaced", "written to", "killed"])
def test_what_comes_of_a_file_that_was_read_beside_other_work_is_not_taken_for_another(tmp_path, monkeypatch, change):
    path = tmp_path / "base.img"
    path.write_bytes(bytes(1080) + b"\x53\xef" + bytes(1000))
    settings = Settings(base=str(path), base_unverified=True, cache=str(tmp_path / "cache"))
    with monkeypatch.context() as patch:
        if change.__name__ == "<lambda>":
            patch.setattr(locate, "known_digest", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        reading = locate.begin_reading(settings)
    if change.__name__ != "<lambda>":
        while not locate.is_known(path, tmp_path / "cache/digests.json"):
            pass
        change(path)
    located = locate.locate_base(settings, Progress(), reading=reading)
    assert located.digest == digest.digest_of_file(path) and located.is_just_read


@pytest.mark.parametrize(
    "address", ["", "http://mirror/base.img", "salt://base.img", "glance:base", "/no/such/file", "/x" * 3000]
)
def test_nothing_is_read_beside_other_work_of_what_is_no_file_of_this_machine(tmp_path, address):
    assert locate.begin_reading(Settings(base=address, cache=str(tmp_path))) is None
