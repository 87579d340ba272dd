"""What a variation's repository tells reaches the states of pre and post and what they call, at one revision, in the real Salt."""

import json
import os
import sys

import pytest
from minions import PROJECT
from repository_server import SOURCES

pytestmark = pytest.mark.needs("hg", "git")
SETTINGS = "ami: {name: web, headroom_mib: 5, packages: [less], carry_over: ['hw_*'], room_mib: 100, keep: 1}\n"
#: what create_variation does around pre and post, where that needs no root; ``between`` is what happens to the world meanwhile
PROBE = """
from vmimage.host import Host

def hand(sls, between="", **arguments):
    host = Host(__salt__, __opts__, __grains__, __pillar__)
    build = host.build(arguments, fetches=True)
    if between:
        assert __salt__["cmd.retcode"](between) == 0
    with build.running():
        return {"settings": build.settings.as_dict(), "states": host.apply_sls(sls)}

def seen(**arguments):
    settings = Host(__salt__, __opts__, __grains__, __pillar__).build({"name": None, **arguments}).settings
    return settings.as_dict()
"""
SLS = """
what a template reads:
  test.configurable_test_state:
    - changes: False
    - result: True
    - comment: {{ [salt["vm_create.setting"]("name"), salt["vm_create.setting"]("packages")] | json | yaml_dquote }}

what a function that is called reads:
  test.configurable_test_state:
    - changes: False
    - result: True
    - comment: {{ salt["probe.seen"]() | json | yaml_dquote }}

the root is open:
  vm_image.opened:
    - pre: the_pre_of_an_argument
"""


#: for what each kind of repository does in its own way; all else is seen with git
each_kind = pytest.mark.parametrize("source", sorted(SOURCES), indirect=True)


@pytest.fixture
def source(request, tmp_path):
    source = SOURCES[getattr(request, "param", "git")](tmp_path / "source")
    source.write({"ami.yaml": SETTINGS})
    source.first = source.commit(variation__sls="first")
    return source


@pytest.fixture
def ours(minion, source, tmp_path, tree):
    """A minion whose pillar names the repository, with the probe."""
    states = tree(tmp_path / "states", {"_modules/probe.py": PROBE, "seen.sls": SLS})
    places = {f"ami.{key}": str(tmp_path / key) for key in ("workspace", "output", "cache")}
    config = {"module_dirs": [str(states / "_modules")], "file_roots": {"base": [str(states), str(PROJECT / "states")]}}
    found = minion(**config, **places, **{"ami.tries": 1})
    found.pillar(json.dumps({"ami": {f"{source.kind}_address_variation": source.address, "room_mib": 200}}))
    return found


def comments(answer):
    assert isinstance(answer["states"], dict), answer["states"]
    return {state["__id__"]: state["comment"] for state in answer["states"].values()}


@pytest.fixture
def committing(source, tmp_path):
    """The word for the probe: a commit of another ami.yaml in between."""
    here = [entry for entry in sys.path if entry.startswith(str(PROJECT))]
    script = tmp_path / "commit.py"
    script.write_text(
        f"import sys\nsys.path[:0] = {here!r}\nfrom pathlib import Path\nfrom repository_server import SOURCES\n"
        f"source = object.__new__(SOURCES[{source.kind!r}])\nsource.path = Path({source.address!r})\n"
        "source.write({'ami.yaml': 'ami: {name: other, headroom_mib: 6}'})\nsource.commit_all('other')\n"
    )
    return f"between={sys.executable} {script}"


@each_kind
def test_what_the_repository_tells_reaches_template_function_and_state_of_an_sls(ours, source):
    answer = ours.call("probe.hand", "seen", "keep=2")[1]
    settings, seen = answer["settings"], comments(answer)
    assert seen["what a template reads"] == '["web", ["less"]]'
    assert json.loads(seen["what a function that is called reads"]) == settings
    assert seen["the root is open"].startswith("the base of web is not fetched")
    assert (settings["headroom_mib"], settings["carry_over"]) == (5, ["hw_*"])


def test_it_weighs_less_than_pillar_and_pillar_less_than_an_argument(ours):
    settings = ours.call("probe.hand", "seen", "keep=2")[1]["settings"]
    assert (settings["headroom_mib"], settings["room_mib"], settings["keep"]) == (5, 200, 2)


def test_an_argument_of_a_state_weighs_most(ours):
    assert "state.sls the_pre_of_an_argument" in comments(ours.call("probe.hand", "seen")[1])["the root is open"]


@each_kind
def test_what_is_committed_while_it_builds_does_not_count(ours, source, committing):
    answer = ours.call("probe.hand", "seen", committing)[1]
    seen = json.loads(comments(answer)["what a function that is called reads"])
    assert source.node() != source.first
    assert seen["name"] == "web" and seen[f"{source.kind}_rev_variation"] == source.first
    assert seen["revision"] == source.shown(source.first)


def test_the_next_build_takes_what_was_committed(ours, source, committing):
    ours.call("probe.hand", "seen", committing)
    settings = ours.call("probe.hand", "seen")[1]["settings"]
    assert settings["name"] == "other" and settings[f"{source.kind}_rev_variation"] == source.node()


@each_kind
def test_what_begins_nothing_reads_what_was_last_fetched_and_asks_nobody(ours, source):
    first = ours.good("probe.seen")
    source.path.rename(source.path.with_name("away"))
    assert ours.good("probe.seen") == first and first["name"] == "web"


def test_settings_without_a_build_tell_what_stands_on_this_machine_and_ask_nobody(ours, source, tmp_path):
    assert ours.good("vm_create.settings")["name"]["value"] == "variation"
    assert not (tmp_path / "cache").exists()


def test_a_step_by_step_run_hears_the_repository_from_its_first_state_on(ours, source):
    states = ours.call("state.sls", "ami_creator_pre", "test=True")[1]
    assert "would mount the root at /mnt/web" in [state["comment"] for state in states.values()]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ami.output: /etc\n", "ami.output in ami.yaml of {} (line 1) cannot be set by the repository"),
        ("ami.headroom_mib: -1\n", "ami.headroom_mib in the ami.yaml of {} is -1"),
        ("ami: [\n", "ami.yaml of {} (line 2) is not YAML"),
    ],
)
def test_what_is_wrong_in_the_repository_stops_the_build_by_its_name(ours, source, text, words):
    source.write({"ami.yaml": text})
    source.commit_all("wrong")
    assert words.format(source.address) in ours.bad("vm_create.create_variation")


def test_where_name_is_given_what_needs_no_more_asks_no_repository(ours, source, tmp_path):
    source.path.rename(source.path.with_name("away"))
    wanted = "there is no build web" if os.geteuid() == 0 else "building an image needs root"
    assert wanted in ours.bad("vm_create.release", "web")
    assert not (tmp_path / "cache").exists()
