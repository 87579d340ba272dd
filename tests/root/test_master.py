"""A minion with a master, both real, on loopback: the modules come by sync, the states from the master, progress goes to its bus."""

import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from building import CACHE, PROJECT
from looking import looked_into
from vmimage.qemu import free_port

BIN = Path(sys.executable).parent
PAGE = "/etc/mark:\n  file.managed:\n    - contents: {{ pillar['colour'] }} {{ grains['id'] }}\n"


class Cluster:
    """A master, its minion ``builder`` and a listener on the master's event bus.

    :param Path directory: everything of them
    """

    def __init__(self, directory):
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
        }
        (directory / "pillar/all.sls").write_text(json.dumps({"colour": "green", "ami": settings}), encoding="utf-8")
        for part in ("_modules", "_states", "_utils"):
            shutil.copytree(PROJECT / part, directory / "project" / part, ignore=shutil.ignore_patterns("__pycache__"))
        publish, answer = free_port(), free_port()
        self.configure("master", interface="127.0.0.1", publish_port=publish, ret_port=answer, auto_accept=True, worker_threads=2,
                       file_roots={"base": [str(self.states), str(directory / "project"), str(PROJECT / "states")]},
                       pillar_roots={"base": [str(directory / "pillar")]})  # fmt: skip
        self.configure("minion", id="builder", master="127.0.0.1", master_port=answer, publish_port=publish)

    def configure(self, kind, **options):
        own = {"root_dir": str(self.directory / kind), "log_level": "warning", **options}
        (self.directory / f"{kind}.d" / kind).write_text(json.dumps(own), encoding="utf-8")

    def start(self, program, kind, *more):
        log = open(self.directory / f"{program}.log", "wb")  # noqa: SIM115  closed with the process
        argv = [BIN / program, "-c", self.directory / f"{kind}.d", *more]
        self.processes.append(subprocess.Popen(argv, stdout=log, stderr=subprocess.STDOUT, start_new_session=True))

    def salt(self, function, *words, seconds=60):
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
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        shutil.rmtree(self.directory)


@pytest.fixture
def cluster():
    cluster = Cluster(Path(tempfile.mkdtemp(prefix="salt-")))  # a short path: a socket's has 107 characters at most
    try:
        cluster.start("salt-master", "master")
        cluster.start("salt-minion", "minion")
        cluster.start("salt-run", "master", "state.event", "tagmatch=vm_create/*")
        deadline = time.monotonic() + 90
        while cluster.salt("test.ping", seconds=5)[1] is not True:
            logs = [path.read_text(errors="replace")[-2000:] for path in cluster.directory.glob("*.log")]
            assert time.monotonic() < deadline, f"the minion never answered: {logs}"
        yield cluster
    finally:
        cluster.stop()


def test_a_minion_of_a_master_builds_from_the_masters_states(cluster, bootstrapped):
    (cluster.states / "page.sls").write_text(PAGE, encoding="utf-8")
    code, synced = cluster.salt("saltutil.sync_all")
    assert code == 0 and "modules.vm_create" in synced["modules"], synced
    told = {"states": ["page"], "id": "web1"}
    code, data = cluster.salt("vm_create.create_variation", "name=web", f"variation={json.dumps(told)}", "update=False")
    assert code == 0, data
    with looked_into(cluster.directory / "output/web.img") as root:
        assert (root / "etc/mark").read_text(encoding="utf-8") == "green web1\n"
    events = (cluster.directory / "salt-run.log").read_text(encoding="utf-8", errors="replace")
    for step in ("base", "root", "variation", "seal", "kernel", "pack", "close", "shrink", "triplet"):
        assert f"vm_create/web/{step}/done" in events, events[-3000:]

    code, said = cluster.salt("vm_create.create_variation", "name=web", "variation=salt://nowhere", "update=False")
    assert code != 0 and "there is no variation salt://nowhere" in str(said)
