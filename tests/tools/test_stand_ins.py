"""What stands in for programs of systemd, as programs."""

import subprocess

import pytest
from vmimage.root.runtime import stand_in
from vmimage.variation.in_root import offline_run


def test_systemd_run_runs_the_program_with_what_its_options_say(tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("OF_THE_CALLER", "yes")
    text = f"pwd > {tmp_path}/seen; echo $A-$OF_THE_CALLER >> {tmp_path}/seen; echo out; exit 3"
    options = ["--unit", "own", "-EA=b", "-p", f"WorkingDirectory={tmp_path}", "--wait"]
    assert offline_run.main([*options, "sh", "-c", text]) == 3
    assert (tmp_path / "seen").read_text() == f"{tmp_path}\nb-\n" and capfd.readouterr().out == ""
    assert offline_run.main(["sh", "-c", "exit 3"]) == 0  # nobody waits for it
    assert offline_run.main(["--scope", "--", "sh", "-c", "echo $OF_THE_CALLER"]) == 0
    assert capfd.readouterr().out == "yes\n"
    assert offline_run.main(["--wait", "/nothing/there"]) == 1


@pytest.mark.parametrize("words", ["daemon-reload", "--system daemon-reload", "daemon-reload --user", "start nginx", ""])
def test_units_are_read_again_without_the_start_of_a_python(words, tmp_path):
    program = tmp_path / "systemctl"
    program.write_text(stand_in("systemctl", ""), encoding="utf-8")
    code = subprocess.run(["sh", program, *words.split()], check=False, capture_output=True).returncode
    assert code == (0 if words in ("daemon-reload", "--system daemon-reload") else 127)  # here is no Python of a root
