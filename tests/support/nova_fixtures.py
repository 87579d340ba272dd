"""A real Nova for the tests of a module, and what a test asks it for past the code that it tests."""

import io
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cloud_fixtures import SERVERS
from nova_cloud import NovaCloud, lacking_for_nova
from vmimage.glance.credentials import Credentials
from vmimage.nova.client import Cloud
from waiting import HANG_SECONDS

IMAGE, NETWORK, OUTSIDE, FLAVOR = "ami-creation-amd64", "inside", "outside", "small"


@pytest.fixture(scope="module")
def nova(cloud, lacking, tmp_path_factory):
    """A :class:`nova_cloud.NovaCloud`; prints what its start has cost."""
    if why := lacking_for_nova(SERVERS):
        lacking(why)
    with NovaCloud(cloud, tmp_path_factory.mktemp("nova")) as nova:
        print(f"Nova runs after {nova.seconds:.0f} s")
        yield nova
    assert not nova.processes(), "servers of Nova are left"


def credentials_of(cloud, name="alice"):
    user = cloud.users[name]
    auth = {"auth_url": cloud.auth_url, "username": name, "password": user.password, "project_name": user.project_name}
    auth |= {"user_domain_id": "default", "project_domain_id": "default"}
    return Credentials(auth_type="v3password", auth=auth, origin="the test's own", region_name="RegionOne", timeout=HANG_SECONDS)


class Killed(BaseException):
    """A process that is killed runs no handler of errors."""


@dataclass
class Line:
    """The way of requests to the cloud, which a test can cut.

    :ivar list requests: ``(method, path)`` of all that went through
    :ivar before: calls of ``before(number, method, path)`` may raise; the request then does not reach the cloud
    :ivar after: the same, when the cloud has done what was asked
    """

    requests: list = field(default_factory=list)
    before: object = None
    after: object = None

    def changes(self):
        """The requests that change something in the cloud, but for those that sign in."""
        return [
            number
            for number, (method, path) in enumerate(self.requests)
            if method in ("POST", "PUT", "DELETE") and "auth/tokens" not in path
        ]


@pytest.fixture
def line(monkeypatch):
    """A :class:`Line` that all requests of openstacksdk take, those that sign in among them."""
    from keystoneauth1.session import Session

    line, plain = Line(), Session._send_request

    def sent(session, url, method, *words, **options):
        number = len(line.requests)
        line.requests.append((method, url.split("/", 3)[-1].split("?")[0]))
        if line.before:
            line.before(number, *line.requests[-1])
        answer = plain(session, url, method, *words, **options)
        if line.after:
            line.after(number, *line.requests[-1])
        return answer

    monkeypatch.setattr(Session, "_send_request", sent)
    return line


def open_cloud(nova, name="alice", **options):
    return Cloud(credentials_of(nova.cloud, name), **{"tries": 3, "sleep": lambda seconds: None, **options})


def upload_image(nova, name, disk_format="raw", **properties):
    """An image of nobody's bytes; its id."""
    made = nova.connection("alice").image.create_image(
        name=name,
        disk_format=disk_format,
        container_format=disk_format if disk_format in ("aki", "ari", "ami") else "bare",
        data=io.BytesIO(b"x" * 4096),
        validate_checksum=False,
        **properties,
    )
    return made.id


def everything(nova, name="alice"):
    """What a project has that costs, and the user's application credentials: ``{kind: names}`` of what there is."""
    cloud = nova.connection(name)
    user = cloud.session.get_user_id()
    found = {
        "servers": [server.name for server in cloud.compute.servers()],
        "ports": [port.device_id for port in cloud.network.ports()],
        "floating IPs": [address.description for address in cloud.network.ips()],
        "groups": [group.name for group in cloud.network.security_groups() if group.name != "default"],
        "keys": [key.name for key in cloud.compute.keypairs()],
        "credentials": [found.name for found in cloud.identity.application_credentials(user) if found.name != f"of {name}"],
    }
    return {kind: sorted(names) for kind, names in found.items() if names}


def remove_everything(nova, name="alice"):
    """After a test, whatever it left."""
    cloud = nova.connection(name)
    user = cloud.session.get_user_id()
    for server in list(cloud.compute.servers()):
        cloud.compute.delete_server(server)
        cloud.compute.wait_for_delete(server, interval=0.2, wait=HANG_SECONDS)
    for port in list(cloud.network.ports()):  # Nova may leave that of a server which was deleted while it was built
        cloud.network.delete_port(port)
    for address in list(cloud.network.ips()):
        cloud.network.delete_ip(address)
    for group in list(cloud.network.security_groups()):
        if group.name != "default":
            cloud.network.delete_security_group(group)
    for key in list(cloud.compute.keypairs()):
        cloud.compute.delete_keypair(key)
    for found in list(cloud.identity.application_credentials(user)):
        if found.name != f"of {name}":
            cloud.identity.delete_application_credential(user, found)


def print_on_console(nova, server_id, *lines):
    Path(nova.consoles, server_id).write_text(
        "".join(f"[   10.123456] python3[321]: {line}\n" for line in lines), encoding="utf-8"
    )
