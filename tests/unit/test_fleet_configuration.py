"""What ami_fleet may say: exact names, an error that names the key, and everything that is right goes on."""

import re

import pytest
from vmimage.errors import SettingsWrong
from vmimage.fleet.configuration import check_variation_settings, read_configuration

RIGHT = {"repositories": {"web": {"hg": "https://hg.example.org/web"}}, "builders": {"target": "G@role:ami-builder"}}


def read(**more):
    return read_configuration({"ami_fleet": {**RIGHT, **more}})


def test_the_least_configuration_has_defaults_for_all_else():
    fleet = read()
    assert (fleet.name, fleet.attempts, fleet.retry, fleet.max_age, fleet.supersede, fleet.keep_logs) == (
        "main",
        3,
        60,
        0,
        "wait",
        20,
    )
    assert (fleet.builders.per_builder, fleet.builders.lease) == (1, 120)
    assert fleet.repositories["web"].kind == "hg" and fleet.problems == {}


@pytest.mark.parametrize(
    ("written", "seconds"),
    [(90, 90), ("90", 90), ("30 days", 2592000), ("1 day", 86400), ("12 hours", 43200), ("2h", 7200), ("1.5m", 90)],
)
def test_times_are_seconds_or_words(written, seconds):
    assert read(max_age=written).max_age == seconds


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"max_ages": "1 day"}, r"unknown key ami_fleet\.max_ages.*did you mean ami_fleet\.max_age"),
        ({"max_age": "a while"}, r"ami_fleet\.max_age: 'a while' is no time"),
        ({"max_age": True}, r"ami_fleet\.max_age"),
        ({"attempts": 0}, r"ami_fleet\.attempts: 0"),
        ({"attempts": True}, r"ami_fleet\.attempts: True"),
        ({"supersede": "later"}, r"ami_fleet\.supersede: 'later'"),
        ({"name": "a/b"}, r"ami_fleet\.name: 'a/b' is no name"),
        ({"builders": {}}, r"ami_fleet\.builders: nobody builds"),
        ({"builders": {"target": "*", "per_builders": 2}}, r"unknown key ami_fleet\.builders\.per_builders"),
        ({"builders": {"target": "*", "lease": 1}}, r"ami_fleet\.builders\.lease: too short"),
        ({"builders": {"target": "*", "deadline": 5}}, r"ami_fleet\.builders\.deadline: too short"),
        ({"builders": {"per_builder": 2}}, r"ami_fleet\.builders\.target"),
        ({"defaults": {"clud": "x"}}, r"unknown key ami_fleet\.defaults\.clud.*did you mean ami_fleet\.defaults\.cloud"),
        ({"defaults": {"keep": "three"}}, r"ami_fleet\.defaults: .*keep"),
        ({"defaults": {"number": 5}}, r"ami_fleet\.defaults\.number: this cannot be set here"),
        ({"defaults": {"release": "trixi"}}, r"ami_fleet\.defaults: release is 'trixi'.*did you mean trixie"),
        ({"repositories": ["web"]}, r"ami_fleet\.repositories: this is no mapping\n  -> repositories: {web: {hg: ADDRESS}}"),
        ({"builders": "G@role:x"}, r"ami_fleet\.builders: this is no mapping\n  -> builders: {target: 'G@role:ami-builder'}"),
        ({"instances": {"minions": {}}}, r"ami_fleet\.instances\.minions"),
    ],
)
def test_a_wrong_key_of_the_fleet_is_refused_by_name(more, named):
    with pytest.raises(SettingsWrong) as refused:
        read(**more)
    assert re.search(named, str(refused.value), re.DOTALL), str(refused.value)


def test_the_ami_yaml_of_a_repository_names_members_and_not_how_visible_its_images_are():
    assert check_variation_settings({"members": ["p1"]}, "ami.yaml of web", of_repository=True).members == ("p1",)
    with pytest.raises(SettingsWrong, match=r"ami\.yaml of web\.visibility: this cannot be set here"):
        check_variation_settings({"visibility": "public"}, "ami.yaml of web", of_repository=True)


@pytest.mark.parametrize(
    ("repository", "named"),
    [
        ({}, "web: it has no address"),
        ("https://user:secret@h/a", "web: this is no mapping\n  -> web: {hg: ADDRESS}, or {git: ADDRESS}"),
        ({"hg": "https://h/a", "git": "https://h/a"}, "web: it has two addresses"),
        ({"hgg": "https://h/a"}, r"unknown key ami_fleet.repositories.web.hgg"),
        ({"hg": "https://user:secret@h/a"}, "web.hg: a password stands in the address"),
        ({"hg": "https://h/a", "revision": "tip^"}, "web.revision"),
        ({"hg": "https://h/a", "builder": "small"}, "web.builder: there are no builders 'small'"),
        ({"hg": "https://h/a", "variations": {}}, "web.variations: there is none"),
        (
            {"hg": "https://h/a", "variations": {"a": {"relase": "trixie"}}},
            "unknown key ami_fleet.repositories.web.variations.a.relase",
        ),
        ({"hg": "https://h/a", "variations": {"a": {"release": "Trixie!"}}}, "web.variations.a: "),
        ({"hg": "https://h/a", "variations": {"a": {"promote": True}}}, "web.variations.a.promote: this cannot be set here"),
    ],
)
def test_a_wrong_repository_is_a_problem_of_its_own(repository, named):
    fleet = read(repositories={"web": repository, "db": {"git": "https://git.example.org/db"}})
    assert [*fleet.repositories] == ["db"] and [*fleet.problems] == ["web"]
    assert named in fleet.problems["web"] and "secret" not in fleet.problems["web"]


def test_without_a_configuration_the_fleet_says_how_it_looks():
    with pytest.raises(SettingsWrong, match="ami_fleet is not set"):
        read_configuration({})
