"""The settings of a build: each with its type, its default, what it means, and facts about it."""

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from vmimage.system.address import public_address

PREFIX = "ami"
#: what can be made of a finished root
OUTPUTS = ("triplet", "bare", "disk", "tar", "ec2")
#: of these, what boots by itself: a disk with partitions and a boot loader
DISKS = ("disk", "ec2")
DISK_FORMATS = ("qcow2", "raw")
COMPRESSIONS = ("zstd", "zlib", "none")


def _setting(
    default: object, doc: str, *, shapes_image: bool = True, repository_may_set: bool = False, is_path: bool = False
) -> Any:  # the type of the field
    """A field with the facts of a setting.

    :param doc: what it means, for its users
    :param shapes_image: else it says where or how an image is built, or what is done with it afterwards
    :param repository_may_set: in its ``ami.yaml``: it says what is built, and nothing of the builder
    :param is_path: an absolute path on the builder
    """
    facts = {"doc": doc, "shapes_image": shapes_image, "repository_may_set": repository_may_set, "is_path": is_path}
    if isinstance(default, dict):
        return field(default_factory=dict, metadata=facts)
    return field(default=default, metadata=facts)


@dataclass(frozen=True)
class Settings:
    """All settings of a build, checked.  The ``doc`` of each field is its user documentation."""

    name: str = _setting(
        "variation",
        "name of the variation; its files are NAME.img, kernel_NAME, ramdisk_NAME, NAME.manifest.json",
        repository_may_set=True,
    )
    type: str = _setting("debian", "distribution of a bootstrapped base: debian or ubuntu", repository_may_set=True)
    release: str = _setting("trixie", "release of a bootstrapped base, by its code name", repository_may_set=True)
    architecture: str = _setting("", "Debian's name of the architecture; default: the machine's own", repository_may_set=True)
    mirror: str | list = _setting(
        "",
        "mirror, or list of sources.list lines, to bootstrap from; default: the machine's apt sources",
        repository_may_set=True,
    )
    packages: list = _setting((), "further packages of a bootstrapped base", repository_may_set=True)
    base: str = _setting(
        "",
        "path, http(s):// or salt:// address of a base, or glance:NAME or glance:ID; default: a bootstrapped one",
        repository_may_set=True,
    )
    base_format: str = _setting(
        "",
        "what the base is: raw (a file system), disk (a raw disk), qcow2, tar; default: by its header",
        repository_may_set=True,
    )
    base_hash: str = _setting(
        "", "digest of the base, sha256:HEX or sha512:HEX, or the address of a checksum file", repository_may_set=True
    )
    base_keyring: str = _setting("", "keyring that must have signed the checksum file (gpgv)")
    base_unverified: bool = _setting(False, "accept a base without any digest", repository_may_set=True)
    variation: str | dict = _setting(
        "",
        "directory or salt:// tree with variation.sls or top.sls, or {directory: DIR, id: ID}, {states: [...], id: ID}, {id: ID} for the highstate; default: {states: [variation]}",
        repository_may_set=True,
    )
    variations: dict = _setting(
        {},
        "for create_variations: {web: {variation: DIR}, db: {...}}, settings of each variation by its name; in a repository's ami.yaml: what a fleet builds of it",
        shapes_image=False,
        repository_may_set=True,
    )
    jobs: int = _setting(
        0, "how many variations create_variations builds at a time; default: as cores and memory allow", shapes_image=False
    )
    hg_address_variation: str = _setting("", "Mercurial repository that holds the variation: https, http, ssh or file address")
    hg_rev_variation: str = _setting(
        "", "its revision: 249:9ed741a55f17, a hash, a branch, bookmark or tag; default: the latest", shapes_image=False
    )
    git_address_variation: str = _setting("", "git repository that holds the variation: https, http, ssh or file address")
    git_rev_variation: str = _setting(
        "", "its revision: a hash, a branch or a tag; default: the latest of its HEAD", shapes_image=False
    )
    repository_credentials: str = _setting(
        "",
        "directory, for root alone, with any of netrc, ssh_key and known_hosts: the credentials for the repositories",
        shapes_image=False,
        is_path=True,
    )
    repository_subrepositories: bool = _setting(False, "fetch subrepositories and submodules, too")
    repository_stale: bool = _setting(
        False, "where the repository cannot be asked, build what was last fetched of it", shapes_image=False
    )
    pillar: dict = _setting({}, "further pillar for the variation", repository_may_set=True)
    update: bool = _setting(True, "update the packages of the root before the variation is applied", repository_may_set=True)
    pre: str = _setting("ami_creator_pre", "SLS that fetches the base and opens the root")
    post: str = _setting("ami_creator_post", "SLS that seals the root and makes the triplet")
    root: str = _setting("", "where the root is mounted; default: /mnt/NAME", shapes_image=False, is_path=True)
    output: str = _setting("/var/lib/vm_create/images", "directory of the triplets", shapes_image=False, is_path=True)
    outputs: list = _setting(
        ("triplet",),
        "what is made of the root and published: any of triplet, bare (the root image as qcow2), disk (a whole disk with partitions and a boot loader), tar (the root's files), ec2 (the disk for EC2)",
        repository_may_set=True,
    )
    disk_format: str = _setting("qcow2", "format of bare and disk: qcow2 or raw", repository_may_set=True)
    compression: str = _setting(
        "zstd",
        "of qcow2 and tar: zstd, which QEMU reads from version 5.1 on, zlib, which every QEMU reads, or none",
        repository_may_set=True,
    )
    kernel_command_line: str = _setting(
        "",
        "further words of a disk's kernel command line, such as net.ifnames=0; the root and the consoles tty0 and ttyS0 are in it",
        repository_may_set=True,
    )
    output_mode: str | int = _setting(
        "0600",
        'mode of the files of a triplet, in octal: an image holds its /etc/shadow; "0640" lets the group read it',
        shapes_image=False,
    )
    workspace: str = _setting(
        "/var/lib/vm_create/builds",
        "directory of the workspaces, on a disk with room for the build",
        shapes_image=False,
        is_path=True,
    )
    cache: str = _setting(
        "/var/cache/vm_create",
        "directory of prepared bases, and of apt's lists and packages, these decompressed, too",
        shapes_image=False,
        is_path=True,
    )
    network: str = _setting(
        "",
        "of the root while it is varied: private (behind NAT by slirp4netns), host (the builder's own), none; default: private where slirp4netns is installed",
    )
    live: bool = _setting(
        False,
        "run the root as a machine while it is varied (systemd-nspawn): services that states start are started",
        repository_may_set=True,
    )
    room_mib: int = _setting(
        2048,
        "MiB that the variation may add; so much must be free before work starts",
        shapes_image=False,
        repository_may_set=True,
    )
    memory: bool | str | int = _setting(
        "auto",
        "keep what a build changes in memory until it is packed: false, true, MiB, or auto: where room_mib fits well",
        shapes_image=False,
    )
    headroom_mib: int = _setting(
        4, "MiB of the root image that can be written before it has grown: a first boot does", repository_may_set=True
    )
    revision: str = _setting(
        "", "revision of the variation, as its repository calls it, for the manifest and the store", shapes_image=False
    )
    publish: bool | str = _setting(
        "auto",
        "publish what is built: true, false, or auto: to Glance where ami.cloud or a key of keystone is set, and to EC2 where ec2 is among ami.outputs",
        shapes_image=False,
    )
    promote: bool = _setting(
        True,
        "let the names point to what was uploaded to Glance; false: it stays under names of its own, until a fleet gives it the names",
        shapes_image=False,
    )
    number: int = _setting(
        0,
        "number of the build, which its images carry: no image takes a name that one with a greater number has had; default: none",
        shapes_image=False,
    )
    order: str = _setting("", "what a fleet has ordered, as a digest, which the images carry", shapes_image=False)
    cloud: str = _setting("", "entry of clouds.yaml with the OpenStack credentials", shapes_image=False)
    kernel_id: str = _setting(
        "", "id of a kernel (aki) in the store to use instead of the triplet's", shapes_image=False, repository_may_set=True
    )
    ramdisk_id: str = _setting(
        "", "id of a ramdisk (ari) in the store to use instead of the triplet's", shapes_image=False, repository_may_set=True
    )
    initrd_id: str = _setting("", "another name of ramdisk_id", shapes_image=False, repository_may_set=True)
    properties: dict = _setting(
        {},
        "further properties of the published images, such as {hw_disk_bus: virtio}; those of a single output below its name: {disk: {hw_firmware_type: uefi}}",
        shapes_image=False,
        repository_may_set=True,
    )
    carry_over: list = _setting(
        (),
        "patterns of further properties that the new image takes over from the old one",
        shapes_image=False,
        repository_may_set=True,
    )
    visibility: str = _setting(
        "",
        "private, shared, community or public; default: that of the image it replaces, the first time private",
        shapes_image=False,
    )
    members: list = _setting(
        (),
        "ids of projects with which the images are shared, besides those with which the images that they replace are shared; "
        "without visibility the images are shared then",
        shapes_image=False,
        repository_may_set=True,
    )
    keep: int = _setting(3, "archived generations that stay in the store", shapes_image=False, repository_may_set=True)
    gate: bool | dict = _setting(
        False,
        "boot the triplet before the name moves to it: true, or {seconds: 300, ports: [22]}, ports that must answer",
        shapes_image=False,
        repository_may_set=True,
    )
    ec2: dict = _setting(
        {},
        "for ec2 among the outputs: {region: eu-west-1, profile: NAME, accounts: [...], boot_mode: uefi, tpm: true, volume_gib: 8, parallel: 16, endpoint: ADDRESS}; credentials are found by boto3",
        shapes_image=False,
    )
    trial: dict = _setting(
        {},
        "for vm_create.try: {flavor: m1.small, network: private, keypair: NAME or PATH, security_groups: [...], floating_ip_network: public, port: 22, seconds: 300, user: root}",
        shapes_image=False,
    )
    tries: int = _setting(
        7,
        "how often a call to the cloud or a repository is tried; the pauses between are 1, 2, 4, ... seconds, 60 at most",
        shapes_image=False,
    )
    when_done: str = _setting(
        "stay", "what a builder does after its run: stay, or poweroff; see keep_on_failure", shapes_image=False
    )
    hg_address: str = _setting(
        "",
        "Mercurial repository of this project, for a builder that is to run other code than it was made with",
        shapes_image=False,
    )
    hg_rev: str = _setting("", "its revision, as hg_rev_variation", shapes_image=False)
    git_address: str = _setting("", "git repository of this project, as hg_address", shapes_image=False)
    git_rev: str = _setting("", "its revision, as git_rev_variation", shapes_image=False)
    keep_on_failure: bool = _setting(False, "leave the root of a failed build open for inspection", shapes_image=False)
    skip_unchanged: bool = _setting(
        False,
        "build nothing where the triplet that is there is made of the same base, variation, pillar, settings and packages on offer",
        shapes_image=False,
    )
    incremental: bool = _setting(
        False,
        "start from the last root image of this variation and apply the states again, where that is safe; publish: auto then publishes nothing",
        shapes_image=False,
    )
    force: bool = _setting(False, "first release what an earlier run under this name left open", shapes_image=False)

    @property
    def root_path(self) -> Path:
        """Where the root is mounted."""
        return Path(self.root or f"/mnt/{self.name}")

    @property
    def file_mode(self) -> int:
        """The mode of a triplet's files as a number: YAML reads 0640 as a number, "0640" as text."""
        return self.output_mode if isinstance(self.output_mode, int) else int(self.output_mode, 8)

    @property
    def makes_disk(self) -> bool:
        """Whether a disk with a boot loader is among the outputs."""
        return any(kind in DISKS for kind in self.outputs)

    @property
    def repository(self) -> tuple[str, str, str] | None:
        """``(kind, address, revision)`` of the variation's repository, or None."""
        for kind in ("hg", "git"):
            address = getattr(self, f"{kind}_address_variation")
            if address:
                return kind, address, getattr(self, f"{kind}_rev_variation")
        return None

    def as_dict(self) -> dict[str, Any]:
        """Plain data for notes, manifests and roots: without defaults left empty, and without passwords in addresses."""
        return {key: _shown(key, value) for key, value in asdict(self).items() if value not in ("", (), [], {})}


def _shown(key: str, value: object) -> object:
    # a repository's address holds no password, that is checked: a later step fetches from it
    return public_address(value) if isinstance(value, str) and "_address" not in key else value


KEYS = {setting.name: setting for setting in fields(Settings)}


def keys_that(fact: str, *, hold: bool = True) -> frozenset[str]:
    """The keys of the settings of which a fact holds, or does not: ``shapes_image``, ``repository_may_set`` or ``is_path``."""
    return frozenset(key for key, setting in KEYS.items() if setting.metadata[fact] is hold)
