"""A gunicorn with one application of OpenStack, on a port of the loopback: started, killed, started again."""

import http.client
import os
import random
import signal
import socket
import ssl
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

from waiting import HANG_SECONDS

START_SECONDS, STOP_SECONDS = HANG_SECONDS, 10
#: sockets of :func:`own_port`
HELD = []

GUNICORN = """
import ctypes

from sqlalchemy import event
from sqlalchemy.engine import Engine

bind = "127.0.0.1:{port}"
wsgi_app = "{application}"
proc_name = "{name}"
threads = 8
keepalive = 75
graceful_timeout = 3
control_socket_disable = True
worker_tmp_dir = "{directory}"
accesslog = "{directory}/access.log"
certfile, keyfile = {tls!r}


def post_fork(server, worker):
    ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL: a worker ends with its master


@event.listens_for(Engine, "begin")
def begin_immediate(connection):
    # of two that read before they write sqlite refuses one, which is a 500; asked to write from the start, they wait
    if "in_transaction" not in connection.info:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        connection.info["in_transaction"] = True
"""


class Server:
    """One gunicorn with one application, on a port and in a directory of its own.

    :param Cloud cloud: whose server it is
    :param str name: what it is called among processes
    :param str application: the module and name of its WSGI application
    :param tls: the paths of a certificate and its key, or None
    :ivar Path log: what it prints
    """

    def __init__(self, cloud, name, application, tls=None):
        self.name, self.port = name, own_port()
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self.directory = cloud.directory / f"{name}-{self.port}"  # a name may come again
        self.log = self.directory / "log"
        self._cloud, self._process, self._starting = cloud, None, threading.Lock()
        self.directory.mkdir()
        words = {"port": self.port, "application": application, "name": name, "directory": self.directory}
        text = GUNICORN.format(tls=tuple(map(str, tls)) if tls else (None, None), **words)
        (self.directory / "gunicorn.py").write_text(text, encoding="utf-8")

    def start(self):
        """Start it, or start it again: the same port, database and store; wait until it answers."""
        with self._starting:
            if self.is_running():
                return
            self._process = self._cloud.start_process(self.directory, self.log)
            deadline = time.monotonic() + START_SECONDS
            while not self._answers():
                assert self.is_running(), f"{self.name} has ended:\n{self.log.read_text(encoding='utf-8')[-3000:]}"
                assert time.monotonic() < deadline, f"{self.name} does not answer, see {self.log}"
                time.sleep(0.05)

    def _answers(self):
        where = {"host": "127.0.0.1", "port": self.port, "timeout": START_SECONDS}
        if self.url.startswith("https:"):
            connection = http.client.HTTPSConnection(**where, context=ssl._create_unverified_context())
        else:
            connection = http.client.HTTPConnection(**where)
        try:
            connection.request("GET", "/")
            return connection.getresponse().status < 500
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def is_running(self):
        return self._process is not None and self._process.poll() is None

    def stop(self):
        """Let it end what it is doing, and wait until it is gone."""
        if self.is_running():
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS)
        self.kill()

    def kill(self):
        """SIGKILL to all its processes at once; wait until they are gone."""
        if self._process is None:
            return
        while processes_of(self._process.pid):
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.poll()
            time.sleep(0.01)
        self._process.wait()


def write_config(path, **sections):
    """The configuration of a service."""
    lines = []
    for section, options in sections.items():
        lines += [f"[{section}]", *(f"{key} = {value}" for key, value in options.items())]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def own_port():
    """A port of the loopback that is this process's until it ends, whether its server is there, not yet, or down for a while.

    It lies below those that outgoing connections take, and a socket that listens to nobody holds it: no other test is given it, of
    whatever group.  Servers bind with SO_REUSEADDR, and take it over.
    """
    while True:
        holder, port = socket.socket(), random.randrange(10000, 32000)
        try:
            holder.bind(("127.0.0.1", port))
        except OSError:
            holder.close()
            continue
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        HELD.append(holder)
        return port


def processes_of(leader):
    """The ids of the living processes of a session."""
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):
            state, _, _, leads = (process / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()[:4]
            if int(leads) == leader and state != "Z":
                found.add(int(process.name))
    return found


def until(come_true, seconds=HANG_SECONDS):
    """Whether it comes true in time: the time is for what hangs."""
    deadline = time.monotonic() + seconds
    while not (came := come_true()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return came
