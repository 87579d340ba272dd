import pytest
from vmimage.errors import BuildStopped, StoreRefused, StoreUnreachable
from vmimage.system.retry import retried


class Call:
    """A call that fails so and so often, and what became of trying it again."""

    def __init__(self, *errors):
        self.errors, self.calls, self.said, self.slept = list(errors), 0, [], []

    def __call__(self):
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "an answer"

    def retried(self, worth=StoreUnreachable, tries=7):
        return retried(self, worth, tries=tries, say=self.said.append, sleep=self.slept.append)


def lost(times=1):
    return [StoreUnreachable(f"lost line {number}", hint="is it up?") for number in range(1, times + 1)]


def test_what_succeeds_is_called_once_and_nothing_is_said():
    call = Call()
    assert call.retried() == "an answer"
    assert (call.calls, call.said, call.slept) == (1, [], [])


def test_what_fails_a_few_times_is_called_until_it_answers():
    call = Call(*lost(3))
    assert call.retried() == "an answer"
    assert call.calls == 4


def test_the_pauses_double():
    call = Call(*lost(4))
    call.retried()
    assert call.slept == [1, 2, 4, 8]


def test_no_pause_is_longer_than_a_minute():
    call = Call(*lost(19))
    call.retried(tries=20)
    assert call.slept[5:8] == [32, 60, 60] and max(call.slept) == 60


@pytest.mark.parametrize("tries", [1, 2, 7])
def test_after_the_last_try_its_error_is_raised_without_a_further_pause(tries):
    call = Call(*lost(20))
    with pytest.raises(StoreUnreachable, match=f"lost line {tries}"):
        call.retried(tries=tries)
    assert (call.calls, len(call.slept)) == (tries, tries - 1)


@pytest.mark.parametrize(
    "error", [StoreRefused("no"), ValueError("x"), KeyboardInterrupt()], ids=lambda error: type(error).__name__
)
def test_an_error_that_another_try_cannot_help_is_raised_at_once(error):
    call = Call(error)
    with pytest.raises(type(error)):
        call.retried()
    assert (call.calls, call.slept) == (1, [])


def test_another_kind_of_error_ends_the_tries():
    call = Call(*lost(), StoreRefused("no"))
    with pytest.raises(StoreRefused):
        call.retried()
    assert call.calls == 2


def test_several_kinds_of_errors_can_be_worth_another_try():
    assert Call(*lost(), ConnectionResetError("reset")).retried((StoreUnreachable, OSError)) == "an answer"


def test_each_further_try_is_reported_with_the_first_line_of_what_went_wrong():
    call = Call(*lost(2))
    call.retried(tries=3)
    assert call.said == ["lost line 1; try 2 of 3 in 1 s", "lost line 2; try 3 of 3 in 2 s"]


def test_who_stops_us_in_a_pause_stops_us_at_once():
    def stop(_):
        raise BuildStopped("stopped by SIGINT")

    call = Call(*lost(3))
    with pytest.raises(BuildStopped):
        retried(call, StoreUnreachable, tries=7, say=call.said.append, sleep=stop)
    assert call.calls == 1
