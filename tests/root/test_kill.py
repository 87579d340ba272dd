"""SIGKILL of salt-call in the middle of a step: the kernel takes everything away, and the next run succeeds."""

import os
import signal
import time

import pytest
from building import LEFT_BEHIND_SECONDS, cache_with, groups_of, processes_inside, what_is_left
from waiting import HANG_SECONDS

# a daemon in a session of its own, as a careless maintainer script leaves it, and enough files to catch the packing;
# and time to be stopped in
VARIATION = """
a daemon that nobody stops:
  cmd.run:
    - name: setsid sleep 300 >/dev/null 2>&1 & sleep 2
many files:
  cmd.run:
    - name: mkdir -p /srv/many && cd /srv/many && head -c 40M /dev/zero | split -b 20000 -a 3 && sleep 2
"""


@pytest.mark.parametrize(
    "step", ["update", pytest.param("variation", marks=pytest.mark.light), pytest.param("pack", marks=pytest.mark.light)]
)
def test_a_killed_build_leaves_nothing_and_the_next_succeeds(step, salt, bootstrapped, tmp_path):
    settings = {"name": "killed", "variation": salt.variation("killed", variation=VARIATION), "update": step == "update"}
    if step == "update":
        salt.configure(**{"ami.cache": cache_with(bootstrapped, tmp_path / "cache")})  # where apt has something to fetch
    mounts, loops, _ = what_is_left()
    process = salt.start("vm_create.create_variation", **settings)
    wait_for(salt, step)
    assert processes_inside(), "nothing was running when it was killed"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + LEFT_BEHIND_SECONDS
    while time.monotonic() < deadline and (
        processes_inside() or groups_of(salt, "killed") or what_is_left()[:2] != (mounts, loops)
    ):
        time.sleep(0.05)
    assert not processes_inside() and what_is_left()[:2] == (mounts, loops) and not groups_of(salt, "killed")
    assert not (salt.output / "killed.manifest.json").exists()

    salt.good("vm_create.create_variation", **{**settings, "update": False})
    assert sorted(path.name for path in salt.output.iterdir()) == [
        "kernel_killed",
        "killed.build.json",
        "killed.img",
        "killed.manifest.json",
        "ramdisk_killed",
    ]


def wait_for(salt, step):
    """Until the step is at work: its sign is what it writes."""
    log, image = salt.workspace / "killed/build.log", salt.workspace / "killed/image"
    signs = {
        "update": lambda: log.exists() and "Reading package lists" in log.read_text(encoding="utf-8"),
        "variation": lambda: log.exists() and "/srv/many" in log.read_text(encoding="utf-8"),
        "pack": image.exists,
    }
    deadline = time.monotonic() + HANG_SECONDS
    while not signs[step]():
        assert time.monotonic() < deadline, f"{step} never began"
        time.sleep(0.02)


@pytest.mark.light
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_stopped_build_says_so_and_does_not_end_well(number, salt, bootstrapped):
    process = salt.start(
        "vm_create.create_variation", name="killed", variation=salt.variation("killed", variation=VARIATION), update=False
    )
    wait_for(salt, "variation")
    (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
    _, said = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode not in (0, None)
    assert f"stopped by {number.name}" in said and "Traceback" not in said
    assert not list(salt.output.glob("*"))
