"""Input that wants to get out, to fool the builder or to keep it waiting.  After each test the machine is what it was."""

import os
import socket
from pathlib import Path

import pytest
from root_fixtures import bootstrapped, light, machine, nothing_is_left, own_directories, salt  # noqa: F401  fixtures

_OF_THE_MACHINE = [f"/etc/{name}" for name in ("fstab", "hostname", "machine-id", "passwd", "resolv.conf", "shadow")]
_OF_THE_KERNEL = [f"/proc/sys/kernel/{name}" for name in ("core_pattern", "hostname", "modprobe", "panic", "sysrq")]
_OF_THE_KERNEL += [f"/proc/sys/{name}" for name in ("vm/overcommit_memory", "net/ipv4/ip_forward", "fs/suid_dumpable")]


class Host:
    """Files, a port and sockets of the builder that nobody may reach, and what else of it must stay.

    :ivar Path directory: with the files ``secret`` and ``own``
    :ivar int port: of the loopback
    :ivar str abstract: name of an abstract socket, without its null
    """

    def __init__(self, directory):
        self.directory, self.secret = directory, directory / "secret"
        self.secret.write_text("of the builder", encoding="utf-8")
        self.secret.chmod(0o600)
        (directory / "own").mkdir()
        self.loopback = socket.create_server(("127.0.0.1", 0))
        self.port = self.loopback.getsockname()[1]
        self.abstract = f"vm_create-test-{os.getpid()}"
        self._sockets = [self._listening(f"\0{self.abstract}"), self._listening(str(directory / "socket"))]
        self.state = self.look()

    @staticmethod
    def _listening(address):
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(address)
        listening.listen()
        return listening

    def look(self):
        """What must be the same after a test."""
        facts = {}
        for path in (self.directory, *self.directory.rglob("*"), *map(Path, _OF_THE_MACHINE)):
            if os.path.lexists(path):
                found = os.lstat(path)
                facts[str(path)] = (found.st_ino, found.st_mode, found.st_uid, found.st_size, found.st_mtime_ns, found.st_nlink)
        return facts | {path: Path(path).read_text() for path in _OF_THE_KERNEL if os.path.exists(path)}

    def reached(self):
        """The sockets to which somebody has connected."""
        found = []
        for listener in (self.loopback, *self._sockets):
            listener.settimeout(0)
            try:
                listener.accept()[0].close()
                found.append(listener.getsockname())
            except BlockingIOError:
                pass
        return found

    def close(self):
        for listener in (self.loopback, *self._sockets):
            listener.close()


@pytest.fixture(scope="session")
def host(own_directories, tmp_path_factory):  # noqa: F811
    made = Host(tmp_path_factory.mktemp("of-the-builder"))
    yield made
    made.close()


@pytest.fixture(autouse=True)
def nothing_is_touched(host):
    yield
    now = host.look()
    changed = sorted(path for path in {*now, *host.state} if now.get(path) != host.state.get(path))
    host.state = now  # the next test has done nothing
    assert not changed and not host.reached(), f"touched: {changed or host.reached()}"
