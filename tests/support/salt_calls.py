"""salt-call without the half second that Python takes to import Salt: a process that has imported it, and forks for each call.

A call runs all that the program salt-call runs, in a process of its own that nothing else has run in.
"""

import atexit
import ctypes
import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path

HANGS_SECONDS = 600
#: modules that a call imports, none of this project: calls take that from where their configuration says
_OFTEN = """
    salt.cli.call salt.cli.caller salt.client salt.cloud salt.fileclient salt.grains.extra salt.loader salt.minion salt.modules.cmdmod
    salt.modules.file salt.modules.network salt.modules.smbios salt.state salt.utils.dns salt.utils.gitfs salt.utils.jinja
    salt.utils.package salt.utils.pkg.rpm salt.utils.vt salt.utils.yaml salt.utils.yamlloader_old
""".split()


def serve():
    """Answer calls, a line of JSON each, until stdin ends."""
    for name in _OFTEN:
        import_module(name)
    import salt.scripts

    _end_with_the_parent()
    gc.freeze()  # a child's collections leave the pages alone that it shares with us
    del sys.path[0]  # the helpers of the tests: salt-call does not see them
    for line in sys.stdin:
        call = json.loads(line)
        pid = os.fork()
        if pid == 0:
            os.setsid()
            _end_with_the_parent()
            signal.alarm(HANGS_SECONDS)
            signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background ignores it, and so do we
            _be_salt_call(salt.scripts.salt_call, **call)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


def _end_with_the_parent():
    """Be stopped, as by a user, when it ends: a pytest that is killed leaves no build behind."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def _be_salt_call(salt_call, argv, environment, directory, out, err):
    code = 70
    try:
        os.chdir(directory)
        os.environ.clear()
        os.environ.update(environment)
        for number, path, flags in ((0, os.devnull, os.O_RDONLY), (1, out, os.O_WRONLY), (2, err, os.O_WRONLY)):
            os.dup2(os.open(path, flags), number)
        sys.argv = argv
        salt_call()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    finally:
        sys.stdout.flush(), sys.stderr.flush()
        os._exit(code)


class _SaltCalls:
    """The process of this worker of pytest, started when it is first needed."""

    def __init__(self):
        self._child = None

    def _start(self):
        words = [sys.executable, os.path.abspath(__file__)]
        self._child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        atexit.register(self._end)

    def _end(self):
        self._child.stdin.close()
        self._child.wait()

    def __call__(self, argv, environment=None, directory=None):
        """``(exit code, stdout, stderr)``; by default in the environment and the directory of the tests."""
        if self._child is None:
            self._start()
        with tempfile.TemporaryDirectory() as scratch:
            out, err = Path(scratch, "out"), Path(scratch, "err")
            out.touch(), err.touch()
            call = {
                "argv": [str(word) for word in argv],
                "environment": dict(environment or os.environ),
                "directory": os.fspath(directory or os.getcwd()),
            }
            print(json.dumps({**call, "out": str(out), "err": str(err)}), file=self._child.stdin, flush=True)
            code = int(self._child.stdout.readline())
            return code, *(path.read_text(encoding="utf-8", errors="replace") for path in (out, err))


salt_call = _SaltCalls()

if __name__ == "__main__":
    serve()
