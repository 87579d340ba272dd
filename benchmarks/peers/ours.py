"""Ours: `salt-call --local vm_create.create_variation`, as a user calls it, from the checkout's own .venv."""

import json
import subprocess
import sys
from pathlib import Path

from racing.track import PACKAGES, USER

from peers.contest import Contest, Triplet, shell

TOP = Path(__file__).resolve().parents[2]
SALT_CALL = Path(sys.executable).with_name("salt-call")
_SCRIPT = """
result=$1 output=$2; shift 2
"$@" > "$result"
[ ! -e "$output" ] || sync "$output"/*
"""
_VARIATION = """
the servers are installed:
  pkg.installed:
    - pkgs: {packages}
    - install_recommends: False

{user} is there:
  user.present:
    - name: {user}
    - shell: /bin/bash

the message of the day tells the round:
  file.managed:
    - name: /etc/motd
    - contents: {motd}
"""


class CleanBuild(Contest):
    name = kind = "ours"
    title = "ours: vm_create.create_variation"
    note = "its time includes sealing, e2fsck, digests and the manifest"
    settings = ()

    @property
    def base(self):
        """What it starts from."""
        return self.track.base

    def version(self):
        return subprocess.check_output(["git", "-C", TOP, "describe", "--always", "--dirty"], text=True).strip()

    def output(self, lap):
        """Where the triplet goes; a triplet that is to be found again by the next run goes to ``lap.cache``."""
        return lap.directory / "output"

    def command(self, lap):
        return self.salt_call(lap, "vm_create.create_variation", "name=race", "publish=False", *self.settings)

    def reads(self, lap):
        return [*super().reads(lap), sys.prefix]

    def salt_call(self, lap, *words):
        configuration = self._configure(lap)
        proxy = f"http_proxy={self.track.proxy()}"  # what it asks by itself is counted, too: apt's proxy is that of the base
        argv = ["env", proxy, SALT_CALL, "--local", "--config-dir", configuration, "--retcode-passthrough", "--out", "json"]
        return shell(_SCRIPT, lap.directory / "result.json", self.output(lap), *argv, *words)

    def _configure(self, lap):
        """A minion of its own, and the variation."""
        minion = {
            "file_client": "local",
            "root_dir": str(lap.cache / "salt"),
            "file_roots": {"base": [str(TOP / "states")]},
            "pillar_roots": {"base": []},
            "log_level": "info",
            "log_granular_levels": {"salt": "warning"},
            "ami": {
                "base": str(self.base.tar),
                "base_hash": self.base.digest,
                "output": str(self.output(lap)),
                "workspace": str(lap.cache / "builds"),
                "cache": str(lap.cache / "cache"),
                **self.variation_settings(lap),
            },
        }
        etc = lap.cache / "etc"
        etc.mkdir(exist_ok=True)
        (etc / "minion").write_text(json.dumps(minion), encoding="utf-8")
        return etc

    def variation_settings(self, lap):
        """What is built, and where its root is mounted."""
        return {"variation": self.write_variation(lap.cache / "variation", lap.motd), "root": str(lap.directory / "root")}

    def write_variation(self, top, motd):
        """The job, as states; returns where they lie."""
        top.mkdir(parents=True, exist_ok=True)
        (top / "variation.sls").write_text(_VARIATION.format(packages=json.dumps(PACKAGES), user=USER, motd=motd))
        return str(top)

    def triplets(self, lap):
        return [self.triplet(lap, "race", lap.motd)]

    def triplet(self, lap, name, motd):
        output = self.output(lap)
        return Triplet(output / f"{name}.img", output / f"kernel_{name}", output / f"ramdisk_{name}", motd)

    def result(self, lap):
        """What the call returned."""
        return json.loads((lap.directory / "result.json").read_text(encoding="utf-8"))["local"]

    def manifest(self, lap):
        return json.loads(Path(self.result(lap)["manifest"]).read_text(encoding="utf-8"))

    def details(self, lap):
        states = self.manifest(lap)["states"]
        return {
            "steps": self.result(lap)["steps"],
            "states_seconds": {state["id"]: state["duration_ms"] / 1000 for state in states},
        }


class Ping(CleanBuild):
    """What "nothing changed" is compared with."""

    name = "ping"
    title = "salt-call --local test.ping"
    note = "Salt's start alone"
    kind, default = "floor", False

    def command(self, lap):
        return self.salt_call(lap, "test.ping")

    def triplets(self, lap):
        return []

    def details(self, lap):
        return {}
