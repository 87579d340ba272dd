"""vmimage.repository.checkout when the line breaks, the server is in trouble, runs are killed, and the cache is damaged."""

import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress

import pytest
from repository_server import call, kill_when
from vmimage.errors import RepositoryWrong
from vmimage.repository import environment, programs
from waiting import HANG_SECONDS, ended_if_it_hangs, wait_until

pytest_plugins = ["repository_fixtures"]
pytestmark = pytest.mark.needs("hg", "git")

#: the jobs that a shell starts in the background ignore Ctrl-C, and so does all that they start: this process shall not
RUN = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from vmimage.repository.checkout import fetch_repository
kind, address, revision, cache = sys.argv[1:]
print(fetch_repository(kind, address, revision, cache).node)
"""


@pytest.fixture
def process(monkeypatch):
    """A maker of processes that fetch: ``process(kind, address, revision, cache)``; none outlives its test."""
    monkeypatch.setenv("PYTHONPATH", ":".join(path for path in sys.path if path))
    made = []

    def make(*arguments):
        made.append(subprocess.Popen([sys.executable, "-c", RUN, *map(str, arguments)], stdout=subprocess.PIPE, text=True))
        return made[-1]

    yield make
    for child in made:
        child.kill()
        child.communicate()


def content(checkout):
    return (checkout.path / "variation.sls").read_text()


def heavy(history):
    """A commit of 2 MiB in many files, which do not shrink: it can be stopped in the middle."""
    for number in range(256):
        (history.path / f"heavy{number}").write_bytes(os.urandom(8 << 10))
    return history.commit_all("heavy")


def gone(history):
    history.path.rename(history.path.with_name(f"{history.path.name}-away"))


def back(history):
    history.path.with_name(f"{history.path.name}-away").rename(history.path)


# the line and the server


def test_a_server_in_trouble_is_asked_again_after_longer_and_longer_pauses(history, server, fetch):
    server.codes = [503, 502]
    assert content(fetch(server.address(history), "v1", history.kind)) == "second"
    assert fetch.slept == [1, 2]
    assert [re.sub(".*; ", "", line) for line in fetch.said] == ["try 2 of 3 in 1 s", "try 3 of 3 in 2 s"]


def test_a_server_that_stays_in_trouble_is_named_with_what_it_said(history, server, fetch):
    server.codes = [503] * 50
    with pytest.raises(RepositoryWrong, match=rf"{server.address(history)} cannot be fetched: (abort|fatal): .*503"):
        fetch(server.address(history), "v1", history.kind)
    assert fetch.slept == [1, 2]
    assert not (fetch.place / "clone").exists() and not list(fetch.place.glob("*partial*"))


def test_what_another_try_cannot_mend_is_said_at_once(history, server, fetch, tmp_path):
    with pytest.raises(RepositoryWrong, match="check the address"):
        fetch(str(tmp_path / "nowhere"), "v1", history.kind)
    server.codes = [404] * 50
    with pytest.raises(RepositoryWrong, match="check the address"):
        fetch(server.address(history), "v1", history.kind)
    assert fetch.slept == []


@pytest.mark.parametrize("stale", [False, True])
def test_a_server_that_is_gone_before_the_first_run_is_an_error(history, fetch, stale):
    gone(history)
    with pytest.raises(RepositoryWrong, match="cannot be fetched"):
        fetch(history, stale=stale)


def test_where_the_server_is_gone_what_was_last_fetched_is_taken_only_if_that_is_allowed(history, fetch):
    before = fetch(history)
    gone(history)
    with pytest.raises(RepositoryWrong, match="cannot be fetched"):
        fetch(history)
    fetch.said.clear()
    after = fetch(history, stale=True)
    assert (after.node, after.path, after.is_stale) == (before.node, before.path, True)
    assert f"taking what was last fetched, {before.revision}" in fetch.said[-1]
    back(history)
    assert fetch(history, stale=True) == before


@pytest.mark.parametrize("asked", ["stable", "v1", "{second:.12}"])
@pytest.mark.parametrize("history", ["git"], indirect=True)
def test_of_what_was_last_fetched_any_revision_can_be_taken(history, fetch, asked):
    fetch(history)
    gone(history)
    asked = asked.format(**history.nodes)
    assert fetch(history, asked, stale=True).node == history.nodes["stable" if asked == "stable" else "second"]


@pytest.mark.parametrize("history", ["git"], indirect=True)
def test_what_was_never_fetched_is_not_taken_from_what_was(history, fetch):
    fetch(history)
    gone(history)
    with pytest.raises(RepositoryWrong, match="cannot be fetched"):
        fetch(history, "none", stale=True)


@pytest.mark.parametrize("history", ["git"], indirect=True)
def test_what_the_server_says_is_gone_is_not_taken_from_what_was_last_fetched(history, fetch):
    fetch(history, "stable")
    history.git("branch", "-D", "stable")
    with pytest.raises(RepositoryWrong, match="has no revision stable"):
        fetch(history, "stable", stale=True)


def test_a_whole_hash_that_was_fetched_needs_no_server(history, server, fetch):
    address = server.address(history)
    fetch(address, "", history.kind)
    asked = len(server.asked)
    checkout = fetch(address, history.nodes["second"], history.kind)  # not the revision that was checked out
    assert content(checkout) == "second" and not checkout.is_stale
    assert len(server.asked) == asked


def test_a_whole_hash_that_was_not_fetched_is_looked_for_at_the_server(history, fetch):
    fetch(history)
    node = history.commit(variation__sls="newer")
    assert fetch(history, node).node == node


def test_a_server_that_falls_silent_is_given_up(history, server, fetch, monkeypatch):
    monkeypatch.setattr(environment, "_SILENT_SECONDS", 1)
    server.stuck = 5
    with ended_if_it_hangs(), pytest.raises(RepositoryWrong, match="cannot be fetched: .*(timed out|too slow)"):
        fetch(server.address(history), "", history.kind, tries=1)


def test_a_program_that_takes_too_long_is_ended(history, server, fetch, monkeypatch):
    monkeypatch.setattr(programs, "_LONGEST_SECONDS", 1)
    server.stuck = 5
    with ended_if_it_hangs(), pytest.raises(RepositoryWrong, match="cannot be fetched: it took longer than 1 s"):
        fetch(server.address(history), "", history.kind, tries=1)


# killed runs


def test_a_run_that_was_killed_in_the_middle_of_cloning_does_not_disturb_the_next(history, server, fetch, process):
    heavy(history)
    server.stuck = 1 << 20
    address = server.address(history)
    child = process(history.kind, address, "", fetch.cache)
    kill_when(child, lambda: begun(fetch))
    assert list(fetch.place.glob("clone.partial-*")) and not (fetch.place / "clone").exists()
    server.stuck = None
    assert content(fetch(address, "", history.kind)) == "last"
    assert not list(fetch.place.glob("*.partial-*")) and not (fetch.place / "home").exists()


def begun(fetch):
    """Whether something of the big answer is written already."""
    written = 0
    for directory, _, names in os.walk(fetch.cache):
        for name in names if ".partial-" in directory else ():
            with suppress(FileNotFoundError):
                written += os.lstat(f"{directory}/{name}").st_size
    return written > 100_000


@pytest.mark.parametrize("moment", [1, 2])
def test_a_run_that_was_killed_in_the_middle_of_pulling_does_not_disturb_the_next(history, server, fetch, process, moment):
    address = server.address(history)
    fetch(address, "", history.kind)
    node = heavy(history)
    server.stuck, asked = (1 << 20 if moment % 2 else None), len(server.asked)
    child = process(history.kind, address, "", fetch.cache)
    kill_when(child, lambda: len(server.asked) >= asked + 2 + moment or child.poll() is not None)
    server.stuck = None
    checkout = fetch(address, "", history.kind)
    assert checkout.node == node and len(list(checkout.path.glob("heavy*"))) == 256


def test_hg_and_git_end_with_who_called_them(history, server, fetch, process):
    heavy(history)
    server.stuck = 1 << 20
    child = process(history.kind, server.address(history), "", fetch.cache)
    kill_when(child, lambda: begun(fetch))
    wait_until(
        lambda: (
            not [command for command in processes() if f"{fetch.cache}/" in command and command.split("\0")[0] == history.kind]
        )
    )


def processes():
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
                yield file.read()
        except OSError:
            pass


def test_two_at_once_both_get_it_and_clone_it_once(history, server, fetch, process):
    address = server.address(history)
    children = [process(history.kind, address, "v1", fetch.cache) for _ in range(2)]
    assert {child.communicate(timeout=HANG_SECONDS)[0].strip() for child in children} == {history.nodes["second"]}
    assert not list(fetch.place.rglob("*.partial-*"))
    assert len(list((fetch.place / "trees").iterdir())) == 2  # the files and their digest


def test_an_interrupted_run_ends_by_its_signal_and_leaves_nothing_half_made(history, server, fetch, process):
    server.stuck = 5
    child = process(history.kind, server.address(history), "", fetch.cache)
    wait_until(lambda: server.asked)
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=HANG_SECONDS)
    assert child.returncode == -signal.SIGINT and not (fetch.place / "home").exists()


# a damaged cache


def cut(path):
    path.chmod(0o600)
    with open(path, "r+b") as file:
        file.truncate(path.stat().st_size // 2)


DAMAGE = {
    "hg": {
        "changelog cut": lambda clone: cut(clone / ".hg/store/00changelog.i"),
        "file log cut": lambda clone: cut(clone / ".hg/store/data/variation.sls.i"),
        "transaction abandoned": lambda clone: (clone / ".hg/store/journal").write_bytes(b"x"),
        "metadata gone": lambda clone: shutil.rmtree(clone / ".hg"),
        "other requirements": lambda clone: (clone / ".hg/requires").write_text("no-such-thing\n"),
        "a file": lambda clone: (shutil.rmtree(clone), clone.write_text("x")),
    },
    "git": {
        "objects gone": lambda clone: shutil.rmtree(clone / "objects"),
        "objects cut": lambda clone: [cut(path) for path in clone.glob("objects/[0-9a-f]*/*")],
        "refs gone": lambda clone: shutil.rmtree(clone / "refs"),
        "a ref cut": lambda clone: (clone / "refs/heads/master").write_text("12345"),
        "a ref to nothing": lambda clone: (clone / "refs/heads/master").write_text("1" * 40 + "\n"),
        "a lock left": lambda clone: [(clone / f"refs/{name}.lock").touch() for name in ("heads/master", "vm_create/HEAD")],
        "config cut": lambda clone: (clone / "config").write_text("[core"),
        "a file": lambda clone: (shutil.rmtree(clone), clone.write_text("x")),
    },
}


@pytest.mark.parametrize("history, damage", [(kind, name) for kind in DAMAGE for name in DAMAGE[kind]], indirect=["history"])
def test_a_damaged_clone_is_made_again(history, fetch, damage):
    fetch(history, history.nodes["first"])
    DAMAGE[history.kind][damage](fetch.place / "clone")
    history.commit(variation__sls="newer")
    assert content(fetch(history)) == "newer"
    assert not list(fetch.place.rglob("*.partial-*"))


@pytest.mark.parametrize("history, damage", [("hg", "file log cut"), ("git", "objects cut")], indirect=["history"])
def test_a_damaged_clone_is_made_again_where_the_server_has_nothing_new(history, fetch, damage):
    fetch(history, history.nodes["first"])
    DAMAGE[history.kind][damage](fetch.place / "clone")
    assert content(fetch(history, "v1")) == "second"


@pytest.mark.parametrize("history, damage", [("hg", "file log cut"), ("git", "objects cut")], indirect=["history"])
def test_a_damaged_clone_without_a_server_is_an_error_and_gives_no_files(history, fetch, damage):
    fetch(history, history.nodes["first"])
    DAMAGE[history.kind][damage](fetch.place / "clone")
    gone(history)
    for asked in ("", history.nodes["second"]):
        with pytest.raises(RepositoryWrong):
            fetch(history, asked, stale=True)


@pytest.mark.parametrize("history", ["git"], indirect=True)
def test_the_clone_stays_while_the_server_is_away(history, fetch):
    fetch(history)
    gone(history)
    for _ in range(2):
        with pytest.raises(RepositoryWrong):
            fetch(history)
    assert fetch(history, history.nodes["second"]).node == history.nodes["second"]


@pytest.mark.parametrize("change", ["changed", "added", "removed", "a link", "no digest"])
@pytest.mark.parametrize("history", ["git"], indirect=True)
def test_files_that_were_changed_in_the_cache_are_not_used(history, fetch, change):
    path = fetch(history).path
    file = path / "variation.sls"
    if change == "changed":
        file.write_text("evil")
    elif change == "added":
        (path / "top.sls").write_text("evil")
    elif change == "removed":
        file.unlink()
    elif change == "a link":
        shutil.rmtree(path)
        path.symlink_to("/etc")
    else:
        path.with_name(f"{path.name}.digest").unlink()
    again = fetch(history)
    assert again.path == path and content(again) == "last" and not (path / "top.sls").exists()
    assert not path.is_symlink()


def test_a_cache_with_a_strange_name_serves_as_well(history, fetch, tmp_path):
    fetch.cache = tmp_path / "a b%H 'c' \"d\" ä"
    assert content(fetch(history, "v1")) == "second"
    history.commit(variation__sls="newer")
    assert content(fetch(history)) == "newer"
    assert call("find", tmp_path, "-maxdepth", "1", "-name", "a b*", "-printf", "x") == "x"
