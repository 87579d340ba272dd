"""A variation that lives in a repository: fetched at the same revision for all of a build, with settings of its own.

``ami.yaml`` in the repository holds settings, written as everywhere else; those of the minion weigh more.  It may say what is
built, and nothing of the builder: not where things are on it, not its credentials for a cloud, not what it runs outside of the root.
"""

import re
from collections.abc import Callable, Container, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from vmimage.errors import RepositoryWrong
from vmimage.repository.checkout import Checkout, fetch_repository
from vmimage.settings.schema import KEYS, PREFIX, Settings, keys_that
from vmimage.settings.strict_yaml import LIMIT_BYTES, name_place, read_document
from vmimage.system.aliases import Say

#: of :mod:`vmimage.settings.lookup`: a name, and what is looked up there
Source = tuple[str, Mapping[str, Any], Callable[[str], Any]]

FILE = "ami.yaml"
_MAY_SET = keys_that("repository_may_set")
#: of what would otherwise be a file of the builder
_NO_FILE = {
    "base": re.compile(r"(https?|salt)://.*|glance:.*"),
    "base_hash": re.compile(r"(https?|salt)://.*|(?i:(sha256|sha512)[:=])?[0-9A-Fa-f]+"),
}


def fetch_variation(settings: Settings, *, ask: bool, say: Say) -> Checkout:
    """The files of the variation's revision.

    :param ask: the server for what is new; else what was last fetched will do
    :param say: takes a line for the observers
    """
    assert settings.repository is not None
    kind, address, revision = settings.repository
    return fetch_repository(
        kind,
        address,
        revision,
        settings.cache,
        credentials=settings.repository_credentials,
        subrepositories=settings.repository_subrepositories,
        stale=settings.repository_stale,
        ask=ask,
        tries=settings.tries,
        say=say,
    )


def pin_variation(
    settings: Settings, gather: Callable[[list[Source]], Settings], *, ask: bool, say: Say
) -> tuple[Settings, dict[str, Any]]:
    """Fetch the variation, read its own settings, and keep to this revision from here on.

    :param gather: looks settings up in all sources; those that it takes are overridden by all others
    :returns: ``(settings, {key: value} of what the repository set or pinned)``
    :raises RepositoryWrong: naming the repository
    :raises SettingsWrong: naming the key in its ami.yaml
    """
    checkout = fetch_variation(settings, ask=ask, say=say)
    kind = checkout.kind
    own = read_own_settings(checkout)
    if own:
        settings = gather([_source(checkout, own)])
    pinned: dict[str, Any] = {f"{kind}_rev_variation": checkout.node, "revision": checkout.revision}
    settings = replace(settings, **pinned)
    in_force = {key: getattr(settings, key) for key in (*own, *pinned)}
    return settings, {key: list(value) if isinstance(value, tuple) else value for key, value in in_force.items()}


def read_own_settings(checkout: Checkout) -> dict[str, Any]:
    """``{key: value}`` of the repository's ami.yaml; empty if there is none.

    :raises RepositoryWrong: if it is not YAML, or sets what only the builder may set
    """
    what = f"{FILE} of {checkout.address}"
    document, lines = read_document(_read(checkout.path / FILE, what), what, error=RepositoryWrong)
    if document is not None and not isinstance(document, dict):
        raise RepositoryWrong(f"{what} holds no settings", hint=f"write them as {PREFIX}.KEY: VALUE, or below {PREFIX}:")
    found: dict[str, Any] = {}
    for name, value in (document or {}).items():
        prefix, dot, key = name.partition(".")
        below = {key: value} if dot else {} if value is None else value
        if prefix != PREFIX or not isinstance(below, dict):
            raise RepositoryWrong(f"{name_place(name, lines[name], what)} is no setting", hint=f"write {PREFIX}.KEY: VALUE")
        for key, setting in below.items():
            path = f"{PREFIX}.{key}"
            _check_allowed(key, setting, name_place(path, lines[path], what), found)
            found[key] = setting
    return {key: value for key, value in found.items() if value is not None}


def _read(path: Path, what: str) -> bytes:
    """The bytes of a file of the checkout, none where there is no such file."""
    if path.is_symlink() or path.is_dir():
        raise RepositoryWrong(f"{what} is a link or a directory", hint="let it be a file")
    try:
        with open(path, "rb") as file:
            return file.read(LIMIT_BYTES + 1)
    except FileNotFoundError:
        return b""


def _check_allowed(key: str, value: object, place: str, found: Container[str]) -> None:
    if key in found:
        raise RepositoryWrong(f"{place} stands twice, nested and flat", hint="keep one")
    if key in KEYS and key not in _MAY_SET:
        raise RepositoryWrong(f"{place} cannot be set by the repository", hint="set it on the builder")
    if key in _NO_FILE and isinstance(value, str) and not _NO_FILE[key].fullmatch(value):
        hint = "give an address, https:// or salt://, or glance:NAME" if key == "base" else "give sha256:HEX, or an address"
        raise RepositoryWrong(f"{place} is a file of the builder", hint=hint)


def _source(checkout: Checkout, own: Mapping[str, Any]) -> Source:
    return f"{FILE} of {checkout.address}", {PREFIX: own}, lambda key: own.get(key.removeprefix(f"{PREFIX}:"))
