import json

import pytest
from vmimage.image.manifest import make_manifest
from vmimage.settings.gather import gather_settings

KEYS = """architecture base build changes created distribution file_system files format incremental inputs keys name packages sealed settings states steps
updated variation versions""".split()
FILES = {role: {"path": f"{role}_web", "bytes": 1, "sha256": "ab" * 32} for role in ("root_image", "kernel", "ramdisk")}


def notes(**more):
    settings = gather_settings([], {"name": "web", "pillar": {"mysql": {"password": "hunter2"}}})
    return {
        "begun": {"name": "web", "build": "b1", "architecture": "x86_64", "settings": settings.as_dict()},
        "fetched": {"reference": "debian bookworm amd64", "format": "bootstrap", "digest": "sha256:x", "verified": "apt", "packages": {"a": "1"},
                    "image": "/var/cache/x.img"},
        "packed": {"packages": {"a": "2", "b": "1"}, "distribution": {"os": "Debian"}, "label": "root", "uuid": "u", "content_bytes": 5, "inodes": 6},
        "extracted": {"version": "6.1"},
        "shrunk": {"bytes": 7},
        **more,
    }  # fmt: skip


def manifest(**more):
    return make_manifest(notes(**more), FILES, versions={"salt": "3006"}, created="2024-01-01T00:00:00Z")


VARIED = {"reference": "/srv/web", "digest": "sha256:y", "id": "web1", "states": [{"id": "nginx"}]}


@pytest.mark.parametrize(
    "more", [{}, {"varied": VARIED, "updated": {"added": {}}, "sealed": {"removed": []}, "timings": []}], ids=["least", "all"]
)
def test_the_keys_of_a_manifest_stay_the_same_whatever_steps_there_were(more):
    made = manifest(**more)
    assert sorted(made) == KEYS
    assert sorted(made["base"]) == ["digest", "format", "reference", "verified"]
    assert sorted(made["variation"]) == ["digest", "id", "reference", "revision"]
    assert sorted(made["file_system"]) == ["content_bytes", "inodes", "label", "uuid"]


def test_a_manifest_tells_what_the_steps_found_out():
    made = manifest(varied=VARIED, updated={"added": {}, "removed": {}, "changed": {}})
    assert made["files"]["kernel"] == {**FILES["kernel"], "version": "6.1"}
    assert made["changes"] == {"added": {"b": "1"}, "removed": {}, "changed": {"a": ["1", "2"]}}
    assert made["updated"] is True and made["states"] == [{"id": "nginx"}]
    assert manifest()["updated"] is False


def test_the_pillar_of_the_settings_stays_out_of_the_manifest():
    assert "hunter2" not in json.dumps(manifest())
    assert manifest()["settings"]["name"] == "web"
