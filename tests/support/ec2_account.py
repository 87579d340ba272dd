"""An account of EC2 on the loopback: builds that publish to it, what they ask of it, and what it has then."""

import hashlib
import os
import signal
import threading
import time
from contextlib import contextmanager

import boto3
from botocore.loaders import create_loader
from botocore.session import get_session
from ec2_server import BLOCK
from triplets import make_triplet, publishing_build
from vmimage.ec2 import publish
from vmimage.ec2.client import Cloud
from vmimage.settings.ec2 import read_ec2
from vmimage.system.whole_files import write_json

REGION = "eu-west-1"
SECRET, TOKEN = "s3cr3t-of-the-account", "t0ken-of-the-session"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "AKIAOFTHETESTS",
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_SESSION_TOKEN": TOKEN,
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}
READS = ("Describe", "List", "Get")


#: reads the models of services, which takes long, once
_LOADER = create_loader()


def new_session():
    session = get_session()
    session.register_component("data_loader", _LOADER)
    return boto3.Session(region_name=REGION, botocore_session=session)


class Account:
    """A user who publishes disks from a directory.

    :ivar list asked: ``(operation, parameters)`` of each request, each checked against the service's model
    """

    def __init__(self, server, directory):
        self.server, self.directory, self.asked = server, directory, []
        self.session = new_session()
        self.session.events.register("before-parameter-build", self._check_request)
        looking = new_session()
        self.ec2, self.ebs = (looking.client(name, endpoint_url=server.url) for name in ("ec2", "ebs"))

    def _check_request(self, params, model, **_):
        check_parameters(model.input_shape, params, model.name)
        self.asked.append((model.name, dict(params)))

    def changing(self):
        """The names of the requests that change something."""
        return [name for name, _ in self.asked if not name.startswith(READS)]

    def parameters(self, operation):
        return [params for name, params in self.asked if name == operation]

    def build(self, *observers, ec2=None, **settings):
        own = {"region": REGION, "endpoint": self.server.url, "parallel": 2, **(ec2 or {})}
        wanted = {"outputs": ["triplet", "ec2"], "cache": str(self.directory / "cache"), "ec2": own, **settings}
        return publishing_build(self.directory, {}, *observers, **wanted)

    def cloud(self, build):
        cloud = Cloud(read_ec2(build.settings.ec2), tries=3, say=build.progress.note, session=self.session)
        cloud.sleep = lambda seconds: time.sleep(0.01)
        return cloud

    def publish(self, *observers, **settings):
        """Publish the disk of the directory, as the last step of a build does."""
        self.asked.clear()
        build = self.build(*observers, **settings)
        return publish.publish(build, self.cloud(build))

    def publish_new(self, blocks=None, **settings):
        """A new disk, published."""
        return self.make_disk(blocks), self.publish(**settings)

    def make_disk(self, blocks=None, *, more=b"", build=None):
        """A disk and its manifest; each block is a letter of a text, a dot for zeros; default two blocks like no others.

        :param bytes more: what follows the blocks
        :returns: its bytes
        """
        data = b"".join(map(block, blocks)) if blocks else b"".join(os.urandom(16).ljust(BLOCK, b"r") for _ in range(2))
        return self.write_disk(data + more, build)

    def write_disk(self, data, build=None):
        self.directory.mkdir(exist_ok=True)
        (self.directory / "web.disk.raw").write_bytes(data)
        self.describe_disk(build)
        return data

    def describe_disk(self, build=None):
        """A manifest of the file that is there."""
        triplet, path = make_triplet(self.directory, root=b"root", build=build), self.directory / "web.disk.raw"
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        facts = {"path": path.name, "bytes": path.stat().st_size, "sha256": digest, "disk_format": "raw"}
        write_json(triplet.manifest_path, triplet.manifest() | {"outputs": {"ec2": facts}})

    # what is there

    def images(self):
        found = self.ec2.describe_images(Owners=["self"])["Images"]
        return [{**image, "tags": {tag["Key"]: tag["Value"] for tag in image["Tags"]}} for image in found]

    def named(self, name):
        """The only image with that tag Name."""
        (image,) = [image for image in self.images() if image["tags"]["Name"] == name]
        return image

    def snapshots(self):
        return {snapshot["SnapshotId"]: snapshot for snapshot in self.ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]}

    def content(self, snapshot):
        """What a volume of the snapshot begins with."""
        blocks = self.ebs.list_snapshot_blocks(SnapshotId=snapshot)["Blocks"]
        data = bytearray((max(entry["BlockIndex"] for entry in blocks) + 1) * BLOCK)
        for entry in blocks:
            got = self.ebs.get_snapshot_block(SnapshotId=snapshot, BlockIndex=entry["BlockIndex"], BlockToken=entry["BlockToken"])
            data[entry["BlockIndex"] * BLOCK :][:BLOCK] = b""
            data[entry["BlockIndex"] * BLOCK : (entry["BlockIndex"] + 1) * BLOCK] = got["BlockData"].read()
        return bytes(data)

    def assert_right(self, disk, archived):
        """One name points to one image with the bytes of the disk, and each snapshot is an image's."""
        image = self.named("web-amd64")
        assert image["State"] == "available" and image["tags"]["vm_create_state"] == "published"
        snapshot = image["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"]
        assert self.content(snapshot).rstrip(b"\0") == disk.rstrip(b"\0")
        older = [entry for entry in self.images() if entry["ImageId"] != image["ImageId"]]
        assert [entry["tags"]["Name"][:18] for entry in older] == ["archive web-amd64 "] * archived
        assert {entry["tags"]["vm_create_state"] for entry in older} <= {"archived"}
        used = {entry["BlockDeviceMappings"][0]["Ebs"]["SnapshotId"] for entry in (image, *older)}
        assert self.snapshots().keys() == used
        return image


def block(letter):
    """512 KiB of a letter, or of zeros."""
    return (b"\0" if letter == "." else letter.encode()) * BLOCK


def check_parameters(shape, value, where):
    """Compare parameters with the service's model: botocore itself looks at no enumeration, length or pattern."""
    import re

    kinds = {"structure": dict, "list": (list, tuple), "string": str, "boolean": bool, "blob": bytes, "integer": int, "long": int}
    assert isinstance(value, kinds[shape.type_name]), f"{where} is {value!r}, not {shape.type_name}"
    if shape.type_name == "structure":
        assert value.keys() <= shape.members.keys(), f"{where} has no {value.keys() - shape.members.keys()}"
        assert set(shape.required_members) <= value.keys(), f"{where} lacks {set(shape.required_members) - value.keys()}"
        for name, below in value.items():
            check_parameters(shape.members[name], below, f"{where}.{name}")
    elif shape.type_name == "list":
        for below in value:
            check_parameters(shape.member, below, f"{where}[]")
    else:
        number = value if isinstance(value, int) else len(value)
        limits = shape.metadata
        assert limits.get("min", number) <= number <= limits.get("max", number), f"{where} is {value!r}: {limits}"
        if shape.type_name == "string":
            assert not shape.enum or value in shape.enum, f"{where} is {value!r}, none of {shape.enum}"
            assert re.fullmatch(limits.get("pattern") or ".*", value, re.DOTALL), f"{where} is {value!r}: {limits}"


@contextmanager
def answered(account, event, answer):
    """For the time of the block, requests are answered by ``answer(operation)``: a response, or None to let the request through."""

    def handle(event_name, **_):
        return answer(event_name.rpartition(".")[2])

    account.session.events.register(event, handle, unique_id="answered")
    try:
        yield
    finally:
        account.session.events.unregister(event, handle, unique_id="answered")


def killed_at(account, event, number):
    """Publish in a child that is killed at the nth request that changes something: when it is about to be sent, or has been answered.

    :param str event: ``before-send`` or ``response-received``
    :returns: the operation at which it was killed, or an empty string where it ended before
    """
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        seen, lock = [], threading.Lock()

        def strike(event_name, **_):
            operation = event_name.rpartition(".")[2]
            if operation.startswith(READS):
                return  # the same as before the next request that changes something
            with lock:
                seen.append(operation)
                if len(seen) == number:
                    os.write(theirs, operation.encode())
                    os.kill(os.getpid(), signal.SIGKILL)

        code = 1
        try:
            account.session.events.register(event, strike)
            account.publish(keep=1)
            code = 0
        finally:
            os._exit(code)
    os.close(theirs)
    with open(ours, encoding="ascii") as said:
        operation = said.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code == (-signal.SIGKILL if operation else 0), f"{event} {number}: exit code {code}"
    return operation
