"""What the machine's apt said is remembered for as long as nothing of what it reads has changed."""

import json
import os

import pytest
from vmimage import apt_sources
from vmimage.apt_sources import source_lines

LINES = ["deb http://deb.example.org/debian bookworm main"]


@pytest.fixture
def machine(tmp_path, tree, monkeypatch):
    """A machine whose apt was asked once; ``machine.asked`` counts, ``machine()`` asks for the lines."""
    top = tree(tmp_path / "machine", {"apt/sources.list": "deb", "apt/parts/more.list": "deb", "lists/a_InRelease": "signed"})
    tree(tmp_path / "cache", {})
    monkeypatch.setattr(apt_sources, "_READ", (top / "apt", top / "apt/parts", top / "lists", top / "missing"))

    def ask():
        read.asked += 1
        return read.answer

    def read():
        return source_lines("bookworm", "debian", memory=read.memory)

    monkeypatch.setattr(apt_sources, "_ask_apt", ask)
    read.top, read.memory, read.asked = top, tmp_path / "cache/apt_sources.json", 0
    read.answer = [("http://deb.example.org/debian/", "bookworm", "main", "Debian")]
    assert read() == LINES and read.asked == 1
    return read


def test_apt_is_asked_once_while_nothing_changes(machine):
    assert [machine(), machine()] == [LINES, LINES] and machine.asked == 1


@pytest.mark.parametrize(
    "change",
    [
        lambda top: (top / "apt/parts/new.list").write_text("deb", encoding="utf-8"),
        lambda top: (top / "apt/parts/more.list").unlink(),
        lambda top: (top / "apt/sources.list").write_text("deb more", encoding="utf-8"),
        lambda top: os.utime(top / "apt/sources.list", ns=(1, 1)),
        lambda top: (top / "apt/parts/more.list").rename(top / "apt/parts/other.list"),
        lambda top: (top / "lists/a_InRelease").write_text("signed anew", encoding="utf-8"),
        lambda top: (top / "missing").mkdir() or (top / "missing/a").touch(),
        lambda top: (top / "apt/parts/link.list").symlink_to("../sources.list"),
    ],
    ids=["added", "removed", "longer", "touched", "renamed", "updated", "a new directory", "a link"],
)
def test_after_a_change_of_what_apt_reads_it_is_asked_again(machine, change):
    change(machine.top)
    machine.answer = [("http://new.example.org/debian", "bookworm", "main", "Debian")]
    assert machine() == ["deb http://new.example.org/debian bookworm main"] and machine.asked == 2


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '"text"', "null", '{"state": 1}'])
def test_a_memory_that_cannot_be_read_is_made_anew(machine, text):
    machine.memory.write_text(text, encoding="utf-8")
    assert machine() == LINES and machine.asked == 2
    assert machine() == LINES and machine.asked == 2


def test_a_memory_of_the_right_state_without_an_answer_is_made_anew(machine):
    state = json.loads(machine.memory.read_text(encoding="utf-8"))["state"]
    machine.memory.write_text(json.dumps({"state": state}), encoding="utf-8")
    assert machine() == LINES and machine.asked == 2
