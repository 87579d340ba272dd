"""vm_create.shell: a command or a terminal in an open root, or in a copy of the image; the walls are those of a build's programs."""

import os
import termios

import pytest
from building import Salt
from typing_at import typing_at


@pytest.fixture(scope="module")
def opened(bootstrapped, tmp_path_factory):
    """A minion with an open root of the variation web."""
    salt = Salt(tmp_path_factory.mktemp("shell"))
    text = "/etc/mark:\n  file.managed:\n    - contents: here\n"
    salt.configure(**{"ami.name": "web", "ami.variation": salt.variation("web", variation=text)})
    salt.good("state.sls", "ami_creator_pre")
    yield salt
    salt.good("vm_create.release", "web")


def test_a_command_answers_with_its_output_and_its_exit_code(opened):
    code, seen, _ = opened.call("vm_create.shell", "web", command="cat /etc/hostname; echo to stderr >&2; exit 7")
    assert code == 7
    assert seen == {"place": str(opened.directory / "root"), "retcode": 7, "output": "localhost\nto stderr"}


def test_what_a_command_writes_stays_in_the_open_root(opened):
    opened.good("vm_create.shell", "web", command="echo kept > /srv/seen")
    assert (opened.directory / "root/srv/seen").read_text(encoding="utf-8") == "kept\n"


def test_a_command_is_confined_as_the_programs_of_a_build(opened):
    command = "grep CapEff /proc/self/status; mount -t tmpfs none /mnt; ls /proc | grep -c '^[0-9]'; printf '\\033[31mred\\007'"
    seen = opened.good("vm_create.shell", "web", command=command)["output"]
    capabilities = int(seen.split("CapEff:")[1].split()[0], 16)
    assert not capabilities & 1 << 21  # sys_admin
    assert "permission denied" in seen.lower() or "must be superuser" in seen
    assert int([line for line in seen.splitlines() if line.isdigit()][0]) < 10  # no process of the builder
    assert "\033" not in seen and "\007" not in seen


def test_without_a_terminal_a_command_is_asked_for(opened):
    said = opened.bad("vm_create.shell", "web")
    assert "there is no terminal for a shell" in said and "command=" in said


def test_a_name_without_root_and_image_is_refused_with_the_way_to_keep_one(opened):
    said = opened.bad("vm_create.shell", "other", command="ls")
    assert "no root of other is open" in said
    assert "keep_on_failure=True" in said and "ami_creator_pre" in said
    assert not (opened.workspace / "other").exists()


def test_a_shell_has_a_terminal_of_its_own_and_hands_on_keys_size_and_exit_code(opened):
    with typing_at(opened.argv("vm_create.shell", "web")) as typist:
        before = termios.tcgetattr(typist.terminal)
        outer = os.stat(os.readlink(f"/proc/{typist.process}/fd/0"))
        assert str(opened.directory / "root") in typist.waits_for("exit ends the shell")
        typist.waits_for("root@web")
        typist.types(
            "stat -Lc 'at %n %d' /dev/stdin; tty; stty size; echo \"leader $(cut -d' ' -f6 /proc/$$/stat) $$\"; echo firs''tly\n"
        )
        seen = typist.waits_for("firstly")
        assert "/dev/pts/0" in seen and "40 100" in seen
        assert f"at /dev/stdin {outer.st_dev}\r" not in seen and "at /dev/stdin" in seen
        first, second = seen.split("\r\nleader ")[1].split()[:2]
        assert first == second
        typist.resizes(30, 120)
        typist.types("until [ \"$(stty size)\" = '30 120' ]; do sleep 0.1; done; echo resi''zed\n")
        typist.waits_for("resized")
        push = 'import fcntl, termios; fcntl.ioctl(0, termios.TIOCSTI, b"x")'
        typist.types(f"python3 -c '{push}' 2>&1 | tail -n 1; sleep 1000; echo code $?\n")
        typist.waits_for("Operation not permitted")
        typist.interrupts("root@web")
        typist.types("echo $HISTFILE-; echo typed > /srv/typed; exit 9\n")
        assert typist.ends() == 9
        assert termios.tcgetattr(typist.terminal) == before
    assert (opened.directory / "root/srv/typed").exists() and not (opened.directory / "root/root/.bash_history").exists()


def test_where_there_is_no_bash_it_is_sh_and_ctrl_c_reaches_what_runs_in_it(opened):
    bash = opened.directory / "root/bin/bash"
    bash.rename(f"{bash}.away")
    try:
        with typing_at(opened.argv("vm_create.shell", "web")) as typist:
            typist.waits_for("# ")
            typist.types("echo sh''own; sleep 1000\n")
            assert "job control turned off" not in typist.waits_for("shown")
            typist.interrupts("# ")
            typist.types("exit 3\n")
            assert typist.ends() == 3
    finally:
        bash.with_name("bash.away").rename(bash)


def test_a_terminal_that_goes_away_ends_the_shell_and_all_in_it(opened):
    with typing_at(opened.argv("vm_create.shell", "web")) as typist:
        typist.waits_for("root@web")
        typist.types("sleep 1000 & echo go''ne\n")
        typist.waits_for("gone")
    assert opened.good("vm_create.shell", "web", command="ls /proc | grep -c '^[0-9]'")  # the lock is free; nothing_is_left looks


def test_without_an_open_root_it_is_a_copy_of_the_image(sample):
    image = sample.output / "variation.img"
    before = image.stat()
    seen = sample.good("vm_create.shell", "variation", command="systemctl is-enabled nginx; echo x > /etc/motd; cat /etc/motd")
    assert seen["place"] == str(image)
    assert seen["output"].splitlines()[-1] == "x"
    after = image.stat()
    assert (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, after.st_size)
