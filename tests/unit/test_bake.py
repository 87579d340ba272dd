"""What the pillar says that a builder's image brings along."""

from types import SimpleNamespace

import pytest
from vmimage.build.bake import read_wanted, wanted_bases
from vmimage.errors import SettingsWrong
from vmimage.settings.schema import Settings


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


def test_bases_are_made_in_the_cache_of_the_build_into_which_it_fetches_their_lists(tmp_path, tree):
    """A state may have been given a cache of its own, step by step."""
    pillar = {"ami_creator": {"bases": ["trixie"], "packages": True}}
    host = SimpleNamespace(
        compile_pillar=lambda *_: pillar, build=lambda arguments: SimpleNamespace(settings=Settings(**arguments))
    )
    root = tree(tmp_path, {"etc/systemd/system/vm_create.service": ""})
    record = SimpleNamespace(varied=SimpleNamespace(id="builder"))
    build = SimpleNamespace(root=root, host=host, record=record, settings=Settings(cache="/srv/cache", base="a.img"))
    assert wanted_bases(build) == ([Settings(cache="/srv/cache", release="trixie")], True)
