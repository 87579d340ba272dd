"""A wire between a server on the loopback and its clients, which a test can listen to, slow down and cut.

It carries HTTP/1.1 as it comes, and knows where a request and its answer begin and end.  It calls

    wire.on_request(number, method, path, headers)     a request has come; nothing of it has been passed on
    wire.on_body(number, method, path, bytes_so_far)   so much of its body has been passed on
    wire.on_response(number, method, path, status)     the whole answer has come; its end has not been passed on

in the thread of that connection.  They may take their time, and kill the server.  Where they return CUT, the connection is reset at
both ends; where on_request returns (503, "Service Unavailable"), the wire answers so and the server never hears of the request.
"""

import http.client
import io
import select
import socket
import struct
import threading
from contextlib import ExitStack, contextmanager, suppress

CUT = "cut"
PIECE_BYTES, HELD_BYTES = 1 << 14, 1 << 20


class Ended(Exception):
    """A side has closed its connection."""


class Cut(Exception):
    """A test wants the connection reset."""


class Side:
    """A connection, read by lines and pieces."""

    def __init__(self, connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection, self.send, self._held = connection, connection.sendall, b""

    def head(self):
        """``(as it came, the words of its first line, its headers)``"""
        lines = [self._line()]
        while lines[-1] not in (b"\r\n", b"\n"):
            lines.append(self._line())
        headers = http.client.parse_headers(io.BytesIO(b"".join(lines[1:])))
        return b"".join(lines), lines[0].decode("latin-1").split(), headers

    def body(self, headers):
        """Its pieces as they come, each with the number of bytes in it that are content."""
        if headers.get("Transfer-Encoding", "").lower() != "chunked":
            yield from self._counted(int(headers.get("Content-Length", 0)))
            return
        size = None
        while size != 0:
            line = self._line()
            yield line, 0
            size = int(line.partition(b";")[0], 16)
            yield from self._counted(size)
            yield self._line(), 0

    def _counted(self, size):
        while size:
            held = self._held or self._received()
            piece, self._held = held[:size], held[size:]
            size -= len(piece)
            yield piece, len(piece)

    def _line(self):
        while b"\n" not in self._held:
            self._held += self._received()
        line, end, self._held = self._held.partition(b"\n")
        return line + end

    def _received(self):
        received = self.connection.recv(PIECE_BYTES)
        if not received:
            raise Ended
        return received


class Wire:
    """Carries what comes to a port of its own to a server, and the answers back.

    :param int target_port: of the server
    :ivar list requests: (method, path) of each request in the order they came; the number that callbacks get counts them, from 1
    :ivar bytes_per_second: the speed of the bodies of requests; None: as fast as they go
    """

    def __init__(self, target_port):
        self.target_port, self.requests, self.bytes_per_second = target_port, [], None
        self.on_request = self.on_body = self.on_response = None
        self._lock, self._closing = threading.Lock(), threading.Event()
        self._open, self._threads, self._raised = set(), [], []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._start_thread(self._accept)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """End all connections and threads, and raise what a callback raised."""
        with self._lock:
            self._closing.set()
            for waited_for in (self._listener, *self._open):
                with suppress(OSError):
                    waited_for.shutdown(socket.SHUT_RDWR)  # its thread wakes up and closes it
        while self._threads:
            self._threads.pop(0).join()  # the thread that starts the others is the first
        if self._raised:
            raise self._raised[0]

    def _start_thread(self, work, *arguments):
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        with self._listener, suppress(OSError):  # until it is shut down
            while True:
                self._start_thread(self._carry, self._listener.accept()[0])

    @contextmanager
    def _opened(self, connection):
        """One side for the time of the block; closed as the block ends: in peace, or with a reset."""
        with self._lock:
            self._open.add(connection)
            if self._closing.is_set():
                connection.shutdown(socket.SHUT_RDWR)
        try:
            yield Side(connection)
        except Ended:
            raise
        except BaseException:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            raise
        finally:
            with self._lock:
                self._open.discard(connection)
                connection.close()

    def _carry(self, connection):
        """All requests of a connection, and their answers."""
        with suppress(Ended, Cut, OSError), ExitStack() as sides:
            client, server, goes_on = sides.enter_context(self._opened(connection)), None, True
            while goes_on:
                self._wait_for_request(client, server)
                raw, (method, path, _), headers = client.head()
                event = (self._count(method, path), method, path)
                refusal = self._tell(self.on_request, *event, headers)
                if refusal:
                    return self._refuse(client, headers, *refusal)
                if server is None:
                    server = sides.enter_context(self._opened(socket.create_connection(("127.0.0.1", self.target_port))))
                server.send(raw)
                goes_on = self._pass_body(client, server, headers, event)
                self._pass_answer(client, server, event)

    def _wait_for_request(self, client, server):
        if server is not None:
            ready, _, _ = select.select([client.connection, server.connection], [], [])
            if server.connection in ready:  # it wants no more requests here
                raise Ended

    def _count(self, *request):
        with self._lock:
            self.requests.append(request)
            return len(self.requests)

    def _tell(self, callback, *event):
        """What a callback wants to happen."""
        try:
            wish = callback(*event) if callback else None
        except BaseException as error:
            self._raised.append(error)
            wish = CUT
        if wish == CUT:
            raise Cut
        return wish

    def _refuse(self, client, headers, status, reason):
        client.send(f"HTTP/1.1 {status} {reason}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        for _ in client.body(headers):  # who closes before has its answer lost
            pass

    def _pass_body(self, client, server, headers, event):
        """Whether the server took all: it may answer, and close, before."""
        passed = 0
        for piece, content_bytes in client.body(headers):
            try:
                server.send(piece)
            except OSError:
                return False
            if content_bytes:
                passed += content_bytes
                self._tell(self.on_body, *event, passed)
                if self.bytes_per_second:
                    self._closing.wait(content_bytes / self.bytes_per_second)
        return True

    def _pass_answer(self, client, server, event):
        """Of a long answer all but the last of it goes through at once."""
        raw, (_, status, *_), headers = server.head()
        while status.startswith("1"):  # 100 Continue
            client.send(raw)
            raw, (_, status, *_), headers = server.head()
        held = bytearray(raw)
        _, method, _ = event
        if method != "HEAD" and status not in ("204", "304"):
            for piece, _ in server.body(headers):
                if len(held) > HELD_BYTES:
                    client.send(held)
                    held.clear()
                held += piece
        self._tell(self.on_response, *event, int(status))
        client.send(held)
