"""A forge's call after a push: who has signed it, and which repository it is about.

Salt's engine ``webhook`` answers everybody and puts each call on the master's bus. The reactor asks :func:`accept_call` before anything else is
begun, in its own process: a call that is refused starts no runner, and neither its body nor its headers reach Salt's cache of jobs.

No error repeats what a call has brought: a header may be the secret itself.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

from vmimage.errors import HookRefused, SettingsWrong

#: of a body; a push of thousands of commits has some hundred KiB
LIMIT_BYTES = 1 << 20
_LEAST_SECRET = 16  # characters
_REMEMBERED = 1000  # calls
#: the header of each forge, and how it writes the HMAC-SHA256 of the body; Forgejo sends those of the others, too
_HMAC = {
    "x-hub-signature-256": "sha256=",  # GitHub
    "x-forgejo-signature": "",
    "x-gitea-signature": "",
}
_TOKEN = "x-gitlab-token"  # the secret itself
#: where forges say what has happened, and what of it may have moved a revision, or shows that the hook works; a call that does not say it may have
_EVENT = ("x-github-event", "x-gitlab-event", "x-forgejo-event", "x-gitea-event")
_MEANT = ("push", "tag_push", "create", "delete", "ping", "Push Hook", "Tag Push Hook")
_SYSTEM = "System Hook"  # GitLab's own, of all repositories: the body says what has happened
#: of a form: GitHub's default, and a choice in Gitea and Forgejo
_FORM = b"payload="
#: where a body has the addresses that a repository is fetched from. Not those of its home page or of what it mirrors: its owner writes them
_REPOSITORY, _ADDRESSES = ("repository", "project"), ("clone_url", "ssh_url", "git_http_url", "git_ssh_url")
_SCP = re.compile(r"(?:([\w.-]+)@)?([\w.-]+):(?!//)(.+)")
_PORTS = {"https": "443", "http": "80", "ssh": "22"}


@dataclass(frozen=True)
class Accepted:
    """A call that a holder of the secret has made.

    :ivar repositories: their names in ``ami_fleet``
    :ivar digest: of the payload, by which a second call with it is known
    """

    repositories: tuple[str, ...]
    digest: str


def read_secrets(hooks: Mapping[str, Any]) -> tuple[str, ...]:
    """The shared secrets of ``ami_fleet.hooks``; several while an old secret is replaced.

    :raises SettingsWrong: naming the key, never the secret
    """
    unknown = [key for key in hooks if key != "secret"]
    if unknown:
        raise SettingsWrong(f"ami_fleet.hooks has no key {unknown[0]}", hint="it has: secret")
    given = hooks.get("secret", [])
    secrets = (given,) if isinstance(given, str) else tuple(given) if isinstance(given, list) else (None,)
    if not all(isinstance(secret, str) and len(secret) >= _LEAST_SECRET for secret in secrets):
        raise SettingsWrong(
            f"ami_fleet.hooks.secret is no text, or list of texts, of {_LEAST_SECRET} characters at least",
            hint="openssl rand -hex 32 makes a secret",
        )
    return secrets


def accept_call(body: object, headers: object, secrets: Sequence[str], addresses: Mapping[str, str]) -> Accepted:
    """Check a call.

    :param body: bytes, as they came
    :param headers: their names in any case
    :param secrets: of :func:`read_secrets`
    :param addresses: of the repositories, by their names in ``ami_fleet``
    :raises HookRefused: it is not signed, wrongly signed, too large, about no push, or about none of the repositories
    """
    if not isinstance(body, bytes) or not isinstance(headers, Mapping):
        raise HookRefused("this is no call of a forge, or larger than the master's max_event_size")
    if len(body) > LIMIT_BYTES:
        raise HookRefused(f"a body of {len(body)} bytes, more than {LIMIT_BYTES}")
    if not secrets:
        raise HookRefused("no secret is configured, so that nobody can sign", hint="set ami_fleet.hooks.secret")
    known, payload = {str(key).lower(): str(value) for key, value in headers.items()}, _payload_of(body)
    _check_signatures(body, payload, known, secrets)
    data = _read(payload)
    _check_event(known, data)
    named = {normal_address(address) for address in _addresses_of(data)}
    found = tuple(sorted(name for name, address in addresses.items() if normal_address(address) in named))
    if not found:
        raise HookRefused("signed, and about no repository of ami_fleet", hint="compare the addresses, letter by letter")
    return Accepted(found, hashlib.sha256(payload).hexdigest())


def _payload_of(body: bytes) -> bytes:
    """The JSON of a call.  A form has it in its only field: what has been signed as JSON is never read as a form, whatever the headers say."""
    if not body.startswith(_FORM):
        return body
    if b"&" in body:
        raise HookRefused("a form with more than a payload")
    return unquote_to_bytes(body.removeprefix(_FORM).replace(b"+", b" "))


def _check_signatures(body: bytes, payload: bytes, headers: Mapping[str, str], secrets: Sequence[str]) -> None:
    """Each signature that there is must be good: one that is good by chance or by mistake does not cover for a wrong one.

    Of a form GitHub signs the body, Gitea and Forgejo sign the payload.
    """
    keys = [secret.encode() for secret in secrets]
    wanted = [hmac.new(key, signed, hashlib.sha256).hexdigest().encode() for key in keys for signed in {body, payload}]
    judged = []
    for header, prefix in _HMAC.items():
        if header in headers:
            judged.append(_is_any(_bytes(headers[header]), [prefix.encode() + digest for digest in wanted]))
    if _TOKEN in headers:
        judged.append(_is_any(_bytes(headers[_TOKEN]), keys))
    if not judged:
        raise HookRefused("not signed", hint="give the forge the secret of ami_fleet.hooks")
    if not all(judged):
        raise HookRefused("signed by another secret, or changed on its way")


def _bytes(header: str) -> bytes:
    return header.encode(errors="backslashreplace")


def _is_any(given: bytes, wanted: Sequence[bytes]) -> bool:
    """Whether it is one of these; each is compared to its end, so that the time says nothing."""
    return any([hmac.compare_digest(given, one) for one in wanted])


def _check_event(headers: Mapping[str, str], data: Any) -> None:
    """Refuse what moves no revision, such as a comment, by its name; a name that looks like none is not repeated."""
    for event in (headers[header] for header in _EVENT if header in headers):
        name = str(data.get("event_name")) if event == _SYSTEM and isinstance(data, dict) else event
        if name not in _MEANT:
            shown = name if re.fullmatch(r"[A-Za-z_ ]{1,40}", name) else "of another kind"
            raise HookRefused(f"signed, and no push: the event {shown}", hint="let the forge send pushes and tags alone")


def _read(payload: bytes) -> Any:  # JSON
    try:
        return json.loads(payload)
    except (ValueError, RecursionError):
        raise HookRefused("signed, and no JSON", hint="let the forge send application/json") from None


def _addresses_of(data: Any) -> list[str]:
    holders = [data.get(key) for key in _REPOSITORY] if isinstance(data, dict) else []
    found = [holder.get(key) for holder in holders if isinstance(holder, dict) for key in _ADDRESSES]
    return [address for address in found if isinstance(address, str)]


def is_new(digest: str, seen: Sequence[Sequence[Any]], at: float) -> tuple[bool, list[list[Any]]]:
    """Whether a call came for the first time, and what is to be remembered.

    :param seen: what was remembered before: digest and time of each call, the newest last
    :param at: seconds since 1970
    """
    if any(digest == known for known, _ in seen):
        return False, [list(call) for call in seen]
    return True, [*map(list, seen), [digest, at]][-_REMEMBERED:]


def normal_address(address: str) -> str:
    """An address as it is compared: case of scheme and host, a usual port, ``.git`` and a slash at the end do not count; all else does.

    ``git@host:path`` is ``ssh://git@host/path``; a path on this machine is itself.
    """
    scheme, separator, rest = address.partition("://")
    if not separator:
        found = _SCP.fullmatch(address)
        if not found or address.startswith("/"):
            return _normal_path(address)
        user, host, path = found.groups()
        scheme, rest = "ssh", f"{user + '@' if user else ''}{host}/{path.lstrip('/')}"
    authority, _, path = rest.partition("/")
    user, at, host = authority.rpartition("@")
    scheme, host = scheme.lower(), host.lower()
    if scheme in _PORTS:
        host = host.removesuffix(f":{_PORTS[scheme]}")
    return _normal_path(f"/{path}") if scheme == "file" and not host else f"{scheme}://{user}{at}{host}{_normal_path(f'/{path}')}"


def _normal_path(path: str) -> str:
    return unquote(path).rstrip("/").removesuffix(".git").rstrip("/")
