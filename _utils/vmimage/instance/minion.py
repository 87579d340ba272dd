"""The builder's own minion, called by salt-call: each call starts Salt again, with the files that the step before has written."""

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vmimage.errors import CallFailed, ProgramMissing
from vmimage.system.aliases import Argv, Say
from vmimage.system.shell import find_program, host_environment, run, tied_to_caller

_ERROR = "Error running "
_GRACE_SECONDS = 60  # a build that is stopped removes its partial files: less than the 90 s that systemd waits


class Minion:
    """The minion of a configuration directory.

    :param directory: of its configuration
    :param say: takes each line of its log
    """

    def __init__(self, directory: Path, say: Say) -> None:
        self.directory, self.say = directory, say
        neighbour = Path(sys.executable).with_name("salt-call")
        self.program = os.fspath(neighbour) if neighbour.exists() else "salt-call"

    def call(self, function: str, *arguments: str) -> Any:
        """What a function returns, of any type that JSON has.

        :raises CallFailed: with the message of Salt
        """
        if find_program(self.program) is None:
            raise ProgramMissing("the program salt-call is not installed", hint="install Salt beside this project")
        argv: Argv = [self.program, "--config-dir", self.directory, "--out", "json", "--no-color", function, *arguments]
        said: list[str] = []

        def on_line(line: str) -> None:
            said.append(line)
            self.say(line)

        with tempfile.TemporaryFile() as answer:
            ended = run(
                argv,
                stdout=answer,
                on_line=on_line,
                preexec=tied_to_caller(),
                env=host_environment(),
                ok=range(256),  # states that failed are in the answer
                grace_seconds=_GRACE_SECONDS,
            )
            answer.seek(0)
            text = answer.read().decode(errors="replace").strip()
        try:
            return json.loads(text)["local"]
        except (ValueError, KeyError, TypeError):
            why = _why([*text.splitlines(), *said])
            raise CallFailed(f"{function} ended with exit code {ended.code}: {why}") from None


def _why(said: Sequence[str]) -> str:
    """The last error that Salt printed, or else its last lines; with a traceback, the lines before it."""
    said = said[: next((number for number, line in enumerate(said) if line.startswith("Traceback ")), None)]
    begins = [number for number, line in enumerate(said) if line.startswith(_ERROR)]
    return "\n".join(said[begins[-1] :]).partition(": ")[2] if begins else "\n    ".join(["", *said[-12:]])
