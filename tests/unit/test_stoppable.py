"""Ctrl-C and SIGTERM are an error, also where code of Salt's in between swallows it."""

import os
import signal
from contextlib import suppress

import pytest
from vmimage.errors import BuildStopped
from vmimage.system.namespace import stoppable

NUMBERS = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


@NUMBERS
def test_a_signal_is_an_error_and_the_handler_before_comes_back(number):
    before = signal.getsignal(number)
    with pytest.raises(BuildStopped, match=number.name), stoppable():
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) is before
    with stoppable():
        pass


@NUMBERS
def test_what_was_swallowed_comes_again_at_the_end(number):
    with pytest.raises(BuildStopped), stoppable(), suppress(Exception):
        os.kill(os.getpid(), number)


@NUMBERS
def test_what_was_swallowed_comes_again_before_the_work_begins(number):
    done = []
    with pytest.raises(BuildStopped), stoppable():
        with suppress(Exception):
            os.kill(os.getpid(), number)
        with stoppable():
            done.append("work")
    assert not done


@NUMBERS
def test_a_second_signal_does_not_end_the_clean_up(number):
    cleaned = []
    with pytest.raises(BuildStopped), stoppable():
        try:
            os.kill(os.getpid(), number)
        finally:
            os.kill(os.getpid(), number)
            cleaned.append("all")
    assert cleaned
