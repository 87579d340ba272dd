"""Who hears of a failure, and of its end: a program that gets the result on its input, or a returner of Salt.

What cannot be notified is logged, and stops nothing.
"""

import json
import logging
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from vmimage.errors import SettingsWrong, printable
from vmimage.fleet.records import Ending, Result
from vmimage.system.shell import host_environment

log = logging.getLogger(__name__)

_KEYS = ("command", "returner", "seconds")
_SAID_BYTES = 2000
#: endings that say whether an input can be built
_DECISIVE = {Ending.PUBLISHED: True, Ending.UNCHANGED: True, Ending.FAILED: False}

Returner = Callable[[str, Mapping[str, Any]], object]


@dataclass(frozen=True)
class Notify:
    """``ami_fleet.notify``.

    :ivar command: a program and its words; empty: none
    :ivar returner: of Salt, by its name: ``slack``; empty: none
    :ivar seconds: after which the program is killed
    """

    command: tuple[str, ...] = ()
    returner: str = ""
    seconds: float = 30.0


def read_notify(given: Mapping[str, Any]) -> Notify:
    """What the configuration says.

    :raises SettingsWrong: naming the key
    """
    unknown = [key for key in given if key not in _KEYS]
    if unknown:
        raise SettingsWrong(f"ami_fleet.notify has no key {unknown[0]}", hint=f"it has: {', '.join(_KEYS)}")
    command, returner, seconds = given.get("command") or [], given.get("returner") or "", given.get("seconds", 30)
    if not isinstance(command, list) or not all(isinstance(word, str) and "\0" not in word for word in command):
        raise SettingsWrong(
            "ami_fleet.notify.command is no list of texts", hint="command: [/usr/local/bin/tell, team@example.org]"
        )
    if command and not command[0].startswith("/"):
        raise SettingsWrong("ami_fleet.notify.command does not begin with an absolute path", hint="it is run without a shell")
    if not isinstance(returner, str):
        raise SettingsWrong("ami_fleet.notify.returner is no name", hint="returner: slack")
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= 600:
        raise SettingsWrong("ami_fleet.notify.seconds is no number from 1 to 600")
    return Notify(tuple(command), returner, float(seconds))


def what_changed(result: Result, earlier: Sequence[Result]) -> str:
    """``failed``, ``recovered``, or an empty string where nobody needs to know.

    A further failure of the same input says nothing new; neither does a build that was lost, cancelled or superseded.

    :param earlier: results of the same image, the newest first
    """
    if result.ending not in _DECISIVE:
        return ""
    before = next((known for known in earlier if known.ending in _DECISIVE), None)
    if not _DECISIVE[result.ending]:
        return "" if before and before.ending is Ending.FAILED and before.digest == result.digest else "failed"
    return "recovered" if before and before.ending is Ending.FAILED else ""


def notify(wanted: Notify, fleet: str, result: Result, earlier: Sequence[Result], call_returner: Returner) -> str:
    """Notify whoever is configured, where something has changed.

    :param call_returner: calls a returner of Salt by its name with a job's return
    :returns: of :func:`what_changed`
    """
    change = what_changed(result, earlier)
    if not change:
        return ""
    data = {"fleet": fleet, "change": change, **asdict(result)}
    if wanted.command:
        _guarded("the command", result, lambda: _run(wanted.command, json.dumps(data), wanted.seconds))
    if wanted.returner:
        _guarded(f"the returner {wanted.returner}", result, lambda: call_returner(wanted.returner, _job(data)))
    return change


def _job(data: Mapping[str, Any]) -> dict[str, Any]:
    """A result in the form in which returners get a job."""
    good = data["change"] == "recovered"
    return {
        "id": data["name"],
        "fun": "vm_fleet.build",
        "fun_args": [],
        "jid": f"{data['fleet']}-{data['number']}",
        "return": dict(data),
        "success": good,
        "retcode": 0 if good else 1,
    }


def _guarded(who: str, result: Result, call: Callable[[], object]) -> None:
    try:
        call()
    except Exception as error:  # whatever a returner raises: the fleet goes on
        log.error("%s was not notified of build %d of %s: %s", who, result.number, result.name, printable(error))


def _run(argv: Sequence[str], text: str, seconds: float) -> None:
    """Run a program with a text on its input; in a session of its own, so that what it has started is ended with it."""
    child = subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=host_environment(),
        start_new_session=True,
        cwd="/",
    )
    try:
        _, said = child.communicate(text.encode(), timeout=seconds)
    except subprocess.TimeoutExpired:
        raise TimeoutError(f"it did not end in {seconds:g} s") from None
    finally:
        _end_session(child)
    if child.returncode:
        raise OSError(f"it ended with {child.returncode}: {said[-_SAID_BYTES:].decode(errors='replace').strip()}")


def _end_session(child: subprocess.Popen[bytes]) -> None:
    """Kill what is left of a session, and reap its first process."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    child.wait()
    for pipe in (child.stdin, child.stderr):
        if pipe:
            pipe.close()
