"""Fetching a variation from a Mercurial or git repository, at exactly the revision that was asked.

CACHE/repositories/KIND-HASH/           one repository; HASH is of its address
    lock                                who fetches
    clone                               without working files; made aside and renamed, so it is whole or not there
    home                                of hg and git while they run
    trees/NODE, trees/NODE.digest       the files of one commit, neither .hg nor .git among them; never changed once there

The directory may be removed whenever no build runs.  The files are data: nothing of them is run here, and links stay links.
"""

import hashlib
import os
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vmimage.errors import RepositoryWrong
from vmimage.repository.address import check_address, parse_revision
from vmimage.repository.environment import furnished_home
from vmimage.repository.git import Git
from vmimage.repository.mercurial import Mercurial
from vmimage.repository.programs import ProgramFailed
from vmimage.system.address import public_address
from vmimage.system.digest import METADATA, digest_of_tree
from vmimage.system.lock import locked
from vmimage.system.retry import retried
from vmimage.system.trees import entries_below, remove_entry, remove_tree

_PROGRAMS = {"hg": Mercurial, "git": Git}


@dataclass(frozen=True)
class Checkout:
    """The files of one commit.

    :ivar Path path: of the files
    :ivar str kind: hg or git
    :ivar str address: of the repository, as it may be told to everybody
    :ivar str revision: what people read: hg's ``249:9ed741a55f17`` (the number is that of our clone), 12 digits of git's
    :ivar str node: the full hash
    :ivar str asked: the revision as the user wrote it
    :ivar bool is_stale: whether the server could not be asked, so that a newer commit may be there
    """

    path: Path
    kind: str
    address: str
    revision: str
    node: str
    asked: str
    is_stale: bool


def fetch_repository(
    kind,
    address,
    revision,
    cache,
    *,
    credentials="",
    subrepositories=False,
    stale=False,
    ask=True,
    tries=3,
    setting="variation",
    say=lambda line: None,
    sleep=time.sleep,
):
    """Bring the files of a revision onto this machine.

    :param str kind: hg or git
    :param str address: https, http, ssh or file, or an absolute path; without password
    :param str revision: as :func:`vmimage.repository.address.parse_revision` takes it; empty for the latest
    :param Path cache: the directory ``repositories`` is made in it
    :param str credentials: a directory as :mod:`vmimage.repository.environment` describes it
    :param bool subrepositories: fetch what the repository refers to, too: hg from hg, git from git
    :param bool stale: where the server cannot be asked, what it said the last time will do
    :param bool ask: the server for what is new; else what was last fetched will do, if it has the revision
    :param int tries: for the line to the server
    :param str setting: what the settings' names end with: ``ami.hg_address_variation``
    :param say: takes a line for who watches
    :returns: :class:`Checkout`
    :raises RepositoryWrong: naming the setting, the repository or the revision
    """
    ending = f"_{setting}" if setting else ""
    check_address(kind, address, f"ami.{kind}_address{ending}")
    wanted = parse_revision(kind, revision, f"ami.{kind}_rev{ending}")
    place = Path(cache).absolute() / "repositories" / f"{kind}-{hashlib.sha256(address.encode()).hexdigest()[:16]}"
    shown = public_address(address)
    with locked(place / "lock", shown, wait=True, doing="fetched"):
        place.chmod(0o700)  # a variation may hold secrets
        with _swept(place), furnished_home(place / "home", address, credentials) as environment:
            fetching = _Fetching(_PROGRAMS[kind](address, environment), place, wanted, shown, subrepositories, say)
            path, node, revision_shown, is_stale = fetching.fetch(stale, ask, tries, sleep)
    return Checkout(path, kind, shown, revision_shown, node, revision, is_stale)


@contextmanager
def _swept(place):
    """At the end all that is half made is removed: what we leave, and what a run left that was killed."""
    try:
        yield
    finally:
        for left in (*place.glob("*.partial-*"), *place.glob("trees/*.partial-*")):
            remove_tree(left, ignore_errors=True)


def _partial(path):
    """A directory to make something in, before it gets its name."""
    path.parent.mkdir(exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=f"{path.name}.partial-", dir=path.parent))


@dataclass
class _Fetching:
    """One call, in its own place."""

    program: object
    place: Path
    wanted: object
    shown: str
    subrepositories: bool
    say: object

    @property
    def clone(self):
        return self.place / "clone"

    def fetch(self, stale, ask, tries, sleep):
        """``(path, node, shown revision, is stale)`` of what is wanted."""
        found, is_stale = self._find_fetched() if self.wanted.is_exact or not ask else None, False
        if not found:
            try:
                retried(self._refresh, ProgramFailed, tries=tries, say=self.say, sleep=sleep)
            except ProgramFailed as trouble:
                found, is_stale = self._find_fetched() if stale else None, True
                if not found:
                    raise
                self.say(f"{trouble.message.splitlines()[0]}; taking what was last fetched, {found[1]}")
        try:
            found = found or self._find()
            path = self._export(found[0])
        except ProgramFailed as trouble:  # what is in the cache is damaged
            if is_stale:
                raise
            self.say(f"{trouble.message.splitlines()[0]}; cloning anew")
            self._clone_anew()
            found = self._find()
            path = self._export(found[0])
        return path, *found, is_stale

    def _refresh(self):
        """See the clone agree with the server."""
        if self.clone.exists():
            try:
                return self.program.update(self.clone)
            except ProgramFailed as trouble:
                self.program.probe()  # where it answers, it is the clone, or another repository is there now
                self.say(f"{trouble.message.splitlines()[0]}; cloning anew")
        self._clone_anew()

    def _clone_anew(self):
        partial = _partial(self.clone)
        self.program.make(partial)
        self._replace(partial, self.clone)

    def _replace(self, partial, path):
        """What was made aside gets its name; what had it before goes."""
        if os.path.lexists(path):
            path.rename(_partial(path) / "old")
        partial.rename(path)

    def _find_fetched(self):
        """What is wanted, if it is in the clone as it lies here, or None."""
        try:
            return self._find() if self.clone.exists() else None
        except RepositoryWrong:
            return None

    def _find(self):
        """``(node, shown revision)`` of what is wanted."""
        commits, wanted = self.program.commits(self.clone), self.wanted
        nodes = [node for node in commits if wanted.digits and node.startswith(wanted.digits)]
        if len(nodes) > 1:
            raise RepositoryWrong(
                f"{len(nodes)} commits of {self.shown} begin with {wanted.digits}",
                hint=f"give more digits: {', '.join(nodes[:3])}",
            )
        if not nodes and wanted.name:
            nodes = [self.program.find_name(self.clone, wanted.name)]
        if wanted.is_latest:
            nodes = [self.program.find_latest(self.clone)]
        if not nodes or nodes[0] not in commits:
            self._refuse_missing(commits)
        return nodes[0], commits[nodes[0]]

    def _refuse_missing(self, commits):
        if not commits:
            raise RepositoryWrong(f"{self.shown} is empty", hint="commit and push the variation")
        if self.wanted.is_latest:
            raise RepositoryWrong(f"{self.shown} does not say what is its latest", hint="name a branch")
        raise RepositoryWrong(
            f"{self.shown} has no revision {self.wanted.text}", hint="push it, or correct it: a hash of 7 to 40 digits, or a name"
        )

    def _export(self, node):
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


def _is_unchanged(target, digest):
    if not digest.is_file() or not target.is_dir() or target.is_symlink():
        return False
    return digest.read_bytes() == digest_of_tree(target).encode()


def _remove_metadata(top):
    """Neither hg nor git shall take the files for a repository: its configuration could name commands."""
    for entry in entries_below(top, enters=lambda entry: entry.name not in METADATA):
        if entry.name in METADATA:
            remove_entry(entry.path)
