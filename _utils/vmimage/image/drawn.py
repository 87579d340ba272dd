"""Random values that packages draw when they are installed: none of them stays in an image; units in the image draw others at the first boot.

What the seal removes stands in ``states/ami_creator_seal.sls``; here stands what makes it again, where the package itself does not
when its service starts.
"""

import os
import re
import stat
from collections.abc import Container
from dataclasses import dataclass

from vmimage.root import files
from vmimage.system.aliases import StrPath

_UNITS = "/etc/systemd/system"
_POPCON = "/etc/popularity-contest.conf"
_SNAKEOIL = "ssl-cert-snakeoil.pem"
_RANDOM = "/proc/sys/kernel/random/uuid"
_KEY = re.compile(rb"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY-----")
#: a long random word beside what tells that it is secret, as packages write it: phpmyadmin, roundcube, bacula
_SECRET = re.compile(
    rb"^[^#;\n]*(?:des_key|secret|passw(?:or)?d|dbc_dbpass)['\"\]]*\s*(?:=>|[=:])\s*['\"]?(?!/)(?=[^'\"\s]{0,64}\d)[A-Za-z0-9+/_=-]{16,128}(?![^'\";\s])",
    re.IGNORECASE | re.MULTILINE,
)
_LARGEST_KEY = 1 << 16


@dataclass(frozen=True)
class Drawn:
    """Something that is removed, and the command that makes it.

    :ivar name: of its unit
    :ivar what: for the unit's description
    :ivar path: what is removed; where it is there again, nothing is made
    :ivar program: without which nothing can make it, nor needs it
    :ivar command: of a shell
    :ivar user: the user who runs it
    :ivar is_early: made before any service starts that might read it
    """

    name: str
    what: str
    path: str
    program: str
    command: str
    user: str = "root"
    is_early: bool = True

    def unit(self) -> str:
        """The text of the unit."""
        early = "DefaultDependencies=no\nAfter=local-fs.target\nBefore=sysinit.target\n" if self.is_early else ""
        wanted = "sysinit.target" if self.is_early else "multi-user.target"
        command = self.command.replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$").replace("%", "%%")
        return (
            f"[Unit]\nDescription=Make {self.what}\nConditionPathExists=!{self.path}\n{early}\n"
            f'[Service]\nType=oneshot\nUser={self.user}\nExecStart=/bin/sh -e -c "{command}"\n\n[Install]\nWantedBy={wanted}\n'
        )

    def link(self) -> str:
        """Where the unit is enabled."""
        return f"{_UNITS}/{'sysinit' if self.is_early else 'multi-user'}.target.wants/{self.name}.service"


ALL = (
    Drawn(
        "first-boot-snakeoil",
        "the self-signed certificate of ssl-cert",
        "/etc/ssl/private/ssl-cert-snakeoil.key",
        "/usr/sbin/make-ssl-cert",
        "make-ssl-cert generate-default-snakeoil",
    ),
    Drawn(
        "first-boot-iscsi-name",
        "the name of the iSCSI initiator",
        "/etc/iscsi/initiatorname.iscsi",
        "/sbin/iscsi-iname",
        "umask 077; name=$(iscsi-iname -p iqn.1993-08.org.debian:01); echo InitiatorName=$name > /etc/iscsi/initiatorname.iscsi",
    ),
    Drawn(
        "first-boot-nvme-host",
        "the names of the NVMe host",
        "/etc/nvme/hostnqn",
        "/usr/sbin/nvme",
        f"cat {_RANDOM} > /etc/nvme/hostid; nvme gen-hostnqn > /etc/nvme/hostnqn",
    ),
    Drawn(
        "first-boot-rndc-key",
        "the key of rndc",
        "/etc/bind/rndc.key",
        "/usr/sbin/rndc-confgen",
        "rndc-confgen -a -u bind; chgrp bind /etc/bind/rndc.key; chmod 640 /etc/bind/rndc.key",
    ),
    Drawn(
        "first-boot-dropbear-keys",
        "the host keys of dropbear",
        "/etc/dropbear/dropbear_ed25519_host_key",
        "/usr/bin/dropbearkey",
        "for kind in rsa ecdsa ed25519; do file=/etc/dropbear/dropbear_${kind}_host_key; [ -e $file ] || dropbearkey -t $kind -f $file; done",
    ),
    Drawn("first-boot-munge-key", "the key of munge", "/etc/munge/munge.key", "/usr/sbin/mungekey", "mungekey -c", user="munge"),
    Drawn(
        "first-boot-xrdp-keys",
        "the RSA key of xrdp",
        "/etc/xrdp/rsakeys.ini",
        "/usr/bin/xrdp-keygen",
        "umask 077; xrdp-keygen xrdp /etc/xrdp/rsakeys.ini; chown xrdp: /etc/xrdp/rsakeys.ini",
    ),
    Drawn(
        "first-boot-etckeeper",
        "a repository of /etc",
        "/etc/.git",
        "/usr/bin/etckeeper",
        'etckeeper init; etckeeper commit "first boot"',
        is_early=False,
    ),
)


def add_makers(root: StrPath, removed: Container[str]) -> tuple[list[str], list[str]]:
    """Give the root a unit for each thing removed that something in it needs.

    :param root: the mounted directory
    :param removed: the paths that the seal has removed
    :returns: ``(paths written, what the units make)``
    """
    written, made = [], []
    for drawn in ALL:
        if drawn.path not in removed or not files.exists(root, drawn.program):
            continue
        path = f"{_UNITS}/{drawn.name}.service"
        files.make_directory(root, os.path.dirname(drawn.link()))
        files.write_text(root, path, drawn.unit())
        if files.lstat(root, drawn.link()) is None:
            files.make_link(root, drawn.link(), path)
        written += [path, drawn.link()]
        made.append(drawn.what)
    return written, made


def forget_host_id(root: StrPath) -> list[str]:
    """Take the line with its id out of the configuration of popularity-contest, which draws it when it is configured again.

    :returns: the path, if there was an id
    """
    if not files.is_file(root, _POPCON):
        return []
    text = files.read_text(root, _POPCON)
    new = re.sub(r"(?m)^MY_HOSTID=.*\n", "", text)
    if new == text:
        return []
    files.overwrite(root, _POPCON, new.encode())
    return [_POPCON]


def remove_links_to_nothing(root: StrPath) -> list[str]:
    """Remove the links that name the removed certificate by its digest; returns their paths."""
    directory = "/etc/ssl/certs"
    if files.exists(root, f"{directory}/{_SNAKEOIL}"):
        return []
    names = [name for name in files.list_directory(root, directory) if re.fullmatch(r"[0-9a-f]{8}\.\d+", name)]
    found = [path for path in (f"{directory}/{name}" for name in names) if files.read_link(root, path) == _SNAKEOIL]
    for path in found:
        files.remove(root, path)
    return found


def find_keys(root: StrPath, changes: StrPath) -> list[str]:
    """Files with private keys, or with passwords that only some may read, that the build made, as paths: every instance would have the same.

    :param root: the mounted directory
    :param changes: the directory of what the build changed
    """
    return [
        path
        for top in ("/etc", "/root", "/var/lib")
        for path in files.files_below(changes, top, largest=_LARGEST_KEY)
        if files.is_file(root, path) and _holds_key(root, path)
    ]


def _holds_key(root: StrPath, path: str) -> bool:
    facts, content = files.lstat(root, path), _read(root, path)
    is_private = (
        facts is not None and not facts.st_mode & stat.S_IROTH and b"\0" not in content
    )  # a database has words of any kind
    return bool(_KEY.search(content) or is_private and _SECRET.search(content))


def _read(root: StrPath, path: str) -> bytes:
    with files.opened(root, path, os.O_RDONLY | os.O_NONBLOCK) as descriptor:
        return os.read(descriptor, _LARGEST_KEY)
