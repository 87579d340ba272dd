"""Trying again, where another try can help: with longer and longer pauses, and a word to who watches."""

import time

_LONGEST_PAUSE_SECONDS = 60


def retried(call, worth, *, tries, say, sleep=time.sleep):
    """Call until it returns, or until it was tried often enough.

    :param call: a callable without arguments
    :param worth: the exception, or tuple of exceptions, after which another try can help
    :param int tries: in all, at least 1; the pauses between them are 1, 2, 4, ... seconds, 60 at most
    :param say: takes a line for who watches
    :returns: what the call returned
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
