"""When a build takes the lists that it has fetched itself for the newest of its root."""

from types import SimpleNamespace

import pytest
from vmimage.apt import packages
from vmimage.build.apt_of_build import Fetched, begin_lists

FETCHED = Fetched("key", {"http://mirror/InRelease": "0"}, "newest", "state", {"lists/a": "sha256:0"}, 0.0)


def begun(fetched, basis=None, is_same=True):
    """What a build finds, and which digests were said to be those of lists that were just read."""
    read = []

    def begin(by_overlay, just_read):
        read.append(just_read)
        return is_same and just_read is not None

    build = SimpleNamespace(beside={"fetched": fetched}, record=SimpleNamespace(basis=basis), is_whole=True)
    found = begin_lists(build, SimpleNamespace(key="key", begin=begin))
    assert begin_lists(build, SimpleNamespace(key="key", begin=begin)) is None, "only once: they grow old"
    return found, read[0]


def test_lists_that_were_fetched_for_this_root_are_its_newest():
    assert begun(FETCHED) == (FETCHED, FETCHED.digests)


@pytest.mark.parametrize(
    ("fetched", "basis"),
    [
        (None, None),
        (Fetched("of other sources", FETCHED.offered, "newest", "state", FETCHED.digests, 0.0), None),
        (Fetched("key", None, "newest", "state", FETCHED.digests, 0.0), None),
        (FETCHED, "the last root image"),
    ],
    ids=["none", "the sources have changed", "an archive is a directory", "the root is not that of the base"],
)
def test_other_lists_are_not(fetched, basis):
    assert begun(fetched, basis) == (None, None)


def test_lists_that_another_build_has_replaced_since_are_not():
    assert begun(FETCHED, is_same=False)[0] is None


@pytest.mark.parametrize(
    ("said", "is_newer"),
    [
        ("0 upgraded, 0 newly installed, 0 to remove and 0 not upgraded.\n", False),
        ("0 upgraded, 0 newly installed, 0 to remove and 12 not upgraded.\n", False),
        ("0 upgraded, 0 newly installed, 0 to remove and 0 not upgraded.\n1 not fully installed or removed.\n", True),
        ("10 upgraded, 0 newly installed, 0 to remove and 0 not upgraded.\nInst own\n", True),
        ("0 upgraded, 0 newly installed, 1 reinstalled, 0 to remove and 0 not upgraded.\n", True),
        ("E: Unmet dependencies\n", True),
        ("", True),
    ],
)
def test_nothing_newer_is_offered_only_where_apt_would_do_nothing_at_all(monkeypatch, said, is_newer):
    monkeypatch.setattr(packages, "run_in_root", lambda root, argv, ok: SimpleNamespace(output=said))
    assert packages.offers_newer("/root") is is_newer
