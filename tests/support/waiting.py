"""Waiting in tests: limits end what hangs, and are so long that no slow machine comes near them."""

import signal
import time
from contextlib import contextmanager

HANG_SECONDS = 300


def wait_until(is_so, seconds=HANG_SECONDS, while_so=lambda: True):
    """What ``is_so`` returned when it was true at last.

    :param while_so: must stay true meanwhile, such as that a process is running
    """
    end = time.monotonic() + seconds
    while not (found := is_so()):
        if not while_so():  # it may have come to this just before
            found = is_so()
            assert found, "it ended before it came to this"
            return found
        assert time.monotonic() < end, "it never came to this"
        time.sleep(0.02)
    return found


@contextmanager
def ended_if_it_hangs(seconds=HANG_SECONDS, what="it"):
    """Fail the test if the block hangs."""

    def stop(number, frame):
        raise AssertionError(f"{what} hangs: no end after {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
