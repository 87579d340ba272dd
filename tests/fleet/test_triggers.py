"""What starts the fleet, as users install it: a real master, hooks of real repositories, calls over HTTP, and the schedule.

Each leads to a call of the runner, or does not; what the runner does then is another file's.
"""

import hashlib
import hmac
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from cluster import Cluster
from minions import PROJECT, Minion
from servers import own_port
from waiting import HANG_SECONDS, wait_until

pytestmark = pytest.mark.needs("hg", "git")

SECRET = "a secret of the fleet and its forges"
HG = {**os.environ, "HGPLAIN": "1", "HGUSER": "t", "HGRCPATH": ""}
GIT = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"} | {
    f"GIT_{who}_{what}": "t@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
}


#: fires an event on the master's bus for each line of JSON: a tag and its data; a salt-run for each would take most of the time
FIRE = """
import json, sys
import salt.config, salt.utils.event
opts = salt.config.client_config(sys.argv[1])
with salt.utils.event.get_master_event(opts, opts["sock_dir"], listen=False) as bus:
    for line in sys.stdin:
        tag, data = json.loads(line)
        print(bus.fire_event(data, tag), flush=True)
"""
#: sends a job with an id of the caller's own
JOB = """
import sys, salt.client
assert salt.client.LocalClient(sys.argv[1]).run_job("builder", "test.ping", jid=sys.argv[2])
"""


class Fleet:
    """A master that reads what the SLS has written for it, its minion on the machine of the repositories, and its bus."""

    def __init__(self, directory):
        self.cluster = Cluster(directory / "c")
        self.top, self.port, self.poke = directory / "c", own_port(), directory / "poke"
        self.web, self.db, self.tree = directory / "web", directory / "db.git", directory / "tree"
        self._make_repositories()
        self.applied = self.apply_master()

    def _make_repositories(self):
        run(["hg", "init", self.web], env=HG)
        run(["git", "init", "-q", "--bare", self.db], env=GIT)
        run(["git", "init", "-q", self.tree], env=GIT)
        run(["hg", "clone", "-q", self.web, f"{self.web}-copy"], env=HG)
        run(["git", "clone", "-q", self.db, f"{self.db}-copy"], env=GIT)

    @property
    def configuration(self):
        return {
            "repositories": {"web": {"hg": str(self.web)}, "db": {"git": f"file://{self.db}"}, "tree": {"git": str(self.tree)}},
            "builders": {"target": "nobody"},
            "hooks": {"secret": SECRET},
        }

    def apply_master(self, **more):
        """``ami_fleet``, by salt-call as it is before there is a master."""
        own = Minion(self.top / f"local-{len(os.listdir(self.top))}", file_roots={"base": [str(PROJECT / "states")]})
        webhook = {"address": "127.0.0.1", "port": self.port}
        settings = {"directory": str(self.top / "master.d"), "every": 15, "webhook": webhook, **more}
        pillar = {"ami_fleet": self.configuration, "ami_fleet_master": settings}
        return own.good("state.apply", "ami_fleet", f"pillar={json.dumps(pillar)}")

    def start(self):
        path = self.top / "master.d/master"
        options = json.loads(path.read_text(encoding="utf-8"))
        options |= {"runner_dirs": [str(PROJECT / "_runners")], "utils_dirs": [str(PROJECT / "_utils")]}
        path.write_text(json.dumps(options), encoding="utf-8")
        self.cluster.start("salt-master", "master")
        self.cluster.start("salt-minion", "minion")
        self.cluster.start("salt-run", "master", "state.event", "tagmatch=salt/run/*")
        self.cluster.wait_for_the_minion()
        path = self.top / "master.d/master"
        self.bus = subprocess.Popen([sys.executable, "-c", FIRE, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.wait_until_the_webhook_listens()
        self.wait_until_the_bus_is_heard()

    def apply_hooks(self):
        """``ami_fleet_hg_hook`` and ``ami_fleet_git_hook``, by the minion that has a master."""
        wanted = {
            "hg": {"web": str(self.web)},
            "git": {"db": str(self.db), "tree": str(self.tree)},
            "program": str(self.poke),
        }
        words = ["state.apply", "ami_fleet_hg_hook,ami_fleet_git_hook", f"pillar={json.dumps({'ami_fleet_hook': wanted})}"]
        code, answer = self.cluster.salt(*words)
        assert code == 0, answer

    def write_poke(self, text):
        """As a state writes it: the file takes the place of the last, which a poke in the background may be starting (ETXTBSY)."""
        beside = self.poke.with_suffix(".new")
        beside.write_text(text, encoding="utf-8")
        beside.chmod(0o755)
        beside.replace(self.poke)

    def calls(self):
        """The calls of the runner so far, as ``(function, arguments by name)``."""
        events = re.findall(r"(?m)^salt/run/\d+/new\t(\{.*\})$", self.cluster.events())
        found = [json.loads(event) for event in events]
        return [
            (
                event["fun"].removeprefix("runner."),
                *[{k: v for k, v in argument.items() if not k.startswith("__")} for argument in event["fun_args"]],
            )
            for event in found
            if event["fun"].startswith("runner.vm_fleet.")
        ]

    def master_log(self):
        return (self.top / "salt-master.log").read_text(errors="replace")

    def post(self, data, headers=None, path="vm_fleet"):
        """An HTTP call; ``headers`` default to a good signature."""
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        if headers is None:
            headers = {"X-Hub-Signature-256": "sha256=" + hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/{path}", body, headers)
        with urllib.request.urlopen(request, timeout=HANG_SECONDS) as answer:
            return answer.status

    def push_event(self, address, **more):
        return {"ref": "refs/heads/main", "repository": {"clone_url": address, **more}, "at": time.time_ns()}

    def wait_until_the_webhook_listens(self):
        def answers():
            try:
                return self.post({}, {}, "nothing") == 200
            except OSError:
                return False

        wait_until(answers)

    def wait_until_the_bus_is_heard(self):
        """The listener prints what happens after its start alone."""

        def is_heard():
            self.poke_by_event("tree")
            time.sleep(1)
            return self.calls()

        wait_until(is_heard)

    def poke_by_event(self, name):
        self.bus.stdin.write(json.dumps(["vm_fleet/poke", {"repository": name}]) + "\n")
        self.bus.stdin.flush()
        assert self.bus.stdout.readline() == "True\n"

    def stop(self):
        if hasattr(self, "bus"):
            self.bus.kill()
            self.bus.communicate()
        self.cluster.stop()

    def called_by(self, *works):
        """The calls of the runner that some work has led to: seen when two pokes that follow it, one after the other, have come through."""
        before = len(self.calls())
        for work in works:
            work()
        for count in (1, 2):
            self.poke_by_event("tree")
            wait_until(lambda count=count: self.calls()[before:].count(hook("tree")) == count)
        return [call for call in self.calls()[before:] if call != hook("tree")]

    def wait_for(self, call, before=0):
        wait_until(lambda: call in self.calls()[before:])


def run(argv, env=None, cwd=None):
    """A program to its end; what it has printed."""
    done = subprocess.run(
        [str(word) for word in argv], env=env, cwd=cwd, capture_output=True, text=True, check=False, timeout=HANG_SECONDS
    )
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def fleet():
    with tempfile.TemporaryDirectory(prefix="f-", ignore_cleanup_errors=True) as directory:
        made = Fleet(Path(directory))
        try:
            made.start()
            made.apply_hooks()
            yield made
        finally:
            made.stop()


def change(directory):
    with open(directory / "variation.sls", "a", encoding="utf-8") as file:
        file.write(f"# {time.time_ns()}\n")


def hook(*names):
    return ("vm_fleet.hook", {"repositories": list(names)})


def test_what_the_sls_wrote_for_the_master_is_for_its_user_alone_and_stays_as_it_is(fleet):
    written = fleet.top / "master.d/master.d/vm_fleet.conf"
    assert written.stat().st_mode & 0o777 == 0o600
    assert json.loads(written.read_text(encoding="utf-8"))["ami_fleet"] == fleet.configuration
    assert all(state["result"] for state in fleet.applied.values())
    assert SECRET not in json.dumps(fleet.applied)
    again = fleet.apply_master()
    assert [state["changes"] for state in again.values() if state["changes"]] == []


def test_a_push_to_a_mercurial_repository_leads_to_a_call(fleet):
    copy, before = Path(f"{fleet.web}-copy"), len(fleet.calls())
    change(copy)
    run(["hg", "-q", "commit", "-A", "-m", "one"], HG, copy)
    run(["hg", "-q", "push"], HG, copy)
    fleet.wait_for(hook("web"), before)


def test_a_commit_in_a_mercurial_repository_leads_to_a_call(fleet):
    before = len(fleet.calls())
    run(["hg", "-q", "update"], HG, fleet.web)
    change(fleet.web)
    run(["hg", "-q", "commit", "-A", "-m", "two"], HG, fleet.web)
    fleet.wait_for(hook("web"), before)


def test_a_push_to_a_git_repository_leads_to_a_call(fleet):
    copy, before = Path(f"{fleet.db}-copy"), len(fleet.calls())
    change(copy)
    run(["git", "add", "."], GIT, copy)
    run(["git", "commit", "-q", "-m", "one"], GIT, copy)
    run(["git", "push", "-q", "origin", "HEAD:refs/heads/main"], GIT, copy)
    fleet.wait_for(hook("db"), before)


def test_a_commit_in_a_git_repository_leads_to_a_call(fleet):
    before = len(fleet.calls())
    change(fleet.tree)
    run(["git", "add", "."], GIT, fleet.tree)
    run(["git", "commit", "-q", "-m", "one"], GIT, fleet.tree)
    fleet.wait_for(hook("tree"), before)


def test_a_forges_call_that_is_signed_leads_to_a_call_of_the_runner_and_its_repetition_changes_nothing(fleet):
    body = json.dumps(fleet.push_event(f"file://{fleet.db}")).encode()
    wanted = ("vm_fleet.hook", {"repositories": ["db"], "digest": hashlib.sha256(body).hexdigest()})
    fleet.post(body)
    fleet.wait_for(wanted)
    fleet.post(body)
    wait_until(lambda: fleet.calls().count(wanted) == 2)  # the runner is asked, and refuses
    wait_until(lambda: "came again: nothing is done for it" in fleet.master_log())


def test_what_is_refused_starts_nothing_and_is_logged_without_what_it_brought(fleet):
    event = {**fleet.push_event(f"file://{fleet.db}"), "mark": "words-of-the-body"}
    works = {
        "webhook was refused: not signed": lambda: fleet.post(event, {}),
        "webhook was refused: signed by another secret": lambda: fleet.post(event, {"X-Gitlab-Token": "a guess of the secret"}),
        "about no repository of ami_fleet": lambda: fleet.post(fleet.push_event(f"file://{fleet.db}2")),
        "larger than the master's max_event_size": lambda: fleet.post(b" " * (1 << 21)),
        "a poke of the fleet was refused: it names no repository": lambda: fleet.poke_by_event("we"),
    }
    assert fleet.called_by(*works.values()) == []
    said = fleet.master_log()
    assert [words for words in works if words not in said] == []
    assert "words-of-the-body" not in said and "a guess of the secret" not in said and SECRET not in said


def test_nothing_of_a_forges_call_reaches_the_cache_of_jobs(fleet):
    secret = {"X-Gitlab-Token": SECRET}
    event = {"project": {"git_http_url": f"file://{fleet.db}"}, "mark": "words-of-a-signed-body"}
    before = len(fleet.calls())
    fleet.post(event, secret)
    wait_until(lambda: [call for call in fleet.calls()[before:] if "digest" in call[1]])
    jobs = fleet.top / "master/var/cache/salt/master/jobs"

    def kept():
        return b"".join(path.read_bytes() for path in jobs.rglob("*") if path.is_file())

    wait_until(lambda: b"vm_fleet.hook" in kept())
    assert b"words-of-a-signed-body" not in kept() and SECRET.encode() not in kept()


def test_a_push_succeeds_where_the_poke_cannot_be_sent(fleet):
    copy, text = Path(f"{fleet.db}-copy"), fleet.poke.read_text(encoding="utf-8")
    try:
        for broken in (
            text.replace("event.send", "event.snd").replace("fire_event", "fire_evnt"),
            re.sub(r"timeout 120 \S+", "timeout 20 /bin/sleep 600; exit 3", text),
            "#!/nowhere\n",
        ):
            fleet.write_poke(broken.replace("logger", ": "))
            change(copy)
            run(["git", "commit", "-q", "-a", "-m", "more"], GIT, copy)
            run(["timeout", str(HANG_SECONDS), "git", "push", "-q", "origin", "HEAD:refs/heads/main"], GIT, copy)
    finally:
        fleet.write_poke(text)


def test_a_poke_that_finds_no_bus_goes_by_a_program_of_its_own(fleet):
    text, before = fleet.poke.read_text(encoding="utf-8"), len(fleet.calls())
    try:
        fleet.write_poke(text.replace('"/minion"', '"/no-minion"'))
        run([fleet.poke, "web"])
        fleet.wait_for(hook("web"), before)
    finally:
        fleet.write_poke(text)


def test_the_end_of_a_builds_job_leads_to_a_look_that_asks_no_repository(fleet):
    before = len(fleet.calls())
    for number, mark in ((1, ""), (2, "_vm_fleet")):
        run([sys.executable, "-c", JOB, fleet.top / "master.d/master", f"2026010100000000000{number}{mark}"])
    look = ("vm_fleet.reconcile", {"ask": False})
    fleet.wait_for(look, before)
    assert fleet.calls()[before:].count(look) == 1


def test_a_hook_of_the_repositorys_own_stays_and_its_owner_is_asked_for_a_line(tmp_path):
    tree, poke = tmp_path / "own", tmp_path / "poke"
    run(["git", "init", "-q", tree], env=GIT)
    own = tree / ".git/hooks/post-receive"
    own.write_text("#!/bin/sh\necho mine\n", encoding="utf-8")
    minion = Minion(tmp_path / "minion")
    wanted = {"ami_fleet_hook": {"git": {"own": str(tree)}, "program": str(poke), "by": "master"}}
    words = ["state.apply", "ami_fleet_git_hook", f"pillar={json.dumps(wanted)}"]
    code, states, _ = minion.call(*words)
    assert code != 0
    assert [state["changes"]["stderr"] for state in states.values() if not state["result"]] == [
        f"{own} is a hook of your own; add the line {poke} own"
    ]
    assert own.read_text(encoding="utf-8") == "#!/bin/sh\necho mine\n"
    own.write_text(f"#!/bin/sh\necho mine\n{poke} own\n", encoding="utf-8")
    minion.good(*words)


def test_the_schedule_looks_of_itself(fleet):
    """The master's scheduler puts no event on the bus: that a look has begun is seen by its lock."""
    lock = fleet.top / "master/var/cache/salt/master/vm_fleet/main.lock"
    wait_until(lock.exists)
    lock.unlink()
    wait_until(lock.exists)


def test_the_fleet_is_shown_as_a_table_a_page_and_metrics(fleet, tmp_path):
    salt_run = [Path(sys.executable).parent / "salt-run", "-c", fleet.top / "master.d"]
    assert "images: " in run([*salt_run, "vm_fleet.status", "table=True"])
    run([*salt_run, "vm_fleet.page", tmp_path / "fleet.html"])
    run([*salt_run, "vm_fleet.metrics", tmp_path / "fleet.prom"])
    assert "<h1>Fleet main</h1>" in (tmp_path / "fleet.html").read_text(encoding="utf-8")
    assert 'vm_fleet_builds_total{ending="published",fleet="main"} 0' in (tmp_path / "fleet.prom").read_text(encoding="utf-8")
