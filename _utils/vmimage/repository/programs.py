"""Running hg and git: they end with the caller and in time, and what they print when they fail is summed up in few words."""

import re
import signal
from collections.abc import Callable, Collection, Mapping

from vmimage.errors import CommandFailed, RepositoryWrong
from vmimage.system.address import public_address
from vmimage.system.aliases import Argv
from vmimage.system.shell import check_installed, run, tied_to_caller

_LONGEST_SECONDS = 1800  # for one run of a program, however busy it looks

_HINTS = (
    (r"host key verification", "put the server's public key, as its owner publishes it, into known_hosts of the credentials"),
    (
        r"prompts disabled|authori[sz]ation|authentication|\b40[13]\b|permission denied|forbidden",
        "give credentials: a directory with netrc for http(s), or ssh_key and known_hosts for ssh",
    ),
    (r"certificate", "install the certificate of the server's authority (update-ca-certificates)"),
    (r"\b404\b|not found|not appear|no such", "check the address"),
)
_LINE = "see whether the server can be reached from here; the next run tries again"


class ProgramFailed(RepositoryWrong):
    """hg or git failed: because of the network, the server, or the repository."""


class Unreached(ProgramFailed):
    """It failed for a reason that may pass: nobody has refused it, and nothing is known to be wrong."""


def ask_program(argv: Argv, environment: Mapping[str, str], doing: str, ok: Collection[int] = (0,)) -> str:
    """Run hg or git; it ends with the caller, and in time.

    :param doing: what fails if it fails, for the message
    :returns: what it printed
    :raises ProgramFailed: with the reason that it gave; Unreached if another try may help
    :raises ProgramMissing: with the Debian package to install
    """
    check_installed(str(argv[0]))
    try:
        return run(argv, ok=ok, env=environment, preexec=_bound()).output
    except CommandFailed as failed:
        raise _explained(failed, doing) from None


def _bound() -> Callable[[], None]:
    tie = tied_to_caller()

    def bind() -> None:
        tie()
        signal.alarm(_LONGEST_SECONDS)

    return bind


def _explained(failed: CommandFailed, doing: str) -> ProgramFailed:
    """A failure in the lines that explain most: hg and git print them anywhere, among those of the server."""
    said = "".join(char if char.isprintable() or char == "\n" else " " for char in public_address(failed.output))
    lines = [line.strip() for line in said.splitlines() if line.strip()][-8:]
    reasons = [line for line in lines if re.match(r"(fatal|abort|error): ", line)] or lines[-1:]
    if failed.code == -signal.SIGALRM:
        reasons = [f"it took longer than {_LONGEST_SECONDS} s"]
    elif not reasons:
        reasons = [f"{failed.argv[0]} ended with {failed.code}"]
    detail = "".join(f"\n    {line[:400]}" for line in lines if line != reasons[0])
    hint = next((hint for pattern, hint in _HINTS if re.search(pattern, said, re.IGNORECASE)), None)
    text = f"{doing}: {reasons[0][:400]}{detail}"
    return ProgramFailed(text, hint=hint) if hint else Unreached(text, hint=_LINE)
