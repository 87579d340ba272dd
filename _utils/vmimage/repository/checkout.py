"""Fetching a variation from a Mercurial or git repository, at exactly the revision that was asked.

CACHE/repositories/KIND-HASH/           a repository; HASH is of its address
    lock                                held by the process that fetches
    clone                               without working files; made aside and renamed, so it is whole or not there
    home                                of hg and git while they run
    trees/NODE, trees/NODE.digest       the files of one commit, neither .hg nor .git among them; never changed once there

The directory may be removed whenever no build runs.  The files are data: nothing of them is run here, and links stay links.
"""

import hashlib
import os
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, NoReturn

from vmimage.errors import RepositoryWrong
from vmimage.repository.address import Wanted, check_address, parse_revision
from vmimage.repository.environment import isolated_home
from vmimage.repository.git import Git
from vmimage.repository.mercurial import Mercurial
from vmimage.repository.programs import ProgramFailed, Unreached
from vmimage.system.address import public_address
from vmimage.system.aliases import Say, Sleep, StrPath
from vmimage.system.digest import METADATA, digest_of_tree
from vmimage.system.lock import locked
from vmimage.system.retry import retried
from vmimage.system.trees import entries_below, remove_entry, remove_tree

_PROGRAMS: dict[str, type[Mercurial] | type[Git]] = {"hg": Mercurial, "git": Git}


@dataclass(frozen=True)
class Checkout:
    """The files of one commit.

    :ivar path: of the files
    :ivar kind: hg or git
    :ivar address: of the repository, without secrets
    :ivar revision: what people read: hg's ``249:9ed741a55f17`` (the number is that of the local clone), 12 digits of git's
    :ivar node: the full hash
    :ivar asked: the revision as the user wrote it
    :ivar is_stale: whether the server could not be asked, so that a newer commit may be there
    """

    path: Path
    kind: str
    address: str
    revision: str
    node: str
    asked: str
    is_stale: bool


class _Commit(NamedTuple):
    """:ivar shown: the revision for people"""

    node: str
    shown: str


def fetch_repository(
    kind: str,
    address: str,
    revision: str,
    cache: StrPath,
    *,
    credentials: str = "",
    subrepositories: bool = False,
    stale: bool = False,
    ask: bool = True,
    is_new: bool = False,
    tries: int = 3,
    setting: str = "variation",
    say: Say = lambda line: None,
    sleep: Sleep = time.sleep,
) -> Checkout:
    """Bring the files of a revision onto this machine.

    :param kind: hg or git
    :param address: https, http, ssh or file, or an absolute path; without password
    :param revision: as :func:`vmimage.repository.address.parse_revision` takes it; empty for the latest
    :param cache: the directory ``repositories`` is made in it
    :param credentials: a directory as :mod:`vmimage.repository.environment` describes it
    :param subrepositories: fetch what the repository refers to, too: hg from hg, git from git
    :param stale: where the server cannot be asked, what was last fetched will do
    :param ask: the server for what is new; else what was last fetched will do, if it has the revision
    :param is_new: the revision is a commit that was not there before: it is fetched without a look at what was fetched
    :param tries: of each connection to the server
    :param setting: what the settings' names end with: ``ami.hg_address_variation``
    :raises RepositoryWrong: naming the setting, the repository or the revision
    """
    ending = f"_{setting}" if setting else ""
    check_address(kind, address, f"ami.{kind}_address{ending}")
    wanted = parse_revision(kind, revision, f"ami.{kind}_rev{ending}")
    place = Path(cache).absolute() / "repositories" / f"{kind}-{hashlib.sha256(address.encode()).hexdigest()[:16]}"
    shown = public_address(address)
    with locked(place / "lock", shown, wait=True, doing="fetched"):
        place.chmod(0o700)  # a variation may hold secrets
        with _swept(place), isolated_home(place / "home", address, credentials) as environment:
            fetching = _Fetching(_PROGRAMS[kind](address, environment), place, wanted, shown, subrepositories, say)
            path, commit, is_stale = fetching.fetch(stale, ask and (is_new or not wanted.is_exact), tries, sleep)
    return Checkout(path, kind, shown, commit.shown, commit.node, revision, is_stale)


@contextmanager
def _swept(place: Path) -> Iterator[None]:
    """Remove all that is half made at the end of the block: by this run, or by a run that was killed."""
    try:
        yield
    finally:
        for left in (*place.glob("*.partial-*"), *place.glob("trees/*.partial-*")):
            remove_tree(left, ignore_errors=True)


def _partial(path: Path) -> Path:
    """A directory to make something in, before it gets its name."""
    path.parent.mkdir(exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=f"{path.name}.partial-", dir=path.parent))


@dataclass
class _Fetching:
    """A call of :func:`fetch_repository`, in the directory of its repository."""

    program: Mercurial | Git
    place: Path
    wanted: Wanted
    shown: str
    subrepositories: bool
    say: Say

    @property
    def clone(self) -> Path:
        return self.place / "clone"

    def fetch(self, stale: bool, asks_first: bool, tries: int, sleep: Sleep) -> tuple[Path, _Commit, bool]:
        """``(path, commit, is stale)`` of what is wanted."""
        found, is_stale = None if asks_first else self._find_fetched(), False
        if not found:
            try:
                retried(self._refresh, Unreached, tries=tries, say=self.say, sleep=sleep)
            except ProgramFailed as trouble:
                found, is_stale = self._find_fetched() if stale else None, True
                if not found:
                    raise
                self.say(f"{trouble.message.splitlines()[0]}; taking what was last fetched, {found.shown}")
        try:
            found = found or self._find()
            path = self._export(found.node)
        except ProgramFailed as trouble:  # what is in the cache is damaged
            if is_stale:
                raise
            self.say(f"{trouble.message.splitlines()[0]}; cloning again")
            self._replace_clone()
            found = self._find()
            path = self._export(found.node)
        return path, found, is_stale

    def _refresh(self) -> None:
        """Make the clone agree with the server."""
        if self.clone.exists():
            try:
                self.program.update(self.clone, is_exact=self.wanted.is_exact)
                return
            except ProgramFailed as trouble:
                self.program.probe()  # where it answers, it is the clone, or another repository is there now
                self.say(f"{trouble.message.splitlines()[0]}; cloning again")
        self._replace_clone()

    def _replace_clone(self) -> None:
        partial = _partial(self.clone)
        self.program.make(partial)
        self._replace(partial, self.clone)

    def _replace(self, partial: Path, path: Path) -> None:
        """Give what was made aside its name; what had the name before is removed at the end."""
        if os.path.lexists(path):
            path.rename(_partial(path) / "old")
        partial.rename(path)

    def _find_fetched(self) -> _Commit | None:
        """What is wanted, if the clone has it already, or None."""
        try:
            return self._find() if self.clone.exists() else None
        except RepositoryWrong:
            return None

    def _find(self) -> _Commit:
        """The commit that is wanted."""
        commits, wanted = self.program.commits(self.clone), self.wanted
        nodes = [node for node in commits if wanted.digits and node.startswith(wanted.digits)]
        if len(nodes) > 1:
            raise RepositoryWrong(
                f"{len(nodes)} commits of {self.shown} begin with {wanted.digits}",
                hint=f"give more digits: {', '.join(nodes[:3])}",
            )
        node = nodes[0] if nodes else None
        if node is None and wanted.name:
            node = self.program.find_name(self.clone, wanted.name)
        if wanted.is_latest:
            node = self.program.find_latest(self.clone)
        if node is None or node not in commits:
            self._refuse_missing(commits)
        return _Commit(node, commits[node])

    def _refuse_missing(self, commits: Collection[str]) -> NoReturn:
        if not commits:
            raise RepositoryWrong(f"{self.shown} is empty", hint="commit and push the variation")
        if self.wanted.is_latest:
            raise RepositoryWrong(f"{self.shown} does not say what is its latest", hint="name a branch")
        raise RepositoryWrong(
            f"{self.shown} has no revision {self.wanted.text}", hint="push it, or correct it: a hash of 7 to 40 digits, or a name"
        )

    def _export(self, node: str) -> Path:
        """The path of a commit's files."""
        target = self.place / "trees" / (f"{node}-subrepositories" if self.subrepositories else node)
        digest = target.with_name(f"{target.name}.digest")
        if not _is_unchanged(target, digest):
            if os.path.lexists(target):
                self.say(f"{target} is no longer what was fetched: it is made again")
            partial = _partial(target)
            exported = self.program.export(self.clone, node, partial, self.subrepositories)
            if exported != node:
                raise RepositoryWrong(f"{self.shown} gave {exported} where {node} was asked", hint="do not use this repository")
            _remove_metadata(partial)
            partial.chmod(0o755)
            digest.write_text(digest_of_tree(partial), encoding="ascii")
            self._replace(partial, target)
        if not self.subrepositories and (target / self.program.NESTED).is_file():
            self.say(f"{self.shown} refers to further repositories in {self.program.NESTED}; they are left out")
        return target


def _is_unchanged(target: Path, digest: Path) -> bool:
    if not digest.is_file() or not target.is_dir() or target.is_symlink():
        return False
    return digest.read_bytes() == digest_of_tree(target).encode()


def _remove_metadata(top: Path) -> None:
    """Neither hg nor git may take the files for a repository: its configuration could name commands."""
    for entry in entries_below(top, enters=lambda entry: entry.name not in METADATA):
        if entry.name in METADATA:
            remove_entry(entry.path)
