"""What Nova is asked for, and what cannot be asked for; ami.trial."""

import base64
import builtins
import sys

import pytest
from vmimage.delivery import EXTRAS
from vmimage.errors import CloudRefused, CloudUnreachable, CredentialsWrong, NotReady, SettingsWrong
from vmimage.glance.credentials import Credentials
from vmimage.nova.client import Cloud, Conflict, Gone
from vmimage.nova.servers import ServerRequest, ensure_server, remove_server
from vmimage.settings.gather import gather_settings
from vmimage.settings.trial import read_trial

AUTH = {
    "auth_url": "https://cloud.example.org:5000/v3",
    "username": "alice",
    "password": "correct horse",
    "project_name": "images",
}
AUTH |= {"user_domain_id": "default", "project_domain_id": "default"}
CREDENTIALS = Credentials(auth_type="v3password", auth=AUTH, origin="a test")


class Things:
    """Stands in for a cloud: every name is there, with an id."""

    def __init__(self, servers=()):
        self.servers, self.asked, self.tries = list(servers), [], 3
        self.say = self.sleep = lambda _: None

    def find(self, kind, name):
        return {"id": f"id of the {kind} {name}", "name": name}

    def list_servers(self, mark):
        return [server for server in self.servers if mark.items() <= server["metadata"].items()]

    def create_server(self, **request):
        self.asked.append(request)
        self.servers.append({**request, "id": "1"})
        return self.servers[-1]


REQUEST = {"name": "web-17", "image": "i", "flavor": "f", "network": ("a", "b"), "mark": {"vm_fleet_build": "17"}}


def test_nova_is_asked_for_what_the_request_says():
    cloud = Things()
    request = ServerRequest(
        **REQUEST, metadata={"more": "x"}, key="k", security_groups=("g",), zone="z", userdata=b"ami.name: web\n"
    )
    ensure_server(cloud, request)
    assert cloud.asked == [
        {
            "name": "web-17",
            "image_id": "id of the image i",
            "flavor_id": "id of the flavor f",
            "networks": [{"uuid": "id of the network a"}, {"uuid": "id of the network b"}],
            "metadata": {"more": "x", "vm_fleet_build": "17"},
            "user_data": base64.b64encode(b"ami.name: web\n").decode(),
            "key_name": "k",
            "security_groups": [{"name": "id of the security group g"}],
            "availability_zone": "z",
        }
    ]


def test_a_volume_to_boot_from_ends_with_its_server():
    cloud = Things()
    ensure_server(cloud, ServerRequest(**REQUEST, volume_gb=20))
    assert "image_id" not in cloud.asked[0]
    (volume,) = cloud.asked[0]["block_device_mapping"]
    assert (volume["uuid"], volume["volume_size"], volume["delete_on_termination"]) == ("id of the image i", 20, True)
    assert (volume["boot_index"], volume["source_type"], volume["destination_type"]) == (0, "image", "volume")


def test_a_server_that_is_there_by_its_mark_is_not_made_again():
    cloud = Things([{"id": "9", "metadata": {"vm_fleet_build": "17", "more": "x"}}])
    assert ensure_server(cloud, ServerRequest(**REQUEST))["id"] == "9"
    assert cloud.asked == []


def test_userdata_that_nova_would_cut_is_refused():
    with pytest.raises(SettingsWrong, match="have 50000 bytes, and Nova takes 49149"):
        ensure_server(Things(), ServerRequest(**REQUEST, userdata=b"x" * 50000))
    ensure_server(Things(), ServerRequest(**REQUEST, userdata=b"x" * 49149))


def test_metadata_that_nova_would_refuse_are_refused_by_their_key():
    with pytest.raises(SettingsWrong, match="vm_try is longer than the 255 characters"):
        ensure_server(Things(), ServerRequest(**{**REQUEST, "mark": {"vm_try": "x" * 256}}))


def test_userdata_are_not_shown_with_the_request():
    assert "secret" not in repr(ServerRequest(**REQUEST, userdata=b"secret"))


class Removing:
    """A cloud with a server that leaves a port, a floating IP and a volume behind."""

    def __init__(self, gone_after):
        self.deleted, self._gone_after, self.sleep = [], gone_after, lambda seconds: None

    def list_ports(self, **filters):
        late = [{"id": "made late"}] if self._gone_after < 0 else []
        return [{"id": "p"}, *late] if filters == {"device_id": "1"} else []

    def list_floating_ips(self, **filters):
        return [{"id": "f"}] if filters == {"port_id": "p"} else []

    def find_server(self, server_id):
        self._gone_after -= 1
        return {"name": "web-17", "status": "ACTIVE"} if self._gone_after >= 0 else None

    def __getattr__(self, name):
        return lambda thing: self.deleted.append((name.removeprefix("delete_"), thing))


def test_a_server_goes_with_its_port_floating_ip_and_volume_but_not_with_a_volume_of_others():
    cloud = Removing(gone_after=2)
    volumes = [{"id": "v", "delete_on_termination": True}, {"id": "kept", "delete_on_termination": False}]
    remove_server(cloud, {"id": "1", "name": "web-17", "attached_volumes": volumes})
    assert cloud.deleted == [("floating_ip", "f"), ("server", "1"), ("port", "made late"), ("port", "p"), ("volume", "v")]


def test_a_server_that_does_not_go_is_said(monkeypatch):
    clock = iter(range(0, 100000, 50))
    monkeypatch.setattr("vmimage.nova.servers.time.monotonic", lambda: next(clock))
    with pytest.raises(CloudRefused, match="web-17 is still there 120 s after it was deleted: it is ACTIVE"):
        remove_server(Removing(gone_after=1000), {"id": "1", "name": "web-17"})


# the client


def test_without_openstacksdk_the_message_says_how_to_install_it(monkeypatch):
    plain = builtins.__import__
    for name in [name for name in sys.modules if name.partition(".")[0] == "openstack"]:
        monkeypatch.delitem(sys.modules, name)

    def refuse(name, *words, **options):
        if name.partition(".")[0] == "openstack":
            raise ImportError(name)
        return plain(name, *words, **options)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(NotReady, match="no openstacksdk") as raised:
        Cloud(CREDENTIALS)
    assert f"pip install '{EXTRAS['fleet'][0]}'" in raised.value.hint


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (404, Gone),
        (409, Conflict),
        (403, CloudRefused),
        (400, CloudRefused),
        (401, CredentialsWrong),
        (429, CloudUnreachable),
        (503, CloudUnreachable),
        (None, CloudUnreachable),
    ],
)
def test_answers_become_errors_that_say_what_was_tried_and_show_no_secret(status, kind):
    import openstack.exceptions

    cloud = Cloud(CREDENTIALS, tries=1)

    def fail():
        raise openstack.exceptions.HttpException("the token of correct horse is bad", http_status=status)

    with pytest.raises(kind, match="cannot list servers") as raised:
        cloud._call("list servers", fail)
    assert "correct horse" not in str(raised.value)


def test_what_passes_is_tried_again_and_what_is_refused_is_not():
    import openstack.exceptions

    cloud, seen = Cloud(CREDENTIALS, tries=3, sleep=lambda seconds: None), []

    def fail(status):
        seen.append(status)
        raise openstack.exceptions.HttpException("no", http_status=status)

    for status, tries in ((503, 3), (400, 1)):
        seen.clear()
        with pytest.raises((CloudUnreachable, CloudRefused)):
            cloud._call("list servers", lambda status=status: fail(status))
        assert len(seen) == tries


# ami.trial


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"flavour": "x"}, "flavour.*did you mean flavor"),
        ({"port": "22"}, "port of .*a number from 1 to 65535"),
        ({"port": True}, "port of .*a number"),
        ({"seconds": 0}, "seconds of .*a number"),
        ({"flavor": 3}, "flavor of .*a text"),
        ({"security_groups": "web"}, "security_groups of .*a list of names"),
        ({"user": "root@x"}, "user of .*a name"),
    ],
)
def test_a_trial_that_cannot_be_meant_is_refused_by_its_key(value, message):
    with pytest.raises(SettingsWrong, match=f"(?s){message}"):
        gather_settings([], {"trial": value})


def test_a_trial_is_read_with_its_defaults():
    settings = gather_settings([], {"trial": {"flavor": "m1", "network": "private", "security_groups": ["a"]}})
    trial = read_trial(settings.trial)
    assert (trial.flavor, trial.security_groups, trial.port, trial.user) == ("m1", ("a",), 22, "root")
