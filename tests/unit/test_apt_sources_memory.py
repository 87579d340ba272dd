"""What the machine's apt said is remembered for as long as nothing of what it reads has changed."""

import os

import pytest
from apt_answers import AptGet
from vmimage.apt import sources
from vmimage.apt.sources import source_lines

LINES = ["deb http://deb.example.org/debian bookworm main"]


class Asking:
    """Who asks for the lines; ``asked`` is how often apt was."""

    def __init__(self, top, apt, memory):
        self.top, self.apt, self.memory = top, apt, memory

    def __call__(self):
        return source_lines("bookworm", "debian", memory=self.memory)

    @property
    def asked(self):
        return self.apt.asked


@pytest.fixture
def asking(tmp_path, tree, monkeypatch):
    """A machine whose apt was asked once."""
    top = tree(tmp_path / "machine", {"apt/sources.list": "deb", "apt/parts/more.list": "deb", "lists/a_InRelease": "signed"})
    tree(tmp_path / "cache", {})
    monkeypatch.setattr(sources, "_READ", (top / "apt", top / "apt/parts", top / "lists", top / "missing"))

    apt, memory = AptGet([("http://deb.example.org/debian/", "bookworm", "main", "Debian")]), tmp_path / "cache/apt_sources.json"
    monkeypatch.setattr(sources, "run", apt)
    asking = Asking(top, apt, memory)
    assert asking() == LINES and asking.asked == 1
    return asking


def test_apt_is_asked_once_while_nothing_changes(asking):
    assert [asking(), asking()] == [LINES, LINES] and asking.asked == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda top: (top / "apt/parts/new.list").write_text("deb", encoding="utf-8"),
        lambda top: (top / "apt/parts/more.list").unlink(),
        lambda top: (top / "apt/sources.list").write_text("deb more", encoding="utf-8"),
        lambda top: os.utime(top / "apt/sources.list", ns=(1, 1)),
        lambda top: (top / "apt/parts/more.list").rename(top / "apt/parts/other.list"),
        lambda top: (top / "lists/a_InRelease").write_text("signed again", encoding="utf-8"),
        lambda top: (top / "missing").mkdir() or (top / "missing/a").touch(),
        lambda top: (top / "apt/parts/link.list").symlink_to("../sources.list"),
    ],
    ids=["added", "removed", "longer", "touched", "renamed", "updated", "a new directory", "a link"],
)
def test_after_a_change_of_what_apt_reads_it_is_asked_again(asking, change):
    change(asking.top)
    asking.apt.answer = [("http://new.example.org/debian", "bookworm", "main", "Debian")]
    assert asking() == ["deb http://new.example.org/debian bookworm main"] and asking.asked == 2


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '"text"', "null", '{"state": 1}'])
def test_a_memory_that_cannot_be_read_is_made_again(asking, text):
    asking.memory.write_text(text, encoding="utf-8")
    assert asking() == LINES and asking.asked == 2
    assert asking() == LINES and asking.asked == 2


def test_a_memory_of_the_right_state_without_an_answer_is_made_again(asking):
    text = asking.memory.read_text(encoding="utf-8")
    asking.memory.write_text(text.replace("indexes", "indices"), encoding="utf-8")
    assert asking() == LINES and asking.asked == 2


def test_a_flipped_byte_in_the_memory_is_found(asking):
    text = asking.memory.read_bytes()
    asking.memory.write_bytes(text.replace(b"bookworm", b"bookwosm"))
    assert asking() == LINES and asking.asked == 2
