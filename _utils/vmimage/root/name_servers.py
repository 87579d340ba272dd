"""The name servers that programs of a root ask: a resolv.conf for the time of the work, and nothing of it in the image."""

import os
import socket
import socketserver
import stat
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vmimage.root import files
from vmimage.root.mounts import bind_read_only
from vmimage.system import network
from vmimage.system.aliases import StrPath

RESOLV = "/etc/resolv.conf"
#: on a file of ours at that place: what is copied from it has it not, and what is killed leaves it
_MARK = "user.vm_create.build"
#: where packages copy what they find in resolv.conf; of dpkg's own directory only what a package brought is there
_PLACES = ("/etc", "/var/spool", "/var/lib")
_SPARED = ("/var/lib/dpkg", "/var/lib/apt")
_LARGEST_BYTES = 1 << 16
#: in a file that systemd-resolved writes on a machine that runs: no state's doing
_OF_RESOLVED = "managed by man:systemd-resolved"
#: where programs ask for names if resolv.conf names nobody, or systemd-resolved
_LOOPBACK = ("127.0.0.1", "127.0.0.53")
_ANSWER_SECONDS = 10
#: in the third byte of an answer
_TRUNCATED = 2


@contextmanager
def build_name_servers(root: StrPath, kind_of_network: str = network.HOST) -> Iterator[None]:
    """A resolv.conf for the time of the block, the machine's or that of a private network.

    What the work makes of it is kept, without the name server of the private network.

    :param root: the mounted directory
    :param kind_of_network: of :mod:`vmimage.system.network`
    """
    text = _text(kind_of_network)
    target = link_into_run(root)
    if target:  # the usual case: /run is a tmpfs of ours, there is nothing to take back
        files.make_directory(root, os.path.dirname(target))
        files.write_text(root, target, text)
        yield
        _keep(root, target, text)
        return
    remove_temporary_file(root)
    link = files.read_link(root, RESOLV)
    before = None if link else files.read_text(root, RESOLV, "") if files.exists(root, RESOLV) else None
    _write_ours(root, text)
    try:
        yield
    finally:
        entry = files.lstat(root, RESOLV)
        now = files.read_text(root, RESOLV) if entry and stat.S_ISREG(entry.st_mode) else None
        if now is None:
            pass  # it was removed, or is a link now: the work's own doing
        elif now == text or not _own_lines(now, text):
            files.remove(root, RESOLV)
            if link:
                files.make_link(root, RESOLV, link)
            elif before is not None:
                files.write_text(root, RESOLV, before)
        elif _is_ours(root) or _without_ours(now) != now:
            files.write_text(root, RESOLV, _without_ours(now))


def ask_as_the_root(kind_of_network: str) -> None:
    """Let the builder's own process, too, ask the name server of a private network: its own may be on a loopback that is not reached there.

    For a private namespace only: nothing is unmounted.
    """
    if kind_of_network == network.PRIVATE and os.path.exists(RESOLV):
        with tempfile.NamedTemporaryFile("w", encoding="utf-8") as file:
            file.write(_text(kind_of_network))
            file.flush()
            bind_read_only(file.name, os.path.realpath(RESOLV))


class _Query(socketserver.BaseRequestHandler):
    """A question of a program in the root: the private network's name server answers it."""

    def handle(self) -> None:
        query, ours = self.request
        with suppress(OSError):
            ours.sendto(_answer_to(query), self.client_address)


def _answer_to(query: bytes) -> bytes:
    """What the private network's name server answers, whole: nothing here listens for a program that asks for the rest by TCP, for a name
    server that a state starts could not take that address over.
    """
    where = network.NAME_SERVER, 53
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.settimeout(_ANSWER_SECONDS)
        server.connect(where)
        server.send(query)
        answer = server.recv(1 << 16)
    if len(answer) > 2 and answer[2] & _TRUNCATED:
        with suppress(OSError), socket.create_connection(where, _ANSWER_SECONDS) as line, line.makefile("rb") as stream:
            line.sendall(len(query).to_bytes(2) + query)
            answer = stream.read(int.from_bytes(stream.read(2))) or answer
    return answer


class _Server(socketserver.ThreadingUDPServer):
    allow_reuse_address = True  # a name server that a state starts in the root takes the address over


def answer_on_loopback(kind_of_network: str) -> None:
    """Answer what programs of a root ask their own loopback: there a machine would run the resolver that its states configure.

    A root runs none, and later states still download.  For a private namespace only: the process that answers ends with it.
    """
    if kind_of_network != network.PRIVATE:
        return
    servers = [_Server((address, 53), _Query) for address in _LOOPBACK]
    if os.fork() == 0:
        try:
            for server in servers[1:]:
                threading.Thread(target=server.serve_forever, daemon=True).start()
            servers[0].serve_forever()
        finally:
            os._exit(0)  # never back into the caller's code
    for server in servers:
        server.socket.close()


def _text(kind_of_network: str) -> str:
    if kind_of_network == network.PRIVATE:
        return f"nameserver {network.NAME_SERVER}\n"
    return Path(RESOLV).read_text(encoding="utf-8") if os.path.exists(RESOLV) else ""


def _write_ours(root: StrPath, text: str) -> None:
    files.write_text(root, RESOLV, text)
    with suppress(OSError), files.opened(root, RESOLV) as descriptor:  # some file systems have no such attributes
        os.setxattr(descriptor, _MARK, b"1")


def _is_ours(root: StrPath) -> bool:
    entry = files.lstat(root, RESOLV)
    if entry is None or not stat.S_ISREG(entry.st_mode):
        return False
    with files.opened(root, RESOLV) as descriptor:
        try:
            return _MARK in os.listxattr(descriptor)
        except OSError:
            return False


def remove_temporary_file(root: StrPath) -> list[str]:
    """Remove a resolv.conf of ours that a killed run has left; returns the paths removed."""
    if not _is_ours(root):
        return []
    files.remove(root, RESOLV)
    return [RESOLV]


def _keep(root: StrPath, target: str, ours: str) -> None:
    """What was written through the link into /run would be gone: the image gets it as a file."""
    if link_into_run(root) != target or not files.is_file(root, target):
        return
    text = files.read_text(root, target, ours)
    if text != ours and _OF_RESOLVED not in text and _own_lines(text, ours):
        files.remove(root, RESOLV)
        files.write_text(root, RESOLV, _without_ours(text))


def _own_lines(text: str, ours: str) -> list[str]:
    """The lines that say something and are not from our file: a program that only rewrote it has none."""
    known = {*ours.splitlines(), f"nameserver {network.NAME_SERVER}"}
    return [line for line in map(str.strip, text.splitlines()) if line and line[0] not in "#;" and line not in known]


def _without_ours(text: str) -> str:
    if network.NAME_SERVER not in text:
        return text
    return "".join(line for line in text.splitlines(keepends=True) if network.NAME_SERVER not in line.split())


def link_into_run(root: StrPath) -> str | None:
    """Where below /run a resolv.conf that is a link leads to, as an absolute path of the image, or None."""
    link = files.read_link(root, RESOLV)
    if not link:
        return None
    target = os.path.normpath(os.path.join("/etc", link))
    return target if target.startswith("/run/") else None


def remove_copies(root: StrPath, changes: StrPath, kind_of_network: str) -> list[str]:
    """Take the build's name servers out of files into which packages have copied them.

    Of a private network's name server each line that names it goes; of the builder's own resolv.conf, where a file holds
    its whole text.  What resolv.conf itself says is the user's.

    :param root: the mounted directory
    :param changes: the directory of what the build changed
    :param kind_of_network: of :mod:`vmimage.system.network`
    :returns: the paths changed
    """
    ours = _text(kind_of_network)
    found = []
    for path in (path for place in _PLACES for path in files.files_below(changes, place, _LARGEST_BYTES, _SPARED)):
        if path == RESOLV or not files.is_file(root, path):
            continue
        with files.opened(root, path) as descriptor, os.fdopen(os.dup(descriptor), "rb") as file:
            text = file.read().decode("utf-8", "surrogateescape")
        new = _without_ours(text) if kind_of_network == network.PRIVATE else text.replace(ours, "") if ours.strip() else text
        if new != text:
            files.overwrite(root, path, new.encode("utf-8", "surrogateescape"))
            found.append(path)
    return found
