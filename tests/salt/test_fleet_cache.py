"""The memory of a fleet in Salt's cache, while two processes work with it."""

import importlib.util
import os
from pathlib import Path

import pytest
from vmimage.fleet.claims import Claims

RUNNER = Path(__file__).resolve().parents[2] / "_runners/vm_fleet.py"
PAUSED = "vm_fleet/main/asked/pause.p"


@pytest.fixture
def cache(tmp_path):
    import salt.config  # here: pytest collects no more files once Salt has put its own importer among Python's

    spec = importlib.util.spec_from_file_location("vm_fleet", RUNNER)
    runner = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(runner)
    return runner._Cache({**salt.config.DEFAULT_MASTER_OPTS, "cachedir": str(tmp_path)})


@pytest.fixture
def goes(tmp_path, monkeypatch):
    """A function: another process removes the entry as soon as Salt has seen so many times that it is there."""
    isfile, looks = os.path.isfile, []

    def goes(number):
        def seen(path):
            found = isfile(path)
            if found and os.fspath(path) == f"{tmp_path}/{PAUSED}":
                looks.append(path)
                if len(looks) == number:
                    os.remove(path)
            return found

        monkeypatch.setattr(os.path, "isfile", seen)

    return goes


def test_what_a_person_takes_back_while_it_is_read_was_not_asked(cache, goes):
    claims = Claims(cache, "main")
    goes(2)
    claims.ask("pause", 1.0)
    claims.ask("pause.web", 2.0)
    assert claims.asked() == {"pause.web": 2.0}


def test_what_two_people_take_back_at_once_is_taken_back(cache, goes):
    claims = Claims(cache, "main")
    goes(1)
    claims.ask("pause", 1.0)
    claims.take_back("pause")
    assert claims.asked() == {}


def test_an_entry_that_cannot_be_read_is_an_error(cache, tmp_path):
    from salt.exceptions import SaltCacheError

    claims = Claims(cache, "main")
    claims.ask("pause", 1.0)
    path = tmp_path / PAUSED
    path.unlink()
    path.symlink_to("/proc/self/mem")  # a file that gives no byte
    with pytest.raises(SaltCacheError):
        claims.asked()
