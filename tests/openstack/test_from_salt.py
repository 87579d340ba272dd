"""The faces, called as a user calls them, with credentials from every place that they may stand in."""

import json
import os

import pytest
import yaml
from looking_at import assert_published, images_of, named
from minions import Minion
from triplets import make_triplet

PLACES = ["minion config", "grains", "pillar", "nested pillar", "application credential", "clouds.yaml", "OS_*"]


class Caller:
    """A minion with a triplet, and a way to sign in."""

    def __init__(self, cloud, directory, place):
        self.user, self.cloud, self.directory = cloud.users["alice"], cloud, directory
        self.output = directory / "output"
        # Salt itself logs the pillar that it renders, from debug on, where there is no master to render it
        self.level = "info" if "pillar" in place else "all"
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(directory), "LANG": "C.UTF-8"}
        own = {
            "ami.name": "web",
            "ami.output": str(self.output),
            "ami.workspace": str(directory / "builds"),
            "log_level_logfile": self.level,
        }
        place_of = {"minion config": self.keys(), "grains": {"grains": self.keys()}}
        self.minion = Minion(
            directory / "minion", **own, **place_of.get(place, self.credential() if "credential" in place else {})
        )
        if place == "pillar":
            self.minion.pillar(yaml.safe_dump(self.keys()))
        elif place == "nested pillar":
            self.minion.pillar(yaml.safe_dump({"keystone": {key.split(".")[1]: value for key, value in self.keys().items()}}))
        elif place == "OS_*":
            self.environment |= {"OS_AUTH_URL": cloud.auth_url, "OS_USERNAME": "alice", "OS_PASSWORD": self.user.password}
            self.environment |= {"OS_PROJECT_NAME": self.user.project_name, "OS_REGION_NAME": "RegionOne"}
        elif place == "clouds.yaml":
            self.write_clouds()
        self.triplet = make_triplet(self.output)

    def keys(self):
        """As in 2013, and the region."""
        known = {
            "user": "alice",
            "password": self.user.password,
            "tenant": self.user.project_name,
            "auth_url": self.cloud.auth_url,
        }
        return {f"keystone.{key}": value for key, value in {**known, "region": "RegionOne"}.items()}

    def credential(self):
        known = {"auth_url": self.cloud.auth_url, "region": "RegionOne"}
        known |= {"application_credential_id": self.user.app_cred_id, "application_credential_secret": self.user.app_cred_secret}
        return {f"keystone.{key}": value for key, value in known.items()}

    def write_clouds(self):
        auth = {"auth_url": self.cloud.auth_url, "username": "alice", "password": self.user.password}
        auth |= {"project_name": self.user.project_name, "user_domain_id": "default", "project_domain_id": "default"}
        path = self.directory / ".config/openstack/clouds.yaml"
        path.parent.mkdir(parents=True)
        path.write_text(yaml.safe_dump({"clouds": {"mine": {"auth": auth, "region_name": "RegionOne"}}}), encoding="utf-8")
        self.environment["OS_CLOUD"] = "mine"

    def call(self, *words):
        return self.minion.call(*words, **self.environment)

    def good(self, *words):
        return self.minion.good(*words, **self.environment)


@pytest.fixture
def caller(cloud, tmp_path):
    return lambda place="minion config": Caller(cloud, tmp_path, place)


@pytest.mark.parametrize("place", PLACES)
def test_upload_signs_in_from_everywhere_and_tells_no_secret(caller, cloud, place):
    alice = caller(place)
    code, answer, said = alice.call("vm_create.upload", "-l", alice.level)
    assert code == 0, said
    assert_published(cloud.client("alice", "RegionOne"), alice.triplet)
    found = [str(path) for path in places_that_hold(alice, (alice.user.password, alice.user.app_cred_secret))]
    assert found == [], f"a secret stands in {found}"
    assert not any(secret in f"{json.dumps(answer)}{said}" for secret in (alice.user.password, alice.user.app_cred_secret))


def places_that_hold(alice, secrets):
    """Every file of the minion but those that the user wrote: logs, caches, grains, the job cache, triplets."""
    written = {alice.minion.directory / "etc/minion", alice.minion.pillar_directory / "all.sls"}
    written.add(alice.directory / ".config/openstack/clouds.yaml")
    files = [path for path in alice.directory.rglob("*") if path.is_file() and path not in written]
    assert len(files) > 3, "nothing was looked at"
    return [path for path in files if any(secret.encode() in path.read_bytes() for secret in secrets)]


def test_a_cloud_is_named_by_a_setting(caller, cloud):
    alice = caller("clouds.yaml")
    del alice.environment["OS_CLOUD"]
    assert alice.good("vm_create.upload", "web", "cloud=mine")["changed"] is True
    code, _, said = alice.call("vm_create.upload", "web", "cloud=other")
    assert code != 0 and "other" in said and "mine" in said


def test_missing_credentials_are_one_error_that_names_the_ways(caller, cloud):
    alice = caller("nowhere")
    code, _, said = alice.call("vm_create.upload", "web")
    assert code != 0
    for way in ("ami.cloud", "keystone.application_credential_id", "keystone.user", "OS_"):
        assert way in said, said


def test_a_key_that_is_missing_is_named(cloud, tmp_path):
    minion = Minion(tmp_path / "minion", **{"keystone.auth_url": cloud.auth_url, "keystone.user": "alice"})
    said = minion.bad("vm_create.create_variation")
    assert "keystone.password" in said and "keystone.tenant" in said
    assert "keystone.auth_url in the minion config" in said or "keystone.user" in said


def test_upload_twice_publish_rollback_and_list(caller, cloud):
    alice = caller()
    first = alice.good("vm_create.upload", "web")
    assert alice.good("vm_create.upload", "web")["changed"] is False
    triplet = make_triplet(alice.output)
    plan = alice.good("vm_create.upload", "web", "test=True")
    assert plan["upload"] == ["root_image"] and plan["archive"] == [first["image"]]
    second = alice.good("vm_create.upload", "web")
    assert_published(cloud.client("alice", "RegionOne"), triplet, archived=1)
    listed = alice.good("vm_create.published")
    assert [entry["id"] for entry in listed["web-amd64"]] == [second["image"], first["image"]]
    assert alice.good("vm_create.rollback", "web")["image"] == first["image"]
    assert named(cloud.client("alice", "RegionOne"), "web-amd64")[0]["id"] == first["image"]


@pytest.mark.parametrize(
    ("function", "said"), [("upload", "no complete triplet wrong"), ("rollback", "no generation of wrong-amd64")]
)
def test_a_name_that_was_never_built_is_told_and_leaves_nothing(caller, function, said):
    alice = caller()
    code, _, told = alice.call(f"vm_create.{function}", "wrong")
    assert code != 0 and said in told
    assert not (alice.directory / "builds/wrong").exists()


def test_a_name_that_was_never_built_is_told_before_the_cloud_is_asked(caller):
    alice = caller("nowhere")
    assert "no complete triplet wrong" in alice.call("vm_create.upload", "wrong")[2]


STATES = """
the triplet is in the store:
  vm_image.uploaded: []
the name points to it:
  vm_image.published:
    - keep: 1
    - require:
      - vm_image: the triplet is in the store
"""


def test_as_states_it_is_idempotent_and_right_under_test(caller, cloud, tmp_path):
    alice = caller()
    sls = tmp_path / "states"
    sls.mkdir()
    (sls / "publish.sls").write_text(STATES, encoding="utf-8")
    config = json.loads((alice.minion.directory / "etc/minion").read_text())
    config["file_roots"]["base"].append(str(sls))
    (alice.minion.directory / "etc/minion").write_text(json.dumps(config), encoding="utf-8")
    client = cloud.client("alice", "RegionOne")

    def results(*words):
        return [(state["result"], bool(state["changes"])) for state in alice.good("state.sls", "publish", *words).values()]

    assert results("test=True") == [(None, False)] * 2 and images_of(client) == []
    assert results() == [(True, True)] * 2
    assert_published(client, alice.triplet)
    assert results() == [(True, False)] * 2
    assert results("test=True") == [(True, False)] * 2
    make_triplet(alice.output)
    assert results("test=True") == [(None, False)] * 2
    assert results() == [(True, True)] * 2


def test_a_state_that_cannot_publish_fails_with_the_reason(caller, cloud, tmp_path):
    alice = caller("nowhere")
    code, data, _ = alice.call("state.single", "vm_image.published", "name=the name points to it")
    assert code != 0 and "keystone" in json.dumps(data)
