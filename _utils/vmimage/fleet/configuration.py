"""What the master's configuration says of the fleet: ``ami_fleet``, each key by its exact name.

A key of the fleet itself that is wrong ends the call; a repository that is wrong is left out, with a sentence that names the key.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from vmimage.errors import RepositoryWrong, SettingsWrong, VmImageError
from vmimage.fleet.checks import check_keys, check_name, count, mapping, refuse, seconds_of
from vmimage.repository.address import KINDS, check_address, parse_revision
from vmimage.settings.gather import gather_settings
from vmimage.settings.schema import KEYS, Settings, keys_that

KEY = "ami_fleet"
#: the kind of builder that a variation has where it names none
MINIONS = "minions"
#: what the fleet itself says of each build
OWN_SETTINGS = frozenset(("name", "promote", "number", "order", "publish", "variations"))
_KEYS = ("name", "repositories", "defaults", "builders", "instances", "attempts", "retry", "max_age", "supersede", "limit", "keep_logs", "hooks", "notify")  # fmt: skip
_REPOSITORY = (*KINDS, "revision", "variations", "credentials", "builder")
_BUILDERS = ("target", "per_builder", "lease", "deadline")


@dataclass(frozen=True)
class Repository:
    """A repository whose commits become images.

    :ivar name: in ``ami_fleet``
    :ivar kind: hg or git
    :ivar revision: a branch, tag or bookmark, or a hash; empty for the latest
    :ivar variations: ``{name: settings}``; None: as its ``ami.yaml`` says, or else a single variation of the repository's name
    :ivar credentials: a directory on the master, as ``ami.repository_credentials`` is on a builder
    :ivar builder: the kind of builder of its variations
    """

    name: str
    kind: str
    address: str
    revision: str = ""
    variations: Mapping[str, Mapping[str, Any]] | None = None
    credentials: str = ""
    builder: str = MINIONS


@dataclass(frozen=True)
class Standing:
    """Standing minions that build.

    :ivar target: a compound target
    :ivar per_builder: builds at a time on each
    :ivar lease: seconds without a sight of its builder after which a build is lost
    :ivar deadline: seconds after which a build that still runs is stopped, and has failed
    """

    target: str = ""
    per_builder: int = 1
    lease: float = 120.0
    deadline: float = 6 * 3600.0


@dataclass(frozen=True)
class Configuration:
    """The fleet, checked.

    :ivar defaults: settings of each build
    :ivar instances: ``{kind: what its instances are}``, not looked into here
    :ivar attempts: of a build whose input stays the same
    :ivar retry: seconds until the second attempt, doubled for each that follows
    :ivar max_age: seconds after which a published image is looked at again; 0: never
    :ivar supersede: whether a build of an older commit is let end (``wait``) or stopped (``stop``)
    :ivar limit: builds at a time in the whole fleet; 0: as many as there are builders
    :ivar keep_logs: results and logs of each variation that stay
    :ivar problems: a sentence for each repository that is left out, by its name
    """

    name: str = "main"
    repositories: Mapping[str, Repository] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    builders: Standing = Standing()
    instances: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    attempts: int = 3
    retry: float = 60.0
    max_age: float = 0.0
    supersede: str = "wait"
    limit: int = 0
    keep_logs: int = 20
    hooks: Mapping[str, Any] = field(default_factory=dict)
    notify: Mapping[str, Any] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)

    @property
    def kinds(self) -> list[str]:
        """The kinds of builders."""
        return [*([MINIONS] if self.builders.target else []), *self.instances]


def read_configuration(options: Mapping[str, Any]) -> Configuration:
    """The fleet of a master.

    :param options: the master's, or what stands in for them: ``ami_fleet`` is read
    :raises SettingsWrong: naming the key of the fleet that is wrong or missing
    """
    own = mapping(options.get(KEY), KEY)
    if not own:
        raise SettingsWrong(
            f"{KEY} is not set", hint=f"{KEY}: {{repositories: {{web: {{hg: https://...}}}}, builders: {{target: ...}}}}"
        )
    check_keys(own, _KEYS, KEY)
    defaults = mapping(own.get("defaults"), f"{KEY}.defaults", "cloud: mine")
    check_variation_settings(defaults, f"{KEY}.defaults")
    builders, instances = _standing(own.get("builders")), mapping(own.get("instances"), f"{KEY}.instances")
    for kind in instances:
        check_name(kind, f"{KEY}.instances")
        if kind == MINIONS:
            refuse(f"{KEY}.instances.{kind}", "the name is that of standing minions", "another name")
    kinds = [*([MINIONS] if builders.target else []), *instances]
    if not kinds:
        refuse(f"{KEY}.builders", "nobody builds", "builders: {target: 'G@role:ami-builder'}, or instances")
    repositories: dict[str, Repository] = {}
    problems: dict[str, str] = {}
    for name, facts in mapping(own.get("repositories"), f"{KEY}.repositories", "web: {hg: ADDRESS}").items():
        try:
            repositories[name] = _repository(name, facts, defaults, kinds)
        except VmImageError as error:
            problems[str(name)] = str(error)
    retry, max_age = (seconds_of(own.get(key, default), f"{KEY}.{key}") for key, default in (("retry", 60), ("max_age", 0)))
    supersede = own.get("supersede", "wait")
    if supersede not in ("wait", "stop"):
        refuse(f"{KEY}.supersede", f"{supersede!r}", "wait or stop")
    counts = {key: count(own.get(key, default), f"{KEY}.{key}", least) for key, default, least in (("attempts", 3, 1), ("limit", 0, 0), ("keep_logs", 20, 1))}  # fmt: skip
    return Configuration(
        name=check_name(own.get("name", "main"), f"{KEY}.name"),
        repositories=repositories,
        defaults=defaults,
        builders=builders,
        instances={kind: mapping(facts, f"{KEY}.instances.{kind}") for kind, facts in instances.items()},
        retry=retry,
        max_age=max_age,
        supersede=supersede,
        hooks=mapping(own.get("hooks"), f"{KEY}.hooks"),
        notify=mapping(own.get("notify"), f"{KEY}.notify"),
        problems=problems,
        **counts,
    )


def check_variation_settings(settings: Mapping[str, Any], place: str, *, of_repository: bool = False) -> Settings:
    """Refuse what is no setting of a build, or is the fleet's own to say.

    :param of_repository: it may say what is built, and nothing of the builder
    :returns: them, with the defaults of all others
    """
    check_keys(settings, KEYS, place)
    for key in settings:
        if key in OWN_SETTINGS or of_repository and key not in keys_that("repository_may_set"):
            refuse(
                f"{place}.{key}",
                "this cannot be set here",
                "the fleet itself says it" if key in OWN_SETTINGS else "set it in ami_fleet",
            )
    try:
        return gather_settings([], settings)
    except SettingsWrong as wrong:
        raise SettingsWrong(f"{place}: {wrong.message.removeprefix('the argument ')}", hint=wrong.hint) from None


def _repository(name: Any, facts: Any, defaults: Mapping[str, Any], kinds: Collection[str]) -> Repository:
    place = f"{KEY}.repositories.{name}"
    check_name(name, f"{KEY}.repositories")
    own = mapping(facts, place, "hg: ADDRESS}, or {git: ADDRESS")
    check_keys(own, _REPOSITORY, place)
    asked = [kind for kind in KINDS if own.get(kind)]
    if len(asked) != 1:
        refuse(place, "it has two addresses" if asked else "it has no address", "hg: ADDRESS, or git: ADDRESS")
    kind, revision, credentials = asked[0], own.get("revision", ""), own.get("credentials", "")
    try:
        check_address(kind, own[kind], f"{place}.{kind}")
        parse_revision(kind, revision, f"{place}.revision")
    except RepositoryWrong as wrong:
        raise SettingsWrong(wrong.message, hint=wrong.hint) from None
    if not isinstance(credentials, str) or credentials and not credentials.startswith("/"):
        refuse(f"{place}.credentials", "this is no absolute path", "a directory on the master")
    variations = None
    if "variations" in own:
        variations = check_variations(own["variations"], f"{place}.variations", defaults, kinds)
    return Repository(name, kind, own[kind], revision, variations, credentials, _builder(own.get("builder"), place, kinds))


def check_variations(
    given: Any, place: str, defaults: Mapping[str, Any], kinds: Collection[str], *, of_repository: bool = False
) -> dict[str, dict[str, Any]]:
    """The variations of a repository, ``{name: settings}``, with ``builder`` among them where it is said.

    :param kinds: of builders
    """
    found = {}
    for name, settings in mapping(given, place).items():
        own, where = mapping(settings, f"{place}.{name}"), f"{place}.{name}"
        builder = {"builder": _builder(own["builder"], where, kinds)} if "builder" in own else {}
        own = {key: value for key, value in own.items() if key != "builder"}
        check_variation_settings(own, where, of_repository=of_repository)
        check_variation_settings({**defaults, **own}, where)
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,199}", str(name)):
            refuse(place, f"{name!r} is no name of a variation", "letters, digits and . _ + -")
        found[str(name)] = {**own, **builder}
    if not found:
        refuse(place, "there is none", "{web: {}, db: {variation: {id: db}}}")
    return found


def _builder(kind: Any, place: str, kinds: Collection[str]) -> str:
    if kind is None:
        return MINIONS if MINIONS in kinds else [*kinds][0]
    if kind not in kinds:
        refuse(f"{place}.builder", f"there are no builders {kind!r}", f"the kinds are {', '.join(kinds)}")
    return str(kind)


def _standing(given: Any) -> Standing:
    place = f"{KEY}.builders"
    own = mapping(given, place, "target: 'G@role:ami-builder'")
    check_keys(own, _BUILDERS, place)
    target = own.get("target", "")
    if not isinstance(target, str) or own and not target:
        refuse(f"{place}.target", "this is no target", "a compound target, such as 'G@role:ami-builder'")
    per_builder = count(own.get("per_builder", 1), f"{place}.per_builder", 1)
    lease = seconds_of(own.get("lease", Standing.lease), f"{place}.lease")
    if lease < 5:
        refuse(f"{place}.lease", "too short", "at least 5 seconds: a builder is asked once in a pass")
    deadline = seconds_of(own.get("deadline", Standing.deadline), f"{place}.deadline")
    if deadline < 60:
        refuse(f"{place}.deadline", "too short", "at least 60 seconds: a build takes that long")
    return Standing(target, per_builder, lease, deadline)
