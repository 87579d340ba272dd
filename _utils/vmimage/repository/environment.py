"""Where hg and git run: a home of their own with what they may know, and nothing of the user's or the machine's configuration.

CREDENTIALS is a directory, for its owner alone, with any of
    netrc          machine HOST login USER password PASSWORD, for http(s)
    ssh_key        the private key, for ssh
    known_hosts    the servers' public keys; without it /etc/ssh/ssh_known_hosts

Secrets reach the programs in files of the home, which goes when the programs have ended: never as arguments, which all can see.
"""

import netrc
import os
import re
import shlex
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

from vmimage.errors import RepositoryWrong
from vmimage.repository.address import host_of, scheme_of
from vmimage.system.address import public_address
from vmimage.system.shell import host_environment
from vmimage.system.trees import remove_tree
from vmimage.system.whole_files import write_whole

_SILENT_SECONDS = 60  # after which a silent server is given up

_CREDENTIALS = ("netrc", "ssh_key", "known_hosts")
_KEPT = ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR", "TMPDIR")
#: which addresses a server, or a submodule of what it sent, may lead on to: never to the builder's own files, never to less safety
_ALLOWED = {"https": "https:ssh", "http": "http:https:ssh", "ssh": "ssh:https", "file": "file:https:ssh"}


def check_credentials(directory: str) -> dict[str, Path]:
    """The files that a directory of credentials contains, by name.

    :raises RepositoryWrong: if others could read them, or there are none
    """
    if not directory:
        return {}
    top = Path(directory)
    if not top.is_absolute() or not top.is_dir():
        raise RepositoryWrong(f"there is no directory of credentials {top}", hint=f"it contains {', '.join(_CREDENTIALS)}")
    found = {name: top / name for name in _CREDENTIALS if (top / name).is_file()}
    if not found:
        raise RepositoryWrong(f"{top} contains no credentials", hint=f"name them {', '.join(_CREDENTIALS)}")
    for path, mode in ((top, 700), *((path, 600) for path in found.values())):
        facts = path.stat()
        if facts.st_uid != os.geteuid():
            raise RepositoryWrong(f"{path} belongs to another user", hint=f"chown {os.geteuid()} {shlex.quote(str(path))}")
        if facts.st_mode & 0o077:
            raise RepositoryWrong(f"{path} is open to others", hint=f"chmod {mode} {shlex.quote(str(path))}")
    return found


@contextmanager
def isolated_home(home: Path, address: str, credentials: str) -> Iterator[dict[str, str]]:
    """A home for hg and git for the time of the block; yields the environment of the programs.

    :param home: made from nothing, and removed at the end
    :param address: checked; what is written is good for it alone
    :param credentials: directory of credentials; may be empty
    :raises RepositoryWrong: if the credentials are wrong, or miss what the address needs
    """
    found = check_credentials(credentials)
    if scheme_of(address) == "ssh" and "ssh_key" not in found:
        raise RepositoryWrong(
            f"there is no ssh_key for {public_address(address)}",
            hint="give credentials: a directory with ssh_key and known_hosts",
        )
    remove_tree(home, ignore_errors=True)
    home.mkdir(mode=0o700)
    try:
        for name, path in found.items():
            (home / f"{'.' if name == 'netrc' else ''}{name}").symlink_to(path)
        ssh = _ssh_command(home, found)
        write_whole(home / "hgrc", _hgrc(address, ssh, found.get("netrc")), lasts=False, is_private=True)
        write_whole(home / "gitconfig", _gitconfig(address), lasts=False, is_private=True)
        yield _environment(home, address, ssh)
    finally:
        remove_tree(home, ignore_errors=True)


def _ssh_command(home: Path, found: Collection[str]) -> str:
    """ssh with the given key to the given hosts, and no configuration, agent or question besides."""
    known = home / "known_hosts" if "known_hosts" in found else "/dev/null"
    options = {
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "UserKnownHostsFile": f'"{known}"',
        "StrictHostKeyChecking": "yes",
        "UpdateHostKeys": "no",
        "BatchMode": "yes",
        "ConnectTimeout": "20",
        "ServerAliveInterval": "15",
        "ServerAliveCountMax": "4",
    }
    words = ["ssh", "-F", "/dev/null", "-i", str(home / "ssh_key"), "-a", "-x"]
    return shlex.join(words + [word for key, value in options.items() for word in ("-o", f"{key}={value}")])


def _hgrc(address: str, ssh: str, netrc_file: Path | None) -> str:
    lines = ["[paths]", f"default = {address}", "default:bookmarks.mode = mirror"]
    lines += ["[ui]", f"ssh = {ssh}", "interactive = false", "archivemeta = false", "clonebundles = false", "timeout = 30"]
    lines += ["[http]", f"timeout = {_SILENT_SECONDS}"]
    lines += ["[subrepos]", "allowed = false", "git:allowed = false", "svn:allowed = false"]
    if netrc_file:
        lines += ["[auth]", *_hg_passwords(address, netrc_file)]
    return "\n".join(lines) + "\n"


def _hg_passwords(address: str, netrc_file: Path) -> Iterator[str]:
    """The logins of netrc as hg's configuration: hg does not read netrc.  A prefix ends with '/', or it would match longer hosts."""
    try:
        table = netrc.netrc(netrc_file)
    except (netrc.NetrcParseError, UnicodeDecodeError):
        raise RepositoryWrong(f"{netrc_file} is no netrc file", hint="machine HOST login USER password PASSWORD") from None
    host = host_of(address)
    logins = {f"https://{name}/": login for name, login in table.hosts.items() if name != "default"}
    if host and (login := table.authenticators(re.sub(r":[0-9]+$", "", host))):
        logins[f"{scheme_of(address)}://{host}/"] = login
    for number, (prefix, (user, _, password)) in enumerate(logins.items()):
        if not f"{user}{password}".isprintable():
            raise RepositoryWrong(f"{netrc_file} contains a login or password with a control character", hint="correct it")
        yield from (f"{number}.prefix = {prefix}", f"{number}.username = {user}", f"{number}.password = {password}")


def _gitconfig(address: str) -> str:
    lines = ["[core]", "hooksPath = /dev/null", "fsmonitor = false", "[credential]", "helper =", "[init]", "defaultBranch = main"]
    lines += ["[http]", "lowSpeedLimit = 10", f"lowSpeedTime = {_SILENT_SECONDS}", "[gc]", "autoDetach = false"]
    lines += ["[protocol]", "allow = never", '[protocol "ext"]', "allow = never", "[advice]", "detachedHead = false"]
    if scheme_of(address) == "file":  # git reads the repository of another user only where its configuration names the path
        path = unquote(address.removeprefix("file://")) if "://" in address else address
        paths = {name.replace("\\", "\\\\").replace('"', '\\"') for name in (path, os.path.realpath(path)) if name.isprintable()}
        lines += ["[safe]", *(f'directory = "{path}{end}"' for path in sorted(paths) for end in ("", "/.git"))]
    return "\n".join(lines) + "\n"


def _environment(home: Path, address: str, ssh: str) -> dict[str, str]:
    """The whole environment of hg and git; variables of the caller's that configure them are left out."""
    kept = {name: value for name, value in os.environ.items() if name in _KEPT or name.lower() in _KEPT}
    common = {name: host_environment()[name] for name in ("LC_ALL", "PATH")}
    if "SSL_CERT_FILE" in kept:
        common["GIT_SSL_CAINFO"] = kept["SSL_CERT_FILE"]
    mercurial = {"HGRCPATH": str(home / "hgrc"), "HGRCSKIPREPO": "1", "HGPLAIN": "1", "HGENCODING": "utf-8"}
    git = {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": str(home / "gitconfig"),
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_CEILING_DIRECTORIES": str(home.parent),
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": _ALLOWED[scheme_of(address)],
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_SSH_COMMAND": ssh,
        "GIT_SSH_VARIANT": "ssh",
    }
    return {**kept, **common, "HOME": str(home), **mercurial, **git}
