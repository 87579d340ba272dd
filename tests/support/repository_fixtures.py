"""Fixtures of the tests of vmimage.repository.checkout: made and served by :mod:`repository_server`."""

import functools
import uuid

import pytest
from once import made_once
from repository_server import SOURCES, Server, hg_served
from vmimage.repository.checkout import fetch_repository


class Fetcher:
    """``fetch(source, revision, ...)`` into one cache; keeps what was said and how long was slept."""

    def __init__(self, cache):
        self.cache, self.said, self.slept = cache, [], []

    def __call__(self, source, revision="", kind=None, **options):
        address = source if isinstance(source, str) else source.address
        defaults = {"say": self.said.append, "sleep": self.slept.append}
        return fetch_repository(kind or source.kind, address, revision, self.cache, **(defaults | options))

    @property
    def place(self):
        """The directory of the only repository that was fetched."""
        (place,) = (self.cache / "repositories").iterdir()
        return place


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    top = tmp_path_factory.mktemp("served")
    with hg_served(top) as port:
        yield top, port


@pytest.fixture
def server(served, monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with Server(*served).running() as server:
        yield server


@pytest.fixture
def fetch(tmp_path):
    return Fetcher(tmp_path / "cache")


@pytest.fixture(scope="session")
def template(tmp_path_factory):
    """A function that gives a repository of a kind, which all workers share: three commits on the main branch, one on the branch
    ``stable``, which is the newest; the tag ``v1`` is the second."""

    @functools.cache
    def make(kind):
        first = {"variation__sls": "first"}
        return made_once(tmp_path_factory, f"template-{kind}", lambda top: _history(SOURCES[kind](top / kind, first)))

    return make


def _history(source):
    nodes = {"first": source.first, "second": source.commit(variation__sls="second")}
    nodes["last"] = source.commit(variation__sls="last")
    source.switch(nodes["first"])
    source.branch("stable")
    nodes["stable"] = source.commit(variation__sls="stable")
    source.switch(source.latest)
    source.tag("v1", nodes["second"])
    source.nodes = nodes | {"tip": source.node()}
    return source


@pytest.fixture(params=sorted(SOURCES))
def history(request, served, template):
    """A repository of each kind, as ``template`` says; ``served`` can serve it."""
    return template(request.param).copied(served[0] / uuid.uuid4().hex[:12])


@pytest.fixture
def credentials(tmp_path):
    """A maker of a directory of credentials: ``credentials(netrc="machine ...")``."""

    def make(**files):
        directory = tmp_path / "credentials"
        directory.mkdir(mode=0o700, exist_ok=True)
        for name, text in files.items():
            (directory / name).touch(mode=0o600)
            (directory / name).write_text(text)
        return directory

    return make
