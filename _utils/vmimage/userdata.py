"""What the userdata of an instance is, and what of it is a grain and what a secret.

A script, cloud-config, MIME, base64, or anything packed is none of our business.  The rest is YAML, read more strictly than YAML
asks for: a document that means something else than its writer saw on the screen is refused, with key and line.  No message
shows a value of ``keystone.*``, of ``ami.pillar``, or an address that holds a password.
"""

import difflib
import re
from dataclasses import dataclass, field
from typing import get_args

import yaml

from vmimage import credentials, settings
from vmimage.errors import SettingsWrong, UserdataWrong
from vmimage.identity import CONNECTION, IDENTITY, is_secret
from vmimage.lookup import known_key

LIMIT_BYTES = 64 * 1024

_DEEPEST = 20
_LONGEST = 4096  # characters of one text outside of ami.pillar
_LONGEST_KEY = 200
_LONGEST_MESSAGE = 400
_BOM = b"\xef\xbb\xbf"
#: how what is not ours begins, in lower case
_BEGINNINGS = {
    "script": (b"#!", b"<powershell>", b"<script>"),
    "cloud-config": (b"#cloud-config",),
    "cloud-init": (b"#cloud-", b"#include", b"#part-handler", b"#upstart-job", b"## template:"),
    "compressed": (
        b"\x1f\x8b",  # gzip
        b"\xfd7zxz\0",
        b"\x28\xb5\x2f\xfd",  # zstd
        b"\x04\x22m\x18",  # lz4
        b"pk\x03\x04",  # zip
        b"pk\x05\x06",
        b"7z\xbc\xaf\x27\x1c",
        b"lzip\x01",
    ),
    "program": (b"\x7felf",),
}
_BZIP2 = re.compile(rb"BZh[1-9](1AY&SY|\x17\x72\x45\x38\x50\x90)")
_MIME = re.compile(rb"^(mime-version|content-type)[ \t]*:", re.IGNORECASE | re.MULTILINE)
_BASE64 = re.compile(rb"[A-Za-z0-9+/]{16,}={0,2}")
#: keys of cloud-config, for a hint
_CLOUD_CONFIG = set(
    """apt bootcmd ca_certs chpasswd disable_root disk_setup final_message fqdn fs_setup groups growpart hostname keyboard locale
    manage_etc_hosts mounts network ntp package_update package_upgrade packages password phone_home power_state resolv_conf runcmd
    salt_minion ssh_authorized_keys ssh_keys ssh_pwauth swap system_info timezone user users vendor_data write_files yum_repos
    """.split()
)
#: keys of keystone that are no text
_NO_TEXT = ("timeout", "insecure", "verify_ssl")


#: the beginning of an address that was cut at a # of its password
_NO_PORT = re.compile(r"://[^/]*?:(?!\d{1,5}(/|$))")


@dataclass(frozen=True)
class Sorted:
    """Userdata, sorted.

    :ivar dict grains: for everybody on the machine to read: ``{"ami": {...}}``, or empty
    :ivar dict secrets: for root alone, as minion config: ``{"ami": {...}, "keystone": {...}}``, or less
    :ivar str kind: settings, empty, or what it is that is none of our business: script, cloud-config, cloud-init, mime,
        compressed, program, base64
    """

    grains: dict = field(default_factory=dict)
    secrets: dict = field(default_factory=dict, repr=False)
    kind: str = "empty"


def sort_userdata(data):
    """Find out what userdata is, and sort the settings in it.

    :param bytes data: as the cloud hands it out
    :returns: :class:`Sorted`
    :raises UserdataWrong: if it should be settings and is not, or not only
    :raises SettingsWrong: naming the unknown, mistyped or contradictory key and its line
    """
    data = bytes(data).removeprefix(_BOM)
    kind = _kind_of_others(data)
    if kind:
        return Sorted(kind=kind)
    text = _decoded(data)
    told, lines = _read_document(text) if text.strip() else (None, {})
    ami, keystone = _settings_of(told, lines)
    _check_ami(ami, lines)
    _check_keystone(keystone, lines)
    secret = {key for key, value in ami.items() if _holds_secret(key, value)}
    grains = {"ami": {key: value for key, value in ami.items() if key not in secret}}
    secrets = {"ami": {key: ami[key] for key in ami if key in secret}, "keystone": keystone}
    return Sorted(_filled(grains), _filled(secrets), "settings" if ami or keystone else "empty")


def _filled(mapping):
    return {key: value for key, value in mapping.items() if value}


# what is none of our business


def _kind_of_others(data):
    """The kind of userdata that is not ours, or an empty str."""
    head = data[:64].lower()
    for kind, beginnings in _BEGINNINGS.items():
        if head.startswith(beginnings):
            return kind
    if _BZIP2.match(data):
        return "compressed"
    if _MIME.search(data[:4096]):
        return "mime"
    joined = b"".join(data.split())
    return "base64" if _BASE64.fullmatch(joined) and len(joined) % 4 == 0 else ""


# YAML, as it is seen on the screen


def _decoded(data):
    if len(data) > LIMIT_BYTES:
        raise UserdataWrong(f"the userdata has more than {LIMIT_BYTES // 1024} KiB", hint="settings are a few lines of YAML")
    if b"\0" in data:
        raise UserdataWrong("the userdata holds null bytes: it is no text, or UTF-16", hint="save it as UTF-8")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UserdataWrong(f"the userdata (line {line}) is not UTF-8", hint="save it as UTF-8, unpacked") from None


def _read_document(text):
    """The plain data of a document, and ``{path of a key: its line}``."""
    try:
        document = _Document(text)
        return document.read(), document.lines
    except UserdataWrong:
        raise
    except Exception as error:  # also ValueError and more, of odd escapes; its text quotes the document
        raise UserdataWrong(f"the userdata{_line_of(error, text)} is not YAML", hint=_yaml_hint(error)) from None


def _line_of(error, text):
    mark, position = getattr(error, "problem_mark", None), getattr(error, "position", None)
    if mark is None and not isinstance(position, int):
        return ""
    return f" (line {mark.line + 1 if mark else text.count(chr(10), 0, position) + 1})"


def _yaml_hint(error):
    if isinstance(error, yaml.reader.ReaderError):
        return "it holds a character that cannot be seen: write it as an escape, in double quotes"
    if "'\\t'" in str(getattr(error, "problem", "")):
        return "it holds a tab: YAML wants spaces"
    return (
        "check its quotes and indentation, and the space after each colon; a value with one of @ ` % ! & * # : { [ goes in quotes"
    )


class _Document:
    """A document, read event by event: PyYAML's own constructor would follow aliases, and take the last of two equal keys."""

    def __init__(self, text):
        self.loader = yaml.SafeLoader(text)  # not the one in C: it overflows its stack where nesting is deep
        self.text, self.lines = text, {}

    def read(self):
        self.loader.get_event()
        if self.loader.check_event(yaml.StreamEndEvent):
            return None
        self.loader.get_event()
        value = self._value("", 0)
        self.loader.get_event()
        if not self.loader.check_event(yaml.StreamEndEvent):
            line = self.loader.peek_event().start_mark.line + 1
            raise UserdataWrong(f"the userdata (line {line}) holds a second document", hint="remove the line ---")
        return value

    def _value(self, path, depth):
        event = self._next(path)
        if isinstance(event, yaml.ScalarEvent):
            return self._scalar(event, path)
        if depth == _DEEPEST:
            raise UserdataWrong(f"{_place(path, _line(event))} is nested too deeply", hint=f"{_DEEPEST} levels are enough")
        return self._mapping(path, depth) if isinstance(event, yaml.MappingStartEvent) else self._sequence(path, depth)

    def _next(self, path):
        """The beginning of a value or key."""
        event = self.loader.get_event()
        if event.anchor:
            raise UserdataWrong(
                f"{_place(path, _line(event))} has an anchor or alias (& or *)",
                hint="write the value out; a text that begins with & or * goes in quotes",
            )
        if event.tag:
            raise UserdataWrong(f"{_place(path, _line(event))} has a tag (!)", hint="a text that begins with ! goes in quotes")
        return event

    def _mapping(self, path, depth):
        found = {}
        while not self.loader.check_event(yaml.MappingEndEvent):
            key, line = self._key(path)
            below = f"{path}.{key}" if path else key
            if key in found:
                raise UserdataWrong(f"{_place(below, line)} stands twice", hint="keep one")
            self.lines[below] = line
            found[key] = self._value(below, depth + 1)
        self.loader.get_event()
        return found

    def _key(self, path):
        event = self._next(path)
        key = self._scalar(event, path) if isinstance(event, yaml.ScalarEvent) else None
        if not isinstance(key, str):
            raise UserdataWrong(f"{_place(path, _line(event))} has a key that is no text", hint="put it in quotes")
        if len(key) > _LONGEST_KEY:
            raise UserdataWrong(f"{_place(path, _line(event))} has a very long key", hint="check the colons and quotes there")
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
            raise UserdataWrong(
                f"{_place(path, _line(event))} ends before a # for YAML",
                hint="put it in quotes, or the comment on a line of its own",
            )
        if kind == "null":
            return None
        if kind == "bool":
            return yaml.SafeLoader.bool_values[event.value.lower()]
        if kind == "str":
            return _text(event, path)
        number = _plain_number(event.value, {"int": int, "float": float}.get(kind))
        if number is None:
            raise UserdataWrong(
                f"{_place(path, _line(event))} is something else to YAML than what is written there",
                hint="put it in quotes; or if a number is meant, write it plainly",
            )
        return number


def _plain_number(text, kind):
    """The number, or None: 0123, 0x10, 1_000, 12:30:00 and 1.10 are other numbers to YAML than to people."""
    try:
        number = kind(text) if kind else None
    except ValueError:
        return None
    return number if str(number) == text and abs(number) < 1 << 63 else None


def _text(event, path):
    """The text, with the two halves of a character joined: so JSON escapes those beyond U+FFFF."""
    try:
        text = event.value.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise UserdataWrong(
            f"{_place(path, _line(event))} holds a null or half a character",
            hint="correct the escape that begins with a backslash",
        )
    return text


def _line(event):
    return event.start_mark.line + 1


def _place(path, line):
    """A key for messages.  ``password:x``, without a space, is a key of YAML: what follows the name is not told."""
    name = re.match(r"[\w.-]{0,60}", path)[0]
    return f"{name}{'' if name == path else '...'} in the userdata (line {line})" if path else f"the userdata (line {line})"


# the settings in it


def _settings_of(told, lines):
    """``(ami, keystone)``: what is set, by key; what is left empty is not set."""
    if told is not None and not isinstance(told, dict):
        raise UserdataWrong("the userdata is YAML, but no settings", hint="write them as KEY: VALUE, such as ami.name: web")
    found = {"ami": {}, "keystone": {}}
    for name, value in (told or {}).items():
        prefix, dot, key = name.partition(".")
        if prefix not in found or dot and not key:
            raise _unknown(name, lines[name])
        below = {key: value} if dot else {} if value is None else value
        if not isinstance(below, dict):
            example = "type: debian" if prefix == "ami" else "auth_url: ADDRESS, user: NAME"
            raise UserdataWrong(f"{_place(name, lines[name])} is not a mapping", hint=f"write {prefix}: {{{example}}}")
        for key in below.keys() & found[prefix].keys():
            path = f"{prefix}.{key}"
            raise UserdataWrong(f"{_place(path, lines[path])} stands twice, nested and flat", hint="keep one")
        found[prefix] |= below
    _check_names(found, lines)
    return tuple({key: value for key, value in below.items() if value is not None} for below in found.values())


def _unknown(name, line):
    """The error of a key that is neither of ami nor of keystone."""
    known = [*(f"ami.{key}" for key in settings.KEYS), *(f"keystone.{key}" for key in (*IDENTITY, *CONNECTION, "user", "tenant"))]
    near = [f"ami.{name}"] if name in settings.KEYS else difflib.get_close_matches(name.lower(), ["ami", "keystone", *known], 1)
    hints = [f"did you mean {one}?" for one in near]
    if name in _CLOUD_CONFIG:
        hints.append("this looks like cloud-config: its very first line has to be #cloud-config")
    hint = " ".join(hints) or "settings begin with ami. or keystone., such as ami.name: web"
    return UserdataWrong(f"unknown key {_place(name, line)}", hint=hint)


def _source(prefix, key, value, lines):
    """One key as a place to look settings up in: so messages tell its line."""
    return f"userdata (line {lines[f'{prefix}.{key}']})", {prefix: {key: value}}, {f"{prefix}:{key}": value}.get


def _check_names(found, lines):
    for key in found["ami"]:
        known_key("ami", settings.KEYS, key, f"the userdata (line {lines[f'ami.{key}']})", secret=True)
    # names only: what is missing here may stand elsewhere, and who needs the credentials checks them as a whole
    names = [_source("keystone", key, None, lines) for key in found["keystone"]]
    credentials.gather_credentials(names, environment={}, required=False, ambient=False)


def _check_ami(ami, lines):
    """What :func:`~vmimage.settings.gather_settings` checks, in words for who wrote YAML by hand."""
    for key, value in ami.items():
        place = _place(f"ami.{key}", lines[f"ami.{key}"])
        if _is_unquoted(value, get_args(settings.KEYS[key].type) or (settings.KEYS[key].type,)):
            raise _no_text(place)
        if key != "pillar" and any(len(text) > _LONGEST for text in _texts(value)):
            raise UserdataWrong(f"{place} is very long", hint=f"up to {_LONGEST} characters")
    told = {key: _veiled(value) if _holds_secret(key, value) else value for key, value in ami.items()}
    try:
        settings.gather_settings([_source("ami", key, value, lines) for key, value in told.items()])
    except SettingsWrong as wrong:
        message = wrong.message if len(wrong.message) <= _LONGEST_MESSAGE else f"{wrong.message[:_LONGEST_MESSAGE]}..."
        raise SettingsWrong(_with_line(message, lines), hint=wrong.hint) from None


def _is_unquoted(value, kinds):
    """Whether YAML made numbers or truths of what should be texts."""
    if isinstance(value, list):
        return list in kinds and any(isinstance(one, (bool, int, float)) for one in value)
    return isinstance(value, (bool, int, float)) and str in kinds and not {bool, int, float} & set(kinds)


def _no_text(place):
    return UserdataWrong(f"{place} is a number, true or false to YAML, not a text", hint="put it in quotes")


def _with_line(message, lines):
    """A message of the settings that names a key alone, with the line of the key."""
    key = re.search(r"ami\.\w+", message)
    if "userdata" in message or not key or key[0] not in lines:
        return message
    return f"{message} (line {lines[key[0]]} of the userdata)"


def _check_keystone(keystone, lines):
    for key, value in keystone.items():
        place = _place(f"keystone.{key}", lines[f"keystone.{key}"])
        if isinstance(value, (dict, list)):
            raise UserdataWrong(f"{place} is not one value", hint="a text that begins with [ or { goes in quotes")
        if not isinstance(value, str) and key not in _NO_TEXT:
            raise _no_text(place)


# secrets


def _holds_secret(key, value):
    """Whether a value of ami is for root alone: by its name, or by an address in it that may hold a password."""
    if key == "pillar" or any(is_secret(name) for name in (key, *_names(value))):
        return True
    text = ":".join(_texts(value))  # together: YAML may have cut an address into pieces
    return "@" in text.partition(":")[2] or "?" in text.partition("://")[2] or any(map(_NO_PORT.search, _texts(value)))


def _names(value):
    """The keys in a value, at every depth."""
    if isinstance(value, dict):
        yield from value
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _names(one)


def _texts(value):
    """The texts in a value, at every depth."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, one in value.items():
            yield key
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)


def _veil(kind):
    """A kind of value that is its value to who reckons with it, and nothing to who shows it."""
    return type(kind.__name__, (kind,), dict.fromkeys(("__repr__", "__str__", "__format__"), lambda *_: "***"))


_VEILED = {kind: _veil(kind) for kind in (str, int, float)}


def _veiled(value):
    """A value whose texts and numbers no message can show."""
    if isinstance(value, dict):
        return {_veiled(key): _veiled(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_veiled(one) for one in value]
    return _VEILED[type(value)](value) if type(value) in _VEILED else value
