"""A published image is tried: a server of it in the user's cloud, with a key, a security group and a floating IP; and all of it removed.

All has the name ``try-IMAGE``, or says it in its description or metadata: so it is found again, and a second call makes nothing twice.
"""

import socket
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from vmimage.errors import ServerFailed, SettingsWrong
from vmimage.nova.client import Cloud, Thing
from vmimage.nova.servers import ServerRequest, ensure_server, error_of, remove_server
from vmimage.settings.trial import TrialSettings
from vmimage.system.aliases import Say

_MARK = "vm_try"
_PAUSE_SECONDS, _CONNECT_SECONDS = 1, 5
_CONSOLE_LINES = 12
#: how each of these ports is reached
_REACHED = {22: "ssh {user}@{address}", 80: "http://{address}/", 443: "https://{address}/"}


class Trial:
    """The trial of an image.

    :param image: its exact name in the store
    :param clock: seconds, for what is waited for
    """

    def __init__(
        self,
        cloud: Cloud,
        image: str,
        settings: TrialSettings,
        *,
        say: Say = lambda text: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cloud, self._image, self._settings, self._say, self._clock = cloud, image, settings, say, clock
        self.name = f"try-{image}"
        self._mark = {_MARK: image}
        self._description = f"of vm_create.try {image}"

    # what is there

    def found(self) -> dict[str, list[Thing]]:
        """What a trial has made, by its kind."""
        groups = [group for group in self._cloud.list_security_groups(self.name) if group["description"] == self._description]
        return {
            "server": self._cloud.list_servers(self._mark),
            "floating IP": self._cloud.list_floating_ips(description=self._description),
            "security group": groups,
            "key": [{"name": self.name}] if self._cloud.has_keypair(self.name) else [],
        }

    def plan(self) -> dict[str, Any]:
        """What :meth:`start` would make."""
        found, image = self.found(), self._check()
        wanted = ["server"]
        wanted += ["floating IP"] if self._settings.floating_ip_network else []
        wanted += [] if self._settings.security_groups else ["security group"]
        wanted += ["key"] if self._has_own_key else []
        return {"name": self.name, "image": image["id"], "makes": [kind for kind in wanted if not found[kind]]}

    # making

    def start(self) -> dict[str, Any]:
        """Boot the image, and wait for its port.

        :returns: ``name``, ids of ``server`` and ``image``, ``address``, ``port``, ``reach`` (how), ``seconds``, ``changed``
        :raises ServerFailed: what was made stays to be looked at
        """
        begun, found, image = self._clock(), self.found(), self._check()
        deadline = begun + self._settings.seconds
        for server in found["server"]:
            if (server.get("image_id") or (server.get("image") or {}).get("id")) != image["id"]:
                raise ServerFailed(
                    f"{self.name} runs an image that has the name {self._image} no more",
                    hint=f"salt-call vm_create.untry, then try again: {self._image} is {image['id']} now",
                )
        server = ensure_server(self._cloud, self._request(image, found))
        server = self._await_active(server, deadline)
        address = self._address_of(server, found["floating IP"])
        self._await_port(server, address, deadline)
        port = self._settings.port
        reach = _REACHED.get(port, "{address}:{port}").format(user=self._settings.user, address=address, port=port)
        self._say(reach)
        return {
            "name": self.name,
            "server": server["id"],
            "image": image["id"],
            "address": address,
            "port": port,
            "reach": reach,
            "seconds": round(self._clock() - begun, 1),
            "changed": not found["server"],
        }

    @property
    def _has_own_key(self) -> bool:
        return self._settings.keypair.startswith("/")

    def _check(self) -> Thing:
        """The image; all that the settings name is there before anything is made."""
        for key in ("flavor", "network"):
            if not getattr(self._settings, key):
                raise SettingsWrong(
                    f"ami.trial has no {key}", hint="ami.trial: {flavor: m1.small, network: private, keypair: mine}"
                )
        image = self._cloud.find("image", self._image)
        self._cloud.find("flavor", self._settings.flavor)
        for network in filter(None, (self._settings.network, self._settings.floating_ip_network)):
            self._cloud.find("network", network)
        for group in self._settings.security_groups:
            self._cloud.find("security group", group)
        if self._has_own_key:
            self._public_key()
        elif self._settings.keypair:
            self._cloud.find("keypair", self._settings.keypair)
        return image

    def _request(self, image: Thing, found: dict[str, list[Thing]]) -> ServerRequest:
        return ServerRequest(
            name=self.name,
            image=image["id"],
            flavor=self._settings.flavor,
            network=(self._settings.network,),
            mark=self._mark,
            key=self._key(found) if self._settings.keypair else "",
            security_groups=self._settings.security_groups or (self._own_group(found),),
        )

    def _key(self, found: dict[str, list[Thing]]) -> str:
        if not self._has_own_key:
            return self._settings.keypair
        if found["key"] and not found["server"]:  # of an earlier trial: it may be another key
            self._cloud.delete_keypair(self.name)
        if not found["server"]:
            self._cloud.create_keypair(self.name, self._public_key())
        return self.name

    def _public_key(self) -> str:
        path = self._settings.keypair
        try:
            public = Path(path).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsWrong(
                f"keypair of ami.trial: {path} cannot be read: {error}", hint="the path of a public key"
            ) from None
        if "PRIVATE KEY" in public:
            raise SettingsWrong(f"keypair of ami.trial: {path} is a private key", hint=f"give the public key: {path}.pub")
        return public

    def _own_group(self, found: dict[str, list[Thing]]) -> str:
        """The id of a security group of its own; its rules are completed where a killed call has left it without."""
        if found["security group"]:
            group = found["security group"][0]
        else:
            group = self._cloud.create_security_group(self.name, self._description)
        there = {(rule.get("protocol"), rule.get("port_range_min")) for rule in group.get("security_group_rules") or ()}
        for port in sorted({self._settings.port, 22}):
            if ("tcp", port) not in there:
                self._cloud.permit(group["id"], protocol="tcp", port_range_min=port, port_range_max=port)
        if ("icmp", None) not in there:
            self._cloud.permit(group["id"], protocol="icmp")
        return str(group["id"])

    def _address_of(self, server: Thing, floating: list[Thing]) -> str:
        """The address at which the server is reached: a floating IP where the settings ask for it."""
        if not self._settings.floating_ip_network:
            addresses = [address for listed in (server["addresses"] or {}).values() for address in listed]
            found = sorted(addresses, key=lambda address: address["version"])
            if not found:
                raise ServerFailed(f"{self.name} has no address", hint="see network of ami.trial")
            return str(found[0]["addr"])
        port = self._cloud.list_ports(device_id=server["id"])[0]["id"]
        for address in floating:
            if address["port_id"] == port:
                return str(address["floating_ip_address"])
            self._cloud.delete_floating_ip(address["id"])  # of a server that is gone
        network = self._cloud.find("network", self._settings.floating_ip_network)
        made = self._cloud.create_floating_ip(floating_network_id=network["id"], port_id=port, description=self._description)
        return str(made["floating_ip_address"])

    # waiting

    def _await_active(self, server: Thing, deadline: float) -> Thing:
        while server.get("status") != "ACTIVE":  # the answer to its creation has no status
            if error := error_of(server):
                raise ServerFailed(error, hint="salt-call vm_create.untry removes it")
            if server["status"] == "SHUTOFF":
                raise self._failed(server, f"{self.name} is switched off")
            if server["status"] and self._clock() > deadline:
                raise self._failed(server, f"{self.name} is {server['status']} after {self._settings.seconds} s")
            self._cloud.sleep(_PAUSE_SECONDS)
            found = self._cloud.find_server(server["id"])
            if found is None:
                raise ServerFailed(f"{self.name} is gone: somebody has deleted it", hint="try again")
            server = found
        return server

    def _await_port(self, server: Thing, address: str, deadline: float) -> None:
        self._say(f"{self.name} runs at {address}; waiting for port {self._settings.port}")
        while not _answers(address, self._settings.port):
            if self._clock() > deadline:
                raise self._failed(
                    server, f"port {self._settings.port} of {self.name} at {address} did not answer in {self._settings.seconds} s"
                )
            self._cloud.sleep(_PAUSE_SECONDS)

    def _failed(self, server: Thing, why: str) -> ServerFailed:
        lines = self._cloud.console(server["id"]).splitlines()[-_CONSOLE_LINES:]
        said = "".join(f"\n    {line}" for line in lines)
        return ServerFailed(f"{why}{said}", hint="look at it; salt-call vm_create.untry removes it")

    # taking away

    def remove(self) -> list[str]:
        """Remove all that a trial has made.

        :returns: what was there, by kind and name
        """
        found = self.found()
        for server in found["server"]:
            remove_server(self._cloud, server)
        for address in found["floating IP"]:
            self._cloud.delete_floating_ip(address["id"])
        for group in found["security group"]:
            self._cloud.delete_security_group(group["id"])
        for key in found["key"]:
            self._cloud.delete_keypair(key["name"])
        return self.described(found)

    def described(self, found: dict[str, list[Thing]]) -> list[str]:
        """What was found, as texts."""
        return [
            f"{kind} {thing.get('floating_ip_address') or thing['name']}" for kind, things in found.items() for thing in things
        ]


def _answers(address: str, port: int) -> bool:
    try:
        with closing(socket.create_connection((address, port), timeout=_CONNECT_SECONDS)):
            return True
    except OSError:
        return False
