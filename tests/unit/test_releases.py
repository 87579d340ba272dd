"""Whether apt's lists need not be fetched again: seen by InRelease files, and never where that is not sure."""

import hashlib
from functools import partial
from types import SimpleNamespace

import pytest
from vmimage.apt import releases
from vmimage.system.retry import retried

URI = "http://mirror/debian/dists/bookworm/InRelease"
PROXY = "http://127.0.0.1:3142"
SIGNED = "Suite: stable\n"


class Asked(list):
    """Who was asked, and by which proxies; ``answer`` is the InRelease there, None for none; ``troubles`` come before it."""

    answer = SIGNED

    def __init__(self):
        super().__init__()
        self.pauses, self.troubles = [], []

    def get(self, session, uri, timeout):
        assert not session.trust_env and session.headers["Cache-Control"] == "max-age=0"
        self.append((uri, session.proxies))
        status, reason = self.troubles.pop(0) if self.troubles else (404, "Not Found") if self.answer is None else (200, "OK")
        if not status:
            raise releases.requests.ConnectTimeout(reason)
        return SimpleNamespace(status_code=status, reason=reason, content=(self.answer or "").encode())


@pytest.fixture
def asked(monkeypatch):
    found = Asked()
    monkeypatch.setattr(releases.requests.Session, "get", lambda session, uri, timeout: found.get(session, uri, timeout))
    monkeypatch.setattr(releases, "retried", partial(retried, sleep=found.pauses.append))
    return found


@pytest.fixture
def root(monkeypatch):
    """A root whose apt names these archives, and is configured like this."""
    apt = SimpleNamespace(targets=f"{URI}\n{URI}\n", configuration="", answers={})

    def answer(_, argv):
        return SimpleNamespace(output=apt.targets if argv[0] == "apt-get" else apt.configuration)

    monkeypatch.setattr(releases, "run_in_root", answer)  # no test of this group starts a program
    return apt


@pytest.fixture
def lists(tmp_path):
    def write(text):
        (tmp_path / "mirror_debian_dists_bookworm_InRelease").write_text(text, encoding="utf-8")
        return tmp_path

    return write


def digest_of(text):
    return hashlib.sha256(text.encode()).hexdigest()


def test_an_archive_is_known_by_the_digest_of_what_it_signed(root, lists):
    assert releases.note_offers(root, lists(SIGNED)) == {URI: digest_of(SIGNED)}


@pytest.mark.parametrize("targets", ["", f"{URI}\nhttp://other/dists/x/InRelease\n", "file:/srv/own/dists/./InRelease\n"])
def test_an_archive_without_a_list_tells_nothing(root, lists, targets):
    root.targets = targets
    assert releases.note_offers(root, lists(SIGNED)) is None


@pytest.mark.parametrize(
    ("configuration", "proxies"),
    [
        ("APT::Architecture amd64\n", {}),
        (f"Acquire::http::Proxy {PROXY}\n", {"http": PROXY}),
        (f"Acquire::HTTP::Proxy {PROXY}\nAcquire::https::Proxy {PROXY}\n", {"http": PROXY, "https": PROXY}),
        ("Acquire::http::Proxy \n", {}),
    ],
)
def test_the_archives_are_asked_as_the_roots_apt_would(root, lists, asked, configuration, proxies):
    root.configuration = configuration
    assert releases.is_offered_to(root, lists(SIGNED), {URI: digest_of(SIGNED)}, print)
    assert asked == [(URI, proxies)]


@pytest.mark.parametrize("answer", ["Suite: newer\n", None])
def test_what_archives_no_longer_offer_is_fetched(root, lists, asked, answer):
    asked.answer = answer
    assert not releases.is_offered_to(root, lists(SIGNED), {URI: digest_of(SIGNED)}, print)


@pytest.mark.parametrize("trouble", [(0, "no answer"), (503, "Service Unavailable")])
def test_an_archive_that_does_not_answer_is_asked_three_times(root, lists, asked, trouble):
    said = []
    asked.troubles = [trouble] * 2
    assert releases.is_offered_to(root, lists(SIGNED), {URI: digest_of(SIGNED)}, said.append)
    assert asked.pauses == [1, 2] and len(said) == 2 and trouble[1] in said[0]
    asked.troubles = [trouble] * 3
    assert "could not be asked (" in releases.find_newer({URI: digest_of(SIGNED)}, said.append, {})


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
def test_where_it_is_not_sure_how_apt_would_ask_nobody_is_asked(root, lists, asked, configuration):
    root.configuration = configuration
    assert not releases.is_offered_to(root, lists(SIGNED), {URI: digest_of(SIGNED)}, print) and asked == []


@pytest.mark.parametrize("offered", [None, {}, {URI: "0" * 64}, {"http://mirror/other/InRelease": digest_of(SIGNED)}])
def test_lists_that_are_not_those_that_were_noted_are_fetched(root, lists, asked, offered):
    assert not releases.is_offered_to(root, lists(SIGNED), offered, print) and asked == []


@pytest.mark.parametrize(
    ("when", "is_valid"),
    [
        ("Sat, 01 Jan 2300 00:00:00 UTC", True),
        ("Sat, 01 Jan 2000 00:00:00 UTC", False),
        ("Sat, 01 Jan 2300 00:00:00 -0000", False),
        ("some day", False),
        ("", False),
    ],
)
def test_lists_are_fetched_when_they_are_no_longer_valid(root, lists, asked, when, is_valid):
    asked.answer = text = f"{SIGNED}Valid-Until: {when}\n"
    assert releases.is_offered_to(root, lists(text), {URI: digest_of(text)}, print) == is_valid
