"""The two ways to a minion, by file_roots and saltutil.sync_all, and by pip, in an environment that has Salt alone."""

import json
import shutil
import subprocess
import sys
import tarfile
import time
import venv

import pytest
from builder_machine import copy_project
from minions import PROJECT, Minion

OURS = [
    "create_variation",
    "create_variations",
    "update_image",
    "variate_image",
    "upload",
    "published",
    "rollback",
    "plan",
    "status",
    "release",
    "boot",
    "settings",
    "setting",
    "project",
    "report",
    "build_log",
    "shell",
    "try",
    "untry",
]


@pytest.fixture(scope="module")
def bare_salt(tmp_path_factory):
    """A virtual environment that sees the packages of this environment, but not this project: its editable install is hidden."""
    directory = tmp_path_factory.mktemp("bare")
    venv.create(directory, with_pip=False, symlinks=True)
    site = next(directory.glob("lib/python*/site-packages"))
    source = next(path for path in map(str, sys.path) if path.endswith("site-packages"))
    for entry in subprocess.run(["ls", source], capture_output=True, text=True, check=True).stdout.split():
        if "salt_ami_cloud_builder" not in entry and not entry.startswith("__editable__"):
            (site / entry).symlink_to(f"{source}/{entry}")
    program = directory / "bin/salt-call"
    program.write_text(
        f"#!{directory}/bin/python\nimport sys\nfrom salt.scripts import salt_call\nsys.exit(salt_call())\n", encoding="utf-8"
    )
    program.chmod(0o755)
    runner = directory / "bin/salt-run"
    runner.write_text(program.read_text(encoding="utf-8").replace("salt_call", "salt_run"), encoding="utf-8")
    runner.chmod(0o755)
    return directory, site


class Master:
    """The configuration of a master that need not run: its runners are called from here."""

    def __init__(self, directory, salt_run):
        self.salt_run, self.etc = salt_run, directory / "etc"
        self.etc.mkdir(parents=True)
        (directory / "root/var/cache/salt/master/proc").mkdir(parents=True)  # a master makes it
        served = copy_project(directory / "served")
        shutil.copytree(PROJECT / "_runners", served / "_runners")
        options = {"root_dir": str(directory / "root"), "file_roots": {"base": [str(served)]}, "log_level": "error"}
        (self.etc / "master").write_text(json.dumps(options), encoding="utf-8")

    def run(self, *words):
        """``(exit code, what it said)``"""
        done = subprocess.run([self.salt_run, "-c", self.etc, *words], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr


def test_without_the_project_there_is_no_vm_create(minion, bare_salt):
    code, _, said = minion().call("vm_create.settings", salt_call=bare_salt[0] / "bin/salt-call")
    assert code != 0 and "vm_create" in said


def test_synced_from_file_roots_it_works(minion, bare_salt, tmp_path):
    salt_call = bare_salt[0] / "bin/salt-call"
    served = copy_project(tmp_path / "served")
    ours = minion(file_roots={"base": [str(served), str(served / "states")]})
    synced = ours.good("saltutil.sync_all", salt_call=salt_call)
    assert "modules.vm_create" in synced["modules"] and "states.vm_image" in synced["states"]
    assert any("vmimage" in name for name in synced["utils"])
    works(ours, salt_call)


def test_synced_from_file_roots_a_master_has_the_fleet(tmp_path, bare_salt):
    master = Master(tmp_path / "master", bare_salt[0] / "bin/salt-run")
    assert "is not available" in master.run("vm_fleet.plan")[1]
    for function in ("saltutil.sync_utils", "saltutil.sync_runners"):
        code, said = master.run(function)
        assert code == 0 and ("vmimage" in said or "runners.vm_fleet" in said), said
    has_the_fleet(master)


def has_the_fleet(master):
    """The runner is found, finds the machinery, and says what is missing."""
    code, said = master.run("vm_fleet.plan")
    assert code != 0 and "ami_fleet is not set" in said, said


def test_installed_by_pip_it_works(tmp_path, bare_salt):
    directory, site = bare_salt
    target = tmp_path / "installed"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--disable-pip-version-check"]
    copy = tmp_path / "source"  # a build writes into its source tree
    names = ["_modules", "_runners", "_states", "_utils", "states", "setup.py", "pyproject.toml", "README.rst", "LICENSE"]
    copy.mkdir()
    subprocess.run(["cp", "-r", *(PROJECT / name for name in names), copy], check=True)
    install([*pip, "--target", target, copy])
    (site / "installed.pth").write_text(f"{target}\n", encoding="utf-8")
    try:
        ours = Minion(tmp_path / "minion", file_roots={"base": [str(target / "vmimage/salt_sls")]})
        works(ours, directory / "bin/salt-call")
        has_the_fleet(Master(tmp_path / "master", directory / "bin/salt-run"))
    finally:
        (site / "installed.pth").unlink()


def install(argv):
    """pip fetches what it builds by, and gives up where an index once does not answer."""
    for pause in (1, 5, 20, 0):
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return
        time.sleep(pause)
    raise AssertionError(done.stdout + done.stderr)


def works(minion, salt_call):
    listed = minion.good("sys.list_functions", "vm_create", salt_call=salt_call)
    assert set(listed) == {f"vm_create.{name}" for name in OURS}
    assert minion.good("vm_create.settings", salt_call=salt_call)["type"]["value"] == "debian"
    shown = minion.good("state.show_sls", "ami_creator_post", salt_call=salt_call)
    assert "the triplet is complete" in shown
    states = minion.good("state.sls", "ami_creator_pre", "test=True", salt_call=salt_call)
    assert [state["result"] for state in states.values()] == [None, None]
    with tarfile.open(minion.good("vm_create.project", salt_call=salt_call)) as tar:
        assert tar.extractfile("states/ami_creator.sls").read() == (PROJECT / "states/ami_creator.sls").read_bytes()
        packed = set(tar.getnames())
    assert packed >= {str(path.relative_to(PROJECT)) for path in (PROJECT / "_utils/vmimage").rglob("*.py")}
    assert packed >= {
        "_modules/vm_create.py",
        "_modules/vm_kmod.py",
        "_modules/vm_mount.py",
        "_modules/vm_sysctl.py",
        "_states/vm_image.py",
    }


def test_every_function_tells_how_to_call_it(minion):
    documented = minion().good("sys.doc", "vm_create")
    assert set(documented) == {f"vm_create.{name}" for name in OURS}
    for name, text in documented.items():
        assert "CLI Example:" in text and f"salt-call {name}" in text, name


def test_every_function_of_the_fleet_says_how_to_call_it(tmp_path, bare_salt):
    master = Master(tmp_path / "master", PROJECT / ".venv/bin/salt-run")
    code, said = master.run("-d", "vm_fleet")
    for name in ("plan", "reconcile", "status", "history", "log", "cancel", "retry", "pause", "resume"):
        assert code == 0 and f"vm_fleet.{name}:" in said and f"salt-run vm_fleet.{name}" in said, name
