"""vmimage.instance.metadata_servers against real servers on the loopback: good, missing, and such that keep us waiting."""

import os
import socket
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
from vmimage.errors import UserdataWrong
from vmimage.instance.metadata import SOURCES, read_userdata
from vmimage.settings.strict_yaml import LIMIT_BYTES
from waiting import ended_if_it_hangs

OPENSTACK, EC2, TOKEN = "/openstack/latest/user_data", "/latest/user-data", "/latest/api/token"
SERVERS = {name: SOURCES[name] for name in ("OpenStack", "EC2")}
DATA = b"ami.name: web\n\xff\0"
#: for servers that keep us waiting: these seconds do pass
SHORT = {"deadline_seconds": 2, "request_seconds": 0.3}


class Clock:
    """The clock of the deadline, which only pauses move: however slow this machine is, a server that answers is in time."""

    def __init__(self):
        self.now = time.monotonic()

    def sleep(self, seconds):
        self.now += seconds


class Server(ThreadingHTTPServer):
    """``answers`` holds what each address answers: bytes, a status, a callable that gets the request, or a list of these to be
    used up to the last."""

    daemon_threads, block_on_close = True, False

    def __init__(self, clock):
        super().__init__(("127.0.0.1", 0), Answer, bind_and_activate=False)
        self.server_bind()  # until it listens too it has a port, and refuses connections
        self.clock, self.answers, self.asked, self.over = clock, {}, [], threading.Event()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02})

    def start(self):
        self.server_activate()
        self.thread.start()

    def stop(self):
        self.over.set()
        if self.thread.ident:
            self.shutdown()
            self.thread.join()
        self.server_close()

    def read(self, **options):
        options = {"deadline_seconds": 60, "request_seconds": 60, "sleep": self.clock.sleep, **options}
        with ended_if_it_hangs():
            return read_userdata(SERVERS, base_url=self.url, **options)

    def fail(self, **options):
        with pytest.raises(UserdataWrong) as caught:
            self.read(**options)
        return str(caught.value)


class Answer(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.asked.append((self.command, self.path))
        answer = self.server.answers.get(self.path, 404)
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        with suppress(ConnectionError):
            if callable(answer):
                answer(self)
            elif isinstance(answer, int):
                self.send_error(answer)
            else:
                self.send(answer)

    do_PUT = do_GET

    def send(self, body, length=None, status=200, **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def drip(self, text):
        """A byte now and then, without end."""
        for byte in text:
            self.wfile.write(bytes([byte]))
            if self.server.over.wait(0.05):
                break


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("vmimage.instance.metadata.time", SimpleNamespace(monotonic=lambda: clock.now))
    return clock


@pytest.fixture
def serve(clock):
    """A function that makes a server and starts it."""
    made = []

    def make(started=True):
        made.append(Server(clock))
        if started:
            made[-1].start()
        return made[-1]

    yield make
    for server in made:
        server.stop()


@pytest.fixture
def server(serve):
    return serve()


def hang(request):
    request.server.over.wait()


def with_session(request):
    """As EC2 answers where sessions are required."""
    if request.headers["X-aws-ec2-metadata-token"] == "AQAE-token==":
        request.send(DATA)
    else:
        request.send_error(401)


def session(request):
    good = request.command == "PUT" and 0 < int(request.headers["X-aws-ec2-metadata-token-ttl-seconds"]) <= 21600
    request.send(b"AQAE-token==") if good else request.send_error(400)


def test_openstack(server):
    server.answers = {OPENSTACK: DATA, EC2: b"other"}
    assert server.read() == (DATA, f"{server.url}{OPENSTACK}")
    assert server.asked == [("GET", OPENSTACK)]


@pytest.mark.parametrize("status", [404, 403, 405, 501], ids=str)
def test_ec2_without_sessions(server, status):
    server.answers = {TOKEN: status, EC2: DATA}
    assert server.read() == (DATA, f"{server.url}{EC2}")


def test_ec2_with_sessions(server):
    server.answers = {TOKEN: session, EC2: with_session}
    assert server.read() == (DATA, f"{server.url}{EC2}")
    assert server.asked == [("GET", OPENSTACK), ("PUT", TOKEN), ("GET", EC2)]


def test_ec2_that_refuses_us_a_session_is_reported(server):
    server.answers = {TOKEN: 403, EC2: with_session}
    assert "the server says 401, it wants a session token" in server.fail()


@pytest.mark.parametrize("token", [b"", b"a\r\nHost: evil", b"\xff", b"a" * 2000, b"<html> </html>"], ids=repr)
def test_a_token_that_is_none_is_not_sent(server, token):
    server.answers = {TOKEN: token, EC2: DATA}
    assert server.read()[0] == DATA


def test_a_session_that_nobody_answers_for_does_not_keep_userdata_from_us(server):
    server.answers = {TOKEN: hang, EC2: DATA}
    assert server.read(request_seconds=0.5)[0] == DATA


def test_404_is_empty_userdata(server):
    data, where = server.read()
    assert data == b"" and OPENSTACK in where and "404" in where


@pytest.mark.parametrize("answer", [b"", 204], ids=["nothing", "204"])
def test_an_empty_answer_is_empty_userdata(server, answer):
    server.answers = {OPENSTACK: answer if answer == b"" else lambda request: request.send(b"", status=204)}
    assert server.read()[0] == b""


def test_500_is_tried_again(server):
    server.answers = {OPENSTACK: [500, DATA], TOKEN: 500, EC2: 500}
    slept = []
    assert server.read(sleep=slept.append)[0] == DATA
    assert slept == [1]


def test_500_for_good_is_an_error_by_the_deadline(server):
    server.answers = {OPENSTACK: 500, TOKEN: 500, EC2: 500}
    message = server.fail()
    assert "no userdata within 60 seconds" in message and f"{OPENSTACK}: the server says 500" in message


def test_a_server_that_is_not_up_yet_is_waited_for(serve):
    server, said = serve(started=False), []
    server.answers = {OPENSTACK: DATA}
    assert server.read(sleep=lambda seconds: server.start(), say=said.append)[0] == DATA
    assert any("Connection refused" in line for line in said)


def test_no_server_at_all_is_an_error_by_the_deadline(serve):
    assert serve(started=False).fail().count("Connection refused") == 2


def drip_head(request):
    request.drip(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n" + b"X-Header: x\r\n" * 1000)


def drip_body(request):
    request.send(b"", 10**4)
    request.drip(b"#" * 10**4)


def continue_for_ever(request):
    while not request.server.over.is_set():
        request.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")


def head_without_end(request):
    request.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"X: " + b"x" * 10**6)


@pytest.mark.parametrize("answer", [hang, drip_head, drip_body, continue_for_ever], ids=lambda answer: answer.__name__)
def test_a_server_that_keeps_us_waiting_is_left_by_the_deadline(server, answer):
    server.answers = dict.fromkeys((OPENSTACK, EC2, TOKEN), answer)
    assert f"{OPENSTACK}: no complete answer in time" in server.fail(**SHORT)


def test_a_server_that_kept_us_waiting_once_is_asked_again(server):
    server.answers = {OPENSTACK: [hang, drip_body, DATA], EC2: hang, TOKEN: hang}
    assert server.read(request_seconds=0.3)[0] == DATA


@pytest.mark.parametrize(
    "answer",
    [
        head_without_end,
        lambda request: request.wfile.write(b"\x16\x03\x01 this is no HTTP\r\n\r\n"),
        lambda request: None,
        lambda request: request.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        lambda request: request.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nami"),
        lambda request: request.wfile.write(b"HTTP/1.1 999999 OK\r\n\r\n"),
    ],
    ids=["headers without end", "no HTTP", "no answer", "wrong chunks", "a chunk that breaks off", "no status"],
)
def test_a_broken_answer_is_tried_again_and_is_no_crash(server, answer):
    server.answers = {OPENSTACK: [answer, DATA], EC2: answer, TOKEN: answer}
    assert server.read()[0] == DATA


def test_an_answer_that_breaks_off_is_not_taken_for_userdata(server):
    server.answers = {OPENSTACK: [lambda request: request.send(b"ami.name: web", 100), DATA], TOKEN: 500, EC2: 500}
    assert server.read()[0] == DATA


def chunk_without_end(request):
    request.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while not request.server.over.is_set():
        request.wfile.write(b"400\r\n" + b"x" * 0x400 + b"\r\n")


@pytest.mark.parametrize(
    "answer",
    [
        b"#" * (LIMIT_BYTES + 1),
        b"#" * 100 * 1024,
        lambda request: request.send(b"#" * 10**5, 10**15),
        lambda request: request.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n" + b"#" * 10**5),
        chunk_without_end,
    ],
    ids=["a byte more", "100 KB", "a petabyte", "of unknown length", "chunks without end"],
)
def test_more_than_64_kib_are_refused_at_once(server, answer):
    server.answers = {OPENSTACK: answer}
    assert "more than 64 KiB" in server.fail() and server.asked == [("GET", OPENSTACK)]


def test_64_kib_are_read(server):
    data = os.urandom(LIMIT_BYTES)
    server.answers = {OPENSTACK: data}
    assert server.read()[0] == data


def test_chunks_are_put_together(server):
    server.answers = {
        OPENSTACK: lambda request: request.wfile.write(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nami.name:\r\n4\r\n web\r\n0\r\n\r\n"
        )
    }
    assert server.read()[0] == b"ami.name: web"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_server_does_not_lead_us_elsewhere(serve, server, status):
    elsewhere = serve()
    elsewhere.answers = {OPENSTACK: DATA, EC2: DATA}
    redirect = lambda request: request.send(b"", status=status, Location=elsewhere.url + OPENSTACK)  # noqa: E731
    server.answers = {OPENSTACK: redirect, EC2: redirect, TOKEN: redirect}
    assert f"the server says {status}, it redirects" in server.fail()
    assert elsewhere.asked == []


def test_proxies_of_the_environment_are_not_asked(serve, server, monkeypatch):
    proxy = serve()
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, proxy.url)
    server.answers = {OPENSTACK: DATA}
    assert server.read()[0] == DATA and proxy.asked == []


def test_an_address_that_swallows_all_is_left_by_the_deadline(clock):
    """As of a packet filter that drops: a full queue of a socket that nobody accepts from."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf:
        port, waiting = deaf.getsockname()[1], []
        try:
            for _ in range(3):
                waiting.append(socket.socket())
                waiting[-1].setblocking(False)
                waiting[-1].connect_ex(("127.0.0.1", port))
            with ended_if_it_hangs(), pytest.raises(UserdataWrong, match="no complete answer in time"):
                read_userdata(SERVERS, base_url=f"http://127.0.0.1:{port}", sleep=clock.sleep, **SHORT)
        finally:
            for connection in waiting:
                connection.close()
