"""The YAML of the pages is good: settings of this project are known and have good values, states compile."""

import os
import re

import pytest
import yaml
from minions import PROJECT
from pages import blocks
from vmimage.errors import VmImageError
from vmimage.fleet.configuration import read_configuration
from vmimage.fleet.instances import read_kind
from vmimage.fleet.notify import read_notify
from vmimage.fleet.webhook import read_secrets
from vmimage.glance.credentials import gather_credentials
from vmimage.instance.userdata import sort_userdata
from vmimage.settings.gather import gather_settings


def check_settings(text, tmp_path):
    """Check a block of YAML as what it is: settings, a clouds.yaml, or a piece of a minion config."""
    data = yaml.safe_load(text)
    tops = {str(key).partition(".")[0] for key in data}
    if tops <= {"ami", "keystone"}:
        source = [("page", data, lambda key: looked_up(data, key))]
        settings = gather_settings(source)
        for name, more in settings.variations.items():
            gather_settings([], {**more, "name": name})
        userdata = sort_userdata(text.encode())
        assert userdata.kind == "settings"
        if "keystone" in tops:
            assert gather_credentials(source, environment={})
        return "settings"
    if tops <= {"ami_fleet", "ami_fleet_master", "ami_fleet_hook"}:
        return check_fleet(data)
    if tops == {"clouds"}:
        (tmp_path / "clouds.yaml").write_text(text, encoding="utf-8")
        environment = {"OS_CLIENT_CONFIG_FILE": os.fspath(tmp_path / "clouds.yaml"), "HOME": os.fspath(tmp_path)}
        for name in data["clouds"]:
            assert gather_credentials([], cloud=name, environment=environment)
        return "clouds"
    if tops == {"ami_fleet"}:
        for kind, facts in read_configuration(data).instances.items():
            assert read_kind(kind, facts)
        return "fleet"
    assert tops <= {"file_roots", "pillar_roots"}, f"neither settings nor options of a minion: {tops}"
    for root in data.get("file_roots", {}).get("base", []):
        _, ours, below = root.partition("/salt-ami-cloud-builder")
        assert not ours or (PROJECT / below.lstrip("/")).is_dir()
    return "minion config"


def check_fleet(data):
    """The fleet of a master, with builders where the block leaves them out; keys of the states' pillars are those that the states name."""
    if "ami_fleet" in data:
        found = read_configuration({"ami_fleet": {"builders": {"target": "x"}, **data["ami_fleet"]}})
        assert found.problems == {}
        assert read_secrets(found.hooks) or not found.hooks
        read_notify(found.notify)
    for key, sls in (("ami_fleet_master", "ami_fleet"), ("ami_fleet_hook", "ami_fleet_poke")):
        text = (PROJECT / f"states/{sls}.sls").read_text(encoding="utf-8")
        known = re.search(r"if key not in \((.+?)\)", text)[1]
        assert {f'"{name}"' for name in data.get(key) or {}} <= set(known.split(", "))
    return "fleet"


def looked_up(data, key):
    """A setting as Salt's config.get finds it, nested or flat."""
    prefix, colon, name = key.partition(":")
    return (data.get(prefix) or {}).get(name) if colon else data.get(key)


@pytest.mark.parametrize("block", blocks("yaml"), ids=str)
def test_the_settings_of_a_block_are_good(block, tmp_path):
    check_settings(block.text, tmp_path)


@pytest.mark.parametrize("block", blocks("sls"), ids=str)
def test_the_states_of_a_block_compile(block, minion, tmp_path):
    check_states(block.text, minion, tmp_path)


def check_states(text, minion, tmp_path):
    """Compile an SLS with Salt, beside the project's own; the functions that it calls exist."""
    (tmp_path / "states").mkdir()
    (tmp_path / "states/page.sls").write_text(text, encoding="utf-8")
    ours = minion(file_roots={"base": [os.fspath(tmp_path / "states"), os.fspath(PROJECT / "states")]})
    low = ours.good("state.show_low_sls", "page")
    assert low and all(isinstance(state, dict) for state in low), low
    known = set(ours.good("sys.list_state_functions"))
    assert {f"{state['state']}.{state['fun']}" for state in low} - known == set()


@pytest.mark.parametrize(
    "text",
    [
        "ami: {nmae: web}",
        "ami.keep: many",
        "ami.variation: {state: [nginx]}",
        "ami:\n  variations:\n    web: {varation: /srv/web}",
        "keystone.usr: alice",
        "keystone.user: alice",
        "ami_fleet: {repositries: {}}",
        "ami_fleet: {repositories: {web: {svn: https://svn.example.org}}}",
        "ami_fleet: {hooks: {secret: short}}",
        "ami_fleet_master: {evry: 3}",
        "file_rots: {}",
        "file_roots: {base: [/srv/salt-ami-cloud-builder/sates]}",
        "clouds: {mine: {auth: {auth_url: https://keystone.example.org}}}",
        "ami: {name: web",
    ],
)
def test_wrong_settings_are_seen(text, tmp_path):
    with pytest.raises((VmImageError, AssertionError, yaml.YAMLError)):
        check_settings(text, tmp_path)


@pytest.mark.parametrize("text", ["a sentence:\n  vm_image.seald: []", "include: [ami_creator_pots]", "{% if %}"])
def test_wrong_states_are_seen(text, minion, tmp_path):
    with pytest.raises(AssertionError):
        check_states(text, minion, tmp_path)
