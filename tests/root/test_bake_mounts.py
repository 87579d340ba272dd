"""While bases are brought along, step by step, too, nothing is mounted that a kill would leave."""

import os
from contextlib import nullcontext
from types import SimpleNamespace

import pytest
from vmimage.build import bake
from vmimage.errors import BuildDied
from vmimage.root.mounts import is_mounted
from vmimage.settings.schema import Settings
from vmimage.system.shell import run


def test_a_kill_while_lists_are_fetched_for_a_builder_leaves_no_mount(tmp_path, monkeypatch):
    image = tmp_path / "base.img"
    with open(image, "xb") as file:
        file.truncate(16 << 20)
    run(["mke2fs", "-q", "-F", "-t", "ext4", image])
    settings, own, point = Settings(cache=str(tmp_path)), os.getpid(), tmp_path / "baked"
    monkeypatch.setattr(bake, "wanted_bases", lambda build: ([settings], True))
    monkeypatch.setattr(bake, "locate_base", lambda settings, progress: None)
    monkeypatch.setattr(bake, "_bring", lambda build, settings, paths: "nothing")
    base = SimpleNamespace(image=str(image), reference="base", digest="sha256:0")
    monkeypatch.setattr(bake.prepare, "prepare_base", lambda settings, located, progress: base)

    def die(build, digest, files, say):
        assert files == point and is_mounted(point)
        if os.getpid() == own:
            pytest.fail("it is mounted where it stays")
        os._exit(9)

    monkeypatch.setattr(bake, "fetch_lists", die)
    build = SimpleNamespace(
        needs_open=lambda: None,
        note_change_of_root=lambda: None,
        step=lambda name: nullcontext(pytest.fail),
        progress=None,
        workspace=SimpleNamespace(path=tmp_path),
    )
    with pytest.raises(BuildDied):
        bake.bake(build)
    assert not is_mounted(point)
