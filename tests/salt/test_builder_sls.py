"""ami_creator: what it does to a minion, what makes a builder of a machine, and what the options change."""

import json
import re
import tarfile
from pathlib import Path

import pytest
from minions import PROJECT

INSIDE = {"grains": {"vm_create_inside": True}}


def low(minion, sls="ami_creator", **told):
    """The states of an SLS as ``{(module, id, name): state}``."""
    words = [f"pillar={json.dumps({'ami_creator': told})}"] if told else []
    return {(one["state"], one["__id__"], one["name"]): one for one in minion.good("state.show_low_sls", sls, *words)}


def named(states, name):
    return next(one for (_, _, own), one in states.items() if own == name)


def test_an_existing_minion_gets_programs_and_directories_and_nothing_else(minion):
    found = low(minion())
    assert {one["__sls__"] for one in found.values()} == {"ami_creator_tools"}
    assert {f"{module}.{one['fun']}" for (module, _, _), one in found.items()} == {"pkg.installed", "file.directory", "cmd.run"}
    assert [one["name"] for (module, _, _), one in found.items() if module == "cmd"] == ["apt-get -q update"]


@pytest.mark.parametrize(("config", "told"), [(INSIDE, {}), ({}, {"builder": True})], ids=["inside a root", "by its pillar"])
def test_it_becomes_a_builder(minion, config, told):
    found = low(minion(**config), **told)
    assert named(found, "vm_create")["fun"] == "enabled"
    assert not [one for one in found.values() if one["state"] == "service" and one["fun"] in ("running", "restarted")]


def test_inside_a_root_the_pillar_can_refuse_it(minion):
    assert {one["__sls__"] for one in low(minion(**INSIDE), builder=False).values()} == {"ami_creator_tools"}


@pytest.mark.parametrize(("config", "made"), [({}, True), (INSIDE, False)], ids=["on a minion", "inside a root"])
def test_the_directories_that_the_settings_name_are_for_the_minion_not_for_an_image(minion, config, made):
    found = low(minion(**{"ami.output": "/srv/of-the-maker"}, **config))
    assert any(name == "/srv/of-the-maker" for _, _, name in found) is made


def test_wheels_need_neither_network_nor_compiler(minion, tmp_path):
    (tmp_path / "states/wheels").mkdir(parents=True)
    (tmp_path / "states/wheels/one.whl").write_text("", encoding="utf-8")
    ours = minion(file_roots={"base": [str(tmp_path / "states"), str(PROJECT / "states")]})
    install = next(one["name"] for one in low(ours, builder=True, wheels="salt://wheels").values() if " install " in one["name"])
    where = re.search(r"--no-index --find-links (\S+/wheels)$", install)
    assert where and Path(where[1], "one.whl").exists() and "gcc" not in install


def test_wheels_that_are_not_there_are_named(minion):
    said = minion().bad("state.show_sls", "ami_creator_builder", 'pillar={"ami_creator": {"wheels": "salt://nowhere"}}')
    assert "ami_creator:wheels is salt://nowhere" in said


def test_without_wheels_a_compiler_is_lent_and_words_for_pip_are_quoted(minion):
    found = low(minion(), builder=True, pip=["--index-url", "https://example.org/a b"])
    install = next(one["name"] for one in found.values() if " install " in one["name"])
    assert "gcc" in install and "apt-get -q -y purge" in install and "--index-url 'https://example.org/a b'" in install


def test_salt_from_packages_runs_the_unit(minion):
    found = low(minion(), builder=True, salt="packages")
    assert (
        "/opt/saltstack/salt/bin/python3 -m vmimage.builder" in named(found, "/etc/systemd/system/vm_create.service")["contents"]
    )
    assert not [one for one in found.values() if "-m venv" in one["name"]]


def test_a_builder_has_no_master_unless_the_pillar_names_one(minion):
    path = "/etc/salt/minion.d/vm_create.conf"
    alone = named(low(minion(), builder=True), path)["contents"]
    assert "file_client: local" in alone and "master:" not in alone


def test_a_builder_of_a_master_takes_states_from_there(minion):
    told = named(low(minion(), builder=True, master="salt.example.org"), "/etc/salt/minion.d/vm_create.conf")["contents"]
    assert 'master: "salt.example.org"' in told and "file_client: remote" in told and "file_roots" not in told


def test_the_project_in_a_tar_is_that_of_the_checkout(minion):
    ours = minion()
    path = ours.good("vm_create.project")
    with tarfile.open(path) as tar:
        for name in tar.getnames():
            if name not in ("SHA256SUMS", "requirements.txt"):
                assert tar.extractfile(name).read() == (PROJECT / name).read_bytes(), name
        assert {f"states/{one.name}" for one in (PROJECT / "states").iterdir()} < set(tar.getnames())
        assert not [one for one in tar.getnames() if "__pycache__" in one]
        facts = {(one.uid, one.gid, one.mode, one.mtime) for one in tar.getmembers()}
    assert facts == {(0, 0, 0o644, 0)}


def test_the_same_code_makes_the_same_bytes(tmp_path):
    from vmimage import delivery

    for name in ("a/project.tar", "b/project.tar"):
        delivery.write_project(tmp_path / name)
    assert (tmp_path / "a/project.tar").read_bytes() == (tmp_path / "b/project.tar").read_bytes()
    assert [one.name for one in (tmp_path / "a").iterdir()] == ["project.tar"]


def test_of_a_minions_file_roots_only_the_sls_of_this_project_are_taken(tmp_path, monkeypatch):
    from vmimage import delivery

    for name in ("ami_creator_pre.sls", "ami_creator.sls", "top.sls", "passwords.sls"):
        (tmp_path / name).write_text(f"# {name} of others\n", encoding="utf-8")
    monkeypatch.setattr(delivery, "states_directory", lambda: tmp_path / "none")
    delivery.write_project(tmp_path / "project.tar", ["/nowhere", tmp_path])
    with tarfile.open(tmp_path / "project.tar") as tar:
        assert {one for one in tar.getnames() if one.startswith("states/")} == {
            "states/ami_creator.sls",
            "states/ami_creator_pre.sls",
            "states/top.sls",
        }
        assert b"- ami_creator" in tar.extractfile("states/top.sls").read()
