"""The builder's own minion, asked by salt-call: each call starts Salt afresh, with what the step before has written."""

import json
import os
import sys
import tempfile
from pathlib import Path

from vmimage.errors import CallFailed, ProgramMissing
from vmimage.system.shell import die_with_parent, find_program, host_environment, run

_ERROR = "Error running "
_GRACE_SECONDS = 60  # a build that is stopped removes its partial files: less than the 90 s that systemd waits


class Minion:
    """The minion of a configuration directory.

    :param Path directory: of its configuration
    :param say: takes each line of its log
    """

    def __init__(self, directory, say):
        self.directory, self.say = directory, say
        beside = Path(sys.executable).with_name("salt-call")
        self.program = os.fspath(beside) if beside.exists() else "salt-call"

    def call(self, function, *arguments):
        """What a function returns.

        :raises CallFailed: with the words of Salt
        """
        if find_program(self.program) is None:
            raise ProgramMissing("the program salt-call is not installed", hint="install Salt beside this project")
        argv = [self.program, "--config-dir", self.directory, "--out", "json", "--no-color", function, *arguments]
        said = []

        def on_line(line):
            said.append(line)
            self.say(line)

        with tempfile.TemporaryFile() as answer:
            # whatever its exit code is: states that failed are told in the answer
            how = {"preexec": die_with_parent, "env": host_environment(), "ok": range(256), "grace_seconds": _GRACE_SECONDS}
            ended = run(argv, stdout=answer, on_line=on_line, **how)
            answer.seek(0)
            text = answer.read().decode(errors="replace").strip()
        try:
            return json.loads(text)["local"]
        except (ValueError, KeyError, TypeError):
            why = _why([*text.splitlines(), *said])
            raise CallFailed(f"{function} ended with exit code {ended.code}: {why}") from None


def _why(said):
    """The error that Salt told last, or else its last lines; of a traceback what was told before it."""
    said = said[: next((number for number, line in enumerate(said) if line.startswith("Traceback ")), None)]
    begins = [number for number, line in enumerate(said) if line.startswith(_ERROR)]
    return "\n".join(said[begins[-1] :]).partition(": ")[2] if begins else "\n    ".join(["", *said[-12:]])
