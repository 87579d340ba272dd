"""Commands that name a program by its path, such as ``/sbin/sysctl --system``: they get what its name alone would find in a root.

This file is copied into the root's ``/run``, and the Salt there imports it; it imports nothing of this project.
"""

import os
import re
from typing import Any

_PLACES = r"(?:/usr)?/s?bin/"
#: quoted text stays as it is; a program's path counts where a command begins
_COMMAND = r"""'[^']*'|"(?:\\.|[^"\\])*"|(?P<before>^\s*|[;&|(\n]\s*|(?<![^\s;&|(])(?:!|then|do|else|exec|sudo)\s+){places}(?P<name>{names})(?=$|[\s;&|)])"""


def stand_in_paths(directory: str) -> dict[str, str]:
    """``{name: path}`` of the programs in a directory."""
    return {name: f"{directory}/{name}" for name in os.listdir(directory)} if os.path.isdir(directory) else {}


def replaced(command: Any, programs: dict[str, str]) -> Any:
    """The command with the paths of others in place of those that Debian has; words and texts in quotes stay.

    :param command: a str for a shell, or a list of words
    :param programs: ``{name: path}``
    """
    if not programs:
        return command
    if isinstance(command, (list, tuple)):
        first = str(command[0]) if command else ""
        name = re.sub(f"^{_PLACES}", "", first)
        return [programs[name], *command[1:]] if name != first and name in programs else command
    if not isinstance(command, str) or "bin/" not in command:
        return command
    names = "|".join(map(re.escape, sorted(programs, key=len, reverse=True)))
    return re.sub(
        _COMMAND.replace("{places}", _PLACES).replace("{names}", names),
        lambda found: f"{found['before']}{programs[found['name']]}" if found["name"] else found[0],
        command,
    )


def find_programs_by_path() -> None:
    """Let Salt's commands find what stands in for a program by its path, too."""
    import salt.utils.timed_subprocess

    programs = stand_in_paths(f"{os.path.dirname(os.path.abspath(__file__))}/bin")
    begin = salt.utils.timed_subprocess.TimedProc.__init__

    def begin_replaced(self: Any, args: Any, **keywords: Any) -> None:
        begin(self, replaced(args, programs), **keywords)

    salt.utils.timed_subprocess.TimedProc.__init__ = begin_replaced
