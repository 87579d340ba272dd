"""vmimage.instance.minion with a real salt-call: what it returns, and in which words it says that it could not."""

import signal
import subprocess
import sys

import minions
import pytest
from vmimage.errors import CallFailed, ProgramMissing
from vmimage.instance.minion import Minion
from waiting import wait_until

PROBE = """
import os, sys
from salt.exceptions import CommandExecutionError

def fail(text):
    raise CommandExecutionError(text)

def break_down():
    return {}["what is not there"]

def chatter():
    os.write(1, b"words of a program\\n")
    return "done"

def end():
    os.write(2, b"the last words\\n")
    os._exit(3)

def wait(path):
    open(path, "w").close()
    import time
    time.sleep(600)
"""


@pytest.fixture
def minion(tmp_path):
    """A minion with a module of its own; ``said`` are the lines of its log."""
    states = tmp_path / "states"
    (states / "_modules").mkdir(parents=True)
    (states / "_modules/probe.py").write_text(PROBE)
    (states / "half.sls").write_text(
        "this is done:\n  test.succeed_without_changes: []\nthis is not:\n  test.fail_without_changes: []\n"
    )
    made = minions.Minion(tmp_path / "minion", file_roots={"base": [str(states)]}, module_dirs=[str(states / "_modules")])
    said = []
    found = Minion(made.directory / "etc", said.append)
    found.said, found.states = said, states
    return found


def failure(minion, *words):
    with pytest.raises(CallFailed) as caught:
        minion.call(*words)
    return str(caught.value)


def test_a_return_is_plain_data(minion):
    assert minion.call("config.get", "file_roots") == {"base": [str(minion.states)]}


def test_states_that_failed_are_an_answer(minion):
    found = minion.call("state.sls", "half")
    assert sorted(state["result"] for state in found.values()) == [False, True]


def test_an_sls_that_is_not_there_is_an_answer(minion):
    assert minion.call("state.sls", "nowhere") == ["No matching sls found for 'nowhere' in env 'base'"]


def test_an_error_is_shown_in_its_own_words_with_all_its_lines(minion):
    assert failure(minion, "probe.fail", "it is broken\n  -> mend it") == (
        "probe.fail ended with exit code 1: it is broken\n  -> mend it"
    )


def test_an_error_of_ours_is_shown_with_its_hint(minion):
    said = failure(minion, "vm_create.settings", "name=../x")
    assert said.startswith("vm_create.settings ended with exit code 1: the argument name is '../x'\n  -> a name is letters")


def test_an_unknown_function_is_named(minion):
    said = failure(minion, "probe.nothing")
    assert said.startswith("probe.nothing ended with exit code ") and "'probe.nothing' is not available." in said


def test_missing_arguments_are_named(minion):
    assert "missing 1 required positional argument: 'text'" in failure(minion, "probe.fail")


def test_of_a_fault_in_a_function_the_error_is_shown_and_no_traceback(minion):
    said = failure(minion, "probe.break_down")
    assert said.splitlines()[-1].strip() == "KeyError: 'what is not there'" and 'File "' not in said


def test_words_of_a_program_on_stdout_do_not_hide_what_went_wrong(minion):
    assert "words of a program" in failure(minion, "probe.chatter")


def test_a_salt_that_ends_without_an_answer_is_reported_with_its_last_words(minion):
    assert failure(minion, "probe.end") == "probe.end ended with exit code 3: \n    the last words"


def test_each_line_of_the_log_is_said_as_it_comes(minion):
    failure(minion, "probe.fail", "it is broken")
    assert "Error running 'probe.fail': it is broken" in minion.said


def test_a_config_that_is_no_yaml_is_reported(minion):
    (minion.directory / "minion").write_text("a: [\n")
    assert "Error parsing configuration file" in failure(minion, "test.ping")


def test_where_salt_is_missing_it_says_so(minion):
    minion.program = "/nonexistent/salt-call"
    with pytest.raises(ProgramMissing, match="salt-call is not installed"):
        minion.call("test.ping")


def test_salt_ends_with_who_asked_it(minion, tmp_path):
    there = tmp_path / "there"
    script = (
        f"from pathlib import Path\nfrom vmimage.instance.minion import Minion\nMinion(Path({str(minion.directory)!r}), print)"
    )
    argv = [sys.executable, "-c", f"{script}.call('probe.wait', {str(there)!r})"]
    child = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    try:
        wait_until(there.exists)
        (salt,) = children_of(child.pid)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    wait_until(lambda: not is_running(salt))


def children_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


def is_running(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
