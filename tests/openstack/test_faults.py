"""Faults, all real: in the end there is either the whole published triplet or none of its parts, and the name points to a
good image throughout."""

import contextlib
import os
import subprocess
import threading

import pytest
from cloud import make_certificate
from looking_at import assert_nothing_unfinished, assert_published, images_of, named
from triplets import Publisher, make_triplet
from vmimage.errors import CredentialsWrong, NotPublished, StoreRefused, StoreUnreachable
from wire import Wire

FILE = "/file"


@pytest.fixture
def alice(cloud, lane, tmp_path):
    """Alice behind a wire, with an image published already: what the name points to."""
    publisher = Publisher(cloud, tmp_path, lane.region)
    publisher.pauses = 0.02  # the wire is in order again at once
    publisher.publish_new()
    lane.wire.requests.clear()
    return publisher


def assert_nothing_of(publisher, triplet):
    """The triplet left nothing, and the name still points to the old image."""
    build = triplet.manifest()["build"]
    assert not [entry["name"] for entry in images_of(publisher.client) if entry.get("vm_create_build") == build]
    assert_nothing_unfinished(publisher.client)
    assert named(publisher.client, "web-amd64")[0]["vm_create_build"] != build


def once(happens, when):
    """A callback that answers one time, when its condition holds."""
    done = []

    def call(*event):
        if not done and when(*event):
            done.append(event)
            return happens(*event) if callable(happens) else happens
        return None

    call.done = done
    return call


class HalfWay:
    """An observer that does something when half of the root image is on its way."""

    def __init__(self, happens):
        self.happens, self.done = happens, False

    def __call__(self, moment):
        if not self.done and moment.what == "moved" and moment.step == "upload root" and moment.done * 2 > moment.total:
            self.done = True
            self.happens()


@pytest.fixture
def stack():
    with contextlib.ExitStack() as stack:
        yield stack


@pytest.fixture
def own_glance(cloud, tmp_path, stack):
    """A maker of a Glance with options of its own, and Alice in its region."""

    def make(region, **options):
        glance = stack.enter_context(cloud.glance(region, **options))
        return glance, Publisher(cloud, tmp_path / region, region)

    return make


@pytest.fixture
def wired(cloud, stack):
    """A maker of a wire in front of a Glance, in a region of its own: ``(wire, region)``."""

    def make(glance):
        wire = stack.enter_context(Wire(glance.port))
        return wire, stack.enter_context(cloud.registered(f"wired-{glance.region}", wire.url))

    return make


def test_glance_is_killed_in_mid_upload_and_comes_back(own_glance):
    glance, alice = own_glance("killed")
    alice.publish_new()
    triplet = make_triplet(alice.directory, root_mib=64)

    def die_and_return():
        glance.kill()
        threading.Timer(1.0, glance.start).start()

    half = HalfWay(die_and_return)
    alice.observers = [half]
    alice.publish(tries=10)  # a Glance may take long to start
    assert half.done
    assert_published(alice.client, triplet, archived=1)


def test_glance_is_killed_in_mid_upload_and_stays_away(own_glance):
    glance, alice = own_glance("away")
    old, _ = alice.publish_new()
    triplet = make_triplet(alice.directory, root_mib=64, kernel=b"newer")
    alice.observers = [HalfWay(glance.kill)]
    with pytest.raises((NotPublished, StoreUnreachable)) as caught:
        alice.publish(tries=2)
    assert "the next run" in caught.value.hint
    glance.start()
    assert named(alice.client, "web-amd64")[0]["vm_create_sha256"] != triplet.manifest()["files"]["root_image"]["sha256"]
    alice.observers = []
    alice.publish()
    assert_published(alice.client, triplet, archived=1)


def test_the_token_is_revoked_between_two_chunks(own_glance, cloud, wired):
    glance, alice = own_glance("revoked", token_cache_seconds=-1)
    alice.publish_new()
    wire, region = wired(glance)
    alice = Publisher(cloud, alice.directory, region)
    triplet, tokens = make_triplet(alice.directory, root_mib=16), {}

    def remember(number, method, path, headers):
        tokens[number] = {key.lower(): value for key, value in headers.items()}["x-auth-token"]

    wire.on_request = remember
    wire.on_body = once(
        lambda number, *_: cloud.revoke(tokens[number]), lambda _, method, path, count: path.endswith(FILE) and count > 8 << 20
    )
    alice.publish()
    assert wire.on_body.done
    assert_published(alice.client, triplet, archived=1)


def test_the_token_is_revoked_just_before_the_upload(own_glance, cloud, wired, tmp_path):
    """Where keystoneauth would sign in again and send what is left of the body, which is nothing."""
    glance, _ = own_glance("expired", token_cache_seconds=-1)
    wire, region = wired(glance)
    alice = Publisher(cloud, tmp_path, region)
    triplet = make_triplet(alice.directory)
    wire.on_request = once(
        lambda _, method, path, headers: cloud.revoke({key.lower(): value for key, value in headers.items()}["x-auth-token"]),
        lambda _, method, path, headers: method == "PUT" and path.endswith(FILE),
    )
    published = alice.publish()
    assert wire.on_request.done
    assert_published(alice.client, triplet)
    assert published["changed"] is True


@pytest.mark.parametrize("where", ["before anything", "in the middle", "after the last byte"])
def test_the_connection_is_lost_in_an_upload(alice, lane, where):
    triplet = make_triplet(alice.directory, root_mib=8, kernel=b"newer")
    cut = {
        "before anything": ("on_request", once("cut", lambda _, method, path, headers: path.endswith(FILE))),
        "in the middle": ("on_body", once("cut", lambda _, method, path, count: path.endswith(FILE) and count > 4 << 20)),
        "after the last byte": ("on_response", once("cut", lambda _, method, path, status: path.endswith(FILE))),
    }[where]
    setattr(lane.wire, *cut)
    alice.publish()
    assert cut[1].done
    assert_published(alice.client, triplet, archived=1)


@pytest.mark.parametrize("method", ["POST", "PATCH", "DELETE", "GET"])
def test_an_answer_is_lost(alice, lane, method):
    """The store has done it, and we never hear: it is not done twice."""
    triplet = make_triplet(alice.directory, kernel=b"newer", ramdisk=b"newer too")
    lane.wire.on_response = once("cut", lambda _, seen, path, status: seen == method)
    alice.publish(keep=0)
    assert lane.wire.on_response.done
    assert_published(alice.client, triplet, archived=0)


@pytest.mark.parametrize("status", [(500, "Internal Server Error"), (503, "Service Unavailable"), (429, "Too Many Requests")])
def test_a_server_in_trouble_is_asked_again(alice, lane, status):
    triplet, failed = make_triplet(alice.directory, kernel=b"newer"), []

    def fail(number, method, path, headers):
        if method in failed:
            return None
        failed.append(method)
        return status

    lane.wire.on_request = fail
    alice.publish(keep=0)
    assert sorted(failed) == ["DELETE", "GET", "PATCH", "POST", "PUT"]
    assert_published(alice.client, triplet, archived=0)


@pytest.mark.parametrize("wanted", ["POST", "PUT", "PATCH"])
def test_a_server_in_lasting_trouble_ends_it_with_nothing_left(alice, lane, wanted):
    triplet = make_triplet(alice.directory, kernel=b"newer")
    lane.wire.on_request = lambda number, method, path, headers: (503, "Service Unavailable") if method == wanted else None
    with pytest.raises((StoreUnreachable, NotPublished), match="503"):
        alice.publish(tries=2)
    lane.wire.on_request = None
    assert_nothing_of(alice, triplet)


def test_a_slow_line_is_no_lost_line(alice, lane):
    triplet = make_triplet(alice.directory, root_mib=3)
    lane.wire.bytes_per_second = 1 << 20
    alice.publish()
    assert_published(alice.client, triplet, archived=1)


def assert_refused_for_its_size(alice):
    """A small image finds room, a larger one is refused, and nothing of it stays."""
    alice.publish_new()
    triplet = make_triplet(alice.directory, root_mib=16, kernel=b"newer")
    with pytest.raises((StoreRefused, NotPublished)) as caught:
        alice.publish(tries=3)
    assert "full" in str(caught.value) or "quota" in str(caught.value)
    assert_nothing_of(alice, triplet)


def test_the_store_is_full(own_glance, tmp_path, lacking):
    if os.geteuid() != 0:
        lacking("needs root, to mount a small file system: sudo ./run-tests openstack")
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", small], check=True)
    try:
        _, alice = own_glance("full", store_directory=small)
        assert_refused_for_its_size(alice)
    finally:
        subprocess.run(["umount", "--lazy", small], check=True)


def test_a_quota_is_reached(own_glance):
    _, alice = own_glance("quota", storage_quota="8MB")
    assert_refused_for_its_size(alice)


def test_a_wrong_password_is_refused_before_any_work(alice):
    alice.environment |= {"OS_PASSWORD": "wrong-and-secret"}
    with pytest.raises(CredentialsWrong) as caught:
        alice.publish()
    assert "OS_*" in str(caught.value) and "wrong-and-secret" not in str(caught.value)


def test_a_region_that_there_is_not_is_named_with_its_key(alice):
    alice.environment |= {"OS_REGION_NAME": "Atlantis"}
    with pytest.raises(StoreRefused, match="(?s)Atlantis.*region"):
        alice.publish()


@pytest.mark.parametrize("address", ["http://nobody.invalid:5000/v3", "http://127.0.0.1:1/v3"])
def test_a_cloud_that_is_not_there_is_named_with_its_address(alice, address):
    alice.environment |= {"OS_AUTH_URL": address}
    with pytest.raises(StoreUnreachable, match=address):
        alice.publish(tries=1)


def test_a_certificate_is_checked_unless_the_user_forbids_it(alice, cloud, tmp_path):
    certificate, key = make_certificate(tmp_path / "right", ["IP:127.0.0.1", "DNS:localhost"])
    url = cloud.keystone_tls(certificate, key)
    alice.environment["OS_AUTH_URL"] = url
    with pytest.raises(StoreRefused, match="(?s)certificate.*cacert"):
        alice.publish(tries=1)
    alice.environment["OS_CACERT"] = str(certificate)
    assert alice.publish()["changed"] is False
    del alice.environment["OS_CACERT"]
    alice.environment["OS_INSECURE"] = "true"
    assert alice.publish()["changed"] is False


def test_a_certificate_of_another_name_is_refused(alice, cloud, tmp_path):
    certificate, key = make_certificate(tmp_path / "wrong", ["DNS:elsewhere.invalid"])
    alice.environment |= {"OS_AUTH_URL": cloud.keystone_tls(certificate, key), "OS_CACERT": str(certificate)}
    with pytest.raises(StoreRefused, match="certificate"):
        alice.publish(tries=1)


def test_the_file_changes_while_it_is_uploaded(alice):
    triplet = make_triplet(alice.directory, root_mib=16)

    def grow():
        with open(triplet.root_image, "ab") as file:
            file.write(b"more")

    alice.observers = [HalfWay(grow)]
    with pytest.raises(OSError, match="changed while it was uploaded"):
        alice.publish()
    assert_nothing_of(alice, triplet)


@pytest.mark.parametrize("status", [(410, "Gone"), (507, "Insufficient Storage"), (402, "Payment Required")])
def test_a_refusal_that_the_client_does_not_know_is_reported_and_not_asked_again(alice, lane, status):
    triplet, asked = make_triplet(alice.directory, kernel=b"newer"), []

    def refuse(number, method, path, headers):
        return status if path.endswith(FILE) and not asked.append(path) else None

    lane.wire.on_request = refuse
    with pytest.raises(StoreRefused, match=str(status[0])):
        alice.publish()
    lane.wire.on_request = None
    assert len(asked) == 1
    assert_nothing_of(alice, triplet)


def test_a_redirection_of_an_upload_is_not_followed_and_reported(alice, lane):
    triplet = make_triplet(alice.directory, kernel=b"newer")
    lane.wire.on_request = lambda number, method, path, headers: (307, "Temporary Redirect") if path.endswith(FILE) else None
    with pytest.raises(StoreRefused, match="(?s)redirects.*image_endpoint"):
        alice.publish()
    lane.wire.on_request = None
    assert_nothing_of(alice, triplet)


def test_an_address_with_a_version_is_as_good(alice, cloud):
    alice.environment["OS_IMAGE_ENDPOINT_OVERRIDE"] = f"{cloud.glances['RegionOne'].url}/v2"
    assert alice.publish()["changed"] is False


def test_the_certificate_of_glance_is_checked_too(own_glance, tmp_path):
    _, alice = own_glance("tls", tls=make_certificate(tmp_path / "wrong", ["DNS:elsewhere.invalid"]))
    make_triplet(alice.directory)
    with pytest.raises(StoreRefused, match="(?s)certificate.*cacert"):
        alice.publish(tries=1)
