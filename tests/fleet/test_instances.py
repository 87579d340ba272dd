"""Fresh instances as builders, and images that are tried, in a real Nova whose servers are those of its fake driver.

All is in this one file, for Nova is started once in a run.
"""

import base64
import json
import logging
import socket
import time
from dataclasses import dataclass, field

import keystoneauth1.exceptions
import pytest
from cloud_fixtures import opened_cloud
from fleet_world import MemoryCache
from keystoneauth1.identity import v3
from keystoneauth1.session import Session
from minions import Minion
from nova_fixtures import (
    FLAVOR,
    IMAGE,
    NETWORK,
    OUTSIDE,
    Killed,
    credentials_of,
    everything,
    line,  # noqa: F401  a fixture
    nova,  # noqa: F401  a fixture
    open_cloud,
    print_on_console,
    remove_everything,
    upload_image,
)
from servers import own_port, until
from triplets import make_triplet, publishing_build
from vmimage.builder import _summed_up
from vmimage.errors import CloudRefused, CloudUnreachable, ServerFailed
from vmimage.fleet.claims import Claims
from vmimage.fleet.configuration import Configuration
from vmimage.fleet.instances import InstanceKind, Instances
from vmimage.fleet.kinds import Means, builders_of
from vmimage.fleet.reconcile import Reconciler
from vmimage.fleet.records import Claim, Seen, Wanted
from vmimage.fleet.wanted import Asked
from vmimage.glance import publish
from vmimage.glance.client import Store
from vmimage.instance.userdata import sort_userdata
from vmimage.nova.trial import Trial
from vmimage.settings.trial import TrialSettings
from waiting import HANG_SECONDS

KIND = InstanceKind(image=IMAGE, flavor=FLAVOR, network=(NETWORK,), limit=2, deadline=3600)
SETTINGS = {"git_address_variation": "https://git.example.org/web", "git_rev_variation": "0" * 40, "pillar": {"web": "grün 0123"}}
PUBLISHED = (
    "vm_create: web-amd64 is published: image {0}, kernel {1}, ramdisk {2}; web-amd64-disk: image {3}, from 249:9ed741a55f17"
)
IDS = [f"0c5a6b1e-7a8f-4f5e-9d59-1f6d3c4b2a1{number}" for number in range(4)]


def claim_of(number=17, since=None, **more):
    wanted = Wanted("web-amd64", "web", "web", "0" * 40, {**SETTINGS, **more}, "small", "d" * 64)
    since = time.time() if since is None else since
    return Claim(number, wanted, f"web-amd64-{number}", since, since + 120)


@pytest.fixture(scope="module")
def cloud(lacking, tmp_path_factory):
    """Of its own: the fleet of the other files goes on meanwhile, and publishes images of the same names."""
    with opened_cloud(lacking, tmp_path_factory) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def image(nova):  # noqa: F811
    nova.cloud.remove_images()
    yield upload_image(nova, IMAGE)
    nova.cloud.remove_images()


@pytest.fixture
def fleet(nova, image):  # noqa: F811
    """Makes the builders of a fleet: as a new process does it, with the cloud as it is."""

    def make(kind=KIND, name="main", label="small", **options):
        return Instances(name, label, kind, "", lambda: open_cloud(nova), **options)

    yield make
    remove_everything(nova)


@pytest.fixture
def running(nova, fleet):  # noqa: F811
    """``(builders, claim, id of the server)`` of a build whose instance runs."""
    builders, claim = fleet(), claim_of()
    job = builders.start(claim)
    nova.connection("alice").compute.wait_for_server(
        nova.connection("alice").compute.get_server(job), interval=0.2, wait=HANG_SECONDS
    )
    return builders, claim, job


def secret_in(userdata):
    return sort_userdata(userdata).secrets["keystone"]["application_credential_secret"]


def userdata_of(nova, job):  # noqa: F811
    return base64.b64decode(nova.connection("admin").compute.get_server(job).user_data)


def sign_in(nova, keystone):  # noqa: F811
    """A session by the application credential of an instance's userdata."""
    keys = ("auth_url", "application_credential_id", "application_credential_secret")
    return Session(auth=v3.ApplicationCredential(**{key: keystone[key] for key in keys}))


def test_an_instance_is_what_the_configuration_says_and_its_userdata_is_what_a_builder_reads(nova, running):  # noqa: F811
    _, claim, job = running
    seen = nova.connection("admin").compute.get_server(job)
    assert (seen.name, seen.flavor.original_name, seen.status) == ("web-amd64-17", FLAVOR, "ACTIVE")
    assert seen.metadata == {
        "vm_fleet": "main",
        "vm_fleet_kind": "small",
        "vm_fleet_build": "17",
        "vm_fleet_deadline": str(int(claim.since + KIND.deadline)),
    }
    assert list(seen.addresses) == [NETWORK]
    found = sort_userdata(base64.b64decode(seen.user_data))
    ami = {**found.grains["ami"], **found.secrets["ami"]}
    assert (ami["promote"], ami["publish"], ami["number"], ami["when_done"]) == (False, True, 17, "poweroff")
    assert {key: ami[key] for key in SETTINGS} == SETTINGS


def test_the_application_credential_of_an_instance_can_do_what_it_must_until_the_deadline_and_makes_no_other(nova, running):  # noqa: F811
    _, claim, job = running
    keystone = sort_userdata(userdata_of(nova, job)).secrets["keystone"]
    session = sign_in(nova, keystone)
    url = nova.cloud.glances["RegionOne"].url
    assert session.get(f"{url}/v2/images?limit=1").status_code == 200
    alice = nova.connection("alice")
    made = alice.identity.get_application_credential(alice.session.get_user_id(), keystone["application_credential_id"])
    assert {"member"} <= {role["name"] for role in made.roles} <= {"member", "reader"}  # Keystone adds what a role implies
    assert made.unrestricted is False
    expires = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(claim.since + KIND.deadline))
    assert made.expires_at.startswith(expires)
    with pytest.raises(keystoneauth1.exceptions.Forbidden):
        user = session.get_user_id()
        body = {"application_credential": {"name": "another"}}
        session.post(f"{nova.cloud.auth_url}/users/{user}/application_credentials", json=body)


def test_the_secret_is_in_the_userdata_and_nowhere_else(nova, fleet, caplog):  # noqa: F811
    caplog.set_level(logging.DEBUG)
    job = fleet().start(claim_of())
    secret, password = secret_in(userdata_of(nova, job)), nova.cloud.users["alice"].password
    seen = json.dumps(nova.connection("admin").compute.get_server(job).to_dict(computed=False) | {"user_data": ""}, default=str)
    for text in (caplog.text, seen):
        assert secret not in text
        assert password not in text


def test_the_same_claim_started_twice_is_one_instance_that_keeps_its_credential(nova, fleet):  # noqa: F811
    claim = claim_of()
    first = fleet().start(claim)
    assert fleet().start(claim) == first
    assert everything(nova)["servers"] == ["web-amd64-17"]
    assert everything(nova)["credentials"] == ["vm_fleet/main/small/17"]
    assert sign_in(nova, sort_userdata(userdata_of(nova, first)).secrets["keystone"]).get_token()


def test_an_answer_that_is_lost_is_no_second_instance(nova, fleet, line):  # noqa: F811
    lost = []

    def lose(number, method, path):
        if method == "POST" and path.endswith(("servers", "application_credentials")) and path not in lost:
            lost.append(path)
            raise keystoneauth1.exceptions.ConnectFailure("the answer is lost")

    line.after = lose
    job = fleet().start(claim_of())
    line.after = None
    assert len(lost) == 2
    assert everything(nova)["servers"] == ["web-amd64-17"]
    assert everything(nova)["credentials"] == ["vm_fleet/main/small/17"]
    assert sign_in(nova, sort_userdata(userdata_of(nova, job)).secrets["keystone"]).get_token()


def test_limits_hold_for_claims_and_for_instances_of_nobody(nova, fleet):  # noqa: F811
    builders = fleet()
    assert builders.free([]) == ["", ""]
    assert builders.free([claim_of(1)]) == [""]
    builders.start(claim_of(17))
    assert builders.free([claim_of(17)]) == [""]
    assert builders.free([claim_of(18)]) == []
    assert fleet(name="other").free([]) == ["", ""]


# what is seen


def test_the_console_says_how_far_a_build_is(nova, running):  # noqa: F811
    builders, claim, job = running
    print_on_console(
        nova, job, "vm_create: userdata", "vm_create: variation", "base done in 3.1 s", "upload: 30.0 MiB of 60.0 MiB, 5.0 MiB/s"
    )
    sight = builders.look([claim])[17]
    assert (sight.seen, sight.step, sight.percent) == (Seen.RUNNING, "upload", 50)
    assert builders.watch([claim, claim_of(18)], {}) == {17: ("upload", 50)}
    assert "vm_create: userdata" in builders.log(claim)


def test_a_look_asks_for_all_servers_at_once(nova, running, line):  # noqa: F811
    builders, claim, _ = running
    builders.look([claim])
    before = len(line.requests)
    assert builders.look([claim, claim_of(18)])[18].seen is Seen.GONE
    assert [path.rpartition("/")[2] for _, path in line.requests[before:]] == ["detail", "action"]


ENDINGS = {
    "published": ([PUBLISHED.format(*IDS)], "", False),
    "failed": (
        ["vm_create: variation: a state failed", "vm_create: FAILED at variation: nginx is not there"],
        "nginx is not there",
        False,
    ),
    "lost": (["vm_create: variation", "Kernel panic - not syncing"], "Kernel panic", True),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_instance_that_has_ended_is_seen_as_it_ended_and_removed(nova, running, ending):  # noqa: F811
    builders, claim, job = running
    said, error, is_lost = ENDINGS[ending]
    print_on_console(nova, job, *said)
    alice = nova.connection("alice")
    keystone = sort_userdata(userdata_of(nova, job)).secrets["keystone"]
    assert sign_in(nova, keystone).get_token()
    alice.compute.stop_server(job)
    assert until(lambda: alice.compute.get_server(job).status == "SHUTOFF")
    sight = builders.look([claim])[17]
    assert (sight.seen, sight.is_lost) == (Seen.ENDED, is_lost)
    if error:
        assert error in sight.error
    else:
        published = sight.result["published"]
        assert {kind: output["image"] for kind, output in published["outputs"].items()} == {"triplet": IDS[0], "disk": IDS[3]}
        assert published["changed"] is True
    builders.stop(claim)
    assert everything(nova) == {}
    with pytest.raises((keystoneauth1.exceptions.Unauthorized, keystoneauth1.exceptions.NotFound)):
        sign_in(nova, keystone).get_token()
    builders.stop(claim)
    assert builders.look([claim])[17].seen is Seen.GONE
    assert builders.log(claim) == ""


def test_a_build_that_is_cancelled_leaves_nothing(nova, running):  # noqa: F811
    builders, claim, _ = running
    builders.stop(claim)
    assert everything(nova) == {}


def test_an_instance_that_runs_beyond_its_deadline_has_ended(nova, running, fleet):  # noqa: F811
    _, claim, _ = running
    sight = fleet(now=lambda: claim.since + KIND.deadline + 1).look([claim])[17]
    assert (sight.seen, sight.is_lost) == (Seen.ENDED, False)
    assert "did not end within 3600 s" in sight.error


def test_an_instance_that_the_cloud_cannot_place_is_lost_with_the_words_of_the_cloud(nova, fleet):  # noqa: F811
    admin = nova.connection("admin").compute
    huge = admin.find_flavor("huge") or admin.create_flavor(name="huge", ram=64, vcpus=1, disk=1 << 20)
    builders, claim = fleet(InstanceKind(image=IMAGE, flavor=huge.name, network=(NETWORK,))), claim_of()
    job = builders.start(claim)
    assert until(lambda: admin.get_server(job).status == "ERROR")
    sight = builders.look([claim])[17]
    assert (sight.seen, sight.is_lost) == (Seen.ENDED, True)
    assert "No valid host" in sight.error
    builders.stop(claim)
    assert everything(nova) == {}


@pytest.mark.parametrize("key", ["image", "flavor", "network", "key", "zone"])
def test_what_the_cloud_does_not_have_is_named_and_nothing_is_left(nova, fleet, key):  # noqa: F811
    from dataclasses import replace

    builders = fleet(replace(KIND, **{key: ("nothing",) if key == "network" else "nothing"}))
    with pytest.raises(CloudRefused, match="nothing"):
        builders.start(claim_of())
    builders.stop(claim_of())
    assert everything(nova) == {}


# killed


def test_a_fleet_that_is_killed_at_any_request_of_a_start_leaves_nothing_that_the_next_does_not_remove(nova, fleet, line):  # noqa: F811
    fleet().start(claim_of(1))
    count = len(line.requests)
    remove_everything(nova)
    assert count > 8, line.requests
    for number in range(count):
        line.requests.clear()
        line.before = lambda at, method, path, number=number: kill() if at == number else None
        with pytest.raises(Killed):
            fleet().start(claim_of(2))
        line.before = None
        fleet().sweep([])
        assert everything(nova) == {}, (number, line.requests)


def kill():
    raise Killed


@pytest.mark.parametrize("what", ["application_credentials", "servers"])
def test_a_start_that_was_killed_when_the_cloud_had_done_it_goes_on(nova, fleet, line, what):  # noqa: F811
    line.after = lambda at, method, path: kill() if method == "POST" and path.endswith(what) else None
    with pytest.raises(Killed):
        fleet().start(claim_of())
    line.after = None
    job = fleet().start(claim_of())
    assert everything(nova)["servers"] == ["web-amd64-17"]
    assert everything(nova)["credentials"] == ["vm_fleet/main/small/17"]
    assert sign_in(nova, sort_userdata(userdata_of(nova, job)).secrets["keystone"]).get_token()


def test_a_stop_that_was_killed_at_any_change_goes_on(nova, fleet, line):  # noqa: F811
    fleet().start(claim_of())
    for number in range(20):
        done = []

        def kill_after(at, method, path, number=number, done=done):
            if method == "DELETE":
                done.append(path)
                if len(done) > number:
                    kill()

        line.before = kill_after
        try:
            fleet().stop(claim_of())
        except Killed:
            line.before = None
            continue
        break
    line.before = None
    assert number > 1, "a stop has a credential and a server to delete"
    assert everything(nova) == {}


def test_an_orphan_of_a_killed_master_is_removed_and_what_an_open_claim_holds_stays(nova, fleet):  # noqa: F811
    held, orphan = claim_of(1), claim_of(2)
    fleet().start(held)
    fleet().start(orphan)
    fleet(name="other").start(claim_of(2))
    fleet(label="large").start(claim_of(3))
    removed = fleet().sweep([held])
    assert removed == ["the server web-amd64-2", "the application credential vm_fleet/main/small/2"]
    left = everything(nova)
    assert left["servers"] == ["web-amd64-1", "web-amd64-2", "web-amd64-3"]
    assert left["credentials"] == ["vm_fleet/main/large/3", "vm_fleet/main/small/1", "vm_fleet/other/small/2"]
    assert fleet().sweep([held]) == []
    late = fleet(now=lambda: time.time() + KIND.deadline + 3700)  # the kind large may be configured no more
    assert late.sweep([held]) == ["the server web-amd64-3"]


def test_a_second_instance_of_a_claim_is_removed(nova, fleet):  # noqa: F811
    claim = claim_of()
    first = fleet().start(claim)
    alice = nova.connection("alice").compute
    server = alice.get_server(first)
    while time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()) <= server.created_at:
        time.sleep(0.05)  # of two servers of the same second Nova does not say which is older
    alice.create_server(
        name="web-amd64-17",
        image_id=server.image.id,
        flavor_id=alice.find_flavor(FLAVOR).id,
        networks="none",
        metadata=server.metadata,
    )
    assert fleet().sweep([claim]) == ["the server web-amd64-17"]
    assert [found.id for found in alice.servers()] == [first]


def test_a_cloud_that_is_away_is_said_and_not_taken_for_an_end(nova, fleet, line):  # noqa: F811
    builders, claim = fleet(), claim_of()
    builders.start(claim)

    def refuse(*_):
        raise keystoneauth1.exceptions.ConnectFailure("Connection refused")

    line.before = refuse
    with pytest.raises(CloudUnreachable, match="cannot list servers"):
        builders.look([claim])


# whole passes of a fleet


@dataclass
class Passes:
    """A fleet with a single variation that instances build; each pass as a new process does it."""

    nova: object
    directory: object
    cache: object = field(default_factory=MemoryCache)
    wanted: dict = field(default_factory=dict)

    def commit(self, digest):
        settings = {"architecture": "amd64", "git_address_variation": "https://git.example.org/web"}
        self.wanted["web-amd64"] = Wanted("web-amd64", "web", "web", "0" * 40, settings, "small", digest)

    @property
    def claims(self):
        return Claims(self.cache, "main")

    def reconcile(self):
        kinds = {"small": {"image": IMAGE, "flavor": FLAVOR, "network": NETWORK}}
        configuration = Configuration(instances=kinds, retry=3600)
        means = Means(None, lambda cloud: credentials_of(self.nova.cloud))
        ask = lambda names: Asked(self.wanted, {"web"}, {})  # noqa: E731
        stores = lambda cloud: Store(credentials_of(self.nova.cloud))  # noqa: E731
        return Reconciler(configuration, self.claims, builders_of(configuration, means), stores, ask).reconcile()

    def server(self):
        (server,) = self.nova.connection("alice").compute.servers()
        return server

    def build(self):
        """What an instance does, as its userdata say: it uploads, says its last line, and switches itself off."""
        found = sort_userdata(userdata_of(self.nova, self.server().id))
        keystone = found.secrets["keystone"]
        names = ("auth_url", "application_credential_id", "application_credential_secret")
        environment = {f"OS_{name.upper()}": keystone[name] for name in names} | {"OS_REGION_NAME": keystone["region"]}
        make_triplet(self.directory)
        build = publishing_build(self.directory, environment, **found.grains["ami"])
        published = publish.publish(build, publish.open_store(build))
        self.say(f"vm_create: {_summed_up({'published': published, 'variation': {}})}")

    def say(self, line):  # noqa: F811
        assert until(lambda: self.server().status == "ACTIVE")
        print_on_console(self.nova, self.server().id, line)
        self.nova.connection("alice").compute.stop_server(self.server())
        assert until(lambda: self.server().status == "SHUTOFF")


def test_a_commit_becomes_a_published_image_and_no_instance_is_left_in_any_ending(nova, fleet, tmp_path):  # noqa: F811
    passes = Passes(nova, tmp_path / "output")
    passes.commit("first")
    assert list(passes.reconcile().began) == ["web-amd64"]
    (claim,) = passes.claims.open()  # its number goes on from those in the store
    assert passes.server().name == f"web-amd64-{claim.number}"
    assert passes.reconcile().began == {}
    passes.build()
    done = passes.reconcile()
    assert (done.problems, done.ended["web-amd64"]["ending"]) == ({}, "published")
    (image,) = [image for image in nova.connection("alice").image.images() if image.name == "web-amd64"]
    assert image.properties["vm_create_number"] == str(claim.number)
    assert everything(nova) == {}

    passes.commit("second")
    passes.reconcile()
    passes.say("vm_create: FAILED at variation: nginx: no such package")
    done = passes.reconcile()
    assert done.ended["web-amd64"]["ending"] == "failed"
    assert "nginx: no such package" in done.ended["web-amd64"]["reason"]
    assert "FAILED at variation" in passes.claims.log(claim.number + 1)
    assert everything(nova) == {}

    passes.commit("third")
    passes.reconcile()
    nova.connection("alice").compute.delete_server(passes.server())
    assert until(lambda: not list(nova.connection("alice").compute.servers()))
    (claim,) = passes.claims.open()
    passes.claims.ask(f"cancel.{claim.number}", time.time())
    del passes.wanted["web-amd64"]
    done = passes.reconcile()
    assert (done.problems, done.ended["web-amd64"]["ending"]) == ({}, "cancelled")
    assert everything(nova) == {}
    assert passes.claims.open() == []


# images that are tried


@pytest.fixture
def web(nova):  # noqa: F811
    """The id of an image that has the name of a variation."""
    nova.cloud.remove_images()
    yield upload_image(nova, "web-amd64")
    remove_everything(nova)
    nova.cloud.remove_images()
    upload_image(nova, IMAGE)


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "id.pub"
    path.write_text("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIXZ2wzbPcBIJ0tKHTQ7Du4dZdSSUVTyEqA0mTWhIAEW a test\n", encoding="ascii")
    return str(path)


class Answering:
    """Stands in for the server: answers on a port of its floating IP, as soon as there is one."""

    def __init__(self, nova):  # noqa: F811
        self._nova, self._socket, self.port = nova, None, own_port()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self._socket:
            self._socket.close()

    def pause(self, seconds):
        time.sleep(0.1)
        addresses = list(self._nova.connection("alice").network.ips())
        if addresses and not self._socket:
            self._socket = socket.create_server((addresses[0].floating_ip_address, self.port))


@pytest.fixture
def trial(nova, web, key):  # noqa: F811
    """Makes trials of web-amd64, whose port answers: ``trial(**settings)``."""
    with Answering(nova) as answering:

        def make(**settings):
            known = {
                "flavor": FLAVOR,
                "network": NETWORK,
                "keypair": key,
                "floating_ip_network": OUTSIDE,
                "port": answering.port,
                "seconds": HANG_SECONDS,
            }
            cloud = open_cloud(nova, sleep=answering.pause)  # noqa: F811
            return Trial(cloud, "web-amd64", TrialSettings(**{**known, **settings}), say=make.said.append)

        make.said = []
        yield make


def test_an_image_is_tried_once_and_all_of_it_is_removed(nova, trial):  # noqa: F811
    assert trial().plan()["makes"] == ["server", "floating IP", "security group", "key"]
    assert everything(nova) == {}
    seen = trial().start()
    assert seen["changed"] is True
    assert seen["reach"] == f"{seen['address']}:{seen['port']}"
    assert trial.said[-1] == seen["reach"]
    again = trial().start()
    assert (again["changed"], again["server"], again["address"]) == (False, seen["server"], seen["address"])
    there = everything(nova)
    assert there.pop("ports") == [seen["server"]]
    assert there == {
        "servers": ["try-web-amd64"],
        "keys": ["try-web-amd64"],
        "groups": ["try-web-amd64"],
        "floating IPs": ["of vm_create.try web-amd64"],
    }
    assert trial().plan()["makes"] == []
    group = next(group for group in nova.connection("alice").network.security_groups() if group.name == "try-web-amd64")
    rules = {
        (rule["protocol"], rule.get("port_range_min")) for rule in group.security_group_rules if rule["direction"] == "ingress"
    }
    assert rules == {("tcp", 22), ("tcp", seen["port"]), ("icmp", None)}
    removed = trial().remove()
    assert [text.split(" ")[0] for text in removed] == ["server", "floating", "security", "key"]
    assert everything(nova) == {}
    assert trial().remove() == []


def test_a_trial_that_is_killed_behind_anything_that_it_makes_goes_on_and_is_removed(nova, trial, line):  # noqa: F811
    for what in ("os-keypairs", "security-groups", "security-group-rules", "servers", "floatingips"):
        line.after = lambda at, method, path, what=what: kill() if method == "POST" and path.endswith(what) else None
        with pytest.raises(Killed):
            trial().start()
    line.after = None
    trial().start()
    there = everything(nova)
    assert [len(there[kind]) for kind in ("servers", "keys", "groups", "floating IPs")] == [1, 1, 1, 1]
    trial().remove()
    assert everything(nova) == {}


def test_of_a_trial_whose_server_somebody_has_deleted_nothing_stays(nova, trial):  # noqa: F811
    job = trial().start()["server"]
    alice = nova.connection("alice").compute
    alice.delete_server(job)
    alice.wait_for_delete(alice.get_server(job), interval=0.2, wait=HANG_SECONDS)
    assert [text.split(" ")[0] for text in trial().remove()] == ["floating", "security", "key"]
    assert everything(nova) == {}


def test_a_port_that_does_not_answer_is_an_error_with_the_console(nova, trial, monkeypatch):  # noqa: F811
    now = [0]

    def refuse(address, port):
        now[0] += 100
        (server,) = nova.connection("alice").compute.servers()
        print_on_console(nova, server.id, "Failed to start ssh.service")
        return False

    monkeypatch.setattr("vmimage.nova.trial._answers", refuse)
    slow = trial(seconds=150)
    slow._clock = lambda: now[0]
    with pytest.raises(ServerFailed, match="did not answer in 150 s\n.*Failed to start ssh.service"):
        slow.start()
    assert everything(nova)["servers"] == ["try-web-amd64"]


def test_a_trial_of_an_image_that_has_been_replaced_is_refused(nova, trial):  # noqa: F811
    trial().start()
    nova.cloud.remove_images()
    upload_image(nova, "web-amd64")
    with pytest.raises(ServerFailed, match="the name web-amd64 no more"):
        trial().start()


def test_what_is_named_and_not_there_is_said_before_anything_is_made(nova, trial):  # noqa: F811
    for key, value in {
        "flavor": "none such",
        "network": "none such",
        "floating_ip_network": "none such",
        "keypair": "none such",
    }.items():  # noqa: F402
        with pytest.raises(CloudRefused, match="none such"):
            trial(**{key: value}).start()
        assert everything(nova) == {}, key


def test_salt_calls_the_functions_by_their_names(nova, web, tmp_path):  # noqa: F811
    user = nova.cloud.users["alice"]
    keys = {"user": "alice", "password": user.password, "tenant": user.project_name, "auth_url": nova.cloud.auth_url}
    minion = Minion(tmp_path / "minion", **{f"keystone.{key}": value for key, value in {**keys, "region": "RegionOne"}.items()})
    assert minion.good("vm_create.try", "web", "trial={flavor: small, network: inside}", "test=True")["makes"] == [
        "server",
        "security group",
    ]
    assert minion.good("vm_create.untry", "web") == []
    assert "did you mean flavor?" in minion.bad("vm_create.try", "web", "trial={flavour: small}")
