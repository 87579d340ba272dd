"""Servers, networks and volumes of a cloud: Nova, Neutron, Cinder and Keystone.  The only file that knows openstacksdk.

Things of the cloud come as plain dicts.  Every call that can be repeated without harm is.
"""

import logging
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from keystoneauth1.session import Session

from vmimage.delivery import EXTRAS
from vmimage.errors import CloudRefused, CloudUnreachable, NotReady, VmImageError
from vmimage.glance.credentials import Credentials
from vmimage.glance.openstack import OpenStack
from vmimage.system.aliases import Say, Sleep

#: a server, port, floating IP and so on, by the keys of openstacksdk
Thing = dict[str, Any]
_PASSING_STATUS = (408, 425, 429, 500, 502, 503, 504)
_LONGEST_CONSOLE_LINES = 100_000


class Gone(CloudRefused):
    """The cloud has no such thing, or does not show it to this project."""


class Conflict(CloudRefused):
    """There is such a thing already, or it is in the midst of a change."""


class Cloud(OpenStack):
    """A project of a cloud.

    :param tries: of each call that may be repeated
    """

    service, refused, unreachable = "service", CloudRefused, CloudUnreachable

    def __init__(
        self, credentials: Credentials, *, tries: int = 7, say: Say = lambda text: None, sleep: Sleep = time.sleep
    ) -> None:
        super().__init__(credentials, tries=tries, say=say, sleep=sleep)
        connection, self._errors = _openstack()
        session: Any = Session(auth=self._make_auth(), verify=self._verify)
        session.timeout = self._timeouts
        options = {"interface": credentials.interface, "image_endpoint_override": credentials.image_endpoint or None}
        with self._translated("read the credentials"):
            self._cloud = connection(session, credentials.region_name or None, options)

    # what is there

    def list_servers(self, metadata: Mapping[str, str]) -> list[Thing]:
        """The project's servers with these metadata, the oldest first; those that are being deleted are not among them."""

        def listed() -> list[Thing]:
            found = [_plain(server) for server in self._cloud.compute.servers(details=True)]
            return [server for server in found if metadata.items() <= server["metadata"].items()]

        servers = [server for server in self._call("list servers", listed) if server.get("task_state") != "deleting"]
        return sorted(servers, key=lambda server: (server["created_at"] or "", server["id"]))

    def find_server(self, server_id: str) -> Thing | None:
        """The server of that id, or None."""
        with suppress(Gone):
            return self._call(f"look at the server {server_id}", lambda: _plain(self._cloud.compute.get_server(server_id)))
        return None

    def find(self, kind: str, wanted: str) -> Thing:
        """The thing of exactly that name or id.

        :param kind: image, flavor, network, keypair, security group or availability zone
        :raises CloudRefused: if there is none, or there are several
        """
        calls: dict[str, Callable[[], Iterable[Any]]] = {
            "image": lambda: self._cloud.image.images(name=wanted),  # there may be thousands
            "flavor": self._cloud.compute.flavors,
            "network": self._cloud.network.networks,
            "keypair": self._cloud.compute.keypairs,
            "security group": self._cloud.network.security_groups,
            "availability zone": self._cloud.compute.availability_zones,
        }
        things = self._call(f"list {kind}s", lambda: [_plain(thing) for thing in calls[kind]()])
        if kind == "image" and not things:
            with suppress(Gone, CloudRefused):
                things = [self._call(f"look at the image {wanted}", lambda: _plain(self._cloud.image.get_image(wanted)))]
        by_id = [thing for thing in things if thing["id"] == wanted]
        found = by_id[:1] or [thing for thing in things if thing["name"] == wanted]
        if not found:
            near = ", ".join(sorted({str(thing["name"]) for thing in things})[:20])
            raise Gone(f"the cloud has no {kind} {wanted}", hint=f"it has: {near}" if near else "name it exactly, or by its id")
        if len(found) > 1:
            ids = ", ".join(thing["id"] for thing in found)
            raise CloudRefused(f"the cloud has {len(found)} {kind}s of the name {wanted}", hint=f"name it by its id: {ids}")
        return found[0]

    def has_keypair(self, name: str) -> bool:
        """Whether there is a key of that name."""
        return any(key.name == name for key in self._call("list keys", lambda: list(self._cloud.compute.keypairs())))

    def list_ports(self, **filters: str) -> list[Thing]:
        """Ports of networks, by Neutron's own filters."""
        return self._call("list ports", lambda: [_plain(port) for port in self._cloud.network.ports(**filters)])

    def list_floating_ips(self, **filters: str) -> list[Thing]:
        """Floating IPs, by Neutron's own filters."""
        return self._call("list floating IPs", lambda: [_plain(address) for address in self._cloud.network.ips(**filters)])

    def list_security_groups(self, name: str) -> list[Thing]:
        """The project's security groups of that name."""
        return self._call(
            "list security groups", lambda: [_plain(group) for group in self._cloud.network.security_groups(name=name)]
        )

    def list_application_credentials(self) -> list[Thing]:
        """Application credentials of the user, without their secrets."""

        def listed() -> list[Thing]:
            user = self._cloud.session.get_user_id()
            return [_plain(found) for found in self._cloud.identity.application_credentials(user)]

        return self._call("list application credentials", listed)

    def console(self, server_id: str) -> str:
        """What a server has printed on its console; empty where the cloud does not show it (yet)."""
        try:
            answer = self._call(
                f"read the console of {server_id}",
                lambda: self._cloud.compute.get_server_console_output(server_id, length=_LONGEST_CONSOLE_LINES),
            )
        except (Gone, Conflict):
            return ""
        return str(answer.get("output") or "")

    # making; never repeated by itself: an answer that is lost would make a second thing

    def create_server(self, **request: Any) -> Thing:
        """A server, as Nova takes it."""
        what = f"create the server {request['name']}"
        return self._call(what, lambda: _plain(self._cloud.compute.create_server(**request)), tries=1)

    def create_floating_ip(self, **request: Any) -> Thing:
        return self._call("create a floating IP", lambda: _plain(self._cloud.network.create_ip(**request)), tries=1)

    def create_keypair(self, name: str, public_key: str) -> None:
        """A key by which users log in; it may be there already."""
        with suppress(Conflict):
            self._call(
                f"create the key {name}", lambda: self._cloud.compute.create_keypair(name=name, public_key=public_key), tries=1
            )

    def create_security_group(self, name: str, description: str) -> Thing:
        return self._call(
            f"create the security group {name}",
            lambda: _plain(self._cloud.network.create_security_group(name=name, description=description)),
            tries=1,
        )

    def permit(self, group_id: str, **rule: Any) -> None:
        """A rule of a security group for what comes in; it may be there already."""
        with suppress(Conflict):
            self._call(
                "create the rule of a security group",
                lambda: self._cloud.network.create_security_group_rule(
                    security_group_id=group_id, direction="ingress", ethertype="IPv4", **rule
                ),
            )

    def create_application_credential(self, name: str, roles: Iterable[str], expires_at: str) -> tuple[str, str]:
        """An application credential of the user in the project: ``(id, secret)``; it can make no further application credentials.

        :param expires_at: as ISO 8601, in UTC
        """

        def create() -> tuple[str, str]:
            made = self._cloud.identity.create_application_credential(
                self._cloud.session.get_user_id(),
                name,
                roles=[{"name": role} for role in roles],
                expires_at=expires_at,
                unrestricted=False,
            )
            return made.id, made.secret

        return self._call(f"create the application credential {name}", create, tries=1)

    # taking away; each may be gone already

    def delete_server(self, server_id: str) -> None:
        self._delete(f"delete the server {server_id}", lambda: self._cloud.compute.delete_server(server_id, ignore_missing=False))

    def delete_port(self, port_id: str) -> None:
        self._delete(f"delete the port {port_id}", lambda: self._cloud.network.delete_port(port_id, ignore_missing=False))

    def delete_floating_ip(self, address_id: str) -> None:
        self._delete(
            f"delete the floating IP {address_id}", lambda: self._cloud.network.delete_ip(address_id, ignore_missing=False)
        )

    def delete_volume(self, volume_id: str) -> None:
        self._delete(
            f"delete the volume {volume_id}", lambda: self._cloud.block_storage.delete_volume(volume_id, ignore_missing=False)
        )

    def delete_keypair(self, name: str) -> None:
        self._delete(f"delete the key {name}", lambda: self._cloud.compute.delete_keypair(name, ignore_missing=False))

    def delete_security_group(self, group_id: str) -> None:
        self._delete(
            f"delete the security group {group_id}",
            lambda: self._cloud.network.delete_security_group(group_id, ignore_missing=False),
        )

    def delete_application_credential(self, credential_id: str) -> None:
        """Revoke an application credential: nobody signs in by it any more; a token of it may be believed for some minutes."""

        def delete() -> None:
            user = self._cloud.session.get_user_id()
            self._cloud.identity.delete_application_credential(user, credential_id, ignore_missing=False)

        self._delete(f"delete the application credential {credential_id}", delete)

    def _delete(self, what: str, call: Callable[[], object]) -> None:
        with suppress(Gone):
            self._call(what, call)

    # calling

    def _own_meaning(self, what: str, error: Exception) -> VmImageError | None:
        if isinstance(error, self._errors.HttpException):
            return self._answered(what, error.status_code, error)
        if isinstance(error, self._errors.NotSupported):
            return self._no_service(what, self._described(error))
        if isinstance(error, self._errors.SDKException):
            return CloudRefused(
                f"cannot {what}: {self._described(error)}", hint=f"check {self.credentials.origin}, used at {self._where()}"
            )
        return super()._own_meaning(what, error)

    def _answered(self, what: str, status: Any, error: Exception) -> VmImageError:
        """The error of an answer of the cloud; of a connection that was lost there is no status."""
        if status is None:
            return self._unreachable(what, error)
        if status == 401:
            return self._unauthorized(what)
        said = f"cannot {what}: {self._described(error)}"
        if status == 404:
            return Gone(said, hint="it was deleted, or it is another project's")
        if status == 409:
            return Conflict(said, hint="there is such a thing already, or another client changes it now: run it again")
        if status in (403, 413):
            return CloudRefused(
                said,
                hint=f"a quota is reached, or {self.credentials.origin} may not do this: ask the operator of {self._where()}",
            )
        if status in _PASSING_STATUS:
            return CloudUnreachable(said, hint=f"look into the logs of the cloud at {self._where()}")
        return CloudRefused(said, hint="the cloud does not take what the settings ask for: the message says why")


def _plain(thing: Any) -> Thing:  # a resource of openstacksdk, which has no types that mypy knows
    return thing.to_dict(computed=False, original_names=False)


def _openstack() -> tuple[Callable[..., Any], Any]:
    """A maker of connections and the errors of openstacksdk: it comes with the extra ``fleet``."""
    try:
        import openstack.exceptions
        from openstack.config.cloud_region import from_session
        from openstack.connection import Connection
    except ImportError as error:
        raise NotReady(
            "the Python of Salt has no openstacksdk, by which instances are started",
            hint=f"salt-pip install '{EXTRAS['fleet'][0]}', or {sys.executable} -m pip install '{EXTRAS['fleet'][0]}'",
        ) from error
    for name in ("openstack", "keystoneauth"):  # on level debug they write tokens and userdata into the log
        logging.getLogger(name).setLevel(max(logging.INFO, logging.getLogger(name).level))

    def connection(session: Session, region: str | None, options: Mapping[str, str | None]) -> Any:
        given = {key: value for key, value in options.items() if value}
        return Connection(config=from_session(session, region_name=region, config=given))

    return connection, openstack.exceptions
