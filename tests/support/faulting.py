"""One small build, repeated with a fault in it each time: a call that fails, a kill, a full disk.

Run as a program this is a process that has imported Salt, and forks for each call, as :mod:`salt_calls` is; what a call does in its
renames, its fsyncs and its steps is noted, and at one of these places the fault comes.
"""

import atexit
import errno
import json
import os
import re
import select
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from signal import SIGKILL

_DRAWN = re.compile(r"[0-9a-f]{8,}|127\.0\.0\.1:\d+_archive_\._")


class Places:
    """What a call does, place by place, noted in a file; the fault that it has comes at one of them.

    :param directory: of the job: paths are noted below it
    :param str log: the file
    :param str package: what the variation installs, without the half second and more that Salt takes in a root; empty: by Salt
    :param dict fault: ``place`` and ``what``: an errno's name, kill, die, or ``fill DIRECTORY`` with ``seconds``
    :param int line: where to ask for a kill
    """

    def __init__(self, directory, log, package, fault, line):
        self.directory, self.log, self.package, self.fault, self.line = directory, log, package, fault, line

    def install(self):
        """From now on what this process does is noted."""
        from vmimage.build import steps
        from vmimage.build.build import Build

        if self.package:
            steps.apply_variation = self._apply

        replace, rename, fsync, step = os.replace, os.rename, os.fsync, Build.step

        def noting(kind, call):
            def noted(source, target, **more):
                self.reach(f"{kind} {self._name(target)}")
                return call(source, target, **more)

            return noted

        def noted_fsync(descriptor):
            self.reach(f"fsync {self._name(os.readlink(f'/proc/self/fd/{descriptor}'))}")
            return fsync(descriptor)

        @contextmanager
        def noted_step(build, name):
            self.reach(f"before {name}")
            with step(build, name) as say:
                yield say
                self.reach(f"end of {name}")

        os.replace, os.rename, os.fsync, Build.step = noting("rename", replace), noting("rename", rename), noted_fsync, noted_step

    def _name(self, path):
        return _DRAWN.sub("*", os.path.relpath(os.path.abspath(os.fspath(path)), self.directory))

    def _apply(self, variation, settings, root, host, say, note, **_):
        from vmimage.apt.unpacked import apt_environment
        from vmimage.root import files
        from vmimage.root.mounts import run_in_root
        from vmimage.root.runtime import HOME

        files.write_text(root, "/srv/said", "here\n", mode=0o644)
        run_in_root(root, ["apt-get", "-q", "-y", "install", self.package], env=apt_environment(HOME), on_line=say)
        return [], []

    def reach(self, label):
        if label.split(" ", 1)[1].startswith(("../", "salt/")):
            return  # Salt's own
        with open(self.log, "a+", encoding="utf-8") as log:
            log.seek(0)
            number = log.read().splitlines().count(label)
            log.write(f"{label}\n")
        if self.fault.get("place") == f"{label} #{number + 1}":
            self._fail(self.fault["what"])

    def _fail(self, what):
        if what == "kill":
            os.write(self.line, b"kill")
            time.sleep(60)
        elif what == "die":
            os.kill(os.getpid(), SIGKILL)
        elif what.startswith("fill "):
            fill(what.removeprefix("fill "), self.fault.get("seconds"))
        else:
            raise OSError(getattr(errno, what), f"{os.strerror(getattr(errno, what))} (a fault of the test)")


def fill(directory, seconds=None):
    """Leave no byte on the disk of a directory: for good, or for some seconds."""
    path = Path(directory, "ballast")
    with open(path, "wb", buffering=0) as file, suppress(OSError):
        for size in (1 << 20, 1 << 12):
            with suppress(OSError):
                while file.write(bytes(size)) == size:
                    pass
    if seconds is not None and os.fork() == 0:
        time.sleep(seconds)
        path.unlink()
        os._exit(0)


def serve():
    """Answer calls, a line of JSON each, until stdin ends: a line with the pid when it begins, one with the exit code at its end."""
    import salt.cli.call
    import salt.cli.caller
    import salt.client
    import salt.loader
    import salt.minion
    import salt.scripts
    import salt.state
    import salt.utils.jinja
    import salt.utils.yaml
    import vmimage.build.incremental  # noqa: F401
    from salt_calls import _be_salt_call

    for line in sys.stdin:
        call = json.loads(line)
        ours, theirs = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.setsid()
            places = call.pop("places")
            if places:
                Places(**places, line=theirs).install()
            _be_salt_call(salt.scripts.salt_call, environment=dict(os.environ), **call)
        os.close(theirs)
        print(pid, flush=True)
        gone = os.pidfd_open(pid)
        while gone not in (ready := select.select([ours, gone], [], [])[0]):
            if ours in ready and os.read(ours, 9):
                os.kill(pid, SIGKILL)
        os.close(gone), os.close(ours)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


class Caller:
    """The process that forks for each call."""

    def __init__(self):
        words = [sys.executable, os.path.abspath(__file__)]
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        atexit.register(self.end)

    def end(self):
        self.process.stdin.close()
        self.process.wait()

    def begin(self, argv, directory, places=None):
        """Begin a call; what it prints is in the files ``out`` and ``err`` of the directory.

        :param dict places: arguments of :class:`Places` but for the line
        :returns: its pid
        """
        call = {"argv": [str(word) for word in argv], "directory": str(directory), "places": places}
        for name in ("out", "err"):
            call[name] = f"{directory}/{name}"
            Path(call[name]).write_bytes(b"")
        print(json.dumps(call), file=self.process.stdin, flush=True)
        return int(self.process.stdout.readline())

    def finish(self):
        """The exit code of the call that was begun."""
        return int(self.process.stdout.readline())


if __name__ == "__main__":
    serve()
