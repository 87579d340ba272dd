"""Mercurial: a clone without working files that only pulls, and trees exported from it.

Its configuration is :mod:`vmimage.repository.environment`'s: hg knows the address as ``default``.  Names are looked up in hg's own lists
and never given to it, for hg would compute them: ``249``, ``tip^``, ``max(all())`` are no names.
"""

import re

from vmimage.repository.programs import ProgramFailed, ask_program
from vmimage.system.address import public_address


class Mercurial:
    """Mercurial's answers about one address.

    :param str address: checked
    :param dict environment: of :func:`vmimage.repository.environment.furnished_home`
    """

    NESTED = ".hgsub"

    def __init__(self, address, environment):
        self._environment, self._shown = environment, public_address(address)

    def _hg(self, clone, words, ok=(0,), doing="", config=()):
        where = ["-R", clone] if clone else ["--cwd", self._environment["HOME"]]
        options = [word for one in config for word in ("--config", one)]
        argv = ["hg", *where, *options, *words]
        return ask_program(argv, self._environment, doing or f"{self._shown} cannot be fetched", ok)

    def probe(self):
        """See that the server answers for this address."""
        self._hg(None, ["identify", "--id", "default"])

    def make(self, clone):
        """A clone of all that the server has."""
        self._hg(None, ["init", clone])
        self._hg(clone, ["pull", "--quiet", "default"])

    def update(self, clone):
        """Bring the clone to what the server has now: no less, and no more."""
        self._hg(clone, ["pull", "--quiet", "default"])
        more = self._hg(
            clone, ["outgoing", "--quiet", "--limit", "1", "--template", "taken back: {node|short}\n", "default"], (0, 1)
        )
        if "taken back: " in more:  # a commit that its author took back must not be the tip of a branch here
            raise ProgramFailed(f"{self._shown} no longer has all that was fetched from it")

    def commits(self, clone):
        """Every commit: its hash, and what hg calls it."""
        listed = self._hg(clone, ["log", "--rev", "all()", "--template", "{rev} {node}\n"], doing="the clone cannot be read")
        return {node: f"{number}:{node[:12]}" for number, node in re.findall(r"(?m)^([0-9]+) ([0-9a-f]{40})$", listed)}

    def find_name(self, clone, name):
        """The commit of a bookmark, tag or branch (of a branch the tip), or None."""
        template = "{bookmarks % 'bookmark {node} {bookmark}\n'}{tags % 'tag {node} {tag}\n'}"
        words = ["log", "--rev", "bookmark() or tag() or tip", "--template", template]
        named = self._named(clone, words)
        return named.get(("bookmark", name)) or named.get(("tag", name)) or self._find_branch(clone, name)

    def find_latest(self, clone):
        """The tip of the branch default, or None."""
        return self._find_branch(clone, "default")

    def _find_branch(self, clone, name):
        words = ["branches", "--closed", "--template", "branch {node} {branch}\n"]
        return self._named(clone, words).get(("branch", name))

    def _named(self, clone, words):
        listed = self._hg(clone, words, doing="the names in the clone cannot be read")
        return {(kind, name): node for kind, node, name in re.findall(r"(?m)^(\w+) ([0-9a-f]{40}) (.*)$", listed)}

    def export(self, clone, node, target, subrepositories):
        """Write the files of a commit, with hg's subrepositories if they are asked (those of git and Subversion never are).

        :returns: the full hash of what was written
        """
        config = ["subrepos.allowed=true", "subrepos.hg:allowed=true"] if subrepositories else []
        words = ["archive", "--type", "files", "--rev", f"id({node})", *(["--subrepos"] if subrepositories else [])]
        self._hg(
            clone,
            [*words, str(target).replace("%", "%%")],
            doing=f"{self._shown} at {node[:12]} cannot be exported",
            config=config,
        )
        return self._hg(clone, ["log", "--rev", f"id({node})", "--template", "{node}"])[-40:]
