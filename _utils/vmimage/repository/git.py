"""git: a bare clone of all branches and tags that is only fetched into, and trees checked out beside it.

Its configuration is :mod:`vmimage.repository.environment`'s.  Only whole refs and whole hashes are given to git, which would compute
anything else.
"""

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from vmimage.repository.programs import ask_program
from vmimage.system.address import public_address
from vmimage.system.aliases import Argv

_HEAD = "refs/vm_create/HEAD"


class Git:
    """git's answers about an address.

    :param address: checked
    :param environment: of :func:`vmimage.repository.environment.isolated_home`
    """

    NESTED = ".gitmodules"

    def __init__(self, address: str, environment: Mapping[str, str]) -> None:
        self._address, self._environment, self._shown = address, environment, public_address(address)

    def _git(self, where: Path | None, words: Argv, ok: Collection[int] = (0,), doing: str = "") -> str:
        """Run git outside of the caller's directory, whose repository is ignored; no clone's hooks are run."""
        argv = ["git", "-C", where or self._environment["HOME"], "-c", "core.hooksPath=/dev/null", *words]
        return ask_program(argv, self._environment, doing or f"{self._shown} cannot be fetched", ok)

    def probe(self) -> bool:
        """Check that the server answers for this address; returns whether it names its latest commit."""
        listed = self._git(None, ["ls-remote", "--", self._address, "HEAD"])
        return re.search(r"(?m)^[0-9a-f]{40}\tHEAD$", listed) is not None

    def make(self, clone: Path) -> None:
        """Make a clone of all branches and tags that the server has."""
        self._git(None, ["init", "--quiet", "--bare", "--template=", clone])
        self.update(clone)

    def update(self, clone: Path, *, is_exact: bool = False) -> None:
        """Update the clone to exactly what the server has now, also where a commit is asked by its hash."""
        refs = ["+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*"]
        if self.probe():
            refs.append(f"+HEAD:{_HEAD}")
        else:
            self._git(clone, ["update-ref", "-d", _HEAD])
        self._git(clone, ["fetch", "--quiet", "--prune", "--no-write-fetch-head", "--", self._address, *refs])

    def commits(self, clone: Path) -> dict[str, str]:
        """Every commit of a branch or tag: its hash, and how it is shown."""
        listed = self._git(clone, ["rev-list", "--all"], doing="the clone cannot be read")
        return {node: node[:12] for node in re.findall(r"(?m)^[0-9a-f]{40}$", listed)}

    def find_name(self, clone: Path, name: str) -> str | None:
        """The commit of a branch or tag, or None; of the branch, where both have the name."""
        return self._find(clone, f"refs/heads/{name}") or self._find(clone, f"refs/tags/{name}")

    def find_latest(self, clone: Path) -> str | None:
        """The commit of the server's HEAD when it was last asked, or None."""
        return self._find(clone, _HEAD)

    def _find(self, clone: Path, ref: str) -> str | None:
        words = ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}"]
        found = re.search(r"(?m)^[0-9a-f]{40}$", self._git(clone, words, (0, 1, 128)))
        return found[0] if found else None

    def export(self, clone: Path, node: str, target: Path, subrepositories: bool) -> str:
        """Check the files of a commit out, with its submodules if they are wanted.

        A checkout, for ``git archive`` would leave out and change what attributes of the files say.

        :returns: the full hash of what was checked out
        """
        doing = f"{self._shown} at {node[:12]} cannot be exported"
        self._git(None, ["init", "--quiet", "--template=", target])
        (target / ".git/objects/info").mkdir(parents=True, exist_ok=True)
        (target / ".git/objects/info/alternates").write_text(f"{clone}/objects\n", encoding="utf-8")
        self._git(target, ["checkout", "--quiet", "--force", "--detach", node], doing=doing)
        if subrepositories:
            self._git(target, ["remote", "add", "origin", self._address], doing=doing)
            self._git(target, ["submodule", "--quiet", "update", "--init", "--recursive", "--force"], doing=doing)
        return self._git(target, ["rev-parse", "--verify", "HEAD"], doing=doing).strip()
