"""The examples at the top of the project are good settings."""

import pytest
import yaml
from minions import PROJECT


def test_userdata_example_is_good_as_grains(minion):
    told = yaml.safe_load((PROJECT / "userdata.example").read_text(encoding="utf-8"))
    found = minion(grains=told).good("vm_create.settings")
    assert {f"ami.{key}": found[key]["value"] for key in found if f"ami.{key}" in told} == told


@pytest.mark.parametrize(
    "line", [line[2:].strip() for line in (PROJECT / "pillar.example").read_text().splitlines() if line.startswith("  #")]
)
def test_what_is_commented_out_in_pillar_example_would_be_good_yaml(line):
    if ":" in line and line.split(":")[0].isidentifier():
        assert isinstance(yaml.safe_load(line), dict)
