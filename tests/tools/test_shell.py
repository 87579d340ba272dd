import os
import signal
import sys

import pytest
from vmimage.errors import CommandFailed, ProgramMissing
from vmimage.system.shell import find_program, run, started
from waiting import ended_if_it_hangs

#: a loop of sh that takes a minute unless a file appears; a program that waits for it has done something wrong
SLOWLY = "for n in $(seq 600); do [ -e {until} ] && break; sleep 0.1; done; [ -e {until} ]"


@pytest.fixture(autouse=True)
def no_hang():
    with ended_if_it_hangs():
        yield


def sh(script, **options):
    return run(["sh", "-c", script], **options)


def is_there(pid_file):
    """Whether the process is there whose number a file holds."""
    try:
        os.kill(int(pid_file.read_text()), 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("code", [1, 2, 77, 255])
def test_an_exit_code_is_an_error_unless_it_is_allowed(code):
    with pytest.raises(CommandFailed) as caught:
        sh(f"exit {code}")
    assert caught.value.code == code
    assert sh(f"exit {code}", ok=(0, code)).code == code


def test_stdout_and_stderr_come_in_the_order_written():
    assert sh("echo one; echo two >&2; echo three").output == "one\ntwo\nthree\n"


def test_a_failure_carries_what_was_said():
    with pytest.raises(CommandFailed, match="no such thing"):
        sh("echo no such thing >&2; exit 3")


def test_a_program_killed_by_a_signal_says_which():
    with pytest.raises(CommandFailed, match="killed by signal 9") as caught:
        sh("kill -9 $$")
    assert caught.value.code == -signal.SIGKILL


@pytest.mark.parametrize(
    ("program", "package"),
    [("mmdebstrap", "mmdebstrap"), ("qemu-img", "qemu-utils"), ("resize2fs", "e2fsprogs"), ("frobnicate", "frobnicate")],
)
def test_a_missing_program_names_the_package_to_install(program, package, monkeypatch):
    monkeypatch.setattr("vmimage.system.shell._SBIN", "/nonexistent")
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ProgramMissing, match=f"{program} is not installed\n  -> apt-get install {package}$"):
        run([program, "--version"])


def test_programs_in_sbin_are_found_with_a_users_path(monkeypatch):
    monkeypatch.setenv("PATH", "/usr/bin")
    assert find_program("mke2fs").endswith("sbin/mke2fs")
    assert "mke2fs" in run(["mke2fs", "-V"]).output


@pytest.mark.parametrize(
    ("script", "lines"),
    [
        ("printf 'a\\nb\\n'", ["a", "b"]),
        ("printf 'a\\nb'", ["a", "b"]),
        ("printf '10%%\\r20%%\\r100%%\\n'", ["10%", "20%", "100%"]),
        ("printf 'a\\r\\nb\\r\\n'", ["a", "b"]),
        ("printf 'a'; sleep 0.2; printf 'b\\nc'", ["ab", "c"]),
        ("printf '\\303'; sleep 0.2; printf '\\274\\n'", ["ü"]),
        ("printf '\\377\\n'", ["\ufffd"]),
        ("true", []),
    ],
    ids=["lines", "no end of line", "progress", "dos", "in pieces", "a letter in pieces", "no letter", "nothing"],
)
def test_lines_are_handed_out_whole(script, lines):
    seen = []
    sh(script, on_line=seen.append)
    assert seen == lines


def test_lines_are_handed_out_while_the_program_runs(tmp_path):
    seen = []

    def listen(line):
        seen.append(line)
        (tmp_path / "heard").touch()

    sh(f"echo now; {SLOWLY.format(until=tmp_path / 'heard')} || echo nobody heard; echo then", on_line=listen)
    assert seen == ["now", "then"]


def test_a_daemon_that_keeps_the_output_open_keeps_nobody_waiting(tmp_path):
    output = sh(f"sleep 60 & echo $! >{tmp_path}/pid; echo started").output
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)  # it is still there: nobody waited for it
    assert output == "started\n"


def test_nothing_of_a_large_output_is_lost():
    assert len(sh("head -c 3000000 /dev/zero | tr '\\0' x").output) == 3_000_000


def test_of_an_output_handed_out_only_the_end_is_kept():
    seen = []
    output = sh("seq 1 100000", on_line=seen.append).output
    assert len(seen) == 100_000 and len(output) == 64 * 1024 and output.endswith("\n99999\n100000\n")


def test_the_last_words_of_quick_programs_are_never_lost():
    assert {run(["echo", "-n", "word"]).output for _ in range(300)} == {"word"}


def test_a_program_reads_nothing_unless_it_is_given_something(tmp_path):
    assert sh("cat").output == ""
    (tmp_path / "in").write_text("text")
    with open(tmp_path / "in", encoding="utf-8") as file:
        assert sh("cat", stdin=file).output == "text"


def test_with_a_file_for_stdout_only_stderr_is_returned(tmp_path):
    with open(tmp_path / "out", "wb") as file:
        assert sh("echo out; echo err >&2", stdout=file).output == "err\n"
    assert (tmp_path / "out").read_text() == "out\n"


def test_programs_speak_english_and_see_only_the_environment_they_are_given(monkeypatch):
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    assert sh("echo $LC_ALL").output == "C.UTF-8\n"
    assert run(["env"], env={"A": "1"}).output == "A=1\n"


def test_arguments_are_never_read_by_a_shell(tmp_path):
    assert run(["echo", "$HOME; ls", tmp_path, 5]).output == f"$HOME; ls {tmp_path} 5\n"


def test_an_error_of_who_listens_ends_the_program(tmp_path):
    def refuse(line):
        raise ValueError(line)

    with pytest.raises(ValueError, match="word"):
        sh(f"echo $$ >{tmp_path}/pid; echo word; {SLOWLY.format(until='/nowhere')}; touch {tmp_path}/ended", on_line=refuse)
    assert not is_there(tmp_path / "pid") and not (tmp_path / "ended").exists()


def test_a_started_program_ends_with_its_block(tmp_path):
    with open(tmp_path / "log", "wb") as log, started([sys.executable, "-c", "import time; time.sleep(30)"], log) as child:
        assert child.poll() is None
    assert child.returncode == -signal.SIGKILL


@pytest.mark.parametrize(("grace_seconds", "left"), [(10, "cleaned up\n"), (0, "half made\n")])
def test_a_program_with_time_for_it_cleans_up_when_we_are_stopped(tmp_path, grace_seconds, left):
    note = tmp_path / "note"
    script = f'trap "echo cleaned up > {note}; exit" TERM; echo half made > {note}; echo ready; while :; do sleep 0.05; done'

    def stop(line):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(["sh", "-c", script], on_line=stop, grace_seconds=grace_seconds)
    assert note.read_text() == left


def test_a_program_that_does_not_use_its_time_is_killed(tmp_path):
    def stop(line):
        raise KeyboardInterrupt

    script = f'trap "" TERM; echo $$ >{tmp_path}/pid; echo ready; {SLOWLY.format(until="/nowhere")}; touch {tmp_path}/ended'
    with pytest.raises(KeyboardInterrupt):
        run(["sh", "-c", script], on_line=stop, grace_seconds=0.5)
    assert not is_there(tmp_path / "pid") and not (tmp_path / "ended").exists()


@pytest.mark.hostile("giants")
def test_of_a_line_without_an_end_the_beginning_is_handed_out_and_the_rest_counted():
    lines = []
    sh("head -c 150000000 /dev/zero | tr '\\0' x; echo; echo last", on_line=lines.append)
    assert len(lines) == 2 and lines[1] == "last"
    assert lines[0] == f"{'x' * 65536} ... and {150000000 - 65536} bytes more in this line"


def test_lines_that_come_in_pieces_are_handed_out_whole():
    lines = []
    sh("printf 'a\\r'; sleep 0.2; printf '\\nb'; sleep 0.2; printf 'c\\rd\\n\\ne'", on_line=lines.append)
    assert lines == ["a", "bc", "d", "", "e"]


@pytest.mark.parametrize("call", ["fsync", "fdatasync"])
def test_a_program_whose_files_its_caller_syncs_does_not_wait_for_the_disk(call):
    badly = [sys.executable, "-c", f"import os; os.{call}(99)"]  # which is no file: the call itself fails
    with pytest.raises(CommandFailed, match="Bad file descriptor"):
        run(badly)
    assert run(badly, syncs=False).output == ""
    with pytest.raises(OSError, match="Bad file descriptor"):
        getattr(os, call)(99)  # the caller itself still does
