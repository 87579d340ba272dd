"""Masterless minions that need no root, and the loader of the real Salt."""

import json
import subprocess
import sys
from pathlib import Path

import salt_calls

PROJECT = Path(__file__).resolve().parents[2]
SALT_CALL = Path(sys.executable).with_name("salt-call")


class Minion:
    """A minion config in a directory of its own.

    :param Path directory: everything of it
    :param config: minion options
    """

    def __init__(self, directory, **config):
        self.directory = directory
        self.pillar_directory = directory / "pillar"
        for path in (directory / "etc", self.pillar_directory):
            path.mkdir(parents=True)
        own = {
            "file_client": "local",
            "root_dir": str(directory / "root"),
            "user": subprocess.run(["id", "-un"], capture_output=True, text=True, check=True).stdout.strip(),
            "file_roots": {"base": [str(PROJECT / "states")]},
            "pillar_roots": {"base": [str(self.pillar_directory)]},
        }
        (directory / "etc/minion").write_text(json.dumps({**own, **config}), encoding="utf-8")

    def pillar(self, text):
        (self.pillar_directory / "top.sls").write_text("base: {'*': [all]}\n", encoding="utf-8")
        (self.pillar_directory / "all.sls").write_text(text, encoding="utf-8")

    def call(self, *words, salt_call=SALT_CALL, **environment):
        """``(exit code, data, stderr)``"""
        argv = [salt_call, "--local", "--config-dir", self.directory / "etc", "--retcode-passthrough", "--out", "json", *words]
        if salt_call == SALT_CALL:
            code, out, err = salt_calls.salt_call(argv, environment)
        else:
            done = subprocess.run(argv, capture_output=True, text=True, check=False, env=environment or None)
            code, out, err = done.returncode, done.stdout, done.stderr
        data = json.loads(out)["local"] if out.strip().startswith("{") else None
        return code, data, err

    def good(self, *words, **options):
        code, data, err = self.call(*words, **options)
        assert code == 0, f"{words} ended with {code}: {data}\n{err}"
        return data

    def bad(self, *words):
        code, data, err = self.call(*words)
        assert code != 0, f"{words} went through: {data}"
        return err
