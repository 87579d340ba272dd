"""A server that is made for a purpose, found again by its metadata, and removed with all that was made for it."""

import base64
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from vmimage.errors import CloudRefused, CloudUnreachable, SettingsWrong
from vmimage.nova.client import Cloud, Conflict, Thing
from vmimage.system.retry import retried

#: of userdata as it is sent, in base64
_LONGEST_USERDATA = 65535
_LONGEST_METADATA = 255
_GONE_WITHIN_SECONDS, _PAUSE_SECONDS = 120, 1


@dataclass(frozen=True, kw_only=True)
class ServerRequest:
    """What a server is to be.  Things of the cloud are given by exactly their name, or by their id.

    :ivar mark: metadata that this server alone has: by them it is found again
    :ivar metadata: further metadata; everybody who may list servers sees them
    :ivar zone: of availability; empty: the cloud's choice
    :ivar volume_gb: of a volume that it boots from, and that ends with it; 0: it boots from the image
    :ivar userdata: as the server gets them; they hold secrets
    """

    name: str
    image: str
    flavor: str
    network: tuple[str, ...]
    mark: Mapping[str, str]
    metadata: Mapping[str, str] = field(default_factory=dict)
    key: str = ""
    security_groups: tuple[str, ...] = ()
    zone: str = ""
    volume_gb: int = 0
    userdata: bytes = field(default=b"", repr=False)


def ensure_server(cloud: Cloud, request: ServerRequest) -> Thing:
    """The server with the request's mark, made where there is none; it may not run as yet.

    An answer that was lost is no second server: before each try the marks of all servers are looked at.

    :raises CloudRefused, CloudUnreachable: then there is none, or it is found by its mark
    """
    body: Thing = {}

    def ensure() -> Thing:
        if found := cloud.list_servers(request.mark):
            return found[0]
        body.update(body or _body(cloud, request))
        return cloud.create_server(**body)

    return retried(ensure, CloudUnreachable, tries=cloud.tries, say=cloud.say, sleep=cloud.sleep)


def _body(cloud: Cloud, request: ServerRequest) -> Thing:
    """What Nova is asked for; all names are looked up, so that a wrong one is named before anything is made."""
    image = cloud.find("image", request.image)
    body: Thing = {
        "name": request.name,
        "flavor_id": cloud.find("flavor", request.flavor)["id"],
        "networks": [{"uuid": cloud.find("network", network)["id"]} for network in request.network],
        "metadata": _checked({**request.metadata, **request.mark}),
    }
    if request.userdata:
        body["user_data"] = _encoded(request.userdata)
    if request.key:
        body["key_name"] = cloud.find("keypair", request.key)["name"]
    if request.security_groups:
        body["security_groups"] = [{"name": cloud.find("security group", group)["id"]} for group in request.security_groups]
    if request.zone:
        body["availability_zone"] = cloud.find("availability zone", request.zone)["name"]
    if not request.volume_gb:
        return {**body, "image_id": image["id"]}
    volume = {
        "boot_index": 0,
        "uuid": image["id"],
        "source_type": "image",
        "destination_type": "volume",
        "volume_size": request.volume_gb,
        "delete_on_termination": True,
    }
    return {**body, "block_device_mapping": [volume]}


def _encoded(userdata: bytes) -> str:
    encoded = base64.b64encode(userdata).decode()
    if len(encoded) > _LONGEST_USERDATA:
        most = _LONGEST_USERDATA // 4 * 3
        raise SettingsWrong(f"the userdata have {len(userdata)} bytes, and Nova takes {most}", hint="make ami.pillar smaller")
    return encoded


def _checked(metadata: Mapping[str, str]) -> dict[str, str]:
    for key, value in metadata.items():
        if max(len(key), len(value)) > _LONGEST_METADATA:
            raise SettingsWrong(f"{key} is longer than the {_LONGEST_METADATA} characters of metadata", hint="shorten the name")
    return dict(metadata)


def remove_server(cloud: Cloud, server: Thing) -> None:
    """Remove a server, and what Nova made for it and may have left: ports, volumes that were to end with it, its floating IPs.

    All of it may be gone already.

    :raises CloudRefused: if it is still there after two minutes
    """
    ports = {port["id"] for port in cloud.list_ports(device_id=server["id"])}
    volumes = [volume["id"] for volume in server.get("attached_volumes") or () if volume.get("delete_on_termination")]
    for port in ports:
        for address in cloud.list_floating_ips(port_id=port):
            cloud.delete_floating_ip(address["id"])
    cloud.delete_server(server["id"])
    deadline = time.monotonic() + _GONE_WITHIN_SECONDS
    while left := cloud.find_server(server["id"]):
        if time.monotonic() > deadline:
            raise CloudRefused(
                f"the server {server['name']} is still there {_GONE_WITHIN_SECONDS} s after it was deleted: it is {left['status']}",
                hint="look at it in the cloud; another run removes it",
            )
        cloud.sleep(_PAUSE_SECONDS)
    # also those that Nova made meanwhile, for a server that was deleted while it was built
    for port in sorted(ports | {port["id"] for port in cloud.list_ports(device_id=server["id"])}):
        cloud.delete_port(port)
    for volume in volumes:
        _delete_volume(cloud, volume)


def _delete_volume(cloud: Cloud, volume: str) -> None:
    """Nova deletes the volume itself; where it is about to, the volume takes no second request."""
    try:
        cloud.delete_volume(volume)
    except Conflict:
        return


def error_of(server: Thing) -> str:
    """Why a server is in error, in the words of the cloud; empty where it is not."""
    if server["status"] != "ERROR":
        return ""
    fault = server.get("fault") or {}
    return f"the cloud could not start {server['name']}: {fault.get('message') or 'it says no reason'}"
