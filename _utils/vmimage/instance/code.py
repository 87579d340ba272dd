"""The code of this project that a builder runs: the code it was made with, or a revision from a repository.

HOME/project                the code it was made with
HOME/current                a link to that, or to the files of a revision; Salt and the run of the builder use this path
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vmimage import delivery
from vmimage.errors import RepositoryWrong
from vmimage.repository.checkout import fetch_repository
from vmimage.system.aliases import Say

_RUN = "_utils/vmimage/builder.py"


#: the code that this process runs
RUNNING = delivery.TOP


def reset_code(home: Path, say: Say, running: Path = RUNNING) -> None:
    """Begin with the code that the builder was made with: fetched code that cannot run must not keep the next run from other code."""
    if running == (home / "project").resolve():
        _point(home, home / "project", say)


def switch_code(settings: Mapping[str, Any], home: Path, say: Say, running: Path = RUNNING) -> bool:
    """Let HOME/current point to the code that the settings ask for.

    :param settings: all settings in force
    :param running: the code of this process
    :returns: whether this process runs other code than that
    :raises RepositoryWrong: if the revision cannot be had, or is not this project
    """
    wanted = _wanted(settings, home, say)
    if wanted is None:
        return False
    _point(home, wanted, say)
    return running != wanted.resolve()


def _point(home: Path, wanted: Path, say: Say) -> None:
    current = home / "current"
    if os.path.realpath(current) == os.path.realpath(wanted):
        return
    home.mkdir(parents=True, exist_ok=True)
    partial = home / "current.partial"
    partial.unlink(missing_ok=True)
    partial.symlink_to(wanted)
    os.replace(partial, current)
    say(f"code: {wanted}")


def _wanted(settings: Mapping[str, Any], home: Path, say: Say) -> Path | None:
    """The directory of the code, or None where there is no choice: this machine is no builder that our states made."""
    for kind in ("hg", "git"):
        if settings[f"{kind}_address"]:
            return _fetched(kind, settings, say)
    project = home / "project"
    return project if project.is_dir() else None


def _fetched(kind: str, settings: Mapping[str, Any], say: Say) -> Path:
    checkout = fetch_repository(
        kind,
        settings[f"{kind}_address"],
        settings[f"{kind}_rev"],
        Path(settings["cache"]),
        credentials=settings["repository_credentials"],
        stale=settings["repository_stale"],
        tries=settings["tries"],
        setting="",
        say=say,
    )
    if not (checkout.path / _RUN).is_file():
        raise RepositoryWrong(
            f"{checkout.address} at {checkout.revision} is not this project: there is no {_RUN}",
            hint=f"correct ami.{kind}_address",
        )
    say(f"code: {checkout.address} at {checkout.revision}")
    return checkout.path
