"""vmimage.instance.code with the real hg and git: the link that says which code a builder runs."""

import os

import pytest
from repository_server import SOURCES
from vmimage.errors import RepositoryWrong
from vmimage.instance.code import reset_code, switch_code
from vmimage.settings.gather import gather_settings
from vmimage.settings.schema import KEYS

pytestmark = pytest.mark.needs("hg", "git")
RUN = "_utils/vmimage/builder.py"


class Builder:
    """The code of a builder; ``said`` are the lines of the last switch."""

    def __init__(self, top):
        self.home, self.cache, self.said = top / "home", top / "cache", []

    def switch(self, **given):
        settings = gather_settings([], {"cache": str(self.cache), "tries": 1, **given})
        self.said.clear()
        running = (self.home / "current").resolve()  # a run starts again as the code that the link points to
        return switch_code({key: getattr(settings, key) for key in KEYS}, self.home, self.said.append, running)

    @property
    def runs(self):
        """What the code says that runs now."""
        return (self.home / "current" / RUN).read_text()


@pytest.fixture
def builder(tmp_path, tree):
    found = Builder(tmp_path / "builder")
    tree(found.home / "project", {RUN: "what it came with"})
    return found


#: for what each kind of repository does in its own way; all else is seen with git
each_kind = pytest.mark.parametrize("code", sorted(SOURCES), indirect=True)


@pytest.fixture
def code(request, tmp_path):
    """A repository of this project, with two revisions."""
    source = SOURCES[getattr(request, "param", "git")](tmp_path / "code")
    nodes = []
    for text in ("first", "second"):
        source.write({RUN: text})
        nodes.append(source.commit_all(text))
    source.nodes = nodes
    return source


def settings_of(code, revision=""):
    return {f"{code.kind}_address": code.address, f"{code.kind}_rev": revision}


def test_off_by_default_it_runs_what_it_came_with(builder):
    assert builder.switch() and builder.runs == "what it came with"
    assert not builder.switch()


@each_kind
def test_the_link_is_switched_to_the_revision_and_the_line_says_which(builder, code):
    builder.switch()
    assert builder.switch(**settings_of(code, code.nodes[0]))
    assert builder.runs == "first"
    assert f"code: {code.address} at {code.shown(code.nodes[0])}" in builder.said


@each_kind
def test_the_same_revision_once_more_switches_nothing(builder, code):
    assert builder.switch(**settings_of(code))
    before = os.lstat(builder.home / "current").st_ino
    assert not builder.switch(**settings_of(code)) and builder.runs == "second"
    assert os.lstat(builder.home / "current").st_ino == before


def test_without_a_revision_a_later_commit_is_switched_to(builder, code):
    builder.switch(**settings_of(code))
    code.write({RUN: "third"})
    code.commit_all("third")
    assert builder.switch(**settings_of(code)) and builder.runs == "third"


def test_without_an_address_it_is_switched_back_to_what_it_came_with(builder, code):
    builder.switch(**settings_of(code))
    assert builder.switch() and builder.runs == "what it came with"


def test_an_earlier_revision_may_follow_a_later_revision(builder, code):
    builder.switch(**settings_of(code))
    assert builder.switch(**settings_of(code, code.nodes[0])) and builder.runs == "first"


@each_kind
def test_what_is_not_this_project_is_refused_and_the_link_stays(builder, code):
    builder.switch(**settings_of(code))
    stranger = SOURCES[code.kind](builder.cache.parent / "stranger", {"variation__sls": "x"})
    with pytest.raises(
        RepositoryWrong, match=f"(?s){stranger.address} at .* is not this project.*correct ami.{code.kind}_address"
    ):
        builder.switch(**settings_of(stranger))
    assert builder.runs == "second" and not (builder.home / "current.partial").is_symlink()


@each_kind
def test_a_revision_that_is_not_there_is_refused_by_its_name_and_the_link_stays(builder, code):
    builder.switch(**settings_of(code))
    with pytest.raises(RepositoryWrong, match="has no revision nowhere"):
        builder.switch(**settings_of(code, "nowhere"))
    assert builder.runs == "second"


@each_kind
def test_a_repository_that_cannot_be_reached_leaves_the_link_unless_the_user_allows_what_was_last_fetched(builder, code):
    builder.switch(**settings_of(code))
    code.path.rename(code.path.with_name("away"))
    with pytest.raises(RepositoryWrong):
        builder.switch(**settings_of(code))
    assert builder.runs == "second"
    assert not builder.switch(**settings_of(code), repository_stale=True) and builder.runs == "second"


def test_what_a_killed_run_left_beside_the_link_is_no_hindrance(builder, code):
    (builder.home / "current.partial").symlink_to("nowhere")
    assert builder.switch(**settings_of(code)) and builder.runs == "second"


def test_a_link_that_leads_nowhere_is_mended(builder):
    (builder.home / "current").symlink_to(builder.cache / "gone")
    assert builder.switch() and builder.runs == "what it came with"


def test_a_machine_that_our_states_did_not_make_has_no_home_and_gets_none(tmp_path):
    machine = Builder(tmp_path)
    assert not machine.switch() and not machine.home.exists() and machine.said == []


def test_code_may_come_to_a_machine_without_a_home(tmp_path, code):
    machine = Builder(tmp_path / "machine")
    assert machine.switch(**settings_of(code)) and machine.runs == "second"


@each_kind
def test_no_subrepository_of_the_code_is_fetched(builder, code, tmp_path):
    """What a builder runs is one revision of one repository, whatever it refers to."""
    (code.path / {"hg": ".hgsub", "git": ".gitmodules"}[code.kind]).write_text("[submodule x]\n" if code.kind == "git" else "")
    code.commit_all("refers to others")
    builder.switch(**settings_of(code), repository_subrepositories=True)
    assert builder.runs == "second" and any("they are left out" in line for line in builder.said)


def test_a_run_begins_with_what_the_builder_came_with(builder, code):
    builder.switch(**settings_of(code))
    reset_code(builder.home, builder.said.append, running=builder.home / "project")
    assert builder.runs == "what it came with"


def test_a_run_that_was_handed_over_to_stays(builder, code):
    builder.switch(**settings_of(code))
    reset_code(builder.home, builder.said.append, running=(builder.home / "current").resolve())
    assert builder.runs == "second"


def test_code_that_the_link_leads_to_already_is_handed_over_to(builder, code):
    builder.switch(**settings_of(code))
    settings = gather_settings([], {"cache": str(builder.cache), "tries": 1, **settings_of(code)})
    settings = {key: getattr(settings, key) for key in KEYS}
    assert switch_code(settings, builder.home, builder.said.append, running=builder.home / "project")
