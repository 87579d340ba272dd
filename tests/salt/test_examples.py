"""The examples at the top of the project are good settings."""

import re

import pytest
import yaml
from minions import PROJECT
from vmimage.glance.credentials import KEYSTONE_KEYS, gather_credentials
from vmimage.instance.userdata import sort_userdata
from vmimage.settings.schema import KEYS

USERDATA = (PROJECT / "userdata.example").read_text(encoding="utf-8")
PARAGRAPHS = [paragraph for paragraph in USERDATA.split("\n\n") if re.search(r"^#?(ami|keystone)\.", paragraph, re.MULTILINE)]


def uncommented(text):
    return re.sub(r"^#(?=(ami|keystone)\.)", "", text, flags=re.MULTILINE).encode()


def test_userdata_example_is_good_userdata_and_its_grains_are_settings(minion):
    userdata = sort_userdata(USERDATA.encode())
    assert userdata.grains and set(userdata.secrets) == {"keystone"}
    found = minion(grains=userdata.grains, **userdata.secrets).good("vm_create.settings")
    assert {key: found[key]["value"] for key in userdata.grains["ami"]} == userdata.grains["ami"]


def test_userdata_example_has_every_key_with_a_line_of_its_own():
    wanted = {*(f"ami.{key}" for key in KEYS), *(f"keystone.{name}" for names in KEYSTONE_KEYS.values() for name in names)}
    shown = re.findall(r"^#?((?:ami|keystone)\.\w+):", USERDATA, re.MULTILINE)
    assert wanted - set(shown) == set() and set(shown) - wanted == set()


@pytest.mark.parametrize("paragraph", PARAGRAPHS, ids=lambda text: re.sub(r"\W+", " ", text[:40]).strip())
def test_each_paragraph_of_userdata_example_is_good_by_itself(paragraph):
    userdata = sort_userdata(uncommented(paragraph))
    assert userdata.kind == "settings"
    if keystone := userdata.secrets.get("keystone"):
        keystone.pop("cacert", None)  # the file would have to be there
        assert gather_credentials([("userdata", {"keystone": keystone}, lambda key: keystone.get(key.partition(":")[2]))])


def test_userdata_example_is_good_with_all_that_is_commented_out_but_for_the_alternatives():
    userdata = sort_userdata(uncommented("\n\n".join(paragraph for paragraph in PARAGRAPHS if not paragraph.startswith("# Or"))))
    assert len(userdata.grains["ami"]) > 20 and userdata.grains["ami"]["when_done"] == "poweroff"


@pytest.mark.parametrize(
    "line", [line[2:].strip() for line in (PROJECT / "pillar.example").read_text().splitlines() if line.startswith("  #")]
)
def test_what_is_commented_out_in_pillar_example_would_be_good_yaml(line):
    if ":" in line and line.split(":")[0].isidentifier():
        assert isinstance(yaml.safe_load(line), dict)
