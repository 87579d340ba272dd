"""Several variations by one call: beside each other, and a failure is that variation's alone."""

import os
import signal
import time
from pathlib import Path

import pytest
from looking import looked_into
from vmimage.base import prepare
from vmimage.base.locate import locate_base
from vmimage.settings.schema import Settings
from vmimage.system.progress import Progress
from waiting import HANG_SECONDS, wait_until

pytestmark = pytest.mark.light

GOOD = "a file is there:\n  file.managed: [{name: /srv/name, contents: '{{ grains.id }}'}]\n"
BUILT_AGAIN = GOOD + "another, too:\n  file.managed: [{name: /srv/more, contents: x}]\n"
BAD = "this fails:\n  cmd.run: [{name: exit 3}]\n"
PAUSE = "this takes some seconds:\n  cmd.run: [{name: sleep 20}]\n"
SLOW = "this takes its time:\n  cmd.run: [{name: sleep 300}]\n"


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


def test_a_base_that_is_damaged_while_several_build_gets_into_none_of_them(many, light, tmp_path):
    salt = many(**dict.fromkeys(("one", "two", "three"), PAUSE))
    (tmp_path / "cache/bases").mkdir(parents=True)
    settings = Settings(base=light["ami.base"], base_unverified=True, cache=str(tmp_path / "cache"))
    base = prepare.prepare_base(settings, locate_base(settings, Progress()), Progress())
    process = salt.start("vm_create.create_variations", jobs=2, cache=settings.cache)
    logs = [salt.workspace / f"{name}/build.log" for name in ("one", "two")]
    wait_until(
        lambda: all(log.exists() and "sleep 20" in log.read_text() for log in logs), while_so=lambda: process.poll() is None
    )
    flip(Path(base.image))
    _, said = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == 0 and "3 of 3 variations are built" in said, said
    assert [name for name in ("one", "two") if f"{name}: the prepared base {base.image} is damaged" not in said] == [], said


def flip(image):
    """Change a byte at half of a file, and let neither size nor time tell of it."""
    facts = image.stat()
    with open(image, "r+b") as file:
        file.seek(facts.st_size // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 4]))
    os.utime(image, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def test_stopped_it_leaves_nothing_of_any(many):
    salt = many(one=SLOW, two=SLOW)
    process = salt.start("vm_create.create_variations", jobs=2)
    logs = [salt.workspace / f"{name}/build.log" for name in ("one", "two")]
    deadline = time.monotonic() + HANG_SECONDS
    while not all(log.exists() and "sleep 300" in log.read_text() for log in logs):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()
        time.sleep(0.2)
    os.kill(process.pid, signal.SIGTERM)
    _, said = process.communicate(timeout=HANG_SECONDS)
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
