"""Mercurial: a clone without working files that only pulls, and trees exported from it.

Its configuration is :mod:`vmimage.repository.environment`'s: hg knows the address as ``default``.  Names are looked up in hg's own lists
and never given to it, for hg would compute them: ``249``, ``tip^``, ``max(all())`` are no names.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from vmimage.repository.programs import ProgramFailed, ask_program
from vmimage.system.address import public_address
from vmimage.system.aliases import Argv


class Mercurial:
    """Mercurial's answers about an address.

    :param address: checked
    :param environment: of :func:`vmimage.repository.environment.isolated_home`
    """

    NESTED = ".hgsub"

    def __init__(self, address: str, environment: Mapping[str, str]) -> None:
        self._environment, self._shown = environment, public_address(address)

    def _hg(
        self,
        clone: Path | None,
        words: Argv,
        ok: Collection[int] = (0,),
        doing: str = "",
        config: Iterable[str] = (),
    ) -> str:
        where: Argv = ["-R", clone] if clone else ["--cwd", self._environment["HOME"]]
        options = [word for setting in config for word in ("--config", setting)]
        argv = ["hg", *where, *options, *words]
        return ask_program(argv, self._environment, doing or f"{self._shown} cannot be fetched", ok)

    def probe(self) -> None:
        """Check that the server answers for this address."""
        self._hg(None, ["identify", "--id", "default"])

    def make(self, clone: Path) -> None:
        """Make a clone of all that the server has."""
        self._hg(None, ["init", clone])
        self._hg(clone, ["pull", "--quiet", "default"])

    def update(self, clone: Path, *, is_exact: bool = False) -> None:
        """Update the clone to exactly what the server has now; where a commit is asked by its hash, what is too much does no harm."""
        self._hg(clone, ["pull", "--quiet", "default"])
        if is_exact:
            return
        more = self._hg(
            clone, ["outgoing", "--quiet", "--limit", "1", "--template", "taken back: {node|short}\n", "default"], (0, 1)
        )
        if "taken back: " in more:  # a commit that its author took back must not be the tip of a branch here
            raise ProgramFailed(f"{self._shown} no longer has all that was fetched from it")

    def commits(self, clone: Path) -> dict[str, str]:
        """Every commit: its hash, and what hg calls it."""
        listed = self._hg(clone, ["log", "--rev", "all()", "--template", "{rev} {node}\n"], doing="the clone cannot be read")
        return {node: f"{number}:{node[:12]}" for number, node in re.findall(r"(?m)^([0-9]+) ([0-9a-f]{40})$", listed)}

    def find_name(self, clone: Path, name: str) -> str | None:
        """The commit of a bookmark, tag or branch (of a branch the tip), or None."""
        template = "{bookmarks % 'bookmark {node} {bookmark}\n'}{tags % 'tag {node} {tag}\n'}"
        words = ["log", "--rev", "bookmark() or tag() or tip", "--template", template]
        named = self._named(clone, words)
        return named.get(("bookmark", name)) or named.get(("tag", name)) or self._find_branch(clone, name)

    def find_latest(self, clone: Path) -> str | None:
        """The tip of the branch default, or None."""
        return self._find_branch(clone, "default")

    def _find_branch(self, clone: Path, name: str) -> str | None:
        words = ["branches", "--closed", "--template", "branch {node} {branch}\n"]
        return self._named(clone, words).get(("branch", name))

    def _named(self, clone: Path, words: Argv) -> dict[tuple[str, str], str]:
        listed = self._hg(clone, words, doing="the names in the clone cannot be read")
        return {(kind, name): node for kind, node, name in re.findall(r"(?m)^(\w+) ([0-9a-f]{40}) (.*)$", listed)}

    def export(self, clone: Path, node: str, target: Path, subrepositories: bool) -> str:
        """Write the files of a commit, with hg's subrepositories if they are wanted (never those of git and Subversion).

        :param node: the full hash
        :returns: the full hash of what was written: to hg ``id(HASH)`` is this commit or none
        """
        config = ["subrepos.allowed=true", "subrepos.hg:allowed=true"] if subrepositories else []
        words = ["archive", "--type", "files", "--rev", f"id({node})", *(["--subrepos"] if subrepositories else [])]
        self._hg(
            clone,
            [*words, str(target).replace("%", "%%")],
            doing=f"{self._shown} at {node[:12]} cannot be exported",
            config=config,
        )
        return node
