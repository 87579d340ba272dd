"""Settings through the real config.get: from grains, pillar and minion config, nested and flat, and the errors they can give."""

import pytest


def value(minion, key, *words):
    return minion.good("vm_create.settings", *words)[key]["value"]


@pytest.mark.parametrize("where", ["minion config", "grains", "pillar"])
@pytest.mark.parametrize("form", [{"ami": {"release": "trixie"}}, {"ami.release": "trixie"}], ids=["nested", "flat"])
def test_a_setting_is_found(minion, where, form):
    ours = minion(**({"grains": form} if where == "grains" else form if where == "minion config" else {}))
    if where == "pillar":
        ours.pillar(str(form).replace("'", '"'))
    assert value(ours, "release") == "trixie"


def test_minion_config_weighs_more_than_grains_and_grains_more_than_pillar(minion):
    ours = minion(**{"ami.release": "one", "grains": {"ami": {"release": "two", "name": "two"}}})
    ours.pillar("ami: {release: three, name: three, type: ubuntu}")
    found = ours.good("vm_create.settings")
    assert [found[key]["value"] for key in ("release", "name", "type")] == ["one", "two", "ubuntu"]


def test_an_argument_weighs_most(minion):
    assert value(minion(**{"ami.release": "one"}), "release", "release=two") == "two"


def test_a_list_or_mapping_of_the_minion_config_is_plain_data(minion):
    variation = {"states": ["nginx", "users"], "id": "web1"}
    ours = minion(**{"ami.variation": variation, "ami": {"packages": ["less"]}})
    assert value(ours, "variation") == variation and value(ours, "packages") == ["less"]


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"ami": {"relese": "x"}}, ["unknown setting ami.relese in the minion config", "did you mean ami.release?"]),
        ({"grains": {"ami.forse": True}}, ["unknown setting ami.forse in the grains", "ami.force"]),
        ({"ami.force": "yes"}, ["ami.force in the minion config is 'yes', not a boolean"]),
        ({"ami": {"name": "../../etc"}}, ["ami.name in the minion config is '../../etc'"]),
        ({"ami": ["name"]}, ["not a mapping"]),
        ({"ami.name": "a", "ami": {"name": "b"}}, ["stands twice in the minion config"]),
    ],
)
def test_what_is_wrong_is_named(minion, config, words):
    said = minion(**config).bad("vm_create.create_variation")
    for word in words:
        assert word in said


def test_a_build_without_root_says_so(minion, tmp_path):
    import os

    if os.geteuid() == 0:
        ours, argv = minion(), ["vm_create.status"]
        assert ours.good(*argv, f"workspace={tmp_path}/none") == {}
        return
    assert "building an image needs root" in minion().bad("vm_create.create_variation")


@pytest.mark.parametrize(
    ("pillar", "reason"),
    [
        ("password: hunter2\nami:\n  name: x\n  release trixie\n", "could not find expected ':'; line"),
        ("password: hunter2\nami: {name: x\n", "while parsing a flow mapping; line"),
        ("password: hunter2\nami: {name: {{ nothing.there }} }\n", "Jinja variable 'nothing' is undefined; line 2"),
    ],
    ids=["no YAML", "a bracket", "Jinja"],
)
@pytest.mark.parametrize(
    "call", [["vm_create.plan"], ["vm_create.upload", "web"], ["vm_create.status"]], ids=lambda call: call[0]
)
def test_a_pillar_that_does_not_compile_is_not_taken_for_an_empty_one(minion, call, pillar, reason):
    ours = minion()
    ours.pillar(pillar)
    said = ours.bad(*call).partition("Error running")[2]
    assert "the pillar of this minion does not compile" in said and reason in said and "hunter2" not in said
