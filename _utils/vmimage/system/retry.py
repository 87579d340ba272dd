"""Trying again, where another try can help: with longer and longer pauses, and a line for the observers."""

import time
from collections.abc import Callable
from typing import TypeVar

from vmimage.system.aliases import Say, Sleep

_LONGEST_PAUSE_SECONDS = 60
Result = TypeVar("Result")


def retried(
    call: Callable[[], Result],
    worth: type[Exception] | tuple[type[Exception], ...],
    *,
    tries: int,
    say: Say,
    sleep: Sleep = time.sleep,
) -> Result:
    """Call until it returns, or until it was tried often enough.

    :param worth: the exceptions after which another try can help
    :param tries: in all, at least 1; the pauses between them are 1, 2, 4, ... seconds, 60 at most
    :raises Exception: what the last try raised
    """
    for attempt in range(1, tries + 1):
        try:
            return call()
        except worth as error:
            if attempt == tries:
                raise
            pause = min(2 ** (attempt - 1), _LONGEST_PAUSE_SECONDS)
            say(f"{(str(error) or type(error).__name__).splitlines()[0]}; try {attempt + 1} of {tries} in {pause} s")
            sleep(pause)
    raise ValueError("tries is less than 1")
