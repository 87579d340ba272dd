"""What a repository's address and revision may be: nothing that a program could take for an option, a command or a secret.

No message repeats a refused address: what is wrong with it may be the password in it.
"""

import re
from dataclasses import dataclass
from typing import NoReturn, Protocol
from urllib.parse import unquote

from vmimage.errors import RepositoryWrong

KINDS = ("hg", "git")
SCHEMES = ("https", "http", "ssh", "file")

_FORMS = "https://HOST/PATH, http://HOST/PATH, ssh://USER@HOST/PATH, file:///PATH or an absolute path"
_NETRC = "put user and password into the file netrc of the credentials"
_HOST = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_NAME = re.compile(r"[\w.+@/%#=,-](?:[\w .+@/%#=,-]{0,198}[\w.+@/%#=,-])?")
_LEAST_DIGITS, _ALL_DIGITS = 7, 40


class _Refuse(Protocol):
    """Raises an error that names the setting."""

    def __call__(self, why: str, hint: str = ...) -> NoReturn: ...


def scheme_of(address: str) -> str:
    """http, https, ssh or file, of an address that was checked."""
    return "file" if address.startswith("/") else address.partition("://")[0]


def host_of(address: str) -> str:
    """The host with its port, of an address that was checked; of files the empty string."""
    return "" if scheme_of(address) == "file" else _authority(address)[1]


def check_address(kind: str, address: str, key: str) -> None:
    """Refuse a text that is no address, that contains a secret, or that a program could take for something else.

    :param kind: hg or git
    :param key: the setting, for the message
    :raises RepositoryWrong: naming the setting, never repeating the address
    """

    def refuse(why: str, hint: str = _FORMS) -> NoReturn:
        raise RepositoryWrong(f"{key}: {why}", hint=hint)

    if kind not in KINDS:
        refuse("no such kind of repository", "hg or git")
    if not isinstance(address, str) or not address:
        refuse("this is no address")
    if not address.isprintable():
        refuse("the address contains a control character or a line's end")
    if address.startswith("-") or "--config" in address or re.search(r"/-", unquote(address)):
        refuse("the address, or a part of it, begins with '-' and would be taken for an option")
    if re.match(r"[^/\[]*::", address):
        refuse("the address names a transport of git (ext::, fd::, ...), which may run any command")
    if re.search(r"[#$`\"'\\|;&<>*{}]", address):
        refuse(
            "the address contains one of # $ ` \" ' \\ | ; & < > * { }",
            "a revision has its own setting; else rename the repository",
        )
    if not address.startswith("/"):
        _check_url(address, refuse)


def _authority(address: str) -> tuple[str, str]:
    """``(user, host)`` of an address."""
    user, _, host = address.partition("://")[2].partition("/")[0].rpartition("@")
    return user, host


def _check_url(address: str, refuse: _Refuse) -> None:
    scheme, separator, rest = address.partition("://")
    if not separator:
        refuse("this is neither an address nor an absolute path")
    user, host = _authority(address)
    if ":" in user:
        refuse("a password stands in the address, for everybody to read", _NETRC)
    if scheme not in SCHEMES:
        refuse("addresses of this kind are not fetched from")
    if re.search(r"[\s?]", address):
        refuse("the address contains a space or '?'", "a token belongs into netrc")
    path = unquote(rest.partition("/")[2])
    if not path.isprintable():
        refuse("the address contains an escaped control character")
    if scheme == "file":
        if host or user or not path:
            refuse("an address of a file names no host", "file:///PATH")
        return
    if user and scheme != "ssh":
        refuse("a user stands in the address, which may be a token", _NETRC)
    if user and not _USER.fullmatch(user):
        refuse("the user in the address is no user's name")
    if not _HOST.fullmatch(host):
        refuse("the host in the address is no host's name")
    if scheme == "ssh" and not path:
        refuse("the address names no path on its host")


@dataclass(frozen=True)
class Wanted:
    """The revision that the user wants.

    :ivar text: as the user wrote it
    :ivar digits: the hash, or its beginning; empty if it is no hash
    :ivar name: the branch, tag or bookmark that it may be; empty if it is no name
    """

    text: str
    digits: str = ""
    name: str = ""

    @property
    def is_latest(self) -> bool:
        """Whether no revision in particular is wanted."""
        return not self.digits and not self.name

    @property
    def is_exact(self) -> bool:
        """Whether it can mean no other commit, now and for ever."""
        return len(self.digits) == _ALL_DIGITS


def parse_revision(kind: str, text: str, key: str) -> Wanted:
    """What a revision asks for.

    A hash has 7 to 40 digits.  hg's ``NUMBER:HASH`` is its hash: each clone numbers on its own, so the number is not compared.
    What may be both, a hash of less than 40 digits and a name, is the hash where a commit has it, and otherwise the name.

    :param text: as the user wrote it; empty, and HEAD of git, are the latest
    :raises RepositoryWrong: on anything that asks for a computation: ranges, revsets, ``HEAD~1``, plain numbers
    """

    def refuse(
        why: str, hint: str = "a hash, a branch, a tag" + (", a bookmark or NUMBER:HASH" if kind == "hg" else "")
    ) -> NoReturn:
        raise RepositoryWrong(f"{key}: {why}", hint=f"{hint}; or nothing, for the latest")

    if not isinstance(text, str) or not text.isprintable():
        refuse("this is no revision")
    if not text or kind == "git" and text == "HEAD":
        return Wanted(text)
    if text.startswith("-"):
        refuse("the revision begins with '-' and would be taken for an option")
    numbered = re.fullmatch(r"[0-9]+:([0-9A-Fa-f]+)", text) if kind == "hg" else None
    digits = numbered[1] if numbered else text
    is_hash = re.fullmatch(r"[0-9A-Fa-f]+", digits)
    if is_hash and (numbered and len(digits) < _LEAST_DIGITS or len(digits) > _ALL_DIGITS):
        refuse(f"the hash in {text!r} has {len(digits)} digits, not {_LEAST_DIGITS} to {_ALL_DIGITS}")
    if is_hash and len(digits) >= _LEAST_DIGITS:
        is_name = not numbered and len(digits) < _ALL_DIGITS
        return Wanted(text, digits.lower(), text if is_name else "")
    if kind == "hg" and text.isdecimal():
        refuse(f"the number {text} means another commit in each clone", "write NUMBER:HASH, as hg log shows it")
    if ".." in text or "@{" in text or not _NAME.fullmatch(text):
        refuse(f"{text!r} is neither a hash nor a name")
    return Wanted(text, name=text)
