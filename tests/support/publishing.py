"""Processes that publish the triplet of a directory, which a test can kill.

A process that has imported everything forks a child for each publication: a child starts at once, and what a signal does to it
is what the signal does to a process of a user's.

python publishing.py DESCRIPTOR     of the socket on which it is asked
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

HANGS_SECONDS = 300
_MESSAGE_BYTES = 1 << 16


class Publishers:
    """The process that forks children which publish, one after the other; a context manager, which ends it."""

    def __enter__(self):
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.settimeout(HANGS_SECONDS)
        argv = ["setpriv", "--pdeathsig", "KILL", sys.executable, __file__, str(theirs.fileno())]
        with theirs:
            self._parent = subprocess.Popen(argv, pass_fds=[theirs.fileno()])
        return self

    def __exit__(self, *_):
        self._socket.close()
        self._parent.kill()
        self._parent.wait()

    def start(self, directory, environment, **settings):
        """One more child, as the :class:`Child` that it is; the child before has ended."""
        return Child(self._socket, {"directory": os.fspath(directory), "environment": environment, "settings": settings})


class Child:
    """A process that publishes.

    :ivar int pid: its id
    """

    def __init__(self, connection, wanted):
        self._socket, self._said = connection, tempfile.TemporaryFile("w+", encoding="utf-8")
        socket.send_fds(connection, [json.dumps(wanted).encode()], [self._said.fileno()])
        answer, (self._handle, *_), _, _ = socket.recv_fds(connection, _MESSAGE_BYTES, 1)
        self.pid = int(answer)

    def send_signal(self, number):
        signal.pidfd_send_signal(self._handle, number)

    def kill(self):
        """SIGKILL; returns when the kernel has ended it."""
        handle = os.dup(self._handle)  # wait(), in another thread, closes the first handle
        try:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            assert select.select([handle], [], [], HANGS_SECONDS)[0], f"process {self.pid} does not end"
        finally:
            os.close(handle)

    def wait(self):
        """``(exit code, stderr)``; the code is the negative number of a signal that ended it."""
        try:
            code = int(self._socket.recv(_MESSAGE_BYTES))
        except TimeoutError:
            self.kill()
            raise
        finally:
            os.close(self._handle)
            self._said.seek(0)
            said = self._said.read()
            self._said.close()
        return code, said


def serve(connection):
    """Fork a child for each message, until nobody can send a message."""
    while True:
        message, descriptors, _, _ = socket.recv_fds(connection, _MESSAGE_BYTES, 1)
        if not message:
            return
        parent, child = os.getpid(), os.fork()
        if child == 0:
            connection.close()
            become_publisher(parent, descriptors[0], **json.loads(message))
        os.close(descriptors[0])
        handle = os.pidfd_open(child)
        socket.send_fds(connection, [str(child).encode()], [handle])
        os.close(handle)
        connection.send(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])).encode())


def become_publisher(parent, stderr, directory, environment, settings):
    """What a child does, and nothing after it."""
    code = 1
    try:
        syscalls.prctl(syscalls.PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(code)
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background ignores it, and so do we
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.dup2(stderr, 2)
        os.environ.clear()
        os.environ.update(environment)
        build = publishing_build(Path(directory), environment, **settings)
        publish.publish(build, publish.check_publishing(build, wanted=True))
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    sys.path.insert(0, os.fspath(Path(__file__).resolve().parents[2] / "_utils"))
    import vmimage.glance.client  # noqa: F401  before the first child needs it
    from triplets import publishing_build
    from vmimage.glance import publish
    from vmimage.system import syscalls

    serve(socket.socket(fileno=int(sys.argv[1])))
