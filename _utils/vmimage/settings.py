"""What a build is told: every setting, its type, its default and what it means.

A setting is looked up as ``ami.<key>``, nested (``ami: {type: debian}``) and flat (``ami.type: debian``) alike, in the call's
arguments, the minion config, the grains and the pillar, in this order.  A key that nobody knows is an error that names it:
a mistyped key would otherwise silently build something else.
"""

import math
import os
import re
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import get_args

from vmimage.address import public_address
from vmimage.errors import SettingsWrong
from vmimage.lookup import known_key, look_up

PREFIX = "ami"
FORMATS = ("bootstrap", "raw", "disk", "qcow2", "tar")


def _setting(default, doc):
    if isinstance(default, dict):
        return field(default_factory=dict, metadata={"doc": doc})
    return field(default=default, metadata={"doc": doc})


@dataclass(frozen=True)
class Settings:
    """All settings of one build, checked.  The ``doc`` of each field is its user documentation."""

    name: str = _setting(
        "variation", "name of the variation; its files are NAME.img, kernel_NAME, ramdisk_NAME, NAME.manifest.json"
    )
    type: str = _setting("debian", "distribution of a bootstrapped base: debian or ubuntu")
    release: str = _setting("bookworm", "release of a bootstrapped base, by its code name")
    architecture: str = _setting("", "Debian's name of the architecture; default: the machine's own")
    mirror: str | list = _setting(
        "", "mirror, or list of sources.list lines, to bootstrap from; default: the machine's apt sources"
    )
    packages: list = _setting((), "further packages of a bootstrapped base")
    base: str = _setting(
        "", "path, http(s):// or salt:// address of a base, or glance:NAME or glance:ID; default: a bootstrapped one"
    )
    base_format: str = _setting(
        "", "what the base is: raw (a file system), disk (a raw disk), qcow2, tar; default: by its header"
    )
    base_hash: str = _setting("", "digest of the base, sha256:HEX or sha512:HEX, or the address of a checksum file")
    base_keyring: str = _setting("", "keyring that must have signed the checksum file (gpgv)")
    base_unverified: bool = _setting(False, "accept a base without any digest")
    variation: str | dict = _setting(
        "",
        "directory or salt:// tree with variation.sls or top.sls, or {directory: DIR, id: ID}, {states: [...], id: ID}, {id: ID} for the highstate; default: {states: [variation]}",
    )
    pillar: dict = _setting({}, "further pillar for the variation")
    update: bool = _setting(True, "update the packages of the root before the variation is applied")
    pre: str = _setting("ami_creator_pre", "SLS that fetches the base and opens the root")
    post: str = _setting("ami_creator_post", "SLS that seals the root and makes the triplet")
    root: str = _setting("", "where the root is mounted; default: /mnt/NAME")
    output: str = _setting("/var/lib/vm_create/images", "directory of the triplets")
    workspace: str = _setting("/var/lib/vm_create/builds", "directory of the workspaces, on a disk with room for the build")
    cache: str = _setting("/var/cache/vm_create", "directory of downloaded and prepared bases")
    room_mib: int = _setting(2048, "MiB that the variation may add; so much must be free before work starts")
    headroom_mib: int = _setting(8, "MiB left free in the root image: a first boot writes before it has grown")
    revision: str = _setting("", "revision of the variation, as its repository calls it; told to the manifest and the store")
    publish: bool | str = _setting(
        "auto", "publish the triplet to Glance: true, false, or auto: where ami.cloud or a key of keystone is set"
    )
    cloud: str = _setting("", "entry of clouds.yaml that tells who we are to OpenStack")
    kernel_id: str = _setting("", "id of a kernel (aki) in the store to use instead of the triplet's")
    ramdisk_id: str = _setting("", "id of a ramdisk (ari) in the store to use instead of the triplet's")
    initrd_id: str = _setting("", "another name of ramdisk_id")
    properties: dict = _setting({}, "further properties of the published image, such as {hw_disk_bus: virtio}")
    carry_over: list = _setting((), "patterns of further properties that the new image takes over from the old one")
    visibility: str = _setting(
        "", "private, shared, community or public; default: that of the image it replaces, the first time private"
    )
    keep: int = _setting(3, "archived generations that stay in the store")
    gate: bool | dict = _setting(
        False, "boot the triplet before the name moves to it: true, or {seconds: 300, ports: [22]}, ports that must answer"
    )
    tries: int = _setting(7, "how often a call to the cloud is tried; the pauses between are 1, 2, 4, ... seconds, 60 at most")
    keep_on_failure: bool = _setting(False, "leave the root of a failed build open for a look")
    force: bool = _setting(False, "first release what an earlier run under this name left open")

    @property
    def root_path(self):
        """Where the root is mounted, a Path."""
        return Path(self.root or f"/mnt/{self.name}")

    def as_dict(self):
        """Plain data for notes, manifests and roots: without defaults left empty, and without passwords in addresses."""
        return {key: _shown(value) for key, value in asdict(self).items() if value not in ("", (), [], {})}


def _shown(value):
    return public_address(value) if isinstance(value, str) else value


KEYS = {one.name: one for one in fields(Settings)}
#: what Glance keeps of every image, or what the publishing tells of it: no further properties
_TOLD = frozenset(
    """architecture checksum container_format created_at deleted deleted_at direct_url disk_format file id is_public kernel_id location
    locations min_disk min_ram name os_distro os_hash_algo os_hash_value os_hidden os_type os_version owner protected ramdisk_id schema
    self size status stores tags updated_at virtual_size visibility""".split()
)
_ABSOLUTE = ("root", "output", "workspace", "cache")


def gather_settings(sources, arguments=None):
    """Look every setting up and check it.

    :param list sources: ``(where, mapping, get)`` from the weightiest to the lightest: a name for messages, the mapping
        whose keys are checked, and a lookup ``get(key)`` that knows ``ami:type`` and ``ami.type`` and returns None for nothing
    :param dict arguments: the call's own settings, weightier than all sources
    :returns: :class:`Settings`
    :raises SettingsWrong: naming the unknown, mistyped or contradictory key and where it stands
    """
    found = look_up(PREFIX, KEYS, sources, example="type: debian")
    for key, value in (arguments or {}).items():
        known_key(PREFIX, KEYS, key, "an argument")
        if value is not None:
            found[key] = (value, f"the argument {key}")
    settings = Settings(**{key: _typed(key, value, where) for key, (value, where) in found.items()})
    _check(settings, {key: where for key, (_, where) in found.items()})
    return settings


def _typed(key, value, where):
    """The value, if it is of the setting's type."""
    kinds = get_args(KEYS[key].type) or (KEYS[key].type,)
    if isinstance(value, bool) and bool not in kinds or not isinstance(value, kinds):
        wanted = " or ".join(kind.__name__ for kind in kinds)
        raise SettingsWrong(f"{where} is {value!r}, not a {wanted}", hint=f"{PREFIX}.{key}: {KEYS[key].metadata['doc']}")
    if isinstance(value, list) and not all(isinstance(one, str) for one in value):
        raise SettingsWrong(f"{where} is {value!r}, not a list of str", hint=f"{PREFIX}.{key}: {KEYS[key].metadata['doc']}")
    return tuple(value) if kinds == (list,) else value


def _check(settings, places):
    """Values that have the right type and cannot be meant."""

    def refuse(key, hint):
        raise SettingsWrong(f"{places.get(key, f'{PREFIX}.{key}')} is {getattr(settings, key)!r}", hint=hint)

    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,199}", settings.name):
        refuse("name", "a name is letters, digits and . _ + -, and begins with a letter or digit")
    if settings.type not in ("debian", "ubuntu"):
        refuse("type", "debian or ubuntu")
    if not re.fullmatch(r"[a-z][a-z0-9.-]*", settings.release):
        refuse("release", "a release is given by its code name, such as bookworm")
    if settings.architecture and not re.fullmatch(r"[a-z0-9]+", settings.architecture):
        refuse("architecture", "an architecture is given by Debian's name, such as amd64")
    if settings.base_format and settings.base_format not in FORMATS[1:]:
        refuse("base_format", f"one of {', '.join(FORMATS[1:])}")
    for key in ("room_mib", "headroom_mib"):
        if getattr(settings, key) < 0:
            refuse(key, "a number of MiB, not negative")
    _check_publishing(settings, refuse)
    for key in _ABSOLUTE:
        if not getattr(settings, key).isprintable():
            refuse(key, "a path of printable characters")
        if getattr(settings, key) and not Path(getattr(settings, key)).is_absolute():
            refuse(key, "an absolute path")
    if re.fullmatch(r"glance:(|\s.*|.*\s)", settings.base):
        refuse("base", "glance:NAME or glance:ID")
    if settings.root and os.path.realpath(settings.root) == "/":
        refuse("root", "the root of the image cannot be the machine's own")
    for key in ("base_hash", "base_keyring", "base_format", "base_unverified"):
        if getattr(settings, key) and not settings.base:
            refuse(key, f"it goes with {PREFIX}.base, which is not set")
    if any(public_address(line) != line for line in ([settings.mirror] if isinstance(settings.mirror, str) else settings.mirror)):
        raise SettingsWrong(
            "ami.mirror holds a password, and would carry it into the image", hint="put it into /etc/apt/auth.conf.d"
        )
    if settings.base.startswith("glance:") and (settings.base_keyring or settings.base_unverified):
        refuse(
            "base_keyring" if settings.base_keyring else "base_unverified",
            "the digest of a base in the store is the one that Glance keeps",
        )
    if settings.base_unverified and settings.base_hash:
        refuse("base_unverified", f"{PREFIX}.base_hash is set, too: keep one")
    if isinstance(settings.variation, dict):
        _check_variation(settings.variation, places.get("variation"))


def _check_publishing(settings, refuse):
    """What the store is told."""
    for key in ("kernel_id", "ramdisk_id", "initrd_id"):
        if getattr(settings, key) and not re.fullmatch(
            r"[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}", getattr(settings, key)
        ):
            refuse(key, "the id of an image, such as 0c5a6b1e-7a8f-4f5e-9d59-1f6d3c4b2a10")
    if settings.publish not in (True, False, "auto"):
        refuse("publish", "true, false or auto")
    if settings.visibility not in ("", "private", "shared", "community", "public"):
        refuse("visibility", "private, shared, community or public")
    if settings.keep < 0:
        refuse("keep", "a number of generations, not negative")
    if not 1 <= settings.tries <= 20:
        refuse("tries", "a number from 1 to 20")
    if settings.ramdisk_id and settings.initrd_id and settings.ramdisk_id != settings.initrd_id:
        refuse("initrd_id", f"{PREFIX}.ramdisk_id means the same and has another value: keep one")
    for key, value in settings.properties.items():
        if not isinstance(key, str) or not 0 < len(key) < 256:
            refuse("properties", f"{key!r} is no name of a property: a str of 1 to 255 characters")
        if not isinstance(value, str):
            refuse("properties", f"the value of {key} is not a str: put it in quotes")
        if key.startswith(("vm_create_", "os_glance_")) or key in _TOLD:
            refuse("properties", f"{key} is told by Glance or by the publishing itself")
    if isinstance(settings.gate, dict):
        _check_gate(settings.gate, refuse)


def _check_gate(gate, refuse):
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


def _check_variation(variation, place):
    wrong = [key for key in variation if key not in ("directory", "states", "id")]
    if wrong:
        raise SettingsWrong(f"unknown key {wrong[0]!r} in {place}", hint="it takes directory or states, and id")
    states = variation.get("states", [])
    if not isinstance(states, list) or not all(isinstance(one, str) for one in states):
        raise SettingsWrong(
            f"the states in {place} are {states!r}, not a list of str", hint="variation: {states: [nginx, users], id: web1}"
        )
    for key in ("directory", "id"):
        if not isinstance(variation.get(key, ""), str):
            raise SettingsWrong(f"the {key} in {place} is {variation[key]!r}, not a str", hint="put it in quotes")
    if not any(variation.values()):
        raise SettingsWrong(f"{place} names no states", hint="variation: {states: [nginx, users], id: web1}")
    if states and variation.get("directory"):
        raise SettingsWrong(f"{place} names both a directory and states", hint="give one of them")
