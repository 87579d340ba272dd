"""Every SLS of the project renders in the real Salt, and its ids are sentences."""

import pytest
from minions import PROJECT

SLS = sorted(path.stem for path in (PROJECT / "states").glob("*.sls") if path.stem != "top")


@pytest.mark.parametrize("sls", SLS)
def test_it_renders_and_speaks_in_sentences(minion, sls):
    shown = minion().good("state.show_sls", sls)
    assert isinstance(shown, dict) and shown
    assert all(" " in identity for identity in shown), list(shown)


def test_the_top_file_makes_a_minion_able_to_build(minion):
    assert minion().good("state.show_top") == {"base": ["ami_creator"]}


def test_the_steps_of_post_come_last_whatever_a_user_adds(minion, tmp_path):
    states = tmp_path / "states"
    states.mkdir()
    text = "include: [ami_creator_post]\na step of mine:\n  vm_image.sealed:\n    - remove: [/srv/mine]\n"
    (states / "my_post.sls").write_text(text, encoding="utf-8")
    low = minion(file_roots={"base": [str(states), str(PROJECT / "states")]}).good("state.show_low_sls", "my_post")
    order = [state["__id__"] for state in sorted(low, key=lambda state: state["order"])]
    assert order.index("a step of mine") < order.index("kernel and ramdisk are taken out")


def test_pillar_example_is_good_pillar(minion):
    ours = minion()
    ours.pillar((PROJECT / "pillar.example").read_text(encoding="utf-8"))
    assert ours.good("vm_create.settings")["name"]["value"] == "variation"
    assert "lsb-release stays at" in str(ours.good("state.show_sls", "variation"))


@pytest.mark.parametrize("sls", ["ami_creator_pre", "ami_creator_post"])
def test_under_test_true_nothing_is_written(minion, tmp_path, sls):
    ours = minion(
        **{"ami.workspace": str(tmp_path / "ws"), "ami.output": str(tmp_path / "out"), "ami.cache": str(tmp_path / "cache")}
    )
    ours.call("state.sls", sls, "test=True")
    assert not [path for path in ("ws", "out", "cache") if (tmp_path / path).exists()]
