"""The ami-creation image: what is in it, that it can be made twice, updated and unmade, and that nothing of its maker is left."""

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from building import PROJECT
from creation import NAME, creation  # noqa: F401  a fixture
from looking import looked_into
from vmimage.root.enter import work_inside
from vmimage.root.mounts import run_in_root

HOME = "/opt/vm_create"
UNIT = "/etc/systemd/system/vm_create.service"
#: what a root that was used has besides the files of its packages; what the removal leaves is listed in its SLS
EXPLAINED = (
    r"/(run|tmp|dev|proc|sys|root|srv/(salt|pillar|other)|etc/(alternatives|ssl|salt|mercurial|systemd/resolved.conf.d$)"
    r"|var/(log|cache|lib/(apt|dpkg|systemd|ucf|python|vm_create|machines|portables))"
    r"|etc/systemd/system/multi-user.target.wants/machines.target)"  # the package systemd-container stays, enabled
)


@pytest.fixture(scope="module")
def look(creation):  # noqa: F811
    """The root of the image, mounted read-only."""
    with looked_into(creation.output / f"{NAME}.img") as root:
        yield root


class Opened:
    """The image as the base of a build whose root is open: states are applied to it, and programs run in it."""

    def __init__(self, salt):
        self.salt, self.root = salt, salt.directory / "root"

    def apply(self, sls):
        """``{id: state}`` of an SLS applied as a variation."""
        variation = {"states": [sls], "id": NAME}
        return {state["id"]: state for state in self.salt.good("vm_create.variate_image", self.root, variation=variation)}

    def run(self, *argv, ok=(0,)):
        """What a program prints that runs in the root."""
        return work_inside(self.root, lambda: run_in_root(self.root, list(argv), ok=ok).output)

    def file(self, path):
        return self.root / path.lstrip("/")


@pytest.fixture(scope="module")
def opened(creation):  # noqa: F811
    image = creation.output / f"{NAME}.img"
    files = creation.manifest(NAME)["files"]
    keys = {"base": str(image), "base_hash": f"sha256:{files['root_image']['sha256']}", "name": "again"}
    settings = {f"ami.{key}": value for key, value in keys.items()} | {"ami.cache": str(creation.directory / "cache")}
    config = json.loads((creation.directory / "etc/minion").read_text(encoding="utf-8"))
    creation.configure(file_roots=config["file_roots"], **settings)
    creation.good("state.sls", "ami_creator_pre")
    creation.good("vm_create.update_image", creation.directory / "root")
    yield Opened(creation)
    creation.good("vm_create.release", "again")
    creation.configure(file_roots=config["file_roots"])


def test_the_triplet_is_there(creation):  # noqa: F811
    manifest = creation.manifest(NAME)
    for facts in manifest["files"].values():
        with open(creation.output / facts["path"], "rb") as file:
            assert hashlib.file_digest(file, "sha256").hexdigest() == facts["sha256"]
    assert {"mercurial", "git", "mmdebstrap", "qemu-utils"} <= manifest["packages"].keys()
    assert all(state["result"] for state in manifest["states"])


def test_the_code_in_it_is_that_of_the_checkout(look):
    for path in ("_modules/vm_create.py", "_states/vm_image.py", "_utils/vmimage/delivery.py", "states/ami_creator.sls"):
        assert (look / HOME[1:] / "project" / path).read_bytes() == (PROJECT / path).read_bytes()
    assert os.readlink(look / HOME[1:] / "current") == f"{HOME}/project"


def test_it_will_build_at_boot(look):
    assert os.readlink(look / "etc/systemd/system/multi-user.target.wants/vm_create.service") == UNIT
    assert (look / "etc/systemd/system/network-online.target.wants/systemd-networkd-wait-online.service").is_symlink()
    assert re.search(r"^LABEL=\S+ / ext4 \S*x-systemd.growfs", (look / "etc/fstab").read_text(encoding="utf-8"), re.MULTILINE)


def test_it_asks_no_neighbours_for_names(look):
    assert "LLMNR=no" in (look / "etc/systemd/resolved.conf.d/vm_create.conf").read_text(encoding="utf-8").splitlines()


def test_it_can_read_a_config_drive_and_build_in_an_overlay(look):
    modules = {path.name.removesuffix(".xz").removesuffix(".zst") for path in look.glob("usr/lib/modules/*/kernel/**/*.ko*")}
    assert {"isofs.ko", "vfat.ko", "nls_ascii.ko", "loop.ko", "overlay.ko"} <= modules
    assert all((look / path).exists() for path in ("usr/sbin/blkid", "usr/bin/mount", "usr/bin/kmod"))


def test_nothing_of_its_making_is_left(look):
    assert {path.name for path in (look / HOME[1:]).iterdir()} == {"current", "project", "venv"}
    for gone in (
        "root/.cache",
        "root/.config",
        "etc/pip.conf",
        "etc/salt/minion_id",
        "etc/salt/pki",
        "var/cache/salt",
        "srv/wheels",
    ):
        assert not (look / gone).exists(), gone
    assert not list(look.glob(f"{HOME[1:]}/venv/lib/*/site-packages/*/direct_url.json"))
    assert not list(look.glob(f"{HOME[1:]}/project/**/__pycache__"))
    assert not list(look.glob("tmp/*")) and not list(look.glob("var/tmp/*"))


def test_no_path_of_this_machine_and_no_index_of_its_pip_is_in_it(look, creation):  # noqa: F811
    pip = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True).stdout
    places = re.findall(r"(?:index-url|find-links)='([^']+)'", pip)
    words = {str(creation.directory), sys.prefix, *(word for place in places for word in place.split())}
    words |= {str(PROJECT)} if len(PROJECT.parts) > 2 else set()
    patterns = [part for word in words for part in ("-e", word)]
    found = subprocess.run(  # pip itself names the public index
        ["grep", "-rlF", "--exclude-dir=doc", "--exclude-dir=pip", *patterns, look], capture_output=True, text=True, check=False
    ).stdout
    assert not found, f"{words} in {found}"


def test_its_salt_knows_this_project(opened):
    salt_call = opened.run("salt-call", "--local", "--out", "json", "vm_create.settings", "web")
    assert json.loads(salt_call[salt_call.index("{") :])["local"]["name"]["value"] == "web"
    assert opened.run(f"{HOME}/venv/bin/python", "-m", "vmimage.builder", "--help").startswith("usage:")


def test_systemd_takes_its_unit(opened):
    assert "vm_create" not in opened.run("systemd-analyze", "--man=no", "--recursive-errors=no", "verify", UNIT)


def test_made_again_nothing_changes(opened):
    applied = opened.apply("ami_creator")
    assert len(applied) > 10 and not [name for name, state in applied.items() if state["changed"]]


def test_applied_by_its_own_salt_as_on_a_machine_nothing_changes(opened):
    pillar = json.dumps({"ami_creator": {"builder": True}})
    said = opened.run("salt-call", "--local", "--out", "json", "state.apply", "ami_creator", f"pillar={pillar}", ok=(0, 1))
    applied = json.loads(said[said.index("{") :])["local"].values()
    changed = {state["__id__"] for state in applied if state["changes"]}
    assert all(name.startswith(("the lists of apt are there", "the directories of builds are there")) for name in changed), (
        changed
    )
    assert [state["name"] for state in applied if not state["result"]] == ["vm_create"]  # the service: no systemd runs in here


def test_newer_code_replaces_the_old_and_another_checkout_stays_current(opened):
    project, other = opened.file(f"{HOME}/project"), opened.file("/srv/other")
    (project / "_modules/vm_create.py").write_text("old", encoding="utf-8")
    (project / "_modules/of_old.py").write_text("old", encoding="utf-8")
    (other / "_utils").mkdir(parents=True)
    opened.file(f"{HOME}/current").unlink()
    opened.file(f"{HOME}/current").symlink_to("/srv/other")
    assert [name for name, state in opened.apply("ami_creator").items() if state["changed"]] == ["the project is here"]
    assert (project / "_modules/vm_create.py").read_bytes() == (PROJECT / "_modules/vm_create.py").read_bytes()
    assert not (project / "_modules/of_old.py").exists()
    assert os.readlink(opened.file(f"{HOME}/current")) == "/srv/other"


def test_removed_it_is_a_plain_machine_again(opened, bootstrapped):
    assert [name for name, state in opened.apply("ami_creator_removed").items() if state["changed"]] == [
        "it builds at boot no more",
        "its unit, configuration and code are gone",
        "salt-call is gone from the path, if it was ours",
    ]
    assert not any(state["changed"] for state in opened.apply("ami_creator_removed").values())
    with looked_into(bootstrapped.image) as root:
        before = names_below(root)
    packaged = set()
    for listing in opened.file("/var/lib/dpkg/info").glob("*.list"):
        packaged |= set(listing.read_text(encoding="utf-8").splitlines())
    packaged |= {f"/usr{path}" for path in packaged}
    new = names_below(opened.root) - before - packaged
    left = {path for path in new if not re.match(EXPLAINED, path) and "__pycache__" not in path}
    left -= {path for path in left if is_alternative(opened.file(path))}
    assert not left, sorted(left)


def is_alternative(path):
    return path.is_symlink() and os.readlink(path).startswith("/etc/alternatives/")


def names_below(root):
    """The paths of everything below a directory."""
    return {f"{where}/{name}"[len(str(root)) :] for where, names, files in os.walk(Path(root)) for name in (*names, *files)}
