"""ami_creator: what it does to a minion, what makes a builder of a machine, and what the options change."""

import json
import re
import tarfile
from pathlib import Path

import pytest
from minions import PROJECT

INSIDE = {"grains": {"vm_create_inside": True}}


def low(minion, sls="ami_creator", **pillar):
    """The states of an SLS as ``{(module, id, name): state}``."""
    words = [f"pillar={json.dumps({'ami_creator': pillar})}"] if pillar else []
    return {(state["state"], state["__id__"], state["name"]): state for state in minion.good("state.show_low_sls", sls, *words)}


def named(states, name):
    return next(state for (_, _, own), state in states.items() if own == name)


def test_an_existing_minion_gets_programs_and_directories_and_nothing_else(minion):
    found = low(minion())
    assert {state["__sls__"] for state in found.values()} == {"ami_creator_tools"}
    assert {f"{module}.{state['fun']}" for (module, _, _), state in found.items()} == {
        "pkg.installed",
        "file.directory",
        "cmd.run",
    }
    assert [state["name"] for (module, _, _), state in found.items() if module == "cmd"] == ["apt-get -q update"]


@pytest.mark.parametrize(("config", "pillar"), [(INSIDE, {}), ({}, {"builder": True})], ids=["inside a root", "by its pillar"])
def test_it_becomes_a_builder(minion, config, pillar):
    found = low(minion(**config), **pillar)
    assert named(found, "vm_create")["fun"] == "enabled"
    assert not [state for state in found.values() if state["state"] == "service" and state["fun"] in ("running", "restarted")]


def test_inside_a_root_the_pillar_can_refuse_it(minion):
    assert {state["__sls__"] for state in low(minion(**INSIDE), builder=False).values()} == {"ami_creator_tools"}


def test_a_key_that_nobody_knows_is_an_error(minion):
    said = minion().bad("state.show_low_sls", "ami_creator", f"pillar={json.dumps({'ami_creator': {'base': ['trixie']}})}")
    assert "the pillar ami_creator has an unknown key base" in said


@pytest.mark.parametrize(("config", "made"), [({}, True), (INSIDE, False)], ids=["on a minion", "inside a root"])
def test_the_directories_that_the_settings_name_are_for_the_minion_not_for_an_image(minion, config, made):
    found = low(minion(**{"ami.output": "/srv/of-the-maker"}, **config))
    assert any(name == "/srv/of-the-maker" for _, _, name in found) is made


@pytest.mark.parametrize("extras", [[], ["ec2"]], ids=str)
def test_boto3_is_installed_where_the_pillar_asks_for_it(minion, extras):
    """Each file that pip reads is in the project's tar."""
    ours = minion()
    install = next(state["name"] for state in low(ours, builder=True, extras=extras).values() if " install " in state["name"])
    read = re.findall(r"--requirement /opt/vm_create/project/(\S+)", install)
    assert read == ["requirements.txt", *(["requirements-ec2.txt"] if extras else [])]
    with tarfile.open(ours.good("vm_create.project")) as tar:
        content = b"".join(tar.extractfile(name).read() for name in read).decode()
    assert ("boto3>=" in content) is bool(extras)


def test_wheels_need_neither_network_nor_compiler(minion, tmp_path):
    (tmp_path / "states/wheels").mkdir(parents=True)
    (tmp_path / "states/wheels/one.whl").write_text("", encoding="utf-8")
    ours = minion(file_roots={"base": [str(tmp_path / "states"), str(PROJECT / "states")]})
    install = next(
        state["name"] for state in low(ours, builder=True, wheels="salt://wheels").values() if " install " in state["name"]
    )
    where = re.search(r"--no-index --find-links (\S+/wheels)$", install)
    assert where and Path(where[1], "one.whl").exists() and "gcc" not in install


def test_wheels_that_are_not_there_are_named(minion):
    said = minion().bad("state.show_sls", "ami_creator_builder", 'pillar={"ami_creator": {"wheels": "salt://nowhere"}}')
    assert "ami_creator:wheels is salt://nowhere" in said


def test_without_wheels_a_compiler_is_there_for_a_while_and_words_for_pip_are_quoted(minion):
    found = low(minion(), builder=True, pip=["--index-url", "https://example.org/a b"])
    install = next(state["name"] for state in found.values() if " install " in state["name"])
    assert "gcc" in install and "apt-get -q -y purge" in install and "--index-url 'https://example.org/a b'" in install


def test_salt_from_packages_runs_the_unit(minion):
    found = low(minion(), builder=True, salt="packages")
    assert (
        "/opt/saltstack/salt/bin/python3 -m vmimage.builder" in named(found, "/etc/systemd/system/vm_create.service")["contents"]
    )
    assert not [state for state in found.values() if "-m venv" in state["name"]]


def test_a_builder_has_no_master_unless_the_pillar_names_a_master(minion):
    path = "/etc/salt/minion.d/vm_create.conf"
    alone = named(low(minion(), builder=True), path)["contents"]
    assert "file_client: local" in alone and "master:" not in alone


def test_a_builder_of_a_master_takes_states_from_there(minion):
    contents = named(low(minion(), builder=True, master="salt.example.org"), "/etc/salt/minion.d/vm_create.conf")["contents"]
    assert 'master: "salt.example.org"' in contents and "file_client: remote" in contents and "file_roots" not in contents


def test_the_project_in_a_tar_is_that_of_the_checkout(minion):
    ours = minion()
    path = ours.good("vm_create.project")
    with tarfile.open(path) as tar:
        for name in tar.getnames():
            if name != "SHA256SUMS" and not name.startswith("requirements"):
                assert tar.extractfile(name).read() == (PROJECT / name).read_bytes(), name
        assert {f"states/{path.name}" for path in (PROJECT / "states").iterdir()} < set(tar.getnames())
        assert not [name for name in tar.getnames() if "__pycache__" in name]
        facts = {(member.uid, member.gid, member.mode, member.mtime) for member in tar.getmembers()}
    assert facts == {(0, 0, 0o644, 0)}


def test_the_same_code_makes_the_same_bytes(tmp_path):
    from vmimage import delivery

    for name in ("a/project.tar", "b/project.tar"):
        delivery.write_project(tmp_path / name)
    assert (tmp_path / "a/project.tar").read_bytes() == (tmp_path / "b/project.tar").read_bytes()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["project.tar"]


def test_of_a_minions_file_roots_only_the_sls_of_this_project_are_taken(tmp_path, monkeypatch):
    from vmimage import delivery

    for name in ("ami_creator_pre.sls", "ami_creator.sls", "top.sls", "passwords.sls"):
        (tmp_path / name).write_text(f"# {name} of others\n", encoding="utf-8")
    monkeypatch.setattr(delivery, "states_directory", lambda: tmp_path / "none")
    delivery.write_project(tmp_path / "project.tar", ["/nowhere", tmp_path])
    with tarfile.open(tmp_path / "project.tar") as tar:
        assert {name for name in tar.getnames() if name.startswith("states/")} == {
            "states/ami_creator.sls",
            "states/ami_creator_pre.sls",
            "states/top.sls",
        }
        assert b"- ami_creator" in tar.extractfile("states/top.sls").read()
