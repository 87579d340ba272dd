"""Several variations by one call: beside each other, and a failure is that variation's alone."""

import os
import signal
import time

import pytest
from looking import looked_into

pytestmark = pytest.mark.light

GOOD = "a file is there:\n  file.managed: [{name: /srv/name, contents: '{{ grains.id }}'}]\n"
BUILT_AGAIN = GOOD + "another, too:\n  file.managed: [{name: /srv/more, contents: x}]\n"
BAD = "this fails:\n  cmd.run: [{name: exit 3}]\n"
SLOW = "this takes its time:\n  cmd.run: [{name: sleep 60}]\n"


# of the tmpfs that takes the changes, in MiB
SIZE = "its size is noted:\n  cmd.run: [{name: df --output=size --block-size=1M / | tail -n 1 > /srv/size}]\n"


@pytest.fixture
def many(salt, bootstrapped):
    """A minion with settings for variations: ``many(good=GOOD, ...)``."""

    def configure(**texts):
        variations = {name: {"variation": salt.variation(name, variation=text)} for name, text in texts.items()}
        more = {"ami.variations": variations, "ami.update": False, "ami.publish": False}
        salt.configure(**more)
        config = salt.directory / "etc/minion"
        config.write_text(config.read_text().replace('"ami.root"', '"root of one"'))  # each has its own
        return salt

    return configure


def test_a_failure_does_not_stop_the_others_and_the_summary_tells_all(many):
    salt = many(one=GOOD, bad=BAD, two=GOOD)
    code, found, said = salt.call("vm_create.create_variations")
    assert code != 0
    assert list(found) == ["one", "bad", "two"]
    assert "this fails" in found["bad"]["failed"]
    assert "2 of 3 variations are built" in said and "bad " in said
    assert "one: variation done" in said and "two: variation done" in said
    assert sorted(path.name for path in salt.output.glob("*.img")) == ["one.img", "two.img"]
    digests = {name: found[name]["files"]["root_image"]["sha256"] for name in ("one", "two")}
    assert salt.manifest("one")["variation"]["id"] == "one" and digests["one"] != digests["two"]


def test_some_are_named_and_an_unknown_name_is_refused(many):
    salt = many(one=GOOD, two=GOOD)
    assert "ami.variations does not hold three" in salt.bad("vm_create.create_variations", "three")
    assert list(salt.good("vm_create.create_variations", "two")) == ["two"]


def test_what_has_not_changed_is_not_built_again(many):
    salt = many(one=GOOD, two=GOOD)
    settings = {"skip_unchanged": True}
    first = salt.good("vm_create.create_variations", **settings)
    salt = many(one=GOOD, two=BUILT_AGAIN)
    again = salt.good("vm_create.create_variations", **settings)
    assert {name: build["unchanged"] for name, build in first.items()} == {"one": False, "two": False}
    assert {name: build["unchanged"] for name, build in again.items()} == {"one": True, "two": False}
    assert {name: again[name]["files"]["root_image"] == first[name]["files"]["root_image"] for name in again} == {
        "one": True,
        "two": False,
    }


def test_stopped_it_leaves_nothing_of_any(many):
    salt = many(one=SLOW, two=SLOW)
    process = salt.start("vm_create.create_variations", jobs=2)
    logs = [salt.workspace / f"{name}/build.log" for name in ("one", "two")]
    deadline = time.monotonic() + 120
    while not all(log.exists() and "sleep 60" in log.read_text() for log in logs):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.2)
    os.kill(process.pid, signal.SIGTERM)
    _, said = process.communicate(timeout=120)
    assert process.returncode != 0 and "stopped by SIGTERM" in said
    assert not list(salt.output.glob("*"))


def test_builds_at_the_same_time_share_the_memory(many):
    salt = many(one=SIZE, two=SIZE)
    salt.good("vm_create.create_variations", jobs=2, memory=True, room_mib=64)
    sizes = []
    for name in ("one", "two"):
        with looked_into(salt.output / f"{name}.img") as root:
            sizes.append(int((root / "srv/size").read_text()))
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
    assert 64 <= min(sizes) and sum(sizes) <= memory * 0.6
