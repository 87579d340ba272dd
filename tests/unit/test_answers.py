"""What crosses from a forked process to the process that forked it."""

import pytest
from vmimage.errors import BaseRefused
from vmimage.system.answers import NoAnswer, answer_of, value_of


def failing(error):
    def work():
        raise error

    return work


def test_a_value_and_an_error_cross_as_they_are():
    assert value_of(answer_of(lambda: {"a": (1, "bücher")})) == {"a": (1, "bücher")}
    with pytest.raises(BaseRefused) as raised:
        value_of(answer_of(failing(BaseRefused("no base", hint="take another"))))
    assert (raised.value.message, raised.value.hint) == ("no base", "take another")


@pytest.mark.parametrize("work", [lambda: lambda: None, failing(ValueError(lambda: None))], ids=["a value", "an error"])
def test_what_cannot_be_packed_is_an_error_that_shows_it(work):
    with pytest.raises(RuntimeError, match="lambda"):
        value_of(answer_of(work))


def test_ctrl_c_is_an_answer_only_where_that_is_wanted():
    with pytest.raises(KeyboardInterrupt):
        answer_of(failing(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        value_of(answer_of(failing(KeyboardInterrupt()), BaseException))


@pytest.mark.parametrize("kept", [0, 1, -1], ids=["nothing", "the first byte", "all but the last"])
def test_an_answer_that_is_cut_short_is_none(kept):
    with pytest.raises(NoAnswer):
        value_of(answer_of(lambda: "whole")[:kept])
