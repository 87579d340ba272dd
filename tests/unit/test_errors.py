import pickle

import pytest
from vmimage import errors
from vmimage.system.progress import Progress
from vmimage.variation.outcome import summarize

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.VmImageError)]


def made(kind):
    if kind is errors.CommandFailed:
        return kind(["mount", "/dev/x"], 32, "no such device", hint="look")
    return kind("it is wrong", hint="look")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_error_crosses_processes_with_everything_it_carries(kind):
    before = made(kind)
    after = pickle.loads(pickle.dumps(before))
    assert type(after) is kind
    assert vars(after) == vars(before)
    assert str(after) == str(before)


def test_a_hint_that_was_added_later_survives_pickling():
    error = errors.KernelMissing("no kernel")
    error.hint = "its root is open"
    assert str(pickle.loads(pickle.dumps(error))) == "no kernel\n  -> its root is open"


def test_an_error_without_a_hint_is_its_message_alone():
    assert str(errors.BaseMissing("nothing there")) == "nothing there"


def test_a_missing_program_is_also_a_machine_that_is_not_ready():
    assert issubclass(errors.ProgramMissing, errors.NotReady)


@pytest.mark.parametrize(
    ("code", "words"),
    [(32, "mount /dev/x ended with exit code 32"), (-9, "mount /dev/x was killed by signal 9")],
    ids=["exit", "signal"],
)
def test_a_failed_command_says_how_it_ended(code, words):
    assert str(errors.CommandFailed(["mount", "/dev/x"], code)) == words


def test_a_failed_command_shows_only_the_end_of_a_long_output():
    error = errors.CommandFailed(["apt-get"], 100, "\n".join(f"line {number}" for number in range(40)))
    assert "line 39" in str(error) and "line 28" in str(error)
    assert "line 27" not in str(error)
    assert error.output.startswith("line 0")


SEQUENCES = {
    "the clipboard": ("\x1b]52;c;cm0gLXJmIC8=\x07", "\\x1b]52;c;cm0gLXJmIC8=\\x07"),
    "a title in one byte": ("\x9d0;title\x9c", "\\x9d0;title\\x9c"),
    "the cursor": ("\x1b[2Jgone\x08\x7f", "\\x1b[2Jgone\\x08\\x7f"),
    "a colour": ("\x1b[1;31mred\x1b[0m", "red"),
    "a line that is overwritten": ("bad\rgood", "bad\\x0dgood"),
    "no UTF-8": ("name\udcff", "name\\xff"),
    "text": ("Zürich\t\N{SNOWMAN}\nline", "Zürich\t\N{SNOWMAN}\nline"),
}


@pytest.mark.parametrize(("said", "shown"), SEQUENCES.values(), ids=SEQUENCES)
def test_what_a_program_says_never_reaches_a_terminal_as_a_command(said, shown):
    assert "\x1b" not in str(errors.CommandFailed(["x"], 1, said))
    assert str(errors.BaseMissing(said, hint=said)) == f"{shown}\n  -> {shown}"
    moments = []
    progress = Progress(moments.append)
    progress.say(said), progress.note(said)
    assert [moment.text for moment in moments] == [shown, shown]
    result = {"test_|-a_|-a_|-run": {"result": True, "comment": said, "changes": {}}}
    assert summarize(result)[0]["comment"] == shown
