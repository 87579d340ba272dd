"""What a builder's image brings along is copied into its root, and nowhere else."""

from types import SimpleNamespace

import pytest
from vmimage.build import bake
from vmimage.settings.schema import Settings


@pytest.fixture
def bring(tmp_path, tree):
    """A function that brings a base and lists from a cache into a root; the root's cache is prepared by its argument."""
    cache, place = tmp_path / "cache", tmp_path / "root" / Settings().cache.lstrip("/")
    tree(cache, {"bases/base.img": "base", "apt/key/record.json": "record", "apt/key/lists/list": "list"})
    tree(place, {"bases/other.img": "its own"})

    def bring(prepare):
        prepare(place)
        build = SimpleNamespace(root=tmp_path / "root")
        bake._bring(build, Settings(cache=str(cache)), [cache / "bases/base.img", cache / "apt/key"])
        return {str(path.relative_to(place)): path.read_text() for path in place.rglob("*") if path.is_file()}

    return bring


ALL = {"bases/base.img": "base", "bases/other.img": "its own", "apt/key/record.json": "record", "apt/key/lists/list": "list"}


def test_what_is_of_the_cache_is_in_the_root(bring):
    assert bring(lambda place: None) == ALL


def test_what_an_earlier_build_has_brought_is_replaced_whole(bring, tree):
    assert bring(lambda place: tree(place, {"bases/base.img": "old", "apt/key/lists/gone": "old"})) == ALL


@pytest.mark.hostile("traps in a root")
@pytest.mark.parametrize("at", ["bases/base.img", "apt/key", "apt/key/record.json"])
def test_a_link_in_the_root_does_not_lead_out_of_it(at, bring, tmp_path):
    outside = tmp_path / "outside"
    (outside / "lists").mkdir(parents=True)
    (outside / "file").write_text("of the builder")

    def plant(place):
        (place / at).parent.mkdir(parents=True, exist_ok=True)
        (place / at).symlink_to(outside if at == "apt/key" else outside / "file")

    assert bring(plant) == ALL
    assert {path.name for path in outside.rglob("*")} == {"lists", "file"} and (outside / "file").read_text() == "of the builder"
