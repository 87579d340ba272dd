"""What a build is told: every setting, its type, its default and what it means.

A setting is looked up as ``ami.<key>``, nested (``ami: {type: debian}``) and flat (``ami.type: debian``) alike, in the call's
arguments, the minion config, the grains and the pillar, in this order.  A key that nobody knows is an error that names it:
a mistyped key would otherwise silently build something else.
"""

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import get_args

from vmimage.errors import SettingsWrong
from vmimage.settings.lookup import known_key, look_up
from vmimage.settings.validate import check_settings
from vmimage.system.address import public_address

PREFIX = "ami"


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
    release: str = _setting("trixie", "release of a bootstrapped base, by its code name")
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
    variations: dict = _setting(
        {}, "for create_variations: {web: {variation: DIR}, db: {...}}, settings of each variation by its name"
    )
    jobs: int = _setting(0, "how many variations create_variations builds at a time; default: as cores and memory allow")
    hg_address_variation: str = _setting("", "Mercurial repository that holds the variation: https, http, ssh or file address")
    hg_rev_variation: str = _setting("", "its revision: 249:9ed741a55f17, a hash, a branch, bookmark or tag; default: the latest")
    git_address_variation: str = _setting("", "git repository that holds the variation: https, http, ssh or file address")
    git_rev_variation: str = _setting("", "its revision: a hash, a branch or a tag; default: the latest of its HEAD")
    repository_credentials: str = _setting(
        "", "directory, for root alone, with any of netrc, ssh_key and known_hosts: who we are to the repositories"
    )
    repository_subrepositories: bool = _setting(False, "fetch subrepositories and submodules, too")
    repository_stale: bool = _setting(False, "where the repository cannot be asked, build what was last fetched of it")
    pillar: dict = _setting({}, "further pillar for the variation")
    update: bool = _setting(True, "update the packages of the root before the variation is applied")
    pre: str = _setting("ami_creator_pre", "SLS that fetches the base and opens the root")
    post: str = _setting("ami_creator_post", "SLS that seals the root and makes the triplet")
    root: str = _setting("", "where the root is mounted; default: /mnt/NAME")
    output: str = _setting("/var/lib/vm_create/images", "directory of the triplets")
    output_mode: str | int = _setting(
        "0600", 'mode of the files of a triplet, in octal: an image holds its /etc/shadow; "0640" lets the group read it'
    )
    workspace: str = _setting("/var/lib/vm_create/builds", "directory of the workspaces, on a disk with room for the build")
    cache: str = _setting(
        "/var/cache/vm_create", "directory of prepared bases, and of apt's lists and packages, these decompressed, too"
    )
    network: str = _setting(
        "",
        "of the root while it is varied: private (behind NAT by slirp4netns), host (the builder's own), none; default: private where slirp4netns is installed",
    )
    live: bool = _setting(
        False, "run the root as a machine while it is varied (systemd-nspawn): services that states start are started"
    )
    room_mib: int = _setting(2048, "MiB that the variation may add; so much must be free before work starts")
    memory: bool | str | int = _setting(
        "auto", "keep what a build changes in memory until it is packed: false, true, MiB, or auto: where room_mib fits well"
    )
    headroom_mib: int = _setting(4, "MiB of the root image that can be written before it has grown: a first boot does")
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
    tries: int = _setting(
        7, "how often a call to the cloud or a repository is tried; the pauses between are 1, 2, 4, ... seconds, 60 at most"
    )
    when_done: str = _setting("stay", "what a builder does after its run: stay, or poweroff; see keep_on_failure")
    hg_address: str = _setting(
        "", "Mercurial repository of this project, for a builder that shall run other code than it came with"
    )
    hg_rev: str = _setting("", "its revision, as hg_rev_variation")
    git_address: str = _setting("", "git repository of this project, as hg_address")
    git_rev: str = _setting("", "its revision, as git_rev_variation")
    keep_on_failure: bool = _setting(False, "leave the root of a failed build open for a look")
    skip_unchanged: bool = _setting(
        False,
        "build nothing where the triplet that is there is made of the same base, variation, pillar, settings and packages on offer",
    )
    incremental: bool = _setting(
        False,
        "start from the last root image of this variation and apply the states again, where that is safe; publish: auto then publishes nothing",
    )
    force: bool = _setting(False, "first release what an earlier run under this name left open")

    @property
    def root_path(self):
        """Where the root is mounted, a Path."""
        return Path(self.root or f"/mnt/{self.name}")

    @property
    def file_mode(self):
        """The mode of a triplet's files as a number: YAML reads 0640 as one, "0640" as text."""
        return self.output_mode if isinstance(self.output_mode, int) else int(self.output_mode, 8)

    @property
    def repository(self):
        """``(kind, address, revision)`` of the variation's repository, or None."""
        for kind in ("hg", "git"):
            address = getattr(self, f"{kind}_address_variation")
            if address:
                return kind, address, getattr(self, f"{kind}_rev_variation")
        return None

    def as_dict(self):
        """Plain data for notes, manifests and roots: without defaults left empty, and without passwords in addresses."""
        return {key: _shown(key, value) for key, value in asdict(self).items() if value not in ("", (), [], {})}


def _shown(key, value):
    # a repository's address holds no password, that is checked: a later step fetches from it
    return public_address(value) if isinstance(value, str) and "_address" not in key else value


KEYS = {one.name: one for one in fields(Settings)}


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
    check_settings(settings, {key: where for key, (_, where) in found.items()})
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
