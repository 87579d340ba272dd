"""Repositories to fetch from, made by the real hg and git, and a server on the loopback that serves them and can misbehave."""

import base64
import http.client
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from vmimage.system.shell import tied_to_caller
from waiting import wait_until

_CALM = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "LC_ALL": "C.UTF-8",
    "HGRCPATH": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ALLOW_PROTOCOL": "file",
    **{f"GIT_{who}_{what}": "u@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
}


def call(*argv, cwd=None, stdin=None, **environment):
    """What a program prints, run without anybody's configuration."""
    done = subprocess.run(
        [str(word) for word in argv], cwd=cwd, env=_CALM | environment, input=stdin, capture_output=True, check=False
    )
    assert done.returncode == 0, f"{argv}: {done.stderr.decode()}"
    return done.stdout.decode().strip()


class Source:
    """A repository with working files.  ``commit`` returns the full hash."""

    def __init__(self, path, files=()):
        self.path = Path(path)
        self.path.mkdir(parents=True)
        self.create()
        self.first = self.commit(**dict(files)) if files else ""

    @property
    def address(self):
        return os.fspath(self.path)

    def copied(self, path):
        """The same repository at another place."""
        shutil.copytree(self.path, path, symlinks=True)
        copy = object.__new__(type(self))
        copy.__dict__.update(self.__dict__, path=path)
        return copy

    def write(self, files):
        for name, text in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def commit(self, message="change", **files):
        self.write({name.replace("__", "."): text for name, text in files.items()})
        return self.commit_all(message)


class Hg(Source):
    kind, latest = "hg", "default"

    def hg(self, *words, **environment):
        return call("hg", "--config", "ui.username=u", *words, cwd=self.path, **environment)

    def create(self):
        self.hg("init")

    def commit_all(self, message):
        said = self.hg("commit", "--debug", "--addremove", "--message", message)
        return re.search(r"^committed changeset \d+:(\w{40})$", said, re.MULTILINE)[1]

    def node(self, revision="."):
        return self.hg("log", "--rev", revision, "--template", "{node}")

    def shown(self, node):
        return self.hg("log", "--rev", node, "--template", "{rev}:{node|short}")

    def branch(self, name):
        self.hg("branch", name)

    def switch(self, name):
        self.hg("update", "--clean", name)

    def tag(self, name, node):
        self.hg("tag", "--force", "--rev", node, name)

    def take_back(self, node):
        self.hg("--config", "extensions.strip=", "strip", "--no-backup", "--rev", node)


class Git(Source):
    kind, latest = "git", "master"

    def git(self, *words, stdin=None, **environment):
        return call("git", *words, cwd=self.path, stdin=stdin, **environment)

    def create(self):
        self.git("init", "--quiet", "--initial-branch=master", "--template=")

    def commit_all(self, message):
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.node()

    def node(self, revision="HEAD"):
        return self.git("rev-parse", revision)

    def shown(self, node):
        return node[:12]

    def branch(self, name):
        self.git("checkout", "--quiet", "-b", name)

    def switch(self, name):
        self.git("checkout", "--quiet", name)

    def tag(self, name, node):
        self.git("tag", "--force", name, node)

    def take_back(self, node):
        self.git("reset", "--quiet", "--hard", f"{node}^")


SOURCES = {"hg": Hg, "git": Git}


@contextmanager
def hg_served(top):
    """The port of a real ``hg serve`` for all repositories below a directory."""
    config = top / "web.conf"
    config.write_text(f"[paths]\n/ = {top}/**\n[web]\nrefreshinterval = 0\nallow-archive =\n")
    words = ["serve", "--address", "127.0.0.1", "--port", "0", "--print-url", "--web-conf", config]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    child = subprocess.Popen(["hg", *words], cwd=top, env=_CALM, preexec_fn=tied_to_caller(), **pipes)
    try:
        yield int(re.search(rb":([0-9]+)/", child.stdout.readline())[1])
    finally:
        child.terminate()
        child.wait()


class Server(ThreadingHTTPServer):
    """Serves /hg/NAME (from a real hg serve) and /git/NAME/.git (by git's own http-backend) of a directory.

    ``login`` is who may ask; ``codes`` are given to the next requests instead of an answer; ``elsewhere`` is where all are sent;
    ``stuck`` answers are begun and not ended while it is a number of bytes; ``asked`` keeps path and Authorization.
    """

    daemon_threads = True

    def __init__(self, top, hg_port):
        super().__init__(("127.0.0.1", 0), Answer)
        self.top, self.hg_port = top, hg_port
        self.login, self.codes, self.elsewhere, self.stuck, self.asked, self.scheme = None, [], "", None, [], "http"

    def address(self, source):
        name = source.path.relative_to(self.top)
        end = "/.git" if source.kind == "git" else ""
        return f"{self.scheme}://127.0.0.1:{self.server_address[1]}/{source.kind}/{name}{end}"

    @contextmanager
    def running(self):
        thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield self
        finally:
            self.stuck = None
            self.shutdown()
            thread.join()
            self.server_close()

    def handle_error(self, request, client_address):
        pass  # a client that was killed


class Answer(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def do_GET(self):
        server, authorization = self.server, self.headers["Authorization"] or ""
        self.body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        if self.headers["Transfer-Encoding"] == "chunked":
            while size := int(self.rfile.readline(), 16):
                self.body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        server.asked.append((self.path, authorization))
        if server.codes:
            return self.answer(server.codes.pop(0), [], b"")
        if server.elsewhere:
            return self.answer(302, [("Location", server.elsewhere + self.path)], b"")
        if server.login and authorization != f"Basic {base64.b64encode(server.login.encode()).decode()}":
            return self.answer(401, [("WWW-Authenticate", 'Basic realm="repositories"')], b"who?")
        if self.path.startswith("/hg/"):
            return self.answer(*self.of_hg())
        if self.path.startswith("/git/"):
            return self.answer(*self.of_git())
        return self.answer(404, [], b"")

    do_POST = do_GET

    def answer(self, code, headers, body):
        self.send_response(code)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        stuck = self.server.stuck
        if stuck is None or len(body) <= stuck:
            self.wfile.write(body)
            return
        self.wfile.write(body[:stuck])
        self.wfile.flush()
        while self.server.stuck is not None:
            time.sleep(0.02)
        self.close_connection = True

    def of_hg(self):
        line = http.client.HTTPConnection("127.0.0.1", self.server.hg_port)
        kept = {name: value for name, value in self.headers.items() if re.match("(?i)x-|accept$|content-type", name)}
        line.request(self.command, self.path.removeprefix("/hg"), self.body if self.command == "POST" else None, kept)
        answer = line.getresponse()
        body = answer.read()
        line.close()
        return answer.status, [("Content-Type", answer.headers["Content-Type"])], body

    def of_git(self):
        path, _, query = self.path.partition("?")
        variables = {
            "GIT_PROJECT_ROOT": os.fspath(self.server.top),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path.removeprefix("/git"),
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers["Content-Type"] or "",
            "CONTENT_LENGTH": str(len(self.body)),
            "HTTP_CONTENT_ENCODING": self.headers["Content-Encoding"] or "",
            "GIT_PROTOCOL": self.headers["Git-Protocol"] or "",
        }
        done = subprocess.run(["git", "http-backend"], env=_CALM | variables, input=self.body, capture_output=True, check=False)
        head, _, body = done.stdout.partition(b"\r\n\r\n")
        headers = [tuple(line.split(": ", 1)) for line in head.decode().splitlines()]
        status = next((int(value[:3]) for name, value in headers if name == "Status"), 200)
        return status, [(name, value) for name, value in headers if name not in ("Status", "Content-Length")], body


def kill_when(child, is_so):
    """SIGKILL for a child as soon as something is so."""
    wait_until(is_so, while_so=lambda: child.poll() is None)
    child.send_signal(signal.SIGKILL)
    child.wait()
