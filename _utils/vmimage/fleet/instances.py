"""Fresh instances as builders: each is booted for a single build, gets its settings as userdata, and is removed in every ending.

What an instance is made for stands in its metadata, and so a fleet that was killed finds it again::

    vm_fleet           name of the fleet; two fleets in a project have two names
    vm_fleet_kind      name below ami_fleet.instances
    vm_fleet_build     number of the claim
    vm_fleet_deadline  seconds since 1970: until then its build must have ended

It publishes by an application credential that is made for it, that cannot make others, ends at the deadline, and is revoked with it.
"""

import functools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from vmimage.errors import CloudRefused, CloudUnreachable, SettingsWrong, VmImageError
from vmimage.fleet.checks import check_keys, count, refuse, seconds_of
from vmimage.fleet.configuration import KEY
from vmimage.fleet.console import last_line, read_console
from vmimage.fleet.records import Claim, Seen, Sight
from vmimage.fleet.userdata import render_userdata
from vmimage.fleet.watching import Place, Steps
from vmimage.nova.client import Cloud, Thing
from vmimage.nova.servers import ServerRequest, ensure_server, error_of, remove_server
from vmimage.system.retry import retried

_FLEET, _KIND, _BUILD, _DEADLINE = "vm_fleet", "vm_fleet_kind", "vm_fleet_build", "vm_fleet_deadline"
#: after its deadline an instance is any kind's to remove: its own may be configured no more
_ABANDONED_SECONDS = 3600


@dataclass(frozen=True)
class InstanceKind:
    """What instances of a kind are: an entry of ``ami_fleet.instances``.

    :ivar image: the ami-creation image, by its name or id
    :ivar network: names or ids
    :ivar key: of a user who looks at it
    :ivar volume_gb: of a volume that it boots from; 0: it boots from the image
    :ivar limit: how many there are at a time
    :ivar deadline: seconds until a build must have ended
    :ivar roles: of the application credential: what the store wants of those who upload
    """

    image: str
    flavor: str
    network: tuple[str, ...] = ()
    key: str = ""
    security_groups: tuple[str, ...] = ()
    zone: str = ""
    volume_gb: int = 0
    limit: int = 1
    deadline: float = 4 * 3600
    roles: tuple[str, ...] = ("member",)


def read_kind(name: str, values: Mapping[str, Any]) -> InstanceKind:
    """An entry of ``ami_fleet.instances``, checked.

    :raises SettingsWrong: naming the key
    """
    place = f"{KEY}.instances.{name}"
    check_keys(values, [setting.name for setting in fields(InstanceKind)], place)
    found: dict[str, Any] = {key: value for key, value in values.items() if value is not None}
    for key in ("image", "flavor", "network"):
        if not found.get(key):
            refuse(f"{place}.{key}", "it is missing", "{image: ami-creation-amd64, flavor: m1.medium, network: private}")
    for key in ("image", "flavor", "key", "zone"):
        if not isinstance(found.get(key, ""), str):
            refuse(f"{place}.{key}", "this is no text", "put it in quotes")
    for key in ("network", "security_groups", "roles"):
        if key in found:
            found[key] = _texts(found[key], f"{place}.{key}")
    for key, default, least in (("volume_gb", 0, 0), ("limit", 1, 1)):
        found[key] = count(found.get(key, default), f"{place}.{key}", least)
    if "deadline" in found:
        found["deadline"] = seconds_of(found["deadline"], f"{place}.deadline")
        if found["deadline"] < 60:
            refuse(f"{place}.deadline", "too short", "at least 60 seconds: an instance boots first")
    return InstanceKind(**found)


def _texts(value: Any, place: str) -> tuple[str, ...]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, (list, tuple)) or not texts or not all(isinstance(text, str) and text for text in texts):
        refuse(place, "this is no list of texts", "a name, or [NAME, ...]")
    return tuple(texts)


class Instances:
    """The instances of a kind.

    :param fleet: its name
    :param cloud_name: the setting ``cloud`` of the builds that they can make: they are in the cloud to which they publish
    :param open_cloud: makes the client, at the first need
    """

    def __init__(
        self,
        fleet: str,
        kind: str,
        facts: InstanceKind,
        cloud_name: str,
        open_cloud: Callable[[], Cloud],
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._fleet, self._kind, self._facts = fleet, kind, facts
        self._cloud_name, self._open_cloud, self._now = cloud_name, open_cloud, now

    @functools.cached_property
    def _cloud(self) -> Cloud:
        return self._open_cloud()

    def free(self, claims: Sequence[Claim]) -> list[str]:
        """An empty name for each that there is room for: an instance has its name from its claim."""
        numbers = {str(claim.number) for claim in claims} | {self._number(server) for server in self._servers()}
        return [""] * max(0, self._facts.limit - len(numbers))

    def start(self, claim: Claim) -> str:
        """Boot the instance of a claim, unless there is one; it may not run as yet."""
        if claim.wanted.settings.get("cloud", "") != self._cloud_name:
            raise SettingsWrong(
                f"{claim.wanted.name} is published to the cloud {claim.wanted.settings.get('cloud') or 'of the environment'}, and "
                f"{KEY}.instances.{self._kind} are in {self._cloud_name or 'that of the environment'}",
                hint=f"set cloud in {KEY}.defaults, not for a single variation; or let minions build it",
            )
        if there := self._cloud.list_servers(self._mark(claim)):
            return str(there[0]["id"])
        request = ServerRequest(
            name=self._name(claim),
            image=self._facts.image,
            flavor=self._facts.flavor,
            network=self._facts.network,
            mark=self._mark(claim),
            metadata={_DEADLINE: str(int(self._deadline(claim)))},
            key=self._facts.key,
            security_groups=self._facts.security_groups,
            zone=self._facts.zone,
            volume_gb=self._facts.volume_gb,
        )
        userdata = render_userdata(claim, self._cloud.credentials, self._application_credential(claim))
        return str(ensure_server(self._cloud, replace(request, userdata=userdata))["id"])

    def begin_look(self) -> None:
        """There is nothing that a cloud could do meanwhile."""

    def look(self, claims: Sequence[Claim]) -> dict[int, Sight]:
        """What servers and their consoles show: a request for all servers, and one for each console."""
        servers = {self._number(server): server for server in reversed(self._servers())} if claims else {}
        return {claim.number: self._sight(claim, servers.get(str(claim.number))) for claim in claims}

    def _sight(self, claim: Claim, server: Thing | None) -> Sight:
        if server is None:
            return Sight(Seen.GONE)
        if error := error_of(server):
            return Sight(Seen.ENDED, error=error, is_lost=True)
        console = self._cloud.console(server["id"])
        seen = read_console(console, claim.wanted.name)
        if seen.seen is Seen.ENDED:
            return seen
        if server["status"] == "SHUTOFF":
            error = f"{server['name']} was switched off in the midst of the build; its console ends with: {last_line(console)}"
            return replace(seen, seen=Seen.ENDED, error=error, is_lost=True)
        if self._now() > self._deadline(claim):
            return replace(seen, seen=Seen.ENDED, error=f"{server['name']} did not end within {self._facts.deadline:.0f} s")
        return seen

    def watch(self, claims: Sequence[Claim], known: Mapping[str, Steps]) -> dict[int, Place]:
        """Where builds are, as far as their consoles say it."""
        seen = self.look(claims)
        return {
            number: (sight.step, sight.percent) for number, sight in seen.items() if sight.seen is Seen.RUNNING and sight.step
        }

    def stop(self, claim: Claim) -> None:
        """Revoke the application credential, remove the server and what belongs to it; each where it is there, both in any case."""
        names = {self._credential_name(str(claim.number))}
        self._in_turn(
            lambda: self._revoke(names),
            *(functools.partial(remove_server, self._cloud, server) for server in self._cloud.list_servers(self._mark(claim))),
        )

    def log(self, claim: Claim) -> str:
        """The console, as far as the cloud keeps it."""
        servers = self._cloud.list_servers(self._mark(claim))
        return self._cloud.console(servers[0]["id"]) if servers else ""

    def sweep(self, claims: Sequence[Claim]) -> list[str]:
        """Remove servers and application credentials that no open claim holds, also a second server of a claim."""
        held = {str(claim.number) for claim in claims}
        removed: list[str] = []
        seen: set[str] = set()
        work = []
        for server in self._cloud.list_servers({_FLEET: self._fleet}):
            if self._is_ours(server):
                number = self._number(server)
                is_kept = number in held and number not in seen
                seen.add(number)
            else:
                is_kept = not self._is_abandoned(server)
            if not is_kept:
                work.append(functools.partial(remove_server, self._cloud, server))
                removed.append(f"the server {server['name']}")
        prefix = self._credential_name("")
        names = {str(found["name"]) for found in self._cloud.list_application_credentials()}
        left = {name for name in names if name.startswith(prefix) and name.removeprefix(prefix) not in held}
        self._in_turn(*work, lambda: self._revoke(left))
        return removed + [f"the application credential {name}" for name in sorted(left)]

    def _in_turn(self, *steps: Callable[[], object]) -> None:
        """All steps, also after one that failed; the first error then."""
        errors = []
        for step in steps:
            try:
                step()
            except VmImageError as error:
                errors.append(error)
        if errors:
            raise errors[0]

    # what belongs to a claim

    def _servers(self) -> list[Thing]:
        return self._cloud.list_servers({_FLEET: self._fleet, _KIND: self._kind})

    def _name(self, claim: Claim) -> str:
        return f"{claim.wanted.name}-{claim.number}"

    def _mark(self, claim: Claim) -> dict[str, str]:
        return {_FLEET: self._fleet, _KIND: self._kind, _BUILD: str(claim.number)}

    def _deadline(self, claim: Claim) -> float:
        return claim.since + self._facts.deadline

    def _number(self, server: Thing) -> str:
        return str(server["metadata"].get(_BUILD, ""))

    def _is_ours(self, server: Thing) -> bool:
        return bool(server["metadata"].get(_KIND) == self._kind)

    def _is_abandoned(self, server: Thing) -> bool:
        deadline = str(server["metadata"].get(_DEADLINE, ""))
        return deadline.isdecimal() and self._now() > int(deadline) + _ABANDONED_SECONDS

    # its application credential

    def _credential_name(self, number: str) -> str:
        return f"vm_fleet/{self._fleet}/{self._kind}/{number}"

    def _application_credential(self, claim: Claim) -> tuple[str, str]:
        """``(id, secret)`` of a new application credential; that of an earlier try is revoked, for nobody knows its secret any more."""
        name = self._credential_name(str(claim.number))
        expires = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(self._deadline(claim)))

        def create() -> tuple[str, str]:
            self._revoke({name})
            return self._cloud.create_application_credential(name, self._facts.roles, expires)

        try:
            return retried(create, CloudUnreachable, tries=self._cloud.tries, say=self._cloud.say, sleep=self._cloud.sleep)
        except CloudRefused as error:
            raise CloudRefused(
                error.message,
                hint=f"the fleet signs in as a user with a password, who has the roles of {KEY}.instances.{self._kind}.roles "
                f"({', '.join(self._facts.roles)}); an application credential can make another only if it is unrestricted",
            ) from error

    def _revoke(self, names: set[str]) -> None:
        if names:
            for found in self._cloud.list_application_credentials():
                if found["name"] in names:
                    self._cloud.delete_application_credential(found["id"])
