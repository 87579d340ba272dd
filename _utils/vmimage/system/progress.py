"""Progress of the work, for its observers: a terminal, Salt's event bus, the log.

An observer is a callable that takes a :class:`Moment`; the code that does the work does not know its observers.
"""

import logging
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self, TextIO

from vmimage.errors import printable

log = logging.getLogger("vm_create")

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


@dataclass(frozen=True)
class Moment:
    """Something that happened.

    :ivar step: the name of the step in which it happened
    :ivar what: started, said, noted (a line to keep), moved (bytes), done, failed, left (to be begun again in another way), or part
        (the end of a further part of a step, which took no time)
    :ivar text: for people
    :ivar done: bytes so far
    :ivar total: bytes in all, 0 if unknown
    :ivar seconds: since the step began
    """

    step: str
    what: str
    text: str = ""
    done: int = 0
    total: int = 0
    seconds: float = 0.0


Observer = Callable[[Moment], object]


class Progress:
    """Informs observers about steps."""

    def __init__(self, *observers: Observer) -> None:
        self.observers = observers
        self._step, self._since, self._last_moved = "", time.monotonic(), 0.0

    def _inform(self, what: str, *, text: str = "", done: int = 0, total: int = 0) -> None:
        moment = Moment(self._step, what, printable(text), done, total, time.monotonic() - self._since)
        for observe in self.observers:
            observe(moment)

    @contextmanager
    def step(self, name: str, *, goes_on: bool = False) -> Iterator[Self]:
        """A step of the work for the time of the block; steps within steps count as their own.

        :param goes_on: it is another part of the step before
        """
        before = self._step, self._since
        self._step, self._since = name, time.monotonic()
        self._inform("started")
        try:
            yield self
        except BaseException as error:
            is_left = getattr(error, "is_no_failure", False)
            self._inform("left" if is_left else "failed", text=str(error).split("\n", 1)[0])
            raise
        else:
            is_part = goes_on and time.monotonic() - self._since < 1
            self._inform("part" if is_part else "done")
        finally:
            self._step, self._since = before

    def say(self, text: object) -> None:
        """A line about the current step."""
        self._inform("said", text=str(text))

    def note(self, text: object) -> None:
        """A line that an observer should not miss: a try that failed, something removed."""
        self._inform("noted", text=str(text))

    def moved(self, done: int, total: int = 0) -> None:
        """Bytes of the current step so far; observers are informed ten times a second at most."""
        now = time.monotonic()
        if now - self._last_moved >= 0.1 or done == total:
            self._last_moved = now
            self._inform("moved", done=done, total=total)


class Log:
    """An observer: a log line for each moment that is worth a line; of long work a line every quarter of a minute.

    Why a step failed is said by the error that ends the call.

    :param name: what each line begins with, where several variations are built at a time, and the error may be hours away
    """

    _EVERY_SECONDS = 15

    def __init__(self, name: str = "") -> None:
        self._last_line, self._name = time.monotonic(), f"{name}: " if name else ""

    def __call__(self, moment: Moment) -> None:
        if moment.what == "failed":
            why = f": {moment.text}" if self._name else ""
            log.error("%s%s failed after %.1f s%s", self._name, moment.step, moment.seconds, why)
        elif moment.what == "done":
            log.info("%s%s done in %.1f s", self._name, moment.step, moment.seconds)
        elif moment.what == "noted":
            log.info("%s%s", self._name, moment.text)
        elif moment.what == "moved" and time.monotonic() - self._last_line > self._EVERY_SECONDS:
            log.info("%s%s: %s", self._name, moment.step, _format_moved(moment))
        else:
            if moment.what == "said":
                log.debug("%s%s: %s", self._name, moment.step, moment.text)
            return
        self._last_line = time.monotonic()


def _format_moved(moment: Moment) -> str:
    """Bytes, rate and time left for people."""
    text = format_bytes(moment.done) + (f" of {format_bytes(moment.total)}" if moment.total else "")
    rate = moment.done / moment.seconds if moment.seconds > 0.5 else 0
    text += f", {format_bytes(rate)}/s" if rate else ""
    return text + (f", {(moment.total - moment.done) / rate:.0f} s left" if rate and moment.total else "")


class Terminal:
    """An observer: a live line on a terminal, and a lasting line for each step that ended."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stderr

    def __call__(self, moment: Moment) -> None:
        text = _format_moved(moment) if moment.what == "moved" else "" if moment.what in ("left", "failed") else moment.text
        mark = {"done": "ok ", "failed": "!! ", "noted": "   ", "left": "-- "}.get(moment.what, ".. ")
        line = f"{mark}{moment.step:<12} {moment.seconds:6.1f} s  {text}"
        width = shutil.get_terminal_size().columns - 1
        end = "\n" if moment.what in ("done", "failed", "noted", "left") else ""
        self.stream.write(f"\r\x1b[K{line if end else line[:width]}{end}")  # what stays may take several lines
        self.stream.flush()


def event_observer(fire: Callable[[str, dict[str, object]], object], build: str) -> Observer:
    """An observer: Salt events ``vm_create/<build>/<step>/<what>`` through a callable ``fire(tag, data)``."""

    def observe(moment: Moment) -> None:
        if moment.what == "said":
            return  # the words of programs stay on the builder
        data = {"text": moment.text, "done": moment.done, "total": moment.total, "seconds": round(moment.seconds, 3)}
        fire(f"vm_create/{build}/{moment.step.replace(' ', '_')}/{moment.what}", data)

    return observe


def format_bytes(count: float) -> str:
    """A number of bytes for people."""
    unit = 0
    while count >= 1024 and unit < len(_UNITS) - 1:
        count, unit = count / 1024, unit + 1
    return f"{count:.0f} {_UNITS[unit]}" if unit == 0 else f"{count:.1f} {_UNITS[unit]}"
