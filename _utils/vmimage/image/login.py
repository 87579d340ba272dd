"""A key by which root can log in to an instance that is booted for inspection, and the command that does it.

The key comes to the instance as a credential of systemd, so the image needs no cloud-init and no other disk: on the command line of a
triplet's kernel, and in the tables of the machine (SMBIOS) where a disk has a command line of its own.  systemd reads both since its
version 252 (Debian 12, Ubuntu 24.04).
"""

import os
import re
import shlex
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vmimage.errors import NotReady
from vmimage.system.shell import run

PORT = 22
_PUBLIC = re.compile(r"((?:sk-)?(?:ssh|ecdsa)-[a-z0-9@.-]+)[ \t]+([A-Za-z0-9+/]{32,1400}={0,2})(?:\s|$)")
_CREDENTIAL = "ssh.authorized_keys.root"
#: the host key is new at each boot
_OPTIONS = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR")


@dataclass(frozen=True)
class Login:
    """A key.

    :ivar public: its kind and its text, without a comment
    :ivar private: the file of its private half; empty where that is not known
    :ivar is_made: for this boot alone, readable by root alone
    """

    public: str
    private: str = ""
    is_made: bool = False

    @property
    def words(self) -> str:
        """What gives it to the instance, for the kernel's command line."""
        return f'"systemd.set_credential={_CREDENTIAL}:{self.public}"'

    @property
    def machine(self) -> list[str]:
        """What gives it to the instance, for QEMU's."""
        return ["-smbios", f"type=11,value=io.systemd.credential:{_CREDENTIAL}={self.public}"]

    def command(self, port: int) -> str:
        """The command that logs in by a port of the loopback."""
        by_key = ["-i", self.private] if self.private else []
        options = [word for option in _OPTIONS for word in ("-o", option)]
        as_root = ["sudo"] if self.is_made and os.environ.get("SUDO_USER") else []
        return shlex.join([*as_root, "ssh", *by_key, "-p", str(port), *options, "root@127.0.0.1"])


@contextmanager
def login_key(given: str | bool) -> Iterator[Login | None]:
    """The key that is asked for, for the time of the block.

    :param given: path of a public key, or of a private key with its public half beside it; True for a key that is made for the block;
        False or empty for none
    :raises NotReady: naming what is no public key
    """
    if not given:
        yield None
    elif given is True:
        with tempfile.TemporaryDirectory(prefix="vm_create-key-") as directory:
            private = Path(directory) / "key"
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", private])
            yield Login(_read(private.with_name("key.pub")), os.fspath(private), is_made=True)
    else:
        path = Path(given).expanduser()
        private, public = (path.with_suffix(""), path) if path.suffix == ".pub" else (path, path.with_name(f"{path.name}.pub"))
        yield Login(_read(public), os.path.abspath(private) if private.exists() else "")


def _read(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            found = _PUBLIC.match(file.read(4096))
    except OSError as error:
        raise NotReady(
            f"the ssh key {path} cannot be read: {error.strerror}", hint="ssh_key=~/.ssh/id_ed25519.pub, or True"
        ) from error
    if not found:
        raise NotReady(
            f"{path} is no public ssh key", hint="name the file that ends in .pub, or ssh_key=True for a key of this boot"
        )
    return f"{found[1]} {found[2]}"
