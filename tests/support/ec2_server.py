"""EC2 and EBS on the loopback: moto's server, with what it lacks for images that are written block by block.

moto keeps what it is given without a look at most of it.  What is added here follows the service's model and its documentation, and
is no proof of how the service itself behaves:

- StartSnapshot: the token, the parent and what it holds; the snapshot is pending until it is completed, and for one more look
- PutSnapshotBlock: data and checksum are compared; a snapshot that is sealed takes nothing
- CompleteSnapshot: number and checksums of the blocks are compared
- RegisterImage: the name is free, the snapshot completed; tags and devices are kept; an image is pending for one look
- DeleteSnapshot: not while an image has it

python ec2_server.py DESCRIPTOR     of the listening socket; it ends with its parent
"""

import ctypes
import os
import signal
import subprocess
import sys
import urllib.request
from base64 import b64encode
from hashlib import sha256
from socket import create_server

BLOCK = 512 << 10


class Ec2Server:
    """The server, as a context manager.

    :ivar str url: its address
    """

    def __enter__(self):
        with create_server(("127.0.0.1", 0)) as listening:
            self.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            environment = {**os.environ, "MOTO_EC2_LOAD_DEFAULT_AMIS": "false"}
            argv = [sys.executable, __file__, str(listening.fileno())]
            self._process = subprocess.Popen(argv, pass_fds=[listening.fileno()], env=environment)
        self.reset()
        return self

    def __exit__(self, *_):
        self._process.kill()
        self._process.wait()

    def reset(self):
        """Forget all images and snapshots."""
        urllib.request.urlopen(urllib.request.Request(f"{self.url}/moto-api/reset", method="POST"), timeout=300).close()


def digest(data):
    return b64encode(sha256(data).digest()).decode()


def add_what_moto_lacks():
    from moto.core.exceptions import ServiceException
    from moto.core.responses import ActionResult
    from moto.ebs.models import EBSBackend
    from moto.ebs.responses import EBSResponse
    from moto.ec2.exceptions import InvalidSnapshotInUse
    from moto.ec2.models.amis import Ami, AmiBackend
    from moto.ec2.models.elastic_block_store import EBSBackend as Volumes
    from moto.ec2.models.elastic_block_store import Snapshot
    from moto.ec2.responses.amis import AmisResponse

    def refuse(code, text, service="ebs"):
        # moto finds the service of an error by the module of its class
        raise type("Refused", (ServiceException,), {"__module__": f"moto.{service}.exceptions"})(code, text)

    started, put, completed = EBSBackend.start_snapshot, EBSBackend.put_snapshot_block, EBSBackend.complete_snapshot

    def start_snapshot(self):
        backend, given = self.ebs_backend, dict(self.params)
        names = ("VolumeSize", "Tags", "Description", "ParentSnapshotId", "ClientToken", "Timeout")
        given = {name: self._get_param(name) for name in names}
        tokens = backend.__dict__.setdefault("tokens", {})
        if given["ClientToken"] in tokens:
            known, snapshot = tokens[given["ClientToken"]]
            if known != given:
                refuse("ConflictException", "the token came with other parameters")
        else:
            parent = None
            if given["ParentSnapshotId"]:
                parent = backend.snapshots.get(given["ParentSnapshotId"])
                if parent is None or parent.ec2.status != "completed":
                    refuse("ResourceNotFoundException", "there is no such parent")
                if parent.volume_size > given["VolumeSize"]:
                    refuse("ValidationException", "the parent is larger")
            snapshot = started(backend, given["VolumeSize"], given["Tags"], given["Description"] or "")
            snapshot.ec2 = backend.ec2_backend.snapshots[snapshot.snapshot_id]
            snapshot.ec2.status, snapshot.ec2.looks = "pending", None
            snapshot.blocks = dict(parent.blocks) if parent else {}
            snapshot.written = {}
            tokens[given["ClientToken"]] = given, snapshot
        return ActionResult(
            {
                "SnapshotId": snapshot.snapshot_id,
                "OwnerId": snapshot.account_id,
                "Status": snapshot.status,
                "StartTime": snapshot.start_time,
                "VolumeSize": snapshot.volume_size,
                "BlockSize": BLOCK,
                "Tags": snapshot.tags,
                "Description": snapshot.description,
            }
        )

    def writable(self, snapshot_id):
        snapshot = self.snapshots.get(snapshot_id)
        if snapshot is None or snapshot_id not in self.ec2_backend.snapshots:
            refuse("ResourceNotFoundException", f"there is no {snapshot_id}")
        if snapshot.status != "pending":
            refuse("ValidationException", f"{snapshot_id} is {snapshot.status}")
        return snapshot

    def put_snapshot_block(self, snapshot_id, block_index, block_data, checksum, checksum_algorithm, data_length):
        snapshot = writable(self, snapshot_id)
        block_data = block_data if isinstance(block_data, bytes) else block_data.encode()
        if (len(block_data), data_length, checksum_algorithm) != (BLOCK, BLOCK, "SHA256") or digest(block_data) != checksum:
            refuse("ValidationException", f"block {block_index} is not what its checksum says")
        if (block_index + 1) * BLOCK > snapshot.volume_size << 30:
            refuse("ValidationException", f"block {block_index} is behind the end")
        snapshot.written[block_index] = sha256(block_data).digest()
        return put(self, snapshot_id, block_index, block_data, checksum, checksum_algorithm, data_length)

    def complete_snapshot(self):
        backend, snapshot_id = self.ebs_backend, self._get_param("SnapshotId")
        snapshot = writable(backend, snapshot_id)
        aggregate = digest(b"".join(snapshot.written[index] for index in sorted(snapshot.written)))
        given = [self._get_param(name) for name in ("ChangedBlocksCount", "Checksum", "ChecksumAggregationMethod")]
        if given != [len(snapshot.written), aggregate, "LINEAR"]:
            refuse("ValidationException", f"{len(snapshot.written)} blocks were written, {aggregate} of all")
        snapshot.ec2.looks = 1
        completed(backend, snapshot_id)
        return ActionResult({"Status": "pending"})

    described = Volumes.describe_snapshots

    def describe_snapshots(self, snapshot_ids=None, filters=None):
        found = described(self, snapshot_ids, filters)
        for snapshot in found if snapshot_ids else ():
            if getattr(snapshot, "looks", None) == 0:
                snapshot.status = "completed"
            elif getattr(snapshot, "looks", None):
                snapshot.looks -= 1
        return found

    deleted = Volumes.delete_snapshot

    def delete_snapshot(self, snapshot_id):
        users = [ami.id for ami in self.amis.values() if snapshot_id in ami.snapshot_ids]
        if users:
            raise InvalidSnapshotInUse(snapshot_id, users[0])
        return deleted(self, snapshot_id)

    images = AmiBackend.describe_images

    def describe_images(self, ami_ids=None, filters=None, exec_users=None, owners=None):
        found = images(self, ami_ids, filters, exec_users, owners)
        for ami in found if ami_ids else ():
            if ami.looks == 0:
                ami.state = "available"
            ami.looks -= 1
        return found

    def register_image(self):
        names = "Name Description Architecture VirtualizationType BootMode EnaSupport ImdsSupport TpmSupport RootDeviceName"
        given = {name: self._get_param(name) for name in [*names.split(), "BlockDeviceMappings", "TagSpecifications"]}
        backend = self.ec2_backend
        if any(ami.name == given["Name"] for ami in backend.amis.values()):
            refuse("InvalidAMIName.Duplicate", f"{given['Name']} is in use", "ec2")
        devices = given["BlockDeviceMappings"]
        for device in devices:
            snapshot = backend.snapshots.get(device["Ebs"]["SnapshotId"])
            if snapshot is None or snapshot.status != "completed":
                refuse("InvalidSnapshot.NotFound", "there is no such completed snapshot", "ec2")
        ami = backend.register_image(given["Name"], given["Description"])
        backend.snapshots.pop(ami.ebs_snapshot.id)  # moto makes one of its own
        ami.devices, ami.snapshot_ids = devices, [device["Ebs"]["SnapshotId"] for device in devices]
        ami.state, ami.looks = "pending", 1
        for name in names.split()[1:]:
            words = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
            setattr(ami, words, given[name])
        for specification in given["TagSpecifications"] or ():
            ami.add_tags({tag["Key"]: tag["Value"] for tag in specification["Tags"]})
        return ActionResult({"ImageId": ami.id})

    EBSResponse.start_snapshot, EBSResponse.complete_snapshot = start_snapshot, complete_snapshot
    EBSBackend.put_snapshot_block = put_snapshot_block
    Volumes.describe_snapshots, Volumes.delete_snapshot = describe_snapshots, delete_snapshot
    AmiBackend.describe_images, AmisResponse.register_image = describe_images, register_image
    Ami.block_device_mappings = property(lambda self: self.devices)
    Ami.devices, Ami.snapshot_ids, Ami.looks, Snapshot.looks = [], [], -1, None


def serve(descriptor):
    """Answer requests until the parent ends."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    import logging

    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    MotoRequestHandler.protocol_version = "HTTP/1.1"
    add_what_moto_lacks()
    application = DomainDispatcherApplication(create_backend_app)
    make_server("127.0.0.1", 0, application, threaded=True, request_handler=MotoRequestHandler, fd=descriptor).serve_forever()


if __name__ == "__main__":
    serve(int(sys.argv[1]))
