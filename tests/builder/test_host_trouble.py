"""What a builder does where all is not well, or where nothing is asked of it: its exit code, its last words, and what it leaves."""

import os
import signal
import time

import pytest
from builder_machine import keystone_of
from building import LEFT_BEHIND_SECONDS, processes_inside, what_is_left
from looking_at import images_of
from store_watch import look_at
from variations import make_history, page_of, text_of
from waiting import HANG_SECONDS

pytestmark = pytest.mark.needs("hg")

FAILS = "it cannot be:\n  cmd.run:\n    - name: 'false'\n"
#: a daemon in a session of its own, as a careless maintainer script leaves it, and time to be stopped in
SLOW = "it takes long:\n  cmd.run:\n    - name: setsid sleep 300 >/dev/null 2>&1 & sleep 200\n"


@pytest.fixture
def source(repositories, tmp_path):
    return make_history("hg", repositories.top / tmp_path.name)


@pytest.fixture
def settings(source, repositories):
    return {"ami.name": "web", "ami.update": False, "ami.hg_address_variation": repositories.address(source)}


def words_of_failure(ended, step):
    """What a run that failed says of it; the last line names the step."""
    assert ended.code == 1 and ended.last.startswith(f"vm_create: FAILED at {step}: "), ended
    return str(ended)


def test_a_variation_that_fails_is_named_and_neither_a_triplet_nor_an_image_is_there(builder, settings, source, emptied):
    source.commit(variation__sls=FAILS)
    said = words_of_failure(builder.run(settings | keystone_of(emptied)), "variation")
    assert "the variation web failed: 1 of 1 states" in said and "it cannot be" in said
    assert images_of(emptied.client("alice", "RegionOne")) == []
    assert not list(builder.output.glob("*"))


def test_a_wrong_password_is_refused_before_anything_is_built_and_not_shown(builder, settings, emptied):
    known = keystone_of(emptied) | {"keystone.password": "a-password-of-nobody"}
    ended = builder.run(settings | known)
    assert "cannot sign in" in words_of_failure(ended, "variation")
    assert "a-password-of-nobody" not in str(ended) and "variation done" not in str(ended)


def test_empty_userdata_builds_what_the_machine_itself_is_configured_for(builder):
    (builder.states / "variation.sls").write_text(text_of("own").replace('{{ pillar["colour"] }}', "sky"), encoding="utf-8")
    builder.configure(**{"ami.update": False})
    ended = builder.run(b"\n")
    assert ended.code == 0 and ended.last.startswith("vm_create: variation is built: "), ended
    assert page_of(builder.output / "variation.img") == "own sky"


def wait_until_it_builds(process):
    """Until the variation is applied: its sign is the program that takes long."""
    deadline = time.monotonic() + HANG_SECONDS
    while not any("sleep 200" in command for command in processes_inside()):
        assert time.monotonic() < deadline, "the variation never began"
        assert process.poll() is None, f"it ended before: {process.communicate()[0]}"
        time.sleep(0.05)


def test_sigterm_ends_a_run_that_says_so_and_leaves_nothing(builder, settings, source):
    source.commit(variation__sls=SLOW)
    process = builder.start(settings | {"ami.publish": False})
    wait_until_it_builds(process)
    process.send_signal(signal.SIGTERM)
    ended = builder.end(process)
    assert "stopped by SIGTERM" in words_of_failure(ended, "variation")
    assert not list(builder.output.glob("*")) and not (builder.directory / "root/srv").exists()


def test_a_run_after_a_kill_ends_right(builder, settings, source, emptied):
    """Nothing is left of a run that got no chance to clean up, and the next run publishes."""
    left, known = what_is_left(), keystone_of(emptied)
    source.commit(variation__sls=SLOW)
    process = builder.start(settings | known)
    wait_until_it_builds(process)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    deadline = time.monotonic() + LEFT_BEHIND_SECONDS
    while processes_inside() or what_is_left() != left:
        assert time.monotonic() < deadline, what_is_left()
        time.sleep(0.05)
    source.commit(variation__sls=text_of("after"))
    ended = builder.run(settings | known)
    assert ended.code == 0, ended
    image = look_at(emptied.client("alice", "RegionOne")).named("web-amd64")
    assert image["vm_create_revision"] == source.shown(source.node()) and page_of(builder.output / "web.img") == "after green"
