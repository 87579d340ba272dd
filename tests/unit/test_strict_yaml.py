"""YAML that somebody wrote by hand: its data and lines, and errors that name the document as its reader does.

What is refused, and that no message tells a secret, is in the table of test_userdata.
"""

import pytest
from vmimage.errors import RepositoryWrong, UserdataWrong
from vmimage.settings.strict_yaml import LIMIT_BYTES, name_place, read_document

WHAT = "ami.yaml of https://hg.example.org/web"

DOCUMENTS = {
    "plain keys": (b"name: web\nkeep: 3\n", {"name": "web", "keep": 3}, {"name": 1, "keep": 2}),
    "below a key": (
        b"ami:\n  gate:\n    ports: [22]\n  base:\n",
        {"ami": {"gate": {"ports": [22]}, "base": None}},
        {"ami": 1, "ami.gate": 2, "ami.gate.ports": 3, "ami.base": 4},
    ),
    "a byte order mark": (b"\xef\xbb\xbf# me\nname: web", {"name": "web"}, {"name": 2}),
    "a list": (b"- a\n- {b: 1}\n", ["a", {"b": 1}], {"b": 2}),
    "a text": (b"web", "web", {}),
    "an empty mapping": (b"{}", {}, {}),
    "nothing": (b"", None, {}),
    "white space": (b" \r\n\t\n", None, {}),
    "comments": (b"# name: web\n", None, {}),
    "a mark": (b"---\n", None, {}),
}

WRONG = {
    "too large": (b"#" * (LIMIT_BYTES + 1), f"{WHAT} has more than 64 KiB"),
    "null bytes": (b"name: web\0", f"{WHAT} contains null bytes: it is no text, or UTF-16"),
    "latin-1": (b"name: web\nx: B\xfccher\n", f"{WHAT} (line 2) is not UTF-8"),
    "crooked": (b"a:\n  b: 1\n c: 1\n", f"{WHAT} (line 3) is not YAML"),
    "no character at all": (b'name: "\\UFFFFFFFF"', f"{WHAT} is not YAML"),
    "two documents": (b"a: 1\n---\nb: 1\n", f"{WHAT} (line 2) contains a second document"),
    "twice": (b"name: a\nname: b\n", f"name in {WHAT} (line 2) stands twice"),
    "deep": (b"x: " + b"[" * 100, f"x in {WHAT} (line 1) is nested too deeply"),
    "an alias": (b"a: 1\nb: *a\n", f"b in {WHAT} (line 2) has an anchor or alias (& or *)"),
    "a tag": (b"a: !!set {}", f"a in {WHAT} (line 1) has a tag (!)"),
    "a key that is no text": (b"8: x", f"{WHAT} (line 1) has a key that is no text"),
    "a long key": (b"a" * 201 + b": x", f"{WHAT} (line 1) has a very long key"),
    "a secret cut at a hash": (b"password: a #b", f"password in {WHAT} (line 1) ends before a # for YAML"),
    "an octal": (b"mode: 0644", f"mode in {WHAT} (line 1) is something else to YAML than what is written there"),
    "half a character": (b'a: "\\ud83d"', f"a in {WHAT} (line 1) contains a null or half a character"),
}


@pytest.mark.parametrize(("data", "plain", "lines"), DOCUMENTS.values(), ids=DOCUMENTS)
def test_a_document_is_read_with_the_line_of_each_key(data, plain, lines):
    assert read_document(data, WHAT) == (plain, lines)


@pytest.mark.hostile("settings", refused=True)
@pytest.mark.parametrize(("data", "message"), WRONG.values(), ids=WRONG)
@pytest.mark.parametrize("error", [UserdataWrong, RepositoryWrong])
def test_what_is_wrong_is_an_error_of_the_reader_s_class_that_names_the_document(data, message, error):
    with pytest.raises(error) as caught:
        read_document(data, WHAT, error=error)
    assert type(caught.value) is error and caught.value.message == message and caught.value.hint


def test_without_a_class_it_is_an_error_of_userdata():
    with pytest.raises(UserdataWrong, match=r"^name in the userdata \(line 2\) stands twice"):
        read_document(b"name: a\nname: b\n", "the userdata")


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("", "it (line 3)"),
        ("ami.gate", "ami.gate in it (line 3)"),
        ("password:hunter2", "password... in it (line 3)"),
        ("a" * 100, f"{'a' * 60}... in it (line 3)"),
    ],
)
def test_a_place_tells_a_key_and_not_what_was_written_into_it(path, place):
    assert name_place(path, 3, "it") == place
