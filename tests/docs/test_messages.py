"""The messages on the page of errors are those of the code."""

import ast
import re

import pytest
from pages import PROJECT

PAGE = (PROJECT / "docs/reference/errors.md").read_text(encoding="utf-8")
MESSAGES = [row for row in re.findall(r"^\| ([^|`]+?) \| ", PAGE, re.MULTILINE) if row not in ("message", "error")]


def texts_of_the_code():
    """Every text of the machinery, what is filled in replaced by a NUL."""
    for path in sorted((PROJECT / "_utils").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(part.value if isinstance(part, ast.Constant) else "\0" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


TEXTS = sorted(set(texts_of_the_code()))


def is_said(message):
    """Whether a text of the code has these words, in this order; ``*examples*`` and ``...`` are what it fills in."""
    own = [piece.strip() for piece in re.split(r"\*[^*]+\*|\.\.\.", message) if re.search(r"\w", piece)]
    pattern = re.compile(".*".join(map(re.escape, own)), re.DOTALL)
    return len(" ".join(own).split()) >= 2 and any(pattern.search(text) for text in TEXTS)


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_of_the_page_is_in_the_code(message):
    assert is_said(message)


@pytest.mark.parametrize(
    "message",
    ["*the variation web* has failed: *2* of *9* states", "there is no variaton ...", "no root is open at /mnt/web", "*all* ..."],
)
def test_a_message_that_nothing_says_is_seen(message):
    assert not is_said(message)


def test_the_page_has_messages():
    assert len(MESSAGES) > 50
