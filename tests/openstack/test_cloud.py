"""The ground that this group stands on: the cloud is real, and what disturbs it does so."""

import io
import os
import subprocess
import sys
import threading
import time
from contextlib import nullcontext

import pytest
import requests
from cloud import make_certificate
from glanceclient import exc
from keystoneauth1.exceptions import SSLError
from servers import processes_of, until
from wire import CUT, Wire

TESTER = """
import sys
directory, servers, *sys.path = sys.argv[1:]
from cloud import Cloud, Server
cloud = Cloud(directory, servers)
Server(cloud, "any", "wsgiref.simple_server:demo_app").start()
print(*sorted(cloud.processes()), flush=True)
sys.stdin.read()
"""
KIB, MIB = 1 << 10, 1 << 20


@pytest.fixture
def alice(cloud):
    """``alice(region)``: her images there."""
    return lambda region="RegionOne": cloud.client("alice", region).images


def create(images, **properties):
    return images.create(name="an image", disk_format="raw", container_format="bare", **properties)


def upload(images, content, **properties):
    image = create(images, **properties)
    images.upload(image.id, io.BytesIO(content))
    return images.get(image.id)


@pytest.mark.parametrize("through_a_wire", [False, True])
def test_what_is_uploaded_comes_back(through_a_wire, alice, lane):
    images, content = alice(lane.region if through_a_wire else "RegionOne"), os.urandom(3 * MIB + 1)
    image = upload(images, content)
    assert (image.status, image.size) == ("active", len(content))
    assert b"".join(images.data(image.id)) == content
    assert bool(lane.wire.requests) is through_a_wire


def test_everybody_has_images_of_their_own(cloud, alice):
    upload(alice(), b"hers", visibility="private")
    assert [image.owner for image in alice().list()] == [cloud.users["alice"].project_id]
    assert not list(cloud.client("bob", "RegionOne").images.list())


def test_an_application_credential_is_enough(cloud):
    user = cloud.users["bob"]
    secret = {"id": user.app_cred_id, "secret": user.app_cred_secret}
    asked = {"auth": {"identity": {"methods": ["application_credential"], "application_credential": secret}}}
    answer = requests.post(f"{cloud.auth_url}/auth/tokens", json=asked, timeout=10)
    assert answer.json()["token"]["project"]["id"] == user.project_id


def test_uploads_side_by_side_all_end_well(alice):
    ended = []
    threads = [threading.Thread(target=lambda: ended.append(upload(alice(), bytes(MIB)).status)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ended == ["active"] * 6


def test_all_images_can_be_removed_hidden_and_protected_images_too(cloud, alice):
    upload(alice(), b"", protected=True)
    upload(alice(), b"", os_hidden=True, visibility="private")
    cloud.remove_images()
    assert not [*alice().list(), *alice().list(filters={"os_hidden": True})]


def test_a_glance_killed_in_mid_upload_comes_back_with_an_image_that_is_not_whole(cloud, alice, lane):
    glance, image = cloud.glances["RegionOne"], create(alice())

    def kill(number, method, path, bytes_so_far):
        if glance.is_running() and alice().get(image.id).status == "saving":
            glance.kill()

    lane.wire.on_body = kill
    with pytest.raises(exc.CommunicationError):
        alice(lane.region).upload(image.id, io.BytesIO(bytes(32 * MIB)))
    with pytest.raises(requests.ConnectionError):
        requests.get(glance.url, timeout=5)
    glance.start()
    assert alice().get(image.id).status == "saving"
    assert upload(alice(), b"another").status == "active"


def test_more_than_the_quota_is_too_large(cloud, alice):
    with cloud.glance("Small", storage_quota="1MB") as glance:
        upload(alice(glance.region), bytes(600 * KIB))
        with pytest.raises(exc.HTTPException) as refused:
            upload(alice(glance.region), bytes(600 * KIB))
    assert refused.value.code == 413


def test_more_than_the_cap_of_one_image_is_too_large(cloud, alice):
    with cloud.glance("Low", size_cap_bytes=MIB) as glance:
        upload(alice(glance.region), bytes(MIB))
        with pytest.raises(exc.HTTPException) as refused:
            upload(alice(glance.region), bytes(MIB + 1))
    assert refused.value.code == 413


@pytest.mark.parametrize(("cache_seconds", "code"), [(-1, 401), (300, 200)], ids=["asked each time", "believed for a while"])
def test_a_revoked_token_is_refused_by_a_glance_that_asks_for_it(cache_seconds, code, cloud):
    with cloud.glance(f"Cache{code}", token_cache_seconds=cache_seconds) as glance:
        token = cloud.session("alice").get_token()
        assert list_images(glance, token) == 200
        cloud.revoke(token)
        assert list_images(glance, token) == code


def list_images(glance, token):
    return requests.get(f"{glance.url}/v2/images", headers={"X-Auth-Token": token}, timeout=10).status_code


def test_a_request_that_is_cut_never_reaches_the_server(alice, lane):
    lane.wire.on_request = lambda number, method, path, headers: CUT if method == "POST" else None
    with pytest.raises(exc.CommunicationError):
        create(alice(lane.region))
    assert ("POST", "/v2/images") in lane.wire.requests and not list(alice().list())


def test_an_answer_that_is_cut_leaves_what_the_server_did(alice, lane):
    lane.wire.on_response = lambda number, method, path, status: CUT if method == "POST" else None
    with pytest.raises(exc.CommunicationError):
        create(alice(lane.region))
    assert [image.name for image in alice().list()] == ["an image"]


def test_an_upload_that_is_cut_leaves_the_image_without_bytes(alice, lane):
    lane.wire.on_body = lambda number, method, path, so_far: CUT if so_far >= MIB else None
    image = create(alice(lane.region))
    with pytest.raises(exc.CommunicationError):
        alice(lane.region).upload(image.id, io.BytesIO(bytes(8 * MIB)))
    assert until(lambda: alice().get(image.id).status == "queued")


def test_a_wire_answers_itself(alice, lane):
    lane.wire.on_request = lambda number, method, path, headers: (503, "Service Unavailable") if method == "PUT" else None
    image = create(alice(lane.region))
    with pytest.raises(exc.HTTPServiceUnavailable):
        alice(lane.region).upload(image.id, io.BytesIO(bytes(8 * MIB)))
    assert alice().get(image.id).status == "queued"


def test_a_slow_wire_leaves_time_to_look_at_an_upload(alice, lane):
    lane.wire.bytes_per_second = MIB
    seen, image = set(), create(alice(lane.region))
    began = time.monotonic()
    uploading = threading.Thread(target=alice(lane.region).upload, args=(image.id, io.BytesIO(bytes(2 * MIB))))
    uploading.start()
    while uploading.is_alive():
        seen.add(alice().get(image.id).status)
    assert time.monotonic() - began > 1.5
    assert "saving" in seen and alice().get(image.id).status == "active"


def test_a_closed_wire_leaves_no_thread_and_no_connection(cloud):
    threads = threading.active_count()
    with Wire(cloud.glances["RegionOne"].port) as wire, requests.Session() as session:
        assert session.get(wire.url, timeout=5).status_code == 300
        assert threading.active_count() > threads
        wire.close()
        with pytest.raises(requests.ConnectionError):
            session.get(wire.url, timeout=5)
    assert threading.active_count() == threads


def test_what_a_callback_raises_is_raised_by_close(cloud):
    with pytest.raises(ZeroDivisionError), Wire(cloud.glances["RegionOne"].port) as wire:
        wire.on_request = lambda *_: 1 / 0
        with pytest.raises(requests.ConnectionError):
            requests.get(wire.url, timeout=5)


@pytest.mark.parametrize(("name", "good"), [("IP:127.0.0.1", True), ("DNS:elsewhere.example", False)])
def test_a_keystone_is_believed_by_the_names_in_its_certificate(name, good, cloud, tmp_path):
    certificate, key = make_certificate(tmp_path, [name])
    session = cloud.session("alice", auth_url=cloud.keystone_tls(certificate, key), verify=str(certificate))
    with nullcontext() if good else pytest.raises(SSLError, match="mismatch"):
        assert session.get_token()


@pytest.mark.parametrize("known", [True, False])
def test_a_glance_is_believed_by_a_certificate_that_is_known(known, cloud, tmp_path):
    pair = make_certificate(tmp_path, ["IP:127.0.0.1"])
    with cloud.glance("Sealed", tls=pair) as glance:
        client = cloud.client("alice", glance.region, verify=str(pair[0]) if known else True)
        with nullcontext() if known else pytest.raises((SSLError, exc.CommunicationError), match="verify failed"):
            assert not list(client.images.list())


def test_servers_end_with_a_tester_that_is_killed(cloud, tmp_path):
    words = [sys.executable, "-c", TESTER, str(tmp_path / "cloud"), str(cloud.venv), *sys.path]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as tester:
        servers = [int(word) for word in tester.stdout.readline().split()]
        assert len(servers) == 2, "a master and a worker"
        tester.kill()
    assert until(lambda: not processes_of(servers[0]))
