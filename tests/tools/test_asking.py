"""Which commit a repository has now, asked of the real hg and git."""

import pytest
from repository_server import SOURCES
from vmimage.errors import RepositoryWrong
from vmimage.repository.asking import ask_commit
from vmimage.repository.checkout import fetch_repository

pytestmark = pytest.mark.needs("hg", "git")


@pytest.fixture(params=["hg", "git"])
def source(request, tmp_path):
    return SOURCES[request.param](tmp_path / "source", {"variation__sls": "first"})


def ask(source, tmp_path, revision=""):
    return ask_commit(source.kind, source.address, revision, tmp_path / "cache", key="ami_fleet.repositories.web")


def test_the_latest_commit_is_that_which_would_be_fetched(source, tmp_path):
    for text in ("second", "third"):
        node = source.commit(variation__sls=text)
        assert ask(source, tmp_path) == node == fetch_repository(source.kind, source.address, "", tmp_path / "cache").node
    assert not (tmp_path / "source/.hg/store/lock").exists()


def test_branches_tags_and_hashes_are_asked_for_by_their_names(source, tmp_path):
    first = source.first
    source.branch("stable")
    stable = source.commit(variation__sls="stable")
    source.tag("v1", first)
    assert ask(source, tmp_path, "stable") == (source.node() if source.kind == "git" else source.node("stable"))
    assert ask(source, tmp_path, "v1") == first
    assert ask(source, tmp_path, stable) == stable
    assert ask(source, tmp_path, stable[:12]) == stable


@pytest.mark.parametrize("revision", ["nowhere", "tip^", "0123456789abcdef"])
def test_what_is_not_there_is_an_error_that_names_it(source, tmp_path, revision):
    with pytest.raises(RepositoryWrong, match="nowhere|tip|0123456789abcdef"):
        ask(source, tmp_path, revision)


def test_a_repository_that_cannot_be_asked_is_an_error(source, tmp_path):
    source.path.rename(tmp_path / "elsewhere")
    with pytest.raises(RepositoryWrong, match="cannot be asked"):
        ask(source, tmp_path)
