"""Cases: variations as users write them, each with what is right in its image, or which words a refusal must have.

A case is a directory with ``case.md`` and some of these files:

* ``variation.sls`` and what it needs: the variation is the directory itself, unless ``settings.yaml`` names another
* ``settings.yaml``: settings of create_variation; ``minion.yaml``: the minion's configuration. ``CASE`` in a value is the directory
* ``make-files.sh``: writes into the case's (copied) directory what would not do in a repository
* ``make-base.sh ROOT FILE``: makes a base from a root that it may change
* ``serve.sh``: serves something on the loopback until it is ended; it prints a line when it is ready
* ``light``: the case is right on any base, and takes the light base; it says why
* ``run.env``: UMASK of the builder, BUILDS for more than one build of the same name, LC_ALL and the like
* ``call.sh``: what to do in place of a build; exit code 0 is right
* ``check.sh ROOT MANIFEST RAMDISK``: looks at the mounted image; what is wrong is printed, and the exit code is not 0
* ``refused``: each line is in the message of a build that fails; without check.sh the build must fail
* ``known``: why the case fails as yet; it may not pass unnoticed
"""

import os
import shlex
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from building import CACHE, PROJECT
from changeable import changeable
from looking import looked_into
from salt_calls import salt_call

#: where the words that the scripts of cases share are
WORDS = PROJECT / "tests/cases"
_SHOW_DEVICES = (
    *("unshare", "--mount", "sh", "-c"),
    'mount --bind /dev "$3/dev" && mount -t tmpfs check "$3/tmp" && exec "$@"',
    "sh",
)
_BASE_WORDS = ("$ROOT", "$FILE")


@dataclass(frozen=True)
class Case:
    """One run of a case.

    :ivar str id: of the test
    :ivar Path directory: where the case lies; never written to
    :ivar dict settings: of create_variation
    :ivar dict minion: of its configuration
    :ivar tuple make_base: words for make-base.sh, with $ROOT, $FILE and $WORK
    :ivar tuple refused: words of a right refusal
    :ivar str known: why it fails as yet, or empty
    :ivar dict scripts: scripts that stand in for those of the directory, by their names
    """

    id: str
    directory: Path
    settings: dict = field(default_factory=dict)
    minion: dict = field(default_factory=dict)
    make_base: tuple = _BASE_WORDS
    refused: tuple = ()
    known: str = ""
    scripts: dict = field(default_factory=dict)


def own_cases(top):
    """The cases below a directory, each described by its own files."""
    return [_own_case(path.parent) for path in sorted(top.glob("*/case.md"))]


def _own_case(directory):
    def read(name):
        path = directory / name
        return path.read_text(encoding="utf-8").strip() if path.exists() else ""

    return Case(
        directory.name,
        directory,
        settings=yaml.safe_load(read("settings.yaml")) or {},
        minion=yaml.safe_load(read("minion.yaml")) or {},
        refused=tuple(read("refused").splitlines()),
        known=read("known"),
    )


def shared_cases(top, table, scripts):
    """The cases of another directory, and what a table of ours knows of them.

    :param Path top: may be missing
    :param Path table: YAML: facts by the name of the case, or by another id with the name as ``case``
    :param Path scripts: has scripts of ours for them, as NAME.SCRIPT
    """
    facts = yaml.safe_load(table.read_text(encoding="utf-8")) or {}
    names = sorted(path.parent.name for path in top.glob("*/case.md"))
    named = {entry.get("case", key) for key, entry in facts.items()}
    runs = {**{name: {} for name in names if name not in named}, **facts}
    found = []
    for key, entry in sorted(runs.items()):
        entry = dict(entry)
        name = entry.pop("case", key)
        if name in names:
            ours = {path.name.removeprefix(f"{name}."): path for path in scripts.glob(f"{name}.*.sh")}
            lists = {word: tuple(entry.pop(word)) for word in ("make_base", "refused") if word in entry}
            found.append(Case(f"shared-{key}", top / name, scripts=ours, **lists, **entry))
    return found


class Run:
    """A case on its way.

    :param Case case:
    :param salt: :class:`building.Salt`, new
    :param base: the prepared base of this machine
    :param dict light: the settings of the light base
    """

    def __init__(self, case, salt, base, light):
        self.case, self.salt, self.base, self.light = case, salt, base, light
        self.directory = salt.directory / case.directory.name
        shutil.copytree(case.directory, self.directory, symlinks=True)
        subprocess.run(["chmod", "-R", "u+w", self.directory], check=True)
        self.environment = _assignments(self.directory / "run.env")
        self.scratch = salt.directory / "scratch"
        self.scratch.mkdir()

    def wrong(self):
        """What is wrong with the case today, or an empty str."""
        with ExitStack() as stack:
            if self._script("make-files.sh"):
                self._good("make-files.sh")
            if self._script("serve.sh"):
                stack.enter_context(self._serving())
            if self._script("call.sh"):
                return self._complaint_of("call.sh", sys.executable, self.salt.directory / "call")
            return self._built()

    def _built(self):
        name = f"case-{self.case.directory.name}"
        settings = {"name": name, "variation": str(self.directory), "update": False, **self._filled(self.case.settings)}
        minion = self._filled(self.case.minion) | (self.light if self.is_light else {})
        if self._script("make-base.sh"):
            settings |= {"base": str(self._make_base()), "base_unverified": True}
            minion |= {"ami.cache": str(self.salt.directory / "cache")}  # no other test wants this base
        self.salt.configure(**minion)
        argv = self.salt.argv("vm_create.create_variation", publish=False, **settings)
        builder = dict(self.environment)
        mask, builds = builder.pop("UMASK", "022"), int(builder.pop("BUILDS", "1"))
        while True:
            done = self._run(argv, mask, **builder) if self.environment else self._called(argv)
            builds -= 1
            if done.returncode or not builds:
                break
        said = f"{done.stdout}{done.stderr}"
        if done.returncode:
            missing = [word for word in self.case.refused if word not in said]
            if self.case.refused and not missing and "Traceback" not in said:
                return ""
            why = f"the refusal says nothing of {missing}" if self.case.refused else "the build fails"
            return f"{why}:\n{said[-6000:]}"
        if not self._script("check.sh"):
            return "the build went through, and should have been refused"
        with looked_into(self.salt.output / f"{name}.img") as root:
            manifest, ramdisk = self.salt.output / f"{name}.manifest.json", self.salt.output / f"ramdisk_{name}"
            # a check may run programs of the image: they find a /dev and a /tmp
            return _complaint("check.sh", self._run_script("check.sh", root, manifest, ramdisk, before=_SHOW_DEVICES))

    def _filled(self, value):
        if isinstance(value, dict):
            return {key: self._filled(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._filled(item) for item in value]
        filled = {"CASE": self.directory, "PROJECT": PROJECT, "CACHE": CACHE, "WORK": self.salt.directory}
        for word, path in filled.items() if isinstance(value, str) else ():
            value = value.replace(word, str(path))
        return value

    def _make_base(self):
        """A base by the case's script, from a base of this machine with an overlay that takes what the script changes."""
        work = self.salt.directory / "base"
        made = work / "base"
        with changeable(self.light["ami.base"] if self.is_light else self.base.image, work) as root:
            words = {"$ROOT": root, "$FILE": made, "$WORK": work}
            self._good("make-base.sh", *(words.get(word, word) for word in self.case.make_base))
        return made

    @contextmanager
    def _serving(self):
        process = subprocess.Popen(
            ["bash", self._script("serve.sh"), self.directory], stdout=subprocess.PIPE, start_new_session=True
        )
        try:
            assert process.stdout.readline(), "serve.sh ended before it was ready"
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
            process.stdout.close()

    @property
    def is_light(self):
        return self._script("light") is not None

    def _script(self, name):
        path = self.case.scripts.get(name, self.directory / name)
        return path if path.exists() else None

    def _run(self, argv, mask="022", **environment):
        process = subprocess.Popen(
            [str(word) for word in argv],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            errors="replace",
            env={**os.environ, **environment},
            umask=int(mask, 8),
            start_new_session=True,
            cwd=self.directory,
        )
        try:
            out, err = process.communicate(timeout=900)
        except BaseException:
            os.killpg(process.pid, signal.SIGTERM)
            process.communicate()
            raise
        return subprocess.CompletedProcess(argv, process.returncode, out, err)

    def _called(self, argv):
        """As the program does it, but for its start (:mod:`salt_calls`): for a builder with the usual environment."""
        return subprocess.CompletedProcess(argv, *salt_call(argv, directory=self.directory))

    def _run_script(self, name, *words, before=()):
        script = self._script(name)
        if script.parent != self.directory:  # a script of ours for a case of others: it finds the case's files beside it, too
            shutil.copy(script, self.directory / name)
        temporary = "/tmp" if before else str(self.scratch)
        argv = [*before, "bash", self.directory / name, *words]
        return self._run(argv, CASES=str(WORDS), SCRATCH=str(self.scratch), TMPDIR=temporary)

    def _complaint_of(self, name, *words):
        """What a script of the case finds wrong."""
        return _complaint(name, self._run_script(name, *words))

    def _good(self, name, *words):
        done = self._run_script(name, *words)
        if done.returncode:
            raise CannotBeMade(f"{name} of {self.case.id} ended with {done.returncode}: {done.stdout}{done.stderr}")


def _complaint(name, done):
    return f"{name} ended with {done.returncode}:\n{done.stdout}{done.stderr}" if done.returncode else ""


class CannotBeMade(Exception):
    """The case's own files cannot be made: that is no fault of what it is about."""


def _assignments(path):
    words = shlex.split(path.read_text(encoding="utf-8"), comments=True) if path.exists() else []
    return dict(word.split("=", 1) for word in words)
