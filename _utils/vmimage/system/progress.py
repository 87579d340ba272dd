"""What is under way, told to whoever watches: a terminal, Salt's event bus, the log.

A watcher is a callable that takes one :class:`Moment`; nobody who works needs to know who watches.
"""

import logging
import shutil
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass

from vmimage.errors import printable

log = logging.getLogger("vm_create")

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


@dataclass(frozen=True)
class Moment:
    """One thing that happened.

    :ivar str step: the word of the story it belongs to
    :ivar str what: started, said, noted (a line to keep), moved (bytes), done or failed
    :ivar str text: for people
    :ivar int done: bytes so far
    :ivar int total: bytes in all, 0 if unknown
    :ivar float seconds: since the step began
    """

    step: str
    what: str
    text: str = ""
    done: int = 0
    total: int = 0
    seconds: float = 0.0


class Progress:
    """Tells watchers about steps and keeps how long each took.

    :param watchers: callables that take a :class:`Moment`
    """

    def __init__(self, *watchers):
        self.watchers = watchers
        self.timings = []
        self._step, self._since, self._last_moved = "", time.monotonic(), 0.0

    def _tell(self, what, **more):
        if "text" in more:
            more["text"] = printable(more["text"])
        moment = Moment(self._step, what, seconds=time.monotonic() - self._since, **more)
        for watch in self.watchers:
            watch(moment)

    @contextmanager
    def step(self, name):
        """A step of the story for the time of the block; steps within steps count as their own."""
        before = self._step, self._since
        self._step, self._since = name, time.monotonic()
        self._tell("started")
        try:
            yield self
        except BaseException as error:
            self._tell("failed", text=str(error).split("\n", 1)[0])
            raise
        else:
            self.timings.append({"step": name, "seconds": round(time.monotonic() - self._since, 3)})
            self._tell("done")
        finally:
            self._step, self._since = before

    def say(self, text):
        """A line about the current step."""
        self._tell("said", text=str(text))

    def note(self, text):
        """A line that who watches should not miss: a try that failed, something removed."""
        self._tell("noted", text=str(text))

    def moved(self, done, total=0):
        """Bytes of the current step so far; told ten times a second at most."""
        now = time.monotonic()
        if now - self._last_moved >= 0.1 or done == total:
            self._last_moved = now
            self._tell("moved", done=done, total=total)


class Log:
    """A watcher: one log line for what is worth one; of long work one every quarter of a minute.

    :param str name: what each line begins with, where several are built at a time
    """

    _EVERY_SECONDS = 15

    def __init__(self, name=""):
        self._told, self._name = time.monotonic(), f"{name}: " if name else ""

    def __call__(self, moment):
        if moment.what == "failed":
            log.error("%s%s failed after %.1f s: %s", self._name, moment.step, moment.seconds, moment.text)
        elif moment.what == "done":
            log.info("%s%s done in %.1f s", self._name, moment.step, moment.seconds)
        elif moment.what == "noted":
            log.info("%s%s", self._name, moment.text)
        elif moment.what == "moved" and time.monotonic() - self._told > self._EVERY_SECONDS:
            log.info("%s%s: %s", self._name, moment.step, _moved_words(moment))
        else:
            if moment.what == "said":
                log.debug("%s%s: %s", self._name, moment.step, moment.text)
            return
        self._told = time.monotonic()


def _moved_words(moment):
    """Bytes, rate and time left for people."""
    text = amount(moment.done) + (f" of {amount(moment.total)}" if moment.total else "")
    rate = moment.done / moment.seconds if moment.seconds > 0.5 else 0
    text += f", {amount(rate)}/s" if rate else ""
    return text + (f", {(moment.total - moment.done) / rate:.0f} s left" if rate and moment.total else "")


class Terminal:
    """A watcher: a live line on a terminal, and one that stays for each step that ended."""

    def __init__(self, stream=None):
        self.stream = stream or sys.stderr

    def __call__(self, moment):
        text = _moved_words(moment) if moment.what == "moved" else moment.text
        mark = {"done": "ok ", "failed": "!! ", "noted": "   "}.get(moment.what, ".. ")
        line = f"{mark}{moment.step:<12} {moment.seconds:6.1f} s  {text}"
        width = shutil.get_terminal_size().columns - 1
        end = "\n" if moment.what in ("done", "failed", "noted") else ""
        self.stream.write(f"\r\x1b[K{line[:width]}{end}")
        self.stream.flush()


def event_watcher(fire, build):
    """A watcher: Salt events ``vm_create/<build>/<step>/<what>`` through a callable ``fire(tag, data)``."""

    def watch(moment):
        if moment.what == "said":
            return  # the words of programs stay on the builder
        data = {"text": moment.text, "done": moment.done, "total": moment.total, "seconds": round(moment.seconds, 3)}
        fire(f"vm_create/{build}/{moment.step.replace(' ', '_')}/{moment.what}", data)

    return watch


def amount(count):
    """A number of bytes for people."""
    unit = 0
    while count >= 1024 and unit < len(_UNITS) - 1:
        count, unit = count / 1024, unit + 1
    return f"{count:.0f} {_UNITS[unit]}" if unit == 0 else f"{count:.1f} {_UNITS[unit]}"
