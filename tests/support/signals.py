"""Signals as a program meets them that a terminal starts, however the tests were started."""

import signal


def as_from_a_terminal():
    """For ``preexec_fn``: a shell that runs the tests in the background ignores Ctrl-C, and every child would inherit that."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
