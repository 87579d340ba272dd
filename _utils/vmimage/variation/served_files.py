"""Files that Salt's file server offers, as they lie there: its cache has no modes, links and empty directories, and keeps what is gone."""

import os
import stat
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

#: directories that hold no states, and would take minutes to copy file by file
IGNORED = {".git", ".hg", ".venv", "__pycache__"}


class FileClient(Protocol):
    """What is needed of Salt's own."""

    def file_list(self, saltenv: str, prefix: str) -> list[str]:
        """The names of all files that begin so, those behind links, too."""

    def dir_list(self, saltenv: str, prefix: str) -> list[str]:
        """The names of all directories that begin so."""

    def symlink_list(self, saltenv: str, prefix: str) -> Mapping[str, str]:
        """Where links lead."""

    def cache_files(self, paths: Iterable[str], saltenv: str) -> object:
        """Fetch files into the cache where they are not as there."""

    def hash_and_stat_file(self, path: str, saltenv: str) -> tuple[object, Sequence[int] | None]:
        """The digest and the status of a file; no status from some servers."""


def fetch_tree(client: FileClient, top: Path, environment: str, below: str = "") -> Path:
    """Let a directory of Salt's cache hold what is served below a name.

    :param top: where Salt caches the environment
    :param below: a directory in it; all of it where this is empty
    :returns: the directory; missing where nothing is served
    """
    names, directories = (
        {name for name in listed(environment, below) if _is_wanted(name, below)} for listed in (client.file_list, client.dir_list)
    )
    served = client.symlink_list(environment, below)
    links = {name: target for name, target in served.items() if name in names and _leads_to(name, target) in names}
    _remove_others(top, top / below, names, links)
    client.cache_files([f"salt://{name}" for name in sorted(names)], environment)
    for name in directories:
        (top / name).mkdir(parents=True, exist_ok=True)
    for name in sorted(names - links.keys()):
        _give_mode(top / name, client.hash_and_stat_file(f"salt://{name}", environment)[1])
    for name, target in links.items():
        _make_link(top / name, target)
    return top / below


def _is_wanted(name: str, below: str) -> bool:
    return f"{name}/".startswith(f"{below}/" if below else "") and not IGNORED & set(name.split("/"))


def _leads_to(name: str, target: str) -> str:
    """The name that a link leads to; of one that leads elsewhere, the file is there in its place."""
    return os.path.normpath(os.path.join(os.path.dirname(name), target))


def _remove_others(top: Path, below: Path, names: Collection[str], links: Mapping[str, str]) -> None:
    """Remove what is served no longer, and links that lead elsewhere by now: Salt would write to what they lead to."""
    for directory, inner, files in os.walk(below, topdown=False):
        for path in (Path(directory, name) for name in (*files, *inner)):
            name = os.fspath(path.relative_to(top))
            if IGNORED & set(name.split("/")):
                continue
            if path.is_symlink() and links.get(name) != os.readlink(path) or not path.is_dir() and name not in names:
                path.unlink()
            elif path.is_dir() and not path.is_symlink():
                with suppress(OSError):  # it is not empty
                    path.rmdir()


def _give_mode(path: Path, status: Sequence[int] | None) -> None:
    if status is None or not path.is_file():
        return
    mode = stat.S_IMODE(status[0])
    if stat.S_IMODE(path.stat().st_mode) != mode:
        path.chmod(mode)


def _make_link(path: Path, target: str) -> None:
    if path.is_symlink():
        return
    new = path.with_name(f".{path.name}.link")
    new.unlink(missing_ok=True)
    new.symlink_to(target)
    new.replace(path)
