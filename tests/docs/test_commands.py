"""Every command that a page shows would run: its functions, arguments, settings, groups, options, modules and files exist."""

import subprocess
import sys
from contextlib import suppress

import pytest
from commands import CommandWrong, check_command, commands_of, is_ours
from pages import PROJECT, blocks, inline_codes
from vmimage.errors import SettingsWrong

BLOCKS = blocks("bash")
INLINE = sorted({text: where for where, text in inline_codes() if is_ours(text)}.items())


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_the_commands_of_a_block_would_run(block):
    found = list(commands_of(block.text))
    assert found
    for words in found:
        check_command(words)


@pytest.mark.parametrize(("text", "where"), INLINE, ids=lambda value: value[:60])
def test_a_command_within_the_text_would_run(text, where):
    for words in commands_of(text):
        check_command(words)


def test_the_salt_functions_that_pages_call_exist(minion):
    called = set()
    for words in (words for block in BLOCKS for words in commands_of(block.text)):
        with suppress(CommandWrong, SettingsWrong):  # which the test of that block shows
            called.add(check_command(words))
    names = {kind.removeprefix("salt ") for kind in called if kind.startswith("salt ")}
    assert len(names) > 12 and names - set(minion().good("sys.list_functions")) == set()


def test_userdata_is_checked_by_the_command_of_the_guide():
    argv = [sys.executable, "-m", "vmimage.builder", "--dry-run", "--userdata", "userdata.example"]
    done = subprocess.run(argv, cwd=PROJECT, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and "nothing was changed" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(
    "command",
    [
        "salt-call vm_create.create_variaton",
        "salt-call vm_create.create_variation nmae=web",
        "salt-call vm_create.create_variation keep=many",
        "salt-call vm_create.update_image",
        "salt-run vm_fleet.recnocile",
        "salt-run vm_fleet.history limt=3",
        "salt-run vm_fleet.log",
        "salt-run state.orchestrate x",
        "salt-call state.apply ami_fleet_hg_hook,ami_fleet_svn_hook",
        "salt-call state.sls ami_creator_per",
        "salt-call --lokal vm_create.plan",
        "sudo ./quickstart --prepair",
        "sudo ./quickstart vm_create.bot web",
        "./run-tests unti",
        "./run-tests --chnaged",
        "benchmarks/race --al",
        "python -m vmimage.bulider",
        "python -m vmimage.builder --dry",
        "python tests/parity/tabel.py",
        "cp states/variaton.sls .",
        "pip wheel --wheel-directory x .",
        "frobnicate",
        "salt-call 'vm_create.plan",
    ],
)
def test_a_wrong_command_is_seen(command):
    with pytest.raises((CommandWrong, SettingsWrong)):
        for words in commands_of(command):
            check_command(words)
