import pytest
from apt_answers import AptGet
from vmimage.apt.sources import source_lines
from vmimage.errors import SettingsWrong

D, S, T = "http://deb.example.org/debian/", "http://deb.example.org/debian-security", "http://tools.example.org/apt"


def indexes(release, origin="Debian"):
    return [(D, release, "main", origin), (D, f"{release}-updates", "main", origin), (S, f"{release}-security", "main", origin)]


def lines(release):
    return [f"deb {D[:-1]} {release} main", f"deb {D[:-1]} {release}-updates main", f"deb {S} {release}-security main"]


@pytest.fixture
def lines_for(monkeypatch):
    """``lines_for(indexes, release, distribution)`` on a machine whose apt has read these indexes."""

    def ask(indexes, release, distribution):
        monkeypatch.setattr("vmimage.apt.sources.run", AptGet(indexes))
        return source_lines(release, distribution)

    return ask


@pytest.mark.parametrize("machine", ["bookworm", "trixie", "stable", "buster"])
def test_a_release_gets_the_machines_own_archives_and_suites(lines_for, machine):
    assert lines_for(indexes(machine), "bookworm", "debian") == lines("bookworm")


def test_old_security_suites_with_a_slash_are_of_the_release(lines_for):
    found = lines_for([(D, "buster", "main", "Debian"), (S, "buster/updates", "main", "Debian")], "buster", "debian")
    assert found == [f"deb {D[:-1]} buster main", f"deb {S} buster/updates main"]


@pytest.mark.parametrize("other", [[(D, "sid", "main", "Debian")], indexes("trixie")], ids=["sid beside", "trixie beside"])
def test_on_a_machine_with_two_releases_the_wanted_release_is_taken(lines_for, other):
    assert lines_for(other + indexes("bookworm"), "bookworm", "debian") == lines("bookworm")


def test_archives_of_others_are_left_out(lines_for):
    others = [(T, "bookworm", "main", "Tools"), (D, "bookworm-backports", "main", "Debian Backports")]
    assert lines_for(others + indexes("bookworm"), "bookworm", "debian") == lines("bookworm")


def test_components_are_gathered_once_each(lines_for):
    found = lines_for([(D, "noble", part, "Ubuntu") for part in ("main", "universe", "main")], "noble", "ubuntu")
    assert found == [f"deb {D[:-1]} noble main universe"]


@pytest.mark.parametrize(("known", "helps"), [([], True), (indexes("bookworm"), False)], ids=["no lists", "Debian's only"])
def test_a_machine_that_knows_no_such_archive_gets_a_hint_that_can_help(lines_for, known, helps):
    with pytest.raises(SettingsWrong) as caught:
        lines_for(known, "noble", "ubuntu")
    assert "ubuntu" in caught.value.message and "ami.mirror: http://MIRROR/ubuntu" in caught.value.hint
    assert ("apt-get update" in caught.value.hint) is helps


@pytest.mark.parametrize(
    ("mirror", "distribution", "found"),
    [
        ("http://m.example.org/debian", "debian", ["deb http://m.example.org/debian bookworm main"]),
        ("http://m.example.org/ubuntu", "ubuntu", ["deb http://m.example.org/ubuntu bookworm main universe"]),
        (["deb [trusted=yes] file:/srv/m ./"], "debian", ["deb [trusted=yes] file:/srv/m ./"]),
    ],
    ids=["Debian", "Ubuntu", "whole lines"],
)
def test_a_mirror_of_the_settings_is_used_alone(mirror, distribution, found):
    assert source_lines("bookworm", distribution, mirror) == found
