"""Whether apt's lists need not be fetched again: told by InRelease files, and never where that is not sure."""

import hashlib
from types import SimpleNamespace

import pytest
from vmimage import offers

URI = "http://mirror/debian/dists/bookworm/InRelease"
PROXY = "http://127.0.0.1:3142"


@pytest.fixture
def root(monkeypatch):
    """A root whose apt names these archives, and is configured like this."""
    told = SimpleNamespace(targets=f"{URI}\n{URI}\n", configuration="", answers={})

    def answer(_, argv):
        return SimpleNamespace(output=told.targets if argv[0] == "apt-get" else told.configuration)

    monkeypatch.setattr(offers, "run_inside", answer)  # no test of this group starts a program
    return told


@pytest.fixture
def lists(tmp_path):
    def write(text):
        (tmp_path / "mirror_debian_dists_bookworm_InRelease").write_text(text, encoding="utf-8")
        return tmp_path

    return write


@pytest.mark.parametrize("text", ["Suite: stable\n", "Suite: stable\nValid-Until: Sat, 01 Jan 2300 00:00:00 UTC\n"])
def test_an_archive_is_told_by_the_digest_of_what_it_signed(root, lists, text):
    assert offers.note_offers(root, lists(text)) == {URI: hashlib.sha256(text.encode()).hexdigest()}


@pytest.mark.parametrize("when", ["Sat, 01 Jan 2000 00:00:00 UTC", "some day", "", "Sat, 01 Jan 2300 00:00:00 -0000"])
def test_what_is_no_longer_valid_tells_nothing(root, lists, when):
    assert offers.note_offers(root, lists(f"Suite: stable\nValid-Until: {when}\n")) is None


@pytest.mark.parametrize("targets", ["", f"{URI}\nhttp://other/dists/x/InRelease\n", "file:/srv/own/dists/./InRelease\n"])
def test_an_archive_without_a_list_tells_nothing(root, lists, targets):
    root.targets = targets
    assert offers.note_offers(root, lists("Suite: stable\n")) is None


@pytest.mark.parametrize(
    ("configuration", "proxies"),
    [
        ("APT::Architecture amd64\n", {}),
        (f"Acquire::http::Proxy {PROXY}\n", {"http": PROXY}),
        (f"Acquire::HTTP::Proxy {PROXY}\nAcquire::https::Proxy {PROXY}\n", {"http": PROXY, "https": PROXY}),
        ("Acquire::http::Proxy \n", {}),
    ],
)
def test_the_archives_are_asked_as_the_roots_apt_would(root, monkeypatch, configuration, proxies):
    root.configuration = configuration
    monkeypatch.setattr(offers.requests, "get", lambda uri, timeout, proxies: _answer(f"{uri} by {proxies}"))
    same = hashlib.sha256(f"{URI} by {proxies}".encode()).hexdigest()
    assert offers.is_offered_to(root, {URI: same})
    assert not offers.is_offered_to(root, {URI: "0" * 64})


@pytest.mark.parametrize(
    "configuration",
    [
        f"Acquire::http::Proxy::mirror {PROXY}\n",
        "Acquire::http::Proxy DIRECT\n",
        "Acquire::http::Proxy-Auto-Detect /usr/bin/find-proxy\n",
        "Acquire::http::ProxyAutoDetect /usr/bin/find-proxy\n",
        "Acquire::ftp::Proxy ftp://x\n",
    ],
)
def test_where_it_is_not_sure_how_apt_would_ask_nobody_is_asked(root, monkeypatch, configuration):
    root.configuration = configuration
    monkeypatch.setattr(offers.requests, "get", lambda *_, **__: pytest.fail("somebody was asked"))
    assert not offers.is_offered_to(root, {URI: "0" * 64})


def test_where_nothing_is_known_nobody_is_asked(root, monkeypatch):
    monkeypatch.setattr(offers, "run_inside", lambda *_: pytest.fail("a program was run"))
    assert not offers.is_offered_to(root, None)


def _answer(text):
    return SimpleNamespace(status_code=200, content=text.encode())
