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
told=$1 output=$2; shift 2
"$@" > "$told"
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
    name = "ours"
    title = "ours: vm_create.create_variation"
    note = "its time includes sealing, e2fsck, digests and the manifest"
    settings = ()

    def version(self):
        return subprocess.check_output(["git", "-C", TOP, "describe", "--always", "--dirty"], text=True).strip()

    def output(self, lap):
        """Where the triplet goes; one that is to be found again by the next run goes to ``lap.cache``."""
        return lap.directory / "output"

    def command(self, lap):
        return self._salt_call(lap, "vm_create.create_variation", "name=race", "publish=False", *self.settings)

    def _salt_call(self, lap, *words):
        configuration = self._configure(lap)
        argv = [SALT_CALL, "--local", "--config-dir", configuration, "--retcode-passthrough", "--out", "json"]
        return shell(_SCRIPT, lap.directory / "told.json", self.output(lap), *argv, *words)

    def _configure(self, lap):
        """A minion of its own, and the variation."""
        variation = self._write_variation(lap)
        minion = {
            "file_client": "local",
            "root_dir": str(lap.cache / "salt"),
            "file_roots": {"base": [str(TOP / "states")]},
            "pillar_roots": {"base": []},
            "log_level": "info",
            "log_granular_levels": {"salt": "warning"},
            "ami": {
                "base": str(self.track.tar),
                "base_hash": self.track.digest,
                "variation": str(variation),
                "output": str(self.output(lap)),
                "workspace": str(lap.cache / "builds"),
                "cache": str(lap.cache / "cache"),
                "root": str(lap.directory / "root"),
            },
        }
        etc = lap.cache / "etc"
        etc.mkdir(exist_ok=True)
        (etc / "minion").write_text(json.dumps(minion), encoding="utf-8")
        return etc

    def _write_variation(self, lap):
        top = lap.cache / "variation"
        top.mkdir(exist_ok=True)
        (top / "variation.sls").write_text(_VARIATION.format(packages=json.dumps(PACKAGES), user=USER, motd=lap.motd))
        return top

    def triplets(self, lap):
        output = self.output(lap)
        return [Triplet(output / "race.img", output / "kernel_race", output / "ramdisk_race", lap.motd)]

    def details(self, lap):
        told = json.loads((lap.directory / "told.json").read_text(encoding="utf-8"))["local"]
        states = json.loads(Path(told["manifest"]).read_text(encoding="utf-8"))["states"]
        return {"steps": told["steps"], "states_seconds": {one["id"]: one["duration_ms"] / 1000 for one in states}}


class Ping(CleanBuild):
    """What "nothing changed" is compared with."""

    name = "ping"
    title = "salt-call --local test.ping"
    note = "Salt's start alone"
    default = False

    def command(self, lap):
        return self._salt_call(lap, "test.ping")

    def triplets(self, lap):
        return []

    def details(self, lap):
        return {}
