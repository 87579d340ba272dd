"""A machine that builds by its userdata, on this host: a minion of its own, and runs of the builder as its unit starts them."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass

from building import PROJECT
from vmimage.system.shell import tied_to_caller

RUN_SECONDS = 1200


@dataclass(frozen=True)
class Ended:
    """A run that has ended.

    :ivar int code: its exit code
    :ivar list lines: what it printed
    """

    code: int
    lines: list

    @property
    def last(self):
        return self.lines[-1]

    def __str__(self):
        return "\n".join([f"exit code {self.code}", *self.lines])


class Builder:
    """A builder without an instance around it.

    :param Path directory: all that it writes, but for prepared bases
    :param dict light: the settings of the light base
    """

    def __init__(self, directory, light):
        self.base = {key: light[key] for key in ("ami.base", "ami.base_unverified")}
        self.directory, self.userdata = directory, directory.with_name(f"userdata of {directory.name}")
        self.etc, self.output, self.states = directory / "etc", directory / "output", directory / "states"
        for path in (self.etc, self.states, directory / "pillar", directory / "home"):
            path.mkdir(parents=True)
        make_cache(directory / "cache", light)
        self.started = []
        copy_project(directory / "home/project")
        (directory / "home/current").symlink_to("project")
        # the highstate of this builder, not that of an instance, which would change this machine
        (self.states / "top.sls").write_text("base: {'*': [ready]}\n", encoding="utf-8")
        (self.states / "ready.sls").write_text("a builder is ready:\n  test.nop: []\n", encoding="utf-8")
        self.configure()

    def configure(self, **more):
        current = self.directory / "home/current"
        config = {
            "file_client": "local",
            "id": "builder",
            "root_dir": str(self.directory / "salt"),
            "file_roots": {"base": [str(self.states), str(current / "states"), str(current)]},
            "module_dirs": [str(current / "_modules")],
            "states_dirs": [str(current / "_states")],
            "utils_dirs": [str(current / "_utils")],
            "pillar_roots": {"base": [str(self.directory / "pillar")]},
            "log_level": "info",
            "log_granular_levels": {"salt": "warning"},
            "log_level_logfile": "debug",
            **{f"ami.{key}": str(self.directory / key) for key in ("output", "workspace", "cache", "root")},
            **self.base,
            **more,
        }
        (self.etc / "minion").write_text(json.dumps(config), encoding="utf-8")

    def pillar(self, text):
        (self.directory / "pillar/top.sls").write_text("base: {'*': [all]}\n", encoding="utf-8")
        (self.directory / "pillar/all.sls").write_text(text, encoding="utf-8")

    def start(self, userdata, *words):
        """A run in the background: a Popen in a session of its own.

        :param userdata: as bytes, or as a dict of settings
        """
        self.userdata.write_bytes(userdata if isinstance(userdata, bytes) else as_userdata(userdata).encode())
        argv = [sys.executable, "-m", "vmimage.builder", "--config-dir", self.etc, "--userdata", self.userdata]
        argv += ["--home", self.directory / "home", *words]
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OS_")}
        self.started.append(
            subprocess.Popen(argv, text=True, env=environment, start_new_session=True, preexec_fn=tied_to_caller(), **pipes)
        )
        return self.started[-1]

    def run(self, userdata, *words):
        """A run to its end."""
        return self.end(self.start(userdata, *words))

    def end(self, process):
        """Wait for a run that was started."""
        try:
            said, _ = process.communicate(timeout=RUN_SECONDS)
        except BaseException:
            self.stop()
            raise
        assert "Traceback" not in said, said
        return Ended(process.returncode, said.splitlines())

    def stop(self):
        """End what a failed test has left running: with a run goes all that it started."""
        for process in self.started:
            process.kill()
            process.wait()

    def manifest(self, name):
        return json.loads((self.output / f"{name}.manifest.json").read_text(encoding="utf-8"))


def copy_project(path):
    """The code of this project and nothing else: what else lies in a checkout, a minion would serve and search; returns where it is."""
    for part in ("_modules", "_states", "_utils", "states"):
        shutil.copytree(PROJECT / part, path / part, ignore=shutil.ignore_patterns("__pycache__"))
    return path


def make_cache(path, light):
    """A cache with the prepared light base and nothing else in it; returns its path as a str."""
    path.mkdir()
    (path / "bases").symlink_to(f"{light['ami.cache']}/bases")
    return str(path)


def as_userdata(settings):
    """The text of a dict: JSON is YAML."""
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in settings.items())


def keystone_of(cloud, *, name="alice", region="RegionOne", host="127.0.0.1"):
    """The keys of 2013 for a user of the test cloud.

    :param str host: the address of this machine, as the builder sees it
    """
    user = cloud.users[name]
    keys = {"user": name, "password": user.password, "tenant": user.project_name, "region": region}
    return {f"keystone.{key}": value for key, value in keys.items()} | {
        "keystone.auth_url": cloud.auth_url.replace("127.0.0.1", host)
    }
