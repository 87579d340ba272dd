"""What a forked process answers to the process that forked it: the value that its work returned, or the error that it raised."""

import pickle
import traceback
from collections.abc import Callable
from typing import Any


class NoAnswer(Exception):
    """The process ended before its answer was whole."""


def answer_of(work: Callable[[], object], catching: type[BaseException] = Exception) -> bytes:
    """Do the work, and pack what comes of it; what cannot be packed is an error that shows it.

    :param catching: errors of this kind are answers, others are raised here
    """
    answer: tuple[bool, object]
    try:
        answer = (True, work())
    except catching as error:
        answer = (False, error)
    try:
        return pickle.dumps(answer)
    except Exception:
        return pickle.dumps((False, RuntimeError(_shown(answer[1]))))


def value_of(data: bytes) -> Any:
    """What the work returned; raises what it raised.

    :raises NoAnswer: if this is no whole answer
    """
    try:
        done, value = pickle.loads(data)
    except (EOFError, pickle.UnpicklingError) as error:  # nothing, or cut short
        raise NoAnswer from error
    if done:
        return value
    raise value


def _shown(value: object) -> str:
    return "".join(traceback.format_exception(value)) if isinstance(value, BaseException) else repr(value)
