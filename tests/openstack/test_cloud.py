"""The ground that this group stands on: the cloud is real, and what disturbs it does so."""

import io
import subprocess
import sys
import threading
import time

import pytest
import requests
from glanceclient import exc
from servers import processes_of, until
from waiting import HANG_SECONDS
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
MIB = 1 << 20


@pytest.fixture
def alice(cloud):
    """``alice(region)``: her images there."""
    return lambda region="RegionOne": cloud.client("alice", region).images


def create(images, **properties):
    return images.create(name="an image", disk_format="raw", container_format="bare", **properties)


def test_a_revoked_token_is_refused_by_a_glance_that_asks_for_it(cloud):
    with cloud.glance("Asking", token_cache_seconds=-1) as glance:
        token = cloud.session("alice").get_token()
        assert list_images(glance, token) == 200
        cloud.revoke(token)
        assert list_images(glance, token) == 401


def list_images(glance, token):
    return requests.get(f"{glance.url}/v2/images", headers={"X-Auth-Token": token}, timeout=HANG_SECONDS).status_code


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
    lane.wire.bytes_per_second, looked = MIB, threading.Event()
    lane.wire.on_body = lambda number, method, path, so_far: looked.wait(HANG_SECONDS) and None if so_far > MIB else None
    seen, image = set(), create(alice(lane.region))
    began = time.monotonic()
    uploading = threading.Thread(target=alice(lane.region).upload, args=(image.id, io.BytesIO(bytes(2 * MIB))))
    uploading.start()
    while uploading.is_alive():
        seen.add(alice().get(image.id).status)
        if "saving" in seen:
            looked.set()
    assert time.monotonic() - began > 1.5
    assert "saving" in seen and alice().get(image.id).status == "active"


def test_a_closed_wire_leaves_no_thread_and_no_connection(cloud):
    threads = threading.active_count()
    with Wire(cloud.glances["RegionOne"].port) as wire, requests.Session() as session:
        assert session.get(wire.url, timeout=HANG_SECONDS).status_code == 300
        assert threading.active_count() > threads
        wire.close()
        with pytest.raises(requests.ConnectionError):
            session.get(wire.url, timeout=HANG_SECONDS)
    assert threading.active_count() == threads


def test_what_a_callback_raises_is_raised_by_close(cloud):
    with pytest.raises(ZeroDivisionError), Wire(cloud.glances["RegionOne"].port) as wire:
        wire.on_request = lambda *_: 1 / 0
        with pytest.raises(requests.ConnectionError):
            requests.get(wire.url, timeout=HANG_SECONDS)


def test_servers_end_with_a_tester_that_is_killed(cloud, tmp_path):
    words = [sys.executable, "-c", TESTER, str(tmp_path / "cloud"), str(cloud.venv), *sys.path]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as tester:
        servers = [int(word) for word in tester.stdout.readline().split()]
        assert len(servers) == 2, "a master and a worker"
        tester.kill()
    assert until(lambda: not processes_of(servers[0]))
