"""Which commit a repository has for a revision now: asked of its server, nothing fetched."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from vmimage.errors import RepositoryWrong
from vmimage.repository.address import Wanted, check_address, parse_revision
from vmimage.repository.environment import isolated_home
from vmimage.repository.programs import ask_program
from vmimage.system.address import public_address
from vmimage.system.aliases import StrPath
from vmimage.system.lock import locked


def ask_commit(kind: str, address: str, revision: str, cache: StrPath, *, credentials: str = "", key: str = "") -> str:
    """The full hash of the commit.

    :param kind: hg or git
    :param revision: as :func:`vmimage.repository.address.parse_revision` takes it; empty for the latest
    :param cache: as of :func:`vmimage.repository.checkout.fetch_repository`
    :param key: of the settings, for messages
    :raises RepositoryWrong: the server cannot be asked, or has no such revision
    """
    check_address(kind, address, key)
    wanted, shown = parse_revision(kind, revision, key), public_address(address)
    if wanted.is_exact:
        return wanted.digits
    place = Path(cache).absolute() / "repositories" / f"{kind}-{hashlib.sha256(address.encode()).hexdigest()[:16]}"
    with locked(place / "lock", shown, wait=True, doing="asked"):
        place.chmod(0o700)
        with isolated_home(place / "home", address, credentials) as environment:
            found = (_ask_hg if kind == "hg" else _ask_git)(address, wanted, environment)
    if not found:
        raise RepositoryWrong(
            f"{shown} has no revision {revision or 'that is its latest'}", hint="push it, or correct the revision"
        )
    return found


def _ask_hg(address: str, wanted: Wanted, environment: Mapping[str, str]) -> str | None:
    """hg looks a hash or a name up by itself; whatever would make it compute was refused."""
    argv = [
        "hg",
        "--cwd",
        environment["HOME"],
        "identify",
        "--debug",
        "--id",
        "--rev",
        wanted.name or wanted.digits or "default",
        "default",
    ]
    said = ask_program(argv, environment, f"{public_address(address)} cannot be asked")
    found = re.search(r"(?m)^([0-9a-f]{40})$", said)
    return found[1] if found and found[1].strip("0") else None


def _ask_git(address: str, wanted: Wanted, environment: Mapping[str, str]) -> str | None:
    names = [f"refs/heads/{wanted.name}", f"refs/tags/{wanted.name}"] if wanted.name else ["HEAD"]
    argv = ["git", "-C", environment["HOME"], "ls-remote", "--", address]
    listed = dict(
        (name, node)
        for node, name in re.findall(
            r"(?m)^([0-9a-f]{40})\t(\S+)$", ask_program(argv, environment, f"{public_address(address)} cannot be asked")
        )
    )
    if wanted.digits:
        tips = {node for node in listed.values() if node.startswith(wanted.digits)}
        if len(tips) == 1:
            return tips.pop()
    # of a tag with a message the commit that it names
    return next((listed[name] for ref in names for name in (f"{ref}^{{}}", ref) if name in listed), None)
