"""Settings that have the right type and cannot be meant: contradictory, dangerous, or impossible."""

import difflib
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

from vmimage.errors import RepositoryWrong, SettingsWrong
from vmimage.repository.address import KINDS, check_address, parse_revision
from vmimage.settings.properties import find_wrong_property
from vmimage.settings.schema import COMPRESSIONS, DISK_FORMATS, KEYS, OUTPUTS, Settings, keys_that
from vmimage.system.address import public_address

#: takes a key and a hint, and raises an error with the place and the value of the key
_Refuse = Callable[[str, str], NoReturn]

_BASE_FORMATS = ("raw", "disk", "qcow2", "tar")
#: code names, to be compared with what may be mistyped; what is not like any of these may be a newer release
_RELEASES = frozenset(
    """bullseye bookworm trixie forky duke sid oldoldstable oldstable stable testing unstable
    focal jammy noble plucky questing""".split()
)
#: characters; what is longer is no name and no path on any machine
_LONGEST, _SHOWN = 4096, 300
#: what states get, and what is looked at when its turn comes
_OF_OTHERS = ("pillar", "variations")
#: what begins otherwise may be an option to a program, which would run commands on the builder
_PACKAGE = re.compile(r"[A-Za-z0-9?~][^\s,]*")
#: GRUB's configuration is a shell script: nothing that a shell reads
_KERNEL_WORDS = re.compile(r"([A-Za-z0-9_.,:=@%+/~-]+( [A-Za-z0-9_.,:=@%+/~-]+)*)?")
_SOURCE = re.compile(r"(deb|deb-src)\s.*|[a-z0-9+-]+:\S+")


def check_settings(settings: Settings, places: Mapping[str, str]) -> None:
    """Refuse values that have the right type and cannot be meant.

    :param places: ``{key: where it stands}``, for messages
    :raises SettingsWrong: naming the key
    """

    def refuse(key: str, hint: str) -> NoReturn:
        value = public_address(f"{getattr(settings, key)!r}")
        value = value if len(value) <= _SHOWN else f"{value[:_SHOWN]}..."
        raise SettingsWrong(f"{places.get(key, f'ami.{key}')} is {value}", hint=hint)

    for key in KEYS:
        if key not in _OF_OTHERS and any(len(text) > _LONGEST for text in _texts(getattr(settings, key))):
            refuse(key, f"texts of at most {_LONGEST} characters")
    _check_what_is_built(settings, refuse)
    _check_outputs(settings, places, refuse)
    _check_bootstrap(settings, places)
    _check_publishing(settings, refuse)
    _check_paths(settings, refuse)
    _check_base(settings, refuse)
    _check_how_it_is_built(settings, refuse)
    if isinstance(settings.variation, dict):
        _check_variation(settings.variation, places.get("variation", "ami.variation"))
    _check_repositories(settings, places, refuse)


def _check_what_is_built(settings: Settings, refuse: _Refuse) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,199}", settings.name):
        refuse("name", "a name is letters, digits and . _ + -, and begins with a letter or digit")
    if settings.type not in ("debian", "ubuntu"):
        refuse("type", "debian or ubuntu")
    if not re.fullmatch(r"[a-z][a-z0-9.-]*", settings.release):
        refuse("release", "a release is given by its code name, such as bookworm")
    if not (settings.base or settings.mirror or settings.release in _RELEASES):  # a mirror may have releases of its own
        near = difflib.get_close_matches(settings.release, _RELEASES, 1, 0.8)
        if near:
            refuse("release", f"did you mean {near[0]}?")
    if settings.architecture and not re.fullmatch(r"[a-z0-9]+", settings.architecture):
        refuse("architecture", "an architecture is given by Debian's name, such as amd64")
    if settings.base_format and settings.base_format not in _BASE_FORMATS:
        refuse("base_format", f"one of {', '.join(_BASE_FORMATS)}")
    for key in ("room_mib", "headroom_mib"):
        if getattr(settings, key) < 0:
            refuse(key, "a number of MiB, not negative")


def _check_outputs(settings: Settings, places: Mapping[str, str], refuse: _Refuse) -> None:
    place, known = places.get("outputs", "ami.outputs"), ", ".join(OUTPUTS)
    for kind in settings.outputs:
        if kind not in OUTPUTS:
            raise SettingsWrong(f"{place} contains {kind!r}", hint=f"the outputs are {known}")
        if settings.outputs.count(kind) > 1:
            raise SettingsWrong(f"{place} contains {kind} twice", hint="name each output once")
    if not settings.outputs:
        refuse("outputs", f"at least one of {known}")
    if settings.disk_format not in DISK_FORMATS:
        refuse("disk_format", " or ".join(DISK_FORMATS))
    if settings.compression not in COMPRESSIONS:
        refuse("compression", "zstd, zlib or none")
    if not _KERNEL_WORDS.fullmatch(settings.kernel_command_line):
        refuse("kernel_command_line", "words of letters, digits and . , : = @ % + / ~ _ -, with a space between")


def _check_paths(settings: Settings, refuse: _Refuse) -> None:
    for key in sorted(keys_that("is_path")):
        if not getattr(settings, key).isprintable():
            refuse(key, "a path of printable characters")
        if getattr(settings, key) and not Path(getattr(settings, key)).is_absolute():
            refuse(key, "an absolute path")
    if settings.root and os.path.realpath(settings.root) == "/":
        refuse("root", "the root of the image cannot be the machine's own")


def _check_base(settings: Settings, refuse: _Refuse) -> None:
    for key in ("base", "base_hash", "base_keyring"):
        if not _is_address(getattr(settings, key)):
            refuse(key, "a path or an address, of printable characters")
    if re.fullmatch(r"glance:(|\s.*|.*\s)", settings.base):
        refuse("base", "glance:NAME or glance:ID")
    for key in ("base_hash", "base_keyring", "base_format", "base_unverified"):
        if getattr(settings, key) and not settings.base:
            refuse(key, "it goes with ami.base, which is not set")
    if settings.base.startswith("glance:") and (settings.base_keyring or settings.base_unverified):
        refuse(
            "base_keyring" if settings.base_keyring else "base_unverified",
            "Glance keeps the digest of a base in the store",
        )
    if settings.base_unverified and settings.base_hash:
        refuse("base_unverified", "ami.base_hash is set, too: keep one")


def _check_how_it_is_built(settings: Settings, refuse: _Refuse) -> None:
    if isinstance(settings.memory, str) and settings.memory != "auto" or type(settings.memory) is int and settings.memory <= 0:
        refuse("memory", "true, false, auto, or a number of MiB")
    if not re.fullmatch(r"0?[0-7]{3}", str(settings.output_mode)) and isinstance(settings.output_mode, str):
        refuse("output_mode", 'octal digits, such as "0640"')
    if settings.file_mode & ~0o666 or settings.file_mode & 0o600 != 0o600:
        refuse("output_mode", 'its owner reads and writes it, nobody executes it: "0600", "0640" or the like')
    if settings.jobs < 0:
        refuse("jobs", "a number, not negative")
    if not all(isinstance(name, str) and isinstance(below, dict) for name, below in settings.variations.items()):
        refuse("variations", "{web: {variation: DIR}, db: {variation: DIR}}")
    if settings.network not in ("", "private", "host", "none"):
        refuse("network", "private, host or none")
    if settings.when_done not in ("stay", "poweroff"):
        refuse("when_done", "stay or poweroff")


def _texts(value: object) -> Iterator[str]:
    """All texts in a value."""
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value


def _is_address(text: str) -> bool:
    """Whether a path or an address can be read at all."""
    try:
        urlsplit(text)
    except ValueError:
        return False
    return text.isprintable()


def _check_bootstrap(settings: Settings, places: Mapping[str, str]) -> None:
    """The arguments of mmdebstrap."""
    for package in settings.packages:
        if not _PACKAGE.fullmatch(package):
            place = places.get("packages", "ami.packages")
            raise SettingsWrong(f"{place} contains {package!r}", hint="the name of a package, such as curl or curl=7.88.1")
    sources = [settings.mirror] if isinstance(settings.mirror, str) else settings.mirror
    if any(public_address(line) != line for line in sources):
        raise SettingsWrong(
            "ami.mirror contains a password, and would carry it into the image", hint="put it into /etc/apt/auth.conf.d"
        )
    # not shown: it may contain a password that is not recognized
    if settings.mirror and not all(map(_SOURCE.fullmatch, sources)):
        hint = "http://HOST/debian, or a list of lines such as deb http://HOST/debian bookworm main"
        raise SettingsWrong(f"{places.get('mirror', 'ami.mirror')} is no mirror", hint=hint)


def _check_publishing(settings: Settings, refuse: _Refuse) -> None:
    for key in ("kernel_id", "ramdisk_id", "initrd_id"):
        if getattr(settings, key) and not re.fullmatch(
            r"[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}", getattr(settings, key)
        ):
            refuse(key, "the id of an image, such as 0c5a6b1e-7a8f-4f5e-9d59-1f6d3c4b2a10")
    if settings.publish not in (True, False, "auto"):
        refuse("publish", "true, false or auto")
    if settings.visibility not in ("", "private", "shared", "community", "public"):
        refuse("visibility", "private, shared, community or public")
    if not all(re.fullmatch(r"[\w.-]{1,255}", project) for project in settings.members):
        refuse("members", "a list of ids of projects: openstack project list")
    if settings.members and settings.visibility not in ("", "shared"):
        refuse("members", f"no members where visibility is {settings.visibility}: only images that are shared have members")
    if settings.keep < 0:
        refuse("keep", "a number of generations, not negative")
    if settings.number < 0:
        refuse("number", "a number, not negative")
    if not re.fullmatch(r"[A-Za-z0-9.:_-]{0,200}", settings.order):
        refuse("order", "letters, digits and . : _ -")
    if not 1 <= settings.tries <= 20:
        refuse("tries", "a number from 1 to 20")
    if settings.ramdisk_id and settings.initrd_id and settings.ramdisk_id != settings.initrd_id:
        refuse("initrd_id", "ami.ramdisk_id means the same and has another value: keep one")
    if wrong := find_wrong_property(settings.properties):
        refuse("properties", wrong)
    if isinstance(settings.gate, dict):
        _check_gate(settings.gate, refuse)


def _check_gate(gate: dict[str, Any], refuse: _Refuse) -> None:
    """Its values may be of any type, as YAML has them."""
    if not gate:
        refuse("gate", "true, or {seconds: 300, ports: [22]}")
    wrong = [key for key in gate if key not in ("seconds", "ports")]
    if wrong:
        refuse("gate", f"unknown key {wrong[0]!r}: it takes seconds and ports")
    ports, seconds = gate.get("ports", []), gate.get("seconds", 1)
    if not isinstance(ports, list) or not all(type(port) is int and 0 < port < 65536 for port in ports):
        refuse("gate", "ports is a list of TCP port numbers")
    if type(seconds) not in (int, float) or not 0 < seconds < math.inf:
        refuse("gate", "seconds is a positive number")


def _check_variation(variation: dict[str, Any], place: str) -> None:
    """Its values may be of any type, as YAML has them."""
    wrong = [key for key in variation if key not in ("directory", "states", "id")]
    if wrong:
        raise SettingsWrong(f"unknown key {wrong[0]!r} in {place}", hint="it takes directory or states, and id")
    states = variation.get("states", [])
    if not isinstance(states, list) or not all(isinstance(state, str) for state in states):
        raise SettingsWrong(
            f"the states in {place} are {states!r}, not a list of strings", hint="variation: {states: [nginx, users], id: web1}"
        )
    for key in ("directory", "id"):
        if not isinstance(variation.get(key, ""), str):
            raise SettingsWrong(f"the {key} in {place} is {variation[key]!r}, not a string", hint="put it in quotes")
    if not re.fullmatch(r"[\w.@:+-]*", variation.get("id", "")):
        raise SettingsWrong(f"the id in {place} is {variation['id']!r}", hint="the id of a minion, such as web1.example.org")
    if not any(variation.values()):
        raise SettingsWrong(f"{place} names no states", hint="variation: {states: [nginx, users], id: web1}")
    if states and variation.get("directory"):
        raise SettingsWrong(f"{place} names both a directory and states", hint="keep the directory or the states")


def _check_repositories(settings: Settings, places: Mapping[str, str], refuse: _Refuse) -> None:
    """What is fetched from Mercurial or git."""
    for ending in ("_variation", ""):
        for kind in KINDS:
            address, revision = (f"{kind}_{what}{ending}" for what in ("address", "rev"))
            if getattr(settings, revision) and not getattr(settings, address):
                refuse(revision, f"it goes with ami.{address}, which is not set")
            if getattr(settings, address):
                _check_repository(kind, settings, address, revision, places)
        if all(getattr(settings, f"{kind}_address{ending}") for kind in KINDS):
            refuse(f"git_address{ending}", f"ami.hg_address{ending} is set, too: keep one")
    variation = settings.variation if isinstance(settings.variation, dict) else {"directory": settings.variation}
    if settings.repository and (variation.get("directory") or variation.get("states")):
        refuse("variation", f"ami.{settings.repository[0]}_address_variation is set, too: keep one")


def _check_repository(kind: str, settings: Settings, address: str, revision: str, places: Mapping[str, str]) -> None:
    """:param address: the key of the address
    :param revision: the key of the revision
    """
    try:
        check_address(kind, getattr(settings, address), places.get(address, f"ami.{address}"))
        parse_revision(kind, getattr(settings, revision), places.get(revision, f"ami.{revision}"))
    except RepositoryWrong as wrong:
        raise SettingsWrong(wrong.message, hint=wrong.hint) from None
