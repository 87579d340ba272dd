"""A master and its minion, both real, on the loopback."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from building import CACHE, PROJECT
from servers import own_port
from waiting import HANG_SECONDS, wait_until

BIN = Path(sys.executable).parent


class Cluster:
    """A master, its minion ``builder`` and a listener on the master's event bus.

    :param Path directory: everything of them
    :param dict pillar: of the minion, below ``ami`` besides the directories
    :param dict minion: further configuration of the minion
    :param dict master: further configuration of the master
    """

    def __init__(self, directory, pillar=None, minion=None, master=None):
        self.directory, self.processes = directory, []
        self.states = directory / "states"
        for path in (self.states, directory / "pillar", directory / "master.d", directory / "minion.d"):
            path.mkdir(parents=True)
        (directory / "pillar/top.sls").write_text("base: {'builder': [all]}\n", encoding="utf-8")
        settings = {
            "output": f"{directory}/output",
            "workspace": f"{directory}/workspace",
            "root": f"{directory}/root",
            "cache": CACHE,
            **(pillar or {}),
        }
        (directory / "pillar/all.sls").write_text(json.dumps({"colour": "green", "ami": settings}), encoding="utf-8")
        for part in ("_modules", "_states", "_utils"):
            shutil.copytree(PROJECT / part, directory / "project" / part, ignore=shutil.ignore_patterns("__pycache__"))
        publish, answer = own_port(), own_port()
        self.configure("master", interface="127.0.0.1", publish_port=publish, ret_port=answer, auto_accept=True, worker_threads=2,
                       file_roots={"base": [str(self.states), str(directory / "project"), str(PROJECT / "states")]},
                       pillar_roots={"base": [str(directory / "pillar")]}, **(master or {}))  # fmt: skip
        self.configure("minion", id="builder", master="127.0.0.1", master_port=answer, publish_port=publish, **(minion or {}))

    def configure(self, kind, **options):
        own = {"root_dir": str(self.directory / kind), "log_level": "warning", **options}
        (self.directory / f"{kind}.d" / kind).write_text(json.dumps(own), encoding="utf-8")

    def start(self, program, kind, *more):
        log = open(self.directory / f"{program}.log", "wb")  # noqa: SIM115  closed with the process
        argv = [BIN / program, "-c", self.directory / f"{kind}.d", *more]
        self.processes.append(subprocess.Popen(argv, stdout=log, stderr=subprocess.STDOUT, start_new_session=True))

    def wait_for_the_minion(self):
        deadline = time.monotonic() + HANG_SECONDS
        while self.salt("test.ping", seconds=5)[1] is not True:
            logs = [path.read_text(errors="replace")[-2000:] for path in self.directory.glob("*.log")]
            assert time.monotonic() < deadline, f"the minion never answered: {logs}"

    def wait_for_the_listener(self):
        """It prints what happens after its start alone."""

        def is_heard():
            self.salt("event.send", "vm_create/heard")
            return "vm_create/heard" in self.events()

        wait_until(is_heard)

    def wait_for_events(self, *tags):
        """They come by another way than what a call returns, and may come after it."""
        wait_until(lambda: all(tag in self.events() for tag in tags))

    def events(self):
        """What the listener on the master's event bus has printed."""
        return (self.directory / "salt-run.log").read_text(encoding="utf-8", errors="replace")

    def salt(self, function, *words, seconds=HANG_SECONDS):
        argv = [BIN / "salt", "-c", self.directory / "master.d", "builder", "-t", str(seconds), "--out", "json", function, *words]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=seconds + 60)
        try:
            return done.returncode, json.loads(done.stdout)["builder"]
        except (json.JSONDecodeError, KeyError, TypeError):
            return done.returncode, done.stdout + done.stderr

    def stop(self):
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)  # with what it has started
                process.wait()
        remove_directory(self.directory)


def remove_directory(path):
    """Remove a directory in which something that is just ending may still write."""

    def is_gone():
        shutil.rmtree(path, ignore_errors=True)
        return not path.exists()

    wait_until(is_gone)


@contextmanager
def cluster_running(**options):
    """A :class:`Cluster` for the time of the block, its minion ready."""
    cluster = Cluster(Path(tempfile.mkdtemp(prefix="salt-")), **options)  # a short path: a socket's has 107 characters at most
    try:
        cluster.start("salt-master", "master")
        cluster.start("salt-minion", "minion")
        cluster.start("salt-run", "master", "state.event", "tagmatch=vm_create/*")
        cluster.wait_for_the_minion()
        cluster.wait_for_the_listener()
        yield cluster
    finally:
        cluster.stop()
