"""The examples at the top of the project are good settings."""

import textwrap

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


def blocks_of_readme(kind):
    """The code blocks of README.rst, each as its line number and its text."""
    lines, found = (PROJECT / "README.rst").read_text(encoding="utf-8").splitlines(), []
    for number, line in enumerate(lines):
        if line.strip() != f".. code-block:: {kind}":
            continue
        indent = len(line) - len(line.lstrip()) + 3
        rest = lines[number + 2 :]
        end = next((at for at, one in enumerate(rest) if one.strip() and not one.startswith(" " * indent)), len(rest))
        found.append((number + 1, textwrap.dedent("\n".join(rest[:end]))))
    return found


@pytest.mark.parametrize(
    ("number", "text"), blocks_of_readme("yaml"), ids=lambda value: str(value) if isinstance(value, int) else ""
)
def test_the_yaml_in_the_readme_is_yaml(number, text):
    assert isinstance(yaml.safe_load(text), dict)
