"""The pages of the project: README.rst, CONTRIBUTING.md, all below docs, and what the docstrings of the faces show; their blocks of code
and their words in code style.
"""

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
FACES = [path for name in ("_modules", "_states", "_runners") for path in sorted((PROJECT / name).glob("*.py"))]
PAGES = [PROJECT / "README.rst", PROJECT / "CONTRIBUTING.md", *sorted((PROJECT / "docs").rglob("*.md"))]
_FENCE = re.compile(r"( *)(`{3,})(.*)")
_DIRECTIVE = re.compile(r"( *)\.\. code-block::(.*)")
_MARK = re.compile(r"(?:<!--|\.\.) not checked: (.+?)(?: -->)?")


@dataclass(frozen=True)
class Block:
    """A block of code.  ``unchecked`` is why no test can check it, or an empty str."""

    path: Path
    line: int
    language: str
    text: str
    unchecked: str = ""

    def __str__(self):
        return f"{self.path.relative_to(PROJECT)}:{self.line}"


def blocks(*languages):
    """All blocks of some languages, those that cannot be checked left out."""
    return [block for block in all_blocks() if block.language in languages and not block.unchecked]


def all_blocks():
    """All blocks of code of all pages, in order."""
    found = [block for path in PAGES if path.suffix == ".md" for block in _fenced(path)]
    return found + [block for path in (PROJECT / "README.rst", *FACES) for block in _indented(path)]


def inline_codes():
    """``(where, text)`` of what stands in code style within the text of pages."""
    found = []
    for path in PAGES:
        text = _without_blocks(path)
        ticks = "``" if path.suffix == ".rst" else "`"
        for match in re.finditer(rf"(?<![`\w]){ticks}(?!`)([^`]+){ticks}(?!`)", text):
            line = text.count("\n", 0, match.start()) + 1
            found.append((f"{path.relative_to(PROJECT)}:{line}", " ".join(match[1].split())))
    return found


def _without_blocks(path):
    """The text of a page with its blocks of code emptied, so that lines keep their numbers."""
    lines = path.read_text(encoding="utf-8").splitlines()
    for block in _fenced(path, directives=True) if path.suffix == ".md" else _indented(path):
        size = block.text.count("\n") + 1
        lines[block.line - 1 : block.line + size + 1] = [""] * (size + 2)
    return "\n".join(lines)


def _fenced(path, directives=False):
    """The fenced blocks of Markdown; those of Sphinx's directives, such as {include}, only where asked."""
    lines, number = path.read_text(encoding="utf-8").splitlines(), 0
    while number < len(lines):
        fence = _FENCE.fullmatch(lines[number])
        number += 1
        if not fence:
            continue
        end = next(at for at in range(number, len(lines)) if lines[at].strip() == fence[2])
        language = fence[3].strip()
        if directives or not language.startswith("{"):
            yield Block(path, number, language, textwrap.dedent("\n".join(lines[number:end])), _mark(lines, number - 1))
        number = end + 1


def _indented(path):
    """The code blocks of reStructuredText, of a page or in docstrings."""
    lines = path.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        directive = _DIRECTIVE.fullmatch(line)
        if not directive:
            continue
        indent, rest = " " * (len(directive[1]) + 3), lines[number:]
        inside = next((at for at, text in enumerate(rest) if text.strip() and not text.startswith(indent)), len(rest))
        text = textwrap.dedent("\n".join(rest[:inside])).strip("\n")
        yield Block(path, number, directive[2].strip(), text, _mark(lines, number - 1))


def _mark(lines, number):
    """Why the block that begins with this line cannot be checked, as the comment before it says."""
    before = next((line.strip() for line in reversed(lines[:number]) if line.strip()), "")
    found = _MARK.fullmatch(before)
    return found[1] if found else ""
