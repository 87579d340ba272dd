"""A user's salt-call for the tests, and what a machine has mounted, attached and running."""

import json
import os
import subprocess
import sys
from pathlib import Path

from salt_calls import salt_call
from signals import as_from_a_terminal
from vmimage.settings.schema import Settings
from vmimage.system.groups import group_name

PROJECT = Path(__file__).resolve().parents[2]
SALT_CALL = Path(sys.executable).with_name("salt-call")
CACHE = "/var/cache/vm_create"
#: of the base that nearly all tests share: what is said of its content is said of this base
RELEASE = "bookworm"
LEFT_BEHIND_SECONDS = 120
#: a variable of the environment by which a build tells which process of the tests has started it
OWNER = "VMIMAGE_TESTS_OWNER"
#: directories in which only the tests of this process have files
OWN_DIRECTORIES = []


def what_is_left(*tops):
    """Mounts and loop devices of files below some directories, and processes of builds that our own process has started.

    Other tests build at the same time on this machine: what is theirs does not count.  The whole machine is looked at when the
    group has ended (tests/run.py).

    :returns: three sets
    """
    ours = tuple(f"{top}/" for top in (*tops, *OWN_DIRECTORIES))
    with open("/proc/self/mountinfo", encoding="utf-8") as table:
        mounts = {point for line in table if (point := line.split()[4]).startswith(ours)}
    listed = subprocess.run(["losetup", "-n", "-O", "NAME,BACK-FILE"], capture_output=True, text=True, check=True).stdout
    loops = {line for line in listed.splitlines() if line.split(maxsplit=1)[1].startswith(ours)}
    return mounts, loops, processes_inside()


def processes_inside():
    """Processes in the pid namespaces of builds that our own process has started, as ``"pid command line"``."""
    ours, spaces = os.readlink("/proc/self/ns/pid"), {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (space := os.readlink(process / "ns/pid")) != ours:
                words = (process / "cmdline").read_text(errors="replace").replace(chr(0), " ")
                is_ours = f"{OWNER}={os.getpid()}".encode() in (process / "environ").read_bytes().split(b"\0")
                is_ours = is_ours or any(
                    f"{top}/" in words for top in OWN_DIRECTORIES
                )  # Salt writes its title over its environment
                spaces.setdefault(space, []).append((f"{process.name} {words}", is_ours))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue
    return {text for found in spaces.values() if any(is_ours for _, is_ours in found) for text, _ in found}


def groups_of(salt, name):
    """Control groups of a build, wherever they are."""
    of_workspace = group_name(Settings(workspace=str(salt.workspace), name=name)).partition(".")[0]
    return [str(path) for path in Path("/sys/fs/cgroup").rglob(f"{of_workspace}.*")]


def cache_with(base, directory):
    """A cache of its own for a test, empty but for a prepared base.

    No hard link: mount(8) takes a loop device that is there for the same inode.  It would have the name of our file, and stay for as long
    as a build of others needs it.
    """
    (directory / "bases").mkdir(parents=True)
    image = Path(base.image)
    for path in (image, image.with_suffix(".json")):
        subprocess.run(["cp", "--reflink=auto", "--sparse=always", path, directory / "bases"], check=True)
    return str(directory)


class Salt:
    """A masterless minion of its own.

    :param Path directory: its configuration, workspace, output and pillar
    :param own: of its configuration, such as the fixture ``light``
    """

    def __init__(self, directory, **own):
        self.directory, self.own = directory, own
        self.output = directory / "output"
        self.workspace = directory / "workspace"
        self.states = directory / "states"
        for path in (self.states, directory / "pillar", directory / "etc"):
            path.mkdir(parents=True)
        self.configure()

    def configure(self, **more):
        config = {
            "file_client": "local",
            "root_dir": str(self.directory / "salt"),
            "file_roots": {"base": [str(self.states), str(PROJECT / "states")]},
            "pillar_roots": {"base": [str(self.directory / "pillar")]},
            "log_level": "info",
            "log_granular_levels": {"salt": "warning"},
            "ami.output": str(self.output),
            "ami.workspace": str(self.workspace),
            "ami.cache": CACHE,
            "ami.root": str(self.directory / "root"),
            "ami.release": RELEASE,
            **self.own,
            **more,
        }
        (self.directory / "etc/minion").write_text(json.dumps(config), encoding="utf-8")

    def pillar(self, text):
        (self.directory / "pillar/top.sls").write_text("base: {'*': [all]}\n", encoding="utf-8")
        (self.directory / "pillar/all.sls").write_text(text, encoding="utf-8")

    def variation(self, name, **files):
        """A directory with a variation; ``variation="..."`` is the text of variation.sls, other files by path."""
        top = self.directory / "variations" / name
        for path, text in files.items():
            target = top / (path if "/" in path or "." in path else f"{path}.sls")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
        return str(top)

    def argv(self, function, *arguments, **settings):
        words = [
            *map(str, arguments),
            *(f"{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in settings.items()),
        ]
        return [
            SALT_CALL,
            "--local",
            "--config-dir",
            self.directory / "etc",
            "--retcode-passthrough",
            "--out",
            "json",
            function,
            *words,
        ]

    def start(self, function, *arguments, **settings):
        """A call in the background: a Popen in a session of its own."""
        argv = self.argv(function, *arguments, **settings)
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(argv, text=True, start_new_session=True, preexec_fn=as_from_a_terminal, **pipes)

    def call(self, function, *arguments, **settings):
        """``(exit code, data, stderr)`` of a call; the data is None where it returned none.

        It is salt-call but for its start (:mod:`salt_calls`); :meth:`start` starts the program itself.
        """
        code, out, err = salt_call(self.argv(function, *arguments, **settings))
        data = json.loads(out)["local"] if out.strip().startswith("{") else None
        return code, data, err

    def good(self, function, *arguments, **settings):
        """The data of a call that must succeed."""
        code, data, err = self.call(function, *arguments, **settings)
        assert code == 0, f"{function} ended with {code}: {data}\n{err}"
        return data

    def bad(self, function, *arguments, **settings):
        """What a call says that must fail."""
        code, data, err = self.call(function, *arguments, **settings)
        assert code != 0, f"{function} went through: {data}"
        return f"{json.dumps(data, indent=1) if data else ''}{err}"

    def manifest(self, name="variation"):
        return json.loads((self.output / f"{name}.manifest.json").read_text(encoding="utf-8"))
