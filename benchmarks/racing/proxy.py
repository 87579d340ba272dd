"""A proxy on the loopback that counts what comes over the network.  All contests use it, so what it costs, it costs all.

A root in a private network reaches no address of 127.0.0.0/8 of the builder, so the loopback has another for the time of a race.
"""

import http.client
import subprocess
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from vmimage.errors import VmImageError

#: of those set aside for tests of networks, as is the private network of a root
ADDRESS = "198.18.254.1"
_CHUNK = 256 * 1024
_OF_THE_CONNECTION = {"connection", "proxy-connection", "keep-alive", "transfer-encoding"}


class PortTaken(VmImageError):
    """The proxy cannot be had."""


class Traffic:
    """How many bytes of answers came from the mirror, headers left out."""

    def __init__(self):
        self.bytes, self._lock = 0, threading.Lock()

    def add(self, number):
        with self._lock:
            self.bytes += number

    def forget(self):
        with self._lock:
            self.bytes = 0


class _Proxy(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each small answer waits for the other side's delayed acknowledgement

    def setup(self):
        super().setup()
        self.upstream = {}

    def do_GET(self):
        address = urlsplit(self.path)
        headers = {key: value for key, value in self.headers.items() if key.lower() not in _OF_THE_CONNECTION}
        path = address.path + (f"?{address.query}" if address.query else "")
        for attempt in range(2):  # the mirror may have closed a connection that was kept
            mirror = self.upstream.setdefault(address.netloc, http.client.HTTPConnection(address.netloc, timeout=60))
            try:
                mirror.request(self.command, path, headers=headers)
                answer = mirror.getresponse()
                break
            except (http.client.HTTPException, OSError):
                self.upstream.pop(address.netloc).close()
                if attempt:
                    self.send_error(502)
                    return
        self.send_response_only(answer.status, answer.reason)
        for key, value in answer.getheaders():
            if key.lower() not in _OF_THE_CONNECTION:
                self.send_header(key, value)
        body = self.command != "HEAD" and answer.status not in (204, 304)
        if body and answer.length is None:
            self.send_header("Connection", "close")  # the end of the body is the end of the connection
        self.end_headers()
        while chunk := answer.read(_CHUNK):
            self.server.traffic.add(len(chunk))
            self.wfile.write(chunk)

    do_HEAD = do_GET

    def log_message(self, *_):
        """Says nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """Says nothing: a client that ends its connection early is none of our business."""


@contextmanager
def counted(port):
    """The proxy, running; yields its :class:`Traffic`.

    :raises PortTaken: the base names the port, so it cannot be another
    """
    with _on_loopback():
        try:
            server = _Server((ADDRESS, port), _Proxy)
        except OSError as error:
            raise PortTaken(
                f"port {port} is taken: {error}", hint="remove base.json from the tools: the next race takes another"
            ) from error
        with server:
            server.traffic = Traffic()
            threading.Thread(target=server.serve_forever, daemon=True).start()
            try:
                yield server.traffic
            finally:
                server.shutdown()


@contextmanager
def _on_loopback():
    """The proxy's address on the loopback device; one that a killed race has left is taken over."""
    _address("replace", check=True)
    try:
        yield
    finally:
        _address("del", check=False)


def _address(verb, *, check):
    subprocess.run(["ip", "address", verb, f"{ADDRESS}/32", "dev", "lo"], check=check, capture_output=True)
