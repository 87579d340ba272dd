import json
from pathlib import Path

import pytest
from vmimage.image.table import shown, table_of

MANIFEST = {
    "name": "web",
    "base": {"reference": "debian bookworm amd64"},
    "variation": {"reference": "/srv/web"},
    "states": [{}, {}],
    "packages": {"a": "1", "b": "1", "c": "1"},
    "steps": [{"step": "base", "seconds": 30.5}, {"step": "seal", "seconds": 0.75}],
    "files": {
        role: {"path": f"{role}.img", "bytes": 3 << 20, "sha256": role * 3} for role in ("kernel", "ramdisk", "root_image")
    },
}


def test_the_table_shows_what_it_is_how_long_it_took_and_where_it_lies():
    text = table_of(MANIFEST, Path("/srv/images"))
    assert "web: debian bookworm amd64, 2 states of /srv/web, 3 packages" in text
    of_sample = table_of({**MANIFEST, "variation": {"reference": "variation"}}, Path("/srv/images"))
    assert "2 states of the file_roots (variation), 3 packages" in of_sample
    assert "/srv/images/kernel.img  3.0 MiB\n    sha256 kernelkernelkernel\n" in text
    assert text.index("root_image.img") < text.index("kernel.img") < text.index("ramdisk.img")


def test_the_table_lists_the_other_outputs_behind_the_triplet():
    outputs = {"disk": {"path": "web.disk.qcow2", "bytes": 5 << 20, "sha256": "d" * 64}}
    text = table_of({**MANIFEST, "outputs": outputs}, Path("/srv/images"))
    assert f"/srv/images/web.disk.qcow2  5.0 MiB\n    sha256 {'d' * 64}\n" in text
    assert text.index("ramdisk.img") < text.index("web.disk.qcow2")


def test_the_table_tells_what_was_not_made_clean():
    assert "incremental" not in table_of(MANIFEST, Path("/x"))
    text = table_of({**MANIFEST, "incremental": {"of": "b1", "generation": 3}}, Path("/x"))
    assert "incremental: generation 3 of the clean build b1\n" in text


def test_each_step_is_a_line_and_the_seconds_add_up():
    rows = [line.split() for line in table_of(MANIFEST, Path("/x")).splitlines() if line.endswith(" s")]
    assert rows == [["base", "30.5", "s"], ["seal", "0.8", "s"], ["31.2", "s"]]


@pytest.mark.parametrize(
    ("unchanged", "published", "first", "last"),
    [
        (False, None, "web: debian", "vm_create.boot web)"),
        (True, {"name": "web-amd64", "image": "5f0c"}, "nothing has changed", "published as web-amd64: 5f0c"),
    ],
    ids=["built", "unchanged and published"],
)
def test_what_a_build_returned_is_shown_as_the_table_of_its_manifest(unchanged, published, first, last, tmp_path):
    path = tmp_path / "web.manifest.json"
    path.write_text(json.dumps(MANIFEST))
    text = shown(json.dumps({"local": {"manifest": str(path), "unchanged": unchanged, "published": published}}))
    assert text.startswith(first) and text.endswith(last) and f"{tmp_path}/kernel.img" in text


PLAN = {
    "base": {"reference": "debian trixie amd64", "prepared": True},
    "files": {"root_image": "/out/web.img", "kernel": "/out/kernel_web", "ramdisk": "/out/ramdisk_web"},
    "incremental": None,
    "name": "web",
    "publish": False,
    "replaces": True,
    "root": "/mnt/web",
    "settings": {"name": "web", "keep": 5, "packages": ["curl"]},
    "steps": ["state.sls ami_creator_pre", "update_image"],
    "variation": {"reference": "/srv/web", "states": ["variation"], "id": "web1"},
}


def test_a_plan_is_shown_with_what_will_be_done_first_and_the_settings_after_it():
    lines = shown(json.dumps({"local": PLAN})).splitlines()
    assert lines[0] == "web: nothing is done; this would be:"
    words = [line.split()[0] for line in lines if line.startswith("  ")]
    assert words == ["base", "variation", "steps", "root", "files", "incremental", "publish", "name", "keep", "packages"]
    text = "\n".join(lines)
    assert "debian trixie amd64: it is on this machine" in text and "/out/ramdisk_web (replaces what is there)" in text
    assert "variation of /srv/web, as the minion web1" in text and text.index("publish") < text.index("settings that are not")


@pytest.mark.parametrize(
    ("reference", "states", "line"),
    [
        ("variation", ["variation"], "variation of the file_roots, as the minion web1"),
        ("nginx,users", ["nginx", "users"], "nginx, users of the file_roots, as the minion web1"),
        ("highstate", "highstate", "highstate of the file_roots, as the minion web1"),
        ("/srv/web", "highstate", "highstate of /srv/web, as the minion web1"),
    ],
)
def test_a_plan_says_where_the_states_are_from(reference, states, line):
    variation = {"reference": reference, "states": states, "id": "web1"}
    assert f"  variation    {line}\n" in shown(json.dumps({"local": {**PLAN, "variation": variation}}))


@pytest.mark.parametrize(
    ("basis", "words"),
    [
        ("building clean: it is new", "building clean: it is new"),
        ({"of": "b1", "generation": 2}, "generation 2 of the clean build b1"),
    ],
)
def test_a_plan_says_what_an_incremental_build_starts_from(basis, words):
    assert f"incremental  {words}\n" in shown(json.dumps({"local": {**PLAN, "incremental": basis}}))
