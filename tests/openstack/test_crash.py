"""Our own process killed at every step of upload and promotion: one more run ends in the right state."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import publishing
import pytest
from looking_at import assert_published, images_of, named
from triplets import Publisher, make_triplet

PROGRAM = Path(publishing.__file__)
CHANGING = ("POST", "PUT", "PATCH", "DELETE")
SETTINGS = {"keep": 1}


class Victim:
    """A process that publishes, and is killed when the wire sees what it waits for."""

    def __init__(self, publisher):
        self.publisher, self.process = publisher, None

    def run(self):
        environment = {"PATH": os.environ["PATH"], **self.publisher.environment}
        argv = [sys.executable, PROGRAM, self.publisher.directory, json.dumps(SETTINGS)]
        self.process = subprocess.Popen(argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        return "cut"


@pytest.fixture
def alice(cloud, lane, tmp_path):
    """Alice, whose old image has a member and properties that must go over to the new one."""
    publisher = Publisher(cloud, tmp_path, lane.region)
    _, told = publisher.anew({"visibility": "shared"})
    publisher.client.image_members.create(told["image"], cloud.users["bob"].project_id)
    publisher.client.images.update(told["image"], hw_disk_bus="virtio", tags=["gold"], protected=True)
    return publisher


def renew(publisher, number):
    """A triplet of other bytes, all three."""
    return make_triplet(publisher.directory, kernel=f"kernel {number}".encode(), ramdisk=f"ramdisk {number}".encode())


def changing_requests(wire):
    return [(method, path) for method, path in wire.requests if method in CHANGING]


def assert_good_for_users(publisher, triplets):
    """The name leads to the old or to the new triplet, whole."""
    found = named(publisher.client, "web-amd64")
    assert 1 <= len(found) <= 2
    known = {one["files"]["root_image"]["sha256"] for one in triplets}
    for one in found:
        assert one["status"] == "active" and one["vm_create_sha256"] in known
        assert {publisher.client.images.get(one[key])["status"] for key in ("kernel_id", "ramdisk_id")} == {"active"}


def assert_right(publisher, triplet, bob):
    image = assert_published(publisher.client, triplet, archived=1)
    assert (image["hw_disk_bus"], image["tags"], image["protected"], image["visibility"]) == ("virtio", ["gold"], True, "shared")
    for image_id in (image["id"], image["kernel_id"], image["ramdisk_id"]):
        assert [one["member_id"] for one in publisher.client.image_members.list(image_id)] == [bob]
    old = [one for one in images_of(publisher.client) if one["name"].startswith("archive ")]
    assert [one["protected"] for one in old] == [False]


@pytest.mark.parametrize("side", ["on_request", "on_response"])
def test_killed_at_every_request_that_changes_the_store(alice, lane, cloud, side):
    """Killed just before the store hears of it, and just after it has done it, for each request of a whole run."""
    bob, victim = cloud.users["bob"].project_id, Victim(alice)
    for number in range(3):  # until each run is like the one before: an archive to prune, whose kernel its member may need
        triplet = renew(alice, f"whole {number}")
        lane.wire.requests.clear()
        code, said = victim.run()
        assert code == 0, said
    steps = changing_requests(lane.wire)
    assert {method for method, _ in steps} == set(CHANGING) and len(steps) >= 15, steps
    assert_right(alice, triplet, bob)
    for number in range(len(steps)):
        before, triplet, seen = triplet.manifest(), renew(alice, number + 1), []

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
def test_killed_in_the_middle_of_a_file(alice, lane, cloud, role):
    triplet, victim = make_triplet(alice.directory, **{role.removesuffix("_image"): os.urandom(4 << 20)}), Victim(alice)
    lane.wire.on_body = lambda _, method, path, count: victim.kill() if path.endswith("/file") and count > 2 << 20 else None
    code, _ = victim.run()
    assert code == -signal.SIGKILL
    lane.wire.on_body = None
    code, said = victim.run()
    assert code == 0, said
    assert_right(alice, triplet, cloud.users["bob"].project_id)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_in_the_middle_of_a_file_nothing_is_left(alice, lane, number):
    victim, stopped = Victim(alice), []
    triplet = make_triplet(alice.directory, root_mib=8, kernel=b"newer")

    def stop(_, method, path, count):
        if path.endswith("/file") and count > 4 << 20 and not stopped:
            stopped.append(victim.process.send_signal(number))

    lane.wire.on_body, lane.wire.bytes_per_second = stop, 8 << 20
    code, said = victim.run()
    assert stopped and code != 0 and f"stopped by {number.name}" in said
    assert not [one for one in images_of(alice.client) if one.get("vm_create_build") == triplet.manifest()["build"]]
    assert {one["status"] for one in images_of(alice.client)} == {"active"}


def test_what_another_builder_may_be_uploading_now_is_left_alone(alice, cloud):
    """A half of the same name, but of another machine's: only its age tells that nobody works on it."""
    image = {"disk_format": "ami", "container_format": "ami", "vm_create_role": "root_image", "vm_create_name": "web-amd64"}
    half = alice.client.images.create(name="new web-amd64 other", **image, vm_create_state="new", vm_create_builder="another")
    alice.client.images.update(half["id"], vm_create_self=half["id"])
    triplet, _ = alice.anew()
    assert alice.client.images.get(half["id"])["status"] == "queued"
    alice.client.images.delete(half["id"])
    assert_published(alice.client, triplet, archived=1)
