import json

import pytest
from records import begun, finished, updated, varied
from vmimage.build.manifest import make_manifest
from vmimage.build.record import Sealed, Timing
from vmimage.settings.gather import gather_settings

KEYS = """architecture base build changes created distribution file_system files format incremental inputs keys login name outputs packages sealed settings states steps
updated variation versions""".split()
FILES = {role: {"path": f"{role}_web", "bytes": 1, "sha256": "ab" * 32} for role in ("root_image", "kernel", "ramdisk")}


def manifest(**more):
    settings = gather_settings([], {"name": "web", "pillar": {"mysql": {"password": "hunter2"}}}).as_dict()
    record = finished(begun=begun(settings=settings), **more)
    return make_manifest(record, FILES, None, versions={"salt": "3006"}, created="2024-01-01T00:00:00Z")


VARIED = varied(results=[{"id": "nginx"}])
ALL = {"varied": VARIED, "updated": updated(), "sealed": Sealed([], [], [], []), "timings": (Timing("base", 1.0, 2.0),)}


@pytest.mark.parametrize("more", [{}, ALL], ids=["least", "all"])
def test_the_keys_of_a_manifest_stay_the_same_whatever_steps_there_were(more):
    made = manifest(**more)
    assert sorted(made) == KEYS
    assert sorted(made["base"]) == ["digest", "format", "reference", "verified"]
    assert sorted(made["variation"]) == ["digest", "id", "reference", "revision"]
    assert sorted(made["file_system"]) == ["content_bytes", "inodes", "label", "uuid"]


def test_a_manifest_tells_what_the_steps_found_out():
    made = manifest(**ALL)
    assert made["files"]["kernel"] == {**FILES["kernel"], "version": "6.1"}
    assert made["changes"] == {"added": {"b": "1"}, "removed": {}, "changed": {"a": ["1", "2"]}}
    assert made["updated"] is True and made["states"] == [{"id": "nginx"}]
    assert made["steps"] == [{"step": "base", "seconds": 1.0, "started": 2.0}]
    assert manifest()["updated"] is False and manifest()["sealed"] == {} and manifest()["states"] == []


def test_the_pillar_of_the_settings_stays_out_of_the_manifest():
    assert "hunter2" not in json.dumps(manifest())
    assert manifest()["settings"]["name"] == "web"


def test_outputs_other_than_the_triplet_have_a_key_of_their_own():
    outputs = {"tar": {"path": "web.tar.zst", "bytes": 1, "sha256": "ab"}}
    record = finished()
    made = make_manifest(record, FILES, None, outputs=outputs, versions={}, created="")
    assert made["outputs"] == outputs and sorted(made["files"]) == sorted(FILES)
    assert manifest()["outputs"] == {}
