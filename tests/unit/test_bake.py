"""What the pillar says that a builder's image brings along."""

from types import SimpleNamespace

import pytest
from vmimage.build import bake
from vmimage.build.bake import read_wanted, wanted_bases
from vmimage.delivery import REQUIREMENTS
from vmimage.errors import NotReady, SettingsWrong
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


@pytest.fixture
def builder(tmp_path, tree):
    """A build in whose root a builder is, that brings a base."""
    pillar = {"ami_creator": {"bases": ["trixie"], "packages": True}}
    host = SimpleNamespace(
        compile_pillar=lambda *_: pillar, build=lambda arguments: SimpleNamespace(settings=Settings(**arguments))
    )
    root = tree(tmp_path, {"etc/systemd/system/vm_create.service": ""})
    record = SimpleNamespace(varied=SimpleNamespace(id="builder"))
    return SimpleNamespace(root=root, host=host, record=record, settings=Settings(cache="/srv/cache", base="a.img"))


def test_bases_are_made_in_the_cache_of_the_build_into_which_it_fetches_their_lists(builder):
    """A state may have been given a cache of its own, step by step."""
    assert wanted_bases(builder) == ([Settings(cache="/srv/cache", release="trixie")], True)


def test_a_machine_whose_files_a_builder_would_not_find_brings_none(builder, monkeypatch):
    monkeypatch.setattr(bake, "QUICK", "sha256")
    with pytest.raises(NotReady, match="has no xxhash"):
        wanted_bases(builder)


def test_the_python_of_a_builder_has_what_gives_the_names():
    assert any(line.startswith("xxhash") for line in REQUIREMENTS)
