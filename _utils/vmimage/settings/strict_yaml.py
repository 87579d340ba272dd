"""YAML that somebody wrote by hand, as it is seen on the screen.

Read more strictly than YAML asks for: a document that means something else than its writer saw is refused, with key and line.
No message shows a value.
"""

import re

import yaml

from vmimage.errors import UserdataWrong
from vmimage.settings.auth_options import is_secret

LIMIT_BYTES = 64 * 1024

_DEEPEST = 20
_LONGEST_KEY = 200


def read_document(data, what, *, error=UserdataWrong):
    """Read one document.

    :param bytes data: its text, in UTF-8
    :param str what: the document, for messages, such as ``the userdata``
    :param error: the class of error of a document that is wrong
    :returns: its plain data, or None where it holds none; and ``{path of a key: its line}``, such as ``{"ami.gate": 3}``
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


def name_place(path, line, what):
    """A key for messages.  ``password:x``, without a space, is a key of YAML: what follows the name is not told."""
    name = re.match(r"[\w.-]{0,60}", path)[0]
    return f"{name}{'' if name == path else '...'} in {what} (line {line})" if path else f"{what} (line {line})"


def _decoded(data, what, error):
    if len(data) > LIMIT_BYTES:
        raise error(f"{what} has more than {LIMIT_BYTES // 1024} KiB", hint="settings are a few lines of YAML")
    if b"\0" in data:
        raise error(f"{what} holds null bytes: it is no text, or UTF-16", hint="save it as UTF-8")
    try:
        return data.decode()
    except UnicodeDecodeError as broken:
        line = data.count(b"\n", 0, broken.start) + 1
        raise error(f"{what} (line {line}) is not UTF-8", hint="save it as UTF-8, unpacked") from None


def _line_of(broken, text):
    mark, position = getattr(broken, "problem_mark", None), getattr(broken, "position", None)
    if mark is None and not isinstance(position, int):
        return ""
    return f" (line {mark.line + 1 if mark else text.count(chr(10), 0, position) + 1})"


def _yaml_hint(broken):
    if isinstance(broken, yaml.reader.ReaderError):
        return "it holds a character that cannot be seen: write it as an escape, in double quotes"
    if "'\\t'" in str(getattr(broken, "problem", "")):
        return "it holds a tab: YAML wants spaces"
    return (
        "check its quotes and indentation, and the space after each colon; a value with one of @ ` % ! & * # : { [ goes in quotes"
    )


class _Document:
    """A document, read event by event: PyYAML's own constructor would follow aliases, and take the last of two equal keys."""

    def __init__(self, text, what, error):
        self.loader = yaml.SafeLoader(text)  # not the one in C: it overflows its stack where nesting is deep
        self.text, self.what, self.error, self.lines = text, what, error, {}

    def read(self):
        self.loader.get_event()
        if self.loader.check_event(yaml.StreamEndEvent):
            return None
        self.loader.get_event()
        value = self._value("", 0)
        self.loader.get_event()
        if not self.loader.check_event(yaml.StreamEndEvent):
            raise self._wrong("", _line(self.loader.peek_event()), "holds a second document", "remove the line ---")
        return value

    def _wrong(self, path, line, why, hint):
        return self.error(f"{name_place(path, line, self.what)} {why}", hint=hint)

    def _value(self, path, depth):
        event = self._next(path)
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, path)
        if depth == _DEEPEST:
            raise self._wrong(path, _line(event), "is nested too deeply", f"{_DEEPEST} levels are enough")
        return self._mapping(path, depth) if isinstance(event, yaml.MappingStartEvent) else self._sequence(path, depth)

    def _next(self, path):
        """The beginning of a value or key."""
        event = self.loader.get_event()
        if event.anchor:
            hint = "write the value out; a text that begins with & or * goes in quotes"
            raise self._wrong(path, _line(event), "has an anchor or alias (& or *)", hint)
        if event.tag:
            raise self._wrong(path, _line(event), "has a tag (!)", "a text that begins with ! goes in quotes")
        return event

    def _mapping(self, path, depth):
        found = {}
        while not self.loader.check_event(yaml.MappingEndEvent):
            key, line = self._key(path)
            below = f"{path}.{key}" if path else key
            if key in found:
                raise self._wrong(below, line, "stands twice", "keep one")
            self.lines[below] = line
            found[key] = self._value(below, depth + 1)
        self.loader.get_event()
        return found

    def _key(self, path):
        event = self._next(path)
        key = self._scalar(event, path) if isinstance(event, yaml.ScalarEvent) else None
        if not isinstance(key, str):
            raise self._wrong(path, _line(event), "has a key that is no text", "put it in quotes")
        if len(key) > _LONGEST_KEY:
            raise self._wrong(path, _line(event), "has a very long key", "check the colons and quotes there")
        return key, _line(event)

    def _sequence(self, path, depth):
        found = []
        while not self.loader.check_event(yaml.SequenceEndEvent):
            found.append(self._value(path, depth + 1))
        self.loader.get_event()
        return found

    def _scalar(self, event, path):
        kind = self.loader.resolve(yaml.ScalarNode, event.value, event.implicit).rpartition(":")[2]
        if is_secret(path) and not event.style and re.match(r"[ \t]+#", self.text[event.end_mark.index :][:99]):
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

    def _joined(self, event, path):
        """The text, with the two halves of a character joined: so JSON escapes those beyond U+FFFF."""
        try:
            text = event.value.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
        except UnicodeDecodeError:
            text = "\0"
        if "\0" in text:
            hint = "correct the escape that begins with a backslash"
            raise self._wrong(path, _line(event), "holds a null or half a character", hint)
        return text


def _plain_number(text, kind):
    """The number, or None: 0123, 0x10, 1_000, 12:30:00 and 1.10 are other numbers to YAML than to people."""
    try:
        number = kind(text) if kind else None
    except ValueError:
        return None
    return number if str(number) == text and abs(number) < 1 << 63 else None


def _line(event):
    return event.start_mark.line + 1
