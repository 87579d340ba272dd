"""Our own process killed at every step of upload and promotion: one more run ends in the right state."""

import os
import signal
import socket
import subprocess
import sys

import pytest
from looking_at import assert_published, images_of, named
from publishing import Publishers
from servers import processes_of, until
from triplets import Publisher, make_triplet

CHANGING = ("POST", "PUT", "PATCH", "DELETE")


TESTER = """
import sys
directory, port, *sys.path = sys.argv[1:]
from publishing import Publishers
environment = {"OS_AUTH_URL": f"http://127.0.0.1:{port}/v3", "OS_USERNAME": "a", "OS_PASSWORD": "b", "OS_PROJECT_NAME": "c"}
with Publishers() as publishers:
    print(publishers.start(directory, environment).pid, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def publishers():
    with Publishers() as publishers:
        yield publishers


class Victim:
    """A process that publishes, and is killed when the wire sees what it waits for."""

    def __init__(self, publishers, publisher):
        self.publishers, self.publisher, self.process = publishers, publisher, None

    def run(self):
        self.process = self.publishers.start(self.publisher.directory, self.publisher.environment, keep=1)
        return self.process.wait()

    def kill(self):
        self.process.kill()
        return "cut"


@pytest.fixture
def alice(cloud, lane, tmp_path):
    """Alice, whose old image has a member and properties that must go over to the new image."""
    publisher = Publisher(cloud, tmp_path, lane.region)
    _, published = publisher.publish_new({"visibility": "shared"})
    publisher.client.image_members.create(published["image"], cloud.users["bob"].project_id)
    publisher.client.images.update(published["image"], hw_disk_bus="virtio", tags=["gold"], protected=True)
    return publisher


@pytest.fixture
def victim(publishers, alice):
    return Victim(publishers, alice)


def renew(publisher, number):
    """A triplet of other bytes, all three."""
    return make_triplet(publisher.directory, kernel=f"kernel {number}".encode(), ramdisk=f"ramdisk {number}".encode())


def changing_requests(wire):
    return [(method, path) for method, path in wire.requests if method in CHANGING]


def assert_good_for_users(publisher, triplets):
    """The name points to the old or to the new triplet, whole."""
    found = named(publisher.client, "web-amd64")
    assert 1 <= len(found) <= 2
    known = {manifest["files"]["root_image"]["sha256"] for manifest in triplets}
    for entry in found:
        assert entry["status"] == "active" and entry["vm_create_sha256"] in known
        assert {publisher.client.images.get(entry[key])["status"] for key in ("kernel_id", "ramdisk_id")} == {"active"}


def assert_right(publisher, triplet, bob):
    image = assert_published(publisher.client, triplet, archived=1)
    assert (image["hw_disk_bus"], image["tags"], image["protected"], image["visibility"]) == ("virtio", ["gold"], True, "shared")
    for image_id in (image["id"], image["kernel_id"], image["ramdisk_id"]):
        assert [member["member_id"] for member in publisher.client.image_members.list(image_id)] == [bob]
    old = [entry for entry in images_of(publisher.client) if entry["name"].startswith("archive ")]
    assert [entry["protected"] for entry in old] == [False]


def test_killed_at_every_request_that_changes_the_store(alice, victim, lane, cloud):
    """Killed just before the store hears of it, for each request of a whole run: the store has just done the request before.

    After the last request there is none that it could be before: then it is killed at the answer.
    """
    bob = cloud.users["bob"].project_id
    for number in range(3):  # until each run is like the run before: an archive to prune, whose kernel its member may need
        triplet = renew(alice, f"whole {number}")
        lane.wire.requests.clear()
        code, said = victim.run()
        assert code == 0, said
    steps = changing_requests(lane.wire)
    assert {method for method, _ in steps} == set(CHANGING) and len(steps) >= 15, steps
    assert_right(alice, triplet, bob)
    last = len(steps) - 1
    for side, number in [*(("on_request", number) for number in range(len(steps))), ("on_response", last)]:
        before, triplet, seen = triplet.manifest(), renew(alice, f"{side} {number}"), []

        def strike(_, method, *event, seen=seen, number=number):
            if method not in CHANGING:
                return None
            seen.append(method)
            return victim.kill() if len(seen) == number + 1 else None

        setattr(lane.wire, side, strike)
        lane.wire.requests.clear()
        code, said = victim.run()
        setattr(lane.wire, side, None)
        assert code == -signal.SIGKILL, f"step {number} {steps[number]}: {code} {said} {changing_requests(lane.wire)}"
        assert_good_for_users(alice, [before, triplet.manifest()])
        code, said = victim.run()
        assert code == 0, f"after step {number} {steps[number]}: {said}"
        assert_right(alice, triplet, bob)


@pytest.mark.parametrize("role", ["kernel", "ramdisk", "root_image"])
def test_killed_in_the_middle_of_a_file(alice, victim, lane, cloud, role):
    triplet = make_triplet(alice.directory, **{role.removesuffix("_image"): os.urandom(4 << 20)})
    lane.wire.on_body = lambda _, method, path, count: victim.kill() if path.endswith("/file") and count > 2 << 20 else None
    code, _ = victim.run()
    assert code == -signal.SIGKILL
    lane.wire.on_body = None
    code, said = victim.run()
    assert code == 0, said
    assert_right(alice, triplet, cloud.users["bob"].project_id)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_in_the_middle_of_a_file_nothing_is_left(alice, victim, lane, number):
    stopped = []
    triplet = make_triplet(alice.directory, root_mib=8, kernel=b"newer")

    def stop(_, method, path, count):
        if path.endswith("/file") and count > 4 << 20 and not stopped:
            stopped.append(victim.process.send_signal(number))

    lane.wire.on_body, lane.wire.bytes_per_second = stop, 8 << 20
    code, said = victim.run()
    assert stopped and code != 0 and f"stopped by {number.name}" in said
    assert not [entry for entry in images_of(alice.client) if entry.get("vm_create_build") == triplet.manifest()["build"]]
    assert {entry["status"] for entry in images_of(alice.client)} == {"active"}


def test_what_another_builder_may_be_uploading_now_is_left_alone(alice, cloud):
    """A half of the same name, but of another machine's: only its age tells that nobody works on it."""
    image = {"disk_format": "ami", "container_format": "ami", "vm_create_role": "root_image", "vm_create_name": "web-amd64"}
    half = alice.client.images.create(name="new web-amd64 other", **image, vm_create_state="new", vm_create_builder="another")
    alice.client.images.update(half["id"], vm_create_self=half["id"])
    triplet, _ = alice.publish_new()
    assert alice.client.images.get(half["id"])["status"] == "queued"
    alice.client.images.delete(half["id"])
    assert_published(alice.client, triplet, archived=1)


def test_who_publishes_ends_with_a_tester_that_is_killed(tmp_path):
    """Its own process, which waits for a Keystone that never answers, and the process that forked it."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        words = [sys.executable, "-c", TESTER, tmp_path, str(silent.getsockname()[1]), *sys.path]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True) as tester:
            publishing = int(tester.stdout.readline())
            assert {tester.pid, publishing} < processes_of(tester.pid), "the tester, who forks, who publishes"
            tester.kill()
        assert until(lambda: not processes_of(tester.pid))
