"""A variation that lives in a repository: fetched at one revision for all of a build, with settings of its own.

``ami.yaml`` in the repository holds settings, written as everywhere else; those of the minion weigh more.  It may tell what is
built, and nothing of the builder: not where things are on it, not who it is to a cloud, not what it runs outside of the root.
"""

import re
from dataclasses import replace

from vmimage.errors import RepositoryWrong
from vmimage.repository.checkout import fetch_repository
from vmimage.settings.schema import KEYS, PREFIX, keys_that
from vmimage.settings.strict_yaml import LIMIT_BYTES, name_place, read_document

FILE = "ami.yaml"
_MAY_SET = keys_that("repository_may_set")
#: of what would otherwise be a file of the builder
_NO_FILE = {
    "base": re.compile(r"(https?|salt)://.*|glance:.*"),
    "base_hash": re.compile(r"(https?|salt)://.*|(?i:(sha256|sha512)[:=])?[0-9A-Fa-f]+"),
}


def fetch_variation(settings, *, ask, say):
    """The files of the variation's revision.

    :param bool ask: the server for what is new; else what was last fetched will do
    :param say: takes a line for who watches
    :returns: :class:`vmimage.repository.checkout.Checkout`
    """
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


def pin_variation(settings, gather, *, ask, say):
    """Fetch the variation, hear its own settings, and keep to this revision from here on.

    :param gather: takes a list of sources that weigh less than all others, returns :class:`~vmimage.settings.schema.Settings`
    :returns: ``(settings, {key: value} of what the repository told or pinned)``
    :raises RepositoryWrong: naming the repository
    :raises SettingsWrong: naming the key in its ami.yaml
    """
    kind = settings.repository[0]
    checkout = fetch_variation(settings, ask=ask, say=say)
    told = read_own_settings(checkout)
    if told:
        settings = gather([_source(checkout, told)])
    pinned = {f"{kind}_rev_variation": checkout.node, "revision": checkout.revision}
    settings = replace(settings, **pinned)
    in_force = {key: getattr(settings, key) for key in (*told, *pinned)}
    return settings, {key: list(value) if isinstance(value, tuple) else value for key, value in in_force.items()}


def read_own_settings(checkout):
    """``{key: value}`` of the repository's ami.yaml; empty if there is none.

    :raises RepositoryWrong: if it is not YAML, or tells what is not its to tell
    """
    what = f"{FILE} of {checkout.address}"
    told, lines = read_document(_read(checkout.path / FILE, what), what, error=RepositoryWrong)
    if told is not None and not isinstance(told, dict):
        raise RepositoryWrong(f"{what} holds no settings", hint=f"write them as {PREFIX}.KEY: VALUE, or below {PREFIX}:")
    found = {}
    for name, value in (told or {}).items():
        prefix, dot, key = name.partition(".")
        below = {key: value} if dot else {} if value is None else value
        if prefix != PREFIX or not isinstance(below, dict):
            raise RepositoryWrong(f"{name_place(name, lines[name], what)} is no setting", hint=f"write {PREFIX}.KEY: VALUE")
        for key, one in below.items():
            path = f"{PREFIX}.{key}"
            _check_told(key, one, name_place(path, lines[path], what), found)
            found[key] = one
    return {key: value for key, value in found.items() if value is not None}


def _read(path, what):
    """The bytes of a file of the checkout, none where there is no such file."""
    if path.is_symlink() or path.is_dir():
        raise RepositoryWrong(f"{what} is a link or a directory", hint="let it be a file")
    try:
        with open(path, "rb") as file:
            return file.read(LIMIT_BYTES + 1)
    except FileNotFoundError:
        return b""


def _check_told(key, value, place, found):
    if key in found:
        raise RepositoryWrong(f"{place} stands twice, nested and flat", hint="keep one")
    if key in KEYS and key not in _MAY_SET:
        raise RepositoryWrong(f"{place} is the builder's to tell, not the repository's", hint="set it on the builder")
    if key in _NO_FILE and isinstance(value, str) and not _NO_FILE[key].fullmatch(value):
        hint = "give an address, https:// or salt://, or glance:NAME" if key == "base" else "give sha256:HEX, or an address"
        raise RepositoryWrong(f"{place} is a file of the builder", hint=hint)


def _source(checkout, told):
    return f"{FILE} of {checkout.address}", {PREFIX: told}, lambda key: told.get(key.removeprefix(f"{PREFIX}:"))
