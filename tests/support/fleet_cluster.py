"""A master and several minions that build, all real, on the loopback: each minion is a machine of its own as far as builds can see."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import msgpack
from building import PROJECT
from cluster import BIN, Cluster, remove_directory
from vmimage.fleet.claims import Claims

#: a machine of its own: what builders of a machine share lies on a disk of the minion's own
_APART = 'mkdir -p /run/vm_create && mount -t tmpfs none /run/vm_create && exec "$@"'
TARGET = "G@role:ami-builder"
#: a lease that a test can wait for
LEASE_SECONDS = 60


class Files:
    """Salt's cache ``localfs``, to be read: importing Salt would change how pytest imports."""

    def __init__(self, top):
        self.top = top

    def list(self, bank):
        return [path.stem for path in (self.top / bank).glob("*.p")]

    def fetch(self, bank, key):
        try:
            return msgpack.unpackb((self.top / bank / f"{key}.p").read_bytes())
        except FileNotFoundError:
            return {}


class FleetCluster(Cluster):
    """A master with a fleet.

    :param Path directory: everything of them; a short path
    :param int count: of minions: ``b1``, ``b2``, ...
    :param dict settings: of each minion's builds, below ``ami``
    :param dict keystone: credentials of master and minions
    """

    def __init__(self, directory, count, settings, keystone):
        super().__init__(directory)
        shutil.rmtree(directory / "project")  # modules, runner and machinery are those that pip has installed
        (directory / "pillar/top.sls").write_text("{}\n", encoding="utf-8")
        self.names, self.keystone = [f"b{number}" for number in range(1, count + 1)], keystone
        master = json.loads((directory / "master.d/master").read_text(encoding="utf-8"))
        master["file_roots"] = {"base": [str(self.states), str(PROJECT / "states")]}
        self.master_options = {**master, **keystone, "worker_threads": 3, "keysize": 2048, "keep_jobs_seconds": 3600}
        for name in self.names:
            own = directory / name
            (directory / f"{name}.d").mkdir()
            places = {"output": own / "output", "workspace": own / "work", "root": own / "root", "cache": own / "cache"}
            options = {
                "root_dir": str(own),
                "id": name,
                "master": "127.0.0.1",
                "master_port": master["ret_port"],
                "publish_port": master["publish_port"],
                "log_level": "warning",
                "grains": {"role": "ami-builder"},
                "random_reauth_delay": 1,
                "acceptance_wait_time": 1,
                "auth_timeout": 60,
                "request_channel_timeout": 60,
                "keysize": 2048,
                "recon_default": 200,
                "recon_max": 1000,
                "recon_randomize": False,
                **keystone,
                **{f"ami.{key}": str(path) for key, path in places.items()},
                **{f"ami.{key}": value for key, value in settings.items()},
            }
            (directory / f"{name}.d/minion").write_text(json.dumps(options), encoding="utf-8")
        self.by_name = {}

    @property
    def memory(self):
        """What the fleet remembers, read as it lies in the master's cache: no program is started."""
        return Claims(Files(self.directory / "master/var/cache/salt/master"), "main")

    def order(self, repositories, every_seconds=5, **more):
        """Write ``ami_fleet``; the master is to be started again.

        :param every_seconds: between two passes of the master's schedule
        """
        builders = {"target": TARGET, "per_builder": 1, "lease": LEASE_SECONDS}
        fleet = {"repositories": repositories, "builders": builders, "retry": 2, **more}
        schedule = {"fleet": {"function": "vm_fleet.reconcile", "seconds": every_seconds, "maxrunning": 1}}
        options = {**self.master_options, "ami_fleet": fleet, "schedule": schedule}
        (self.directory / "master.d/master").write_text(json.dumps(options), encoding="utf-8")

    def start_master(self):
        self._start("master", [BIN / "salt-master", "-c", self.directory / "master.d"])

    def start_minion(self, name):
        argv = [BIN / "salt-minion", "-c", self.directory / f"{name}.d"]
        self._start(name, ["unshare", "--mount", "--propagation", "slave", "sh", "-c", _APART, "sh", *argv])

    def _start(self, name, argv):
        log = open(self.directory / f"{name}.log", "ab")  # noqa: SIM115  closed with the process
        process = subprocess.Popen(argv, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        self.by_name[name] = process
        self.processes.append(process)

    def start_all(self):
        self.start_master()
        for number, name in enumerate(self.names, 1):
            self.start_minion(name)
            self.wait_for(self.names[:number])

    def wait_for(self, names, seconds=300):
        """Until these minions answer."""
        deadline, answers = time.monotonic() + seconds, {}
        while True:
            answers = self.command("*", "test.ping", seconds=15)[1]
            if isinstance(answers, dict) and all(answers.get(name) is True for name in names):
                return
            logs = [path.read_text(errors="replace")[-1500:] for path in self.directory.glob("*.log")]
            assert time.monotonic() < deadline, f"{answers}: {logs}"

    def command(self, target, function, *words, seconds=30):
        argv = [
            BIN / "salt",
            "-c",
            self.directory / "master.d",
            target,
            "-t",
            str(seconds),
            "--static",
            "--out",
            "json",
            function,
        ]
        done = subprocess.run([*argv, *words], capture_output=True, text=True, check=False, timeout=seconds + 60)
        try:
            return done.returncode, json.loads(done.stdout)
        except ValueError:
            return done.returncode, done.stdout + done.stderr

    def run(self, function, *words, ok=True):
        """What a runner returns."""
        argv = [BIN / "salt-run", "-c", self.directory / "master.d", "--out", "json", function, *map(str, words)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=600)
        if ok:
            assert done.returncode == 0, done.stdout + done.stderr
            return json.loads(done.stdout)
        return done.returncode, done.stdout + done.stderr

    def family(self, name):
        """All processes of a minion or the master: its session, and what has left it."""
        return family_of(self.by_name[name].pid)

    def signal(self, name, number):
        """A signal to all processes of a minion or the master, as a machine stops or loses its power."""
        for pid in self.family(name):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def kill(self, name):
        """SIGKILL to all of them; they are reaped."""
        while left := self.family(name):
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.by_name[name].poll()
            time.sleep(0.02)
        self.by_name[name].wait()
        self.processes.remove(self.by_name.pop(name))

    def stop(self):
        for name in [*self.by_name]:
            with contextlib.suppress(ProcessLookupError):
                self.signal(name, signal.SIGCONT)
            self.kill(name)
        remove_directory(self.directory)


def family_of(leader):
    """The living processes below a process, and of its session."""
    parents, sessions = {}, {}
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            fields = (process / "stat").read_text(errors="replace").rpartition(") ")[2].split()
            if fields[0] != "Z":
                parents[int(process.name)], sessions[int(process.name)] = int(fields[1]), int(fields[3])
    found = {pid for pid, session in sessions.items() if session == leader} | ({leader} & {*parents})
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found)
