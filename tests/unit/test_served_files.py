"""What Salt's file server offers, in a directory as it lies there."""

import os
import shutil
import stat
from pathlib import Path

import pytest
from vmimage.variation.served_files import fetch_tree


class Client:
    """Salt's client of a directory: as Salt's own it caches content alone."""

    def __init__(self, served, cache):
        self.served, self.cache = served, cache

    def _below(self, prefix, kind):
        found = (path for path in self.served.rglob("*") if getattr(path, kind)())
        return [name for path in found if (name := os.fspath(path.relative_to(self.served))).startswith(prefix)]

    def file_list(self, saltenv, prefix):
        return self._below(prefix, "is_file")

    def dir_list(self, saltenv, prefix):
        return self._below(prefix, "is_dir")

    def symlink_list(self, saltenv, prefix):
        return {name: os.readlink(self.served / name) for name in self._below(prefix, "is_symlink")}

    def cache_files(self, paths, saltenv):
        for name in (path.removeprefix("salt://") for path in paths):
            (self.cache / name).parent.mkdir(parents=True, exist_ok=True)
            (self.cache / name).write_bytes((self.served / name).read_bytes())

    def hash_and_stat_file(self, path, saltenv):
        return None, list(os.stat(self.served / path.removeprefix("salt://")))


@pytest.fixture
def fetched(tmp_path, tree):
    """Fetches what is served, below a name."""
    served = tmp_path / "served"
    tree(served, {"web/tool": "x", "web/link": "-> tool", "web/far": f"-> {served}/web/tool", "web2/other": "y"})
    (served / "web/empty").mkdir()
    (served / "web/tool").chmod(0o750)

    def fetch(below=""):
        return fetch_tree(Client(served, tmp_path / "cache"), tmp_path / "cache", "base", below)

    fetch.served = served
    return fetch


def test_files_have_their_modes_and_links_and_empty_directories_are_there(fetched):
    top = fetched()
    assert stat.S_IMODE((top / "web/tool").stat().st_mode) == 0o750
    assert (top / "web/link").readlink() == Path("tool") and (top / "web/empty").is_dir()


def test_a_link_to_elsewhere_is_the_file_that_it_leads_to(fetched):
    top = fetched()
    assert not (top / "web/far").is_symlink() and (top / "web/far").read_text() == "x"


def test_what_is_served_no_longer_goes(fetched):
    fetched()
    (fetched.served / "web/tool").unlink()
    (fetched.served / "web/link").unlink()
    (fetched.served / "web/link").write_text("a file now")
    shutil.rmtree(fetched.served / "web2")
    top = fetched()
    assert not (top / "web/tool").exists() and not (top / "web2").exists()
    assert not (top / "web/link").is_symlink() and (top / "web/link").read_text() == "a file now"


def test_only_what_lies_below_the_name_is_fetched(fetched, tmp_path):
    assert {path.name for path in fetched("web").iterdir()} == {"tool", "link", "far", "empty"}
    assert not (tmp_path / "cache/web2").exists()
    assert not fetched("nowhere").exists()
