"""YAML that a person wrote by hand, as it is seen on the screen.

Read more strictly than YAML asks for: a document that means something else than its writer saw is refused, with key and line.
No message shows a value.
"""

import re
from typing import Any

import yaml

from vmimage.errors import UserdataWrong, VmImageError
from vmimage.settings.auth_options import is_secret

LIMIT_BYTES = 64 * 1024

_DEEPEST = 20
_LONGEST_KEY = 200


def read_document(data: bytes, what: str, *, error: type[VmImageError] = UserdataWrong) -> tuple[Any, dict[str, int]]:
    """Read a single document.

    :param data: its text, in UTF-8
    :param what: the document, for messages, such as ``the userdata``
    :param error: the class of error of a document that is wrong
    :returns: its plain data, or None where it is empty; and ``{path of a key: its line}``, such as ``{"ami.gate": 3}``
    """
    text = _decoded(data, what, error)
    if not text.strip():
        return None, {}
    try:
        document = _Document(text, what, error)
        return document.read(), document.lines
    except error:
        raise
    except Exception as broken:  # also ValueError and more, of odd escapes; its text quotes the document
        raise error(f"{what}{_line_of(broken, text)} is not YAML", hint=_yaml_hint(broken)) from None


def name_place(path: str, line: int, what: str) -> str:
    """A key for messages.  ``password:x``, without a space, is a key of YAML: what follows the name is not shown."""
    name = re.sub(r"[^\w.-].*", "", path, flags=re.DOTALL)[:60]
    return f"{name}{'' if name == path else '...'} in {what} (line {line})" if path else f"{what} (line {line})"


def _decoded(data: bytes, what: str, error: type[VmImageError]) -> str:
    if len(data) > LIMIT_BYTES:
        raise error(f"{what} has more than {LIMIT_BYTES // 1024} KiB", hint="settings are a few lines of YAML")
    if b"\0" in data:
        raise error(f"{what} contains null bytes: it is no text, or UTF-16", hint="save it as UTF-8")
    try:
        return data.decode()
    except UnicodeDecodeError as broken:
        line = data.count(b"\n", 0, broken.start) + 1
        raise error(f"{what} (line {line}) is not UTF-8", hint="save it as UTF-8, unpacked") from None


def _line_of(broken: Exception, text: str) -> str:
    mark, position = getattr(broken, "problem_mark", None), getattr(broken, "position", None)
    if mark is None and not isinstance(position, int):
        return ""
    return f" (line {mark.line + 1 if mark else text.count(chr(10), 0, position) + 1})"


def _yaml_hint(broken: Exception) -> str:
    if isinstance(broken, yaml.reader.ReaderError):
        return "it contains a character that cannot be seen: write it as an escape, in double quotes"
    if "'\\t'" in str(getattr(broken, "problem", "")):
        return "it contains a tab: YAML wants spaces"
    return (
        "check its quotes and indentation, and the space after each colon; a value with any of @ ` % ! & * # : { [ goes in quotes"
    )


class _Document:
    """A document, read event by event: PyYAML's own constructor would follow aliases, and take the last of two equal keys."""

    def __init__(self, text: str, what: str, error: type[VmImageError]) -> None:
        self.loader = yaml.SafeLoader(text)  # not the loader in C: it overflows its stack where nesting is deep
        self.text, self.what, self.error = text, what, error
        self.lines: dict[str, int] = {}

    def read(self) -> Any:
        """The plain data of the document, or None where it is empty."""
        self.loader.get_event()
        if self.loader.check_event(yaml.StreamEndEvent):
            return None
        self.loader.get_event()
        value = self._value("", 0)
        self.loader.get_event()
        if not self.loader.check_event(yaml.StreamEndEvent):
            raise self._wrong("", _line(self.loader.peek_event()), "contains a second document", "remove the line ---")
        return value

    def _wrong(self, path: str, line: int, why: str, hint: str) -> VmImageError:
        return self.error(f"{name_place(path, line, self.what)} {why}", hint=hint)

    def _value(self, path: str, depth: int) -> Any:
        event = self._next(path)
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, path)
        if depth == _DEEPEST:
            raise self._wrong(path, _line(event), "is nested too deeply", f"{_DEEPEST} levels are enough")
        return self._mapping(path, depth) if isinstance(event, yaml.MappingStartEvent) else self._sequence(path, depth)

    def _next(self, path: str) -> yaml.NodeEvent:
        """The beginning of a value or key."""
        event = self.loader.get_event()
        if event.anchor:
            hint = "write the value out; a text that begins with & or * goes in quotes"
            raise self._wrong(path, _line(event), "has an anchor or alias (& or *)", hint)
        if event.tag:
            raise self._wrong(path, _line(event), "has a tag (!)", "a text that begins with ! goes in quotes")
        return event

    def _mapping(self, path: str, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not self.loader.check_event(yaml.MappingEndEvent):
            key, line = self._key(path)
            below = f"{path}.{key}" if path else key
            if key in found:
                raise self._wrong(below, line, "stands twice", "keep one")
            self.lines[below] = line
            found[key] = self._value(below, depth + 1)
        self.loader.get_event()
        return found

    def _key(self, path: str) -> tuple[str, int]:
        """A key, and its line."""
        event = self._next(path)
        key = self._scalar(event, path) if isinstance(event, yaml.ScalarEvent) else None
        if not isinstance(key, str):
            raise self._wrong(path, _line(event), "has a key that is no text", "put it in quotes")
        if len(key) > _LONGEST_KEY:
            raise self._wrong(path, _line(event), "has a very long key", "check the colons and quotes there")
        return key, _line(event)

    def _sequence(self, path: str, depth: int) -> list[Any]:
        found = []
        while not self.loader.check_event(yaml.SequenceEndEvent):
            found.append(self._value(path, depth + 1))
        self.loader.get_event()
        return found

    def _scalar(self, event: yaml.ScalarEvent, path: str) -> str | bool | int | float | None:
        kind = self.loader.resolve(yaml.ScalarNode, event.value, event.implicit).rpartition(":")[2]
        end = event.end_mark.index if event.end_mark else len(self.text)
        if is_secret(path) and not event.style and re.match(r"[ \t]+#", self.text[end:][:99]):
            hint = "put it in quotes, or the comment on a line of its own"
            raise self._wrong(path, _line(event), "ends before a # for YAML", hint)
        if kind == "null":
            return None
        if kind == "bool":
            return yaml.SafeLoader.bool_values[event.value.lower()]
        if kind == "str":
            return self._joined(event, path)
        number = _plain_number(event.value, {"int": int, "float": float}.get(kind))
        if number is None:
            why = "is something else to YAML than what is written there"
            raise self._wrong(path, _line(event), why, "put it in quotes; or if a number is meant, write it plainly")
        return number

    def _joined(self, event: yaml.ScalarEvent, path: str) -> str:
        """The text, with the two halves of a character joined: so JSON escapes those beyond U+FFFF."""
        try:
            text = event.value.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
        except UnicodeDecodeError:
            text = "\0"
        if "\0" in text:
            hint = "correct the escape that begins with a backslash"
            raise self._wrong(path, _line(event), "contains a null or half a character", hint)
        return text


def _plain_number(text: str, kind: type[int] | type[float] | None) -> int | float | None:
    """The number, or None: 0123, 0x10, 1_000, 12:30:00 and 1.10 are other numbers to YAML than to people."""
    if kind is None:
        return None
    try:
        number = kind(text)
    except ValueError:
        return None
    return number if str(number) == text and abs(number) < 1 << 63 else None


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1
