"""What the pillar says that a builder's image brings along."""

import pytest
from vmimage.build.bake import read_wanted
from vmimage.errors import SettingsWrong


def test_nothing_is_brought_where_nothing_is_named():
    assert read_wanted({}) == ([], False) == read_wanted({"bases": [], "salt": "pypi"})


def test_a_base_is_a_release_or_settings():
    disk = {"release": "trixie", "outputs": ["disk"]}
    assert read_wanted({"bases": ["bookworm", disk], "packages": True}) == ([{"release": "bookworm"}, disk], True)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"bases": "bookworm"}, "ami_creator:bases is 'bookworm'"),
        ({"bases": [12]}, "ami_creator:bases has 12"),
        ({"bases": [{"type": "debian"}]}, "ami_creator:bases has {'type': 'debian'}"),
        ({"bases": [{"release": "trixie", "relase": "x"}]}, "unknown key 'relase'"),
        ({"bases": ["trixie"], "packages": "yes"}, "ami_creator:packages is 'yes'"),
        ({"packages": True}, "ami_creator:bases is empty"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(given, words):
    with pytest.raises(SettingsWrong, match=words):
        read_wanted(given)
