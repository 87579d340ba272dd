"""vmimage.base.download against a real server on the loopback that breaks off, changes its mind, or has nothing."""

import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from vmimage.base.download import download, fetch, fetch_beside
from vmimage.errors import BaseMissing

MIB = 1 << 20


class Server(ThreadingHTTPServer):
    """Serves one file.  ``cuts`` says after how many bytes each of the next answers ends; ``asked`` keeps what it was asked."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.content, self.etag, self.cuts, self.asked, self.codes, self.after_cut = b"", '"1"', [], [], [], None
        self.url = f"http://127.0.0.1:{self.server_address[1]}/images/base.img"


class Answer(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        server = self.server
        server.asked.append(
            {key: self.headers[key] for key in ("Range", "If-Range", "If-None-Match", "If-Modified-Since") if self.headers[key]}
        )
        if not self.path.startswith("/images/base.img"):
            return self.send_error(404)
        if server.codes:
            return self.send_error(server.codes.pop(0))
        if server.etag and self.headers["If-None-Match"] == server.etag:
            self.send_response(304)
            return self.end_headers()
        start, body = 0, server.content
        if self.headers["Range"] and self.headers["If-Range"] == server.etag:
            start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
        if start and start >= len(body):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        if server.etag:
            self.send_header("ETag", server.etag)
        self.end_headers()
        if server.cuts:
            self.wfile.write(body[start : start + server.cuts.pop(0)])
            if server.after_cut:
                server.after_cut(server)
            self.close_connection = True
        else:
            self.wfile.write(body[start:])


@pytest.fixture
def server(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("vmimage.base.download.time.sleep", lambda seconds: None)  # the pauses between tries
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        server.content = os.urandom(5 * MIB)
        yield server
        server.shutdown()
        thread.join()


def got(server, tmp_path, progress=None):
    return download(
        server.url,
        tmp_path / "cache/base.img",
        lambda done, total: progress.append((done, total)) if progress is not None else None,
    )


def test_a_file_comes_whole_and_nothing_else_stays(server, tmp_path):
    progress = []
    path = got(server, tmp_path, progress)
    assert path.read_bytes() == server.content
    assert progress[-1] == (5 * MIB, 5 * MIB)
    assert not [name for name in os.listdir(path.parent) if "partial" in name]


def test_a_download_that_is_cut_is_carried_on_where_it_ended(server, tmp_path):
    server.cuts = [2 * MIB, MIB + 5]
    assert got(server, tmp_path).read_bytes() == server.content
    starts = [int(headers["Range"].strip("bytes=-")) if headers else 0 for headers in server.asked]
    assert len(starts) == 3 and starts == sorted(starts) and starts[1] > 0 and starts[2] > 2 * MIB - 1


def test_the_next_run_carries_on_what_an_earlier_run_left(server, tmp_path):
    server.cuts = [MIB + 1, *[0] * 4]
    with pytest.raises(BaseMissing, match="the next run carries on"):
        got(server, tmp_path)
    assert not (tmp_path / "cache/base.img").exists()
    server.asked.clear()
    assert got(server, tmp_path).read_bytes() == server.content
    assert server.asked[0]["Range"].startswith("bytes=") and len(server.asked) == 1


def test_a_file_that_changed_between_two_tries_is_not_stitched_together(server, tmp_path):
    def change(server):
        server.content, server.etag, server.after_cut = os.urandom(4 * MIB), '"2"', None

    server.cuts, server.after_cut = [2 * MIB], change
    assert got(server, tmp_path).read_bytes() == server.content


@pytest.mark.parametrize("cut_bytes", [0, MIB], ids=["before its first byte", "in the middle"])
def test_an_older_whole_file_is_never_taken_for_the_newer_file_that_was_cut(server, tmp_path, cut_bytes):
    got(server, tmp_path)
    server.content, server.etag, server.cuts = os.urandom(3 * MIB), '"2"', [cut_bytes]
    assert got(server, tmp_path).read_bytes() == server.content


def test_a_whole_file_that_did_not_change_is_not_sent_again(server, tmp_path):
    path = got(server, tmp_path)
    before = path.stat().st_mtime_ns
    assert got(server, tmp_path) == path and path.stat().st_mtime_ns == before
    assert server.asked[1] == {"If-None-Match": '"1"'}


def test_without_a_tag_a_cut_download_begins_again(server, tmp_path):
    server.etag, server.cuts = "", [2 * MIB]
    assert got(server, tmp_path).read_bytes() == server.content
    assert server.asked == [{}, {}]


def test_a_shorter_file_in_its_place_is_fetched_again(server, tmp_path):
    def shorten(server):
        server.content, server.after_cut = server.content[:MIB], None

    server.cuts, server.after_cut = [3 * MIB], shorten
    assert got(server, tmp_path).read_bytes() == server.content


def test_what_is_not_there_is_said_at_once(server, tmp_path):
    url = server.url.replace("/images", "/nothing")
    with pytest.raises(BaseMissing, match="404"):
        download(url, tmp_path / "base.img", lambda done, total: None)
    assert len(server.asked) == 1 and not (tmp_path / "base.img").exists()


def test_a_server_in_trouble_is_asked_again(server, tmp_path):
    server.codes = [503, 502]
    assert got(server, tmp_path).read_bytes() == server.content


def test_where_the_server_is_gone_the_file_of_last_time_does(server, tmp_path):
    path = got(server, tmp_path)
    server.codes = [500] * 5
    assert got(server, tmp_path) == path and path.read_bytes() == server.content


def test_a_file_is_fetched_by_its_address_and_what_lies_beside_it_too(server, tmp_path):
    assert fetch(server.url, tmp_path).read_bytes() == server.content
    assert fetch_beside(server.url, "SHA512SUMS", tmp_path) is None
    assert fetch_beside(server.url, "base.img.sha512", tmp_path).read_bytes() == server.content


def test_a_path_is_taken_where_it_lies_and_a_salt_address_from_salt(tmp_path):
    (tmp_path / "base.img").write_text("x")
    for address in (f"{tmp_path}/base.img", f"file://{tmp_path}/base.img"):
        assert fetch(address, tmp_path / "cache") == tmp_path / "base.img"
    assert fetch("salt://base.img", tmp_path, lambda url: f"{tmp_path}/base.img") == tmp_path / "base.img"
    for address in (f"{tmp_path}/none.img", "salt://none.img"):
        with pytest.raises(BaseMissing, match="none.img"):
            fetch(address, tmp_path / "cache", lambda url: "")
