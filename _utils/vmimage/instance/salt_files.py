"""Sorted userdata on disk: grains that everybody may read and a minion config that only root may; both files, or neither.

Of the grains file only the key ``ami`` is ours, and only while our minion config exists: grains written by hand on a machine
without userdata are left alone.  The text of other keys, with its comments, stays as it is.
"""

import os
import re
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from vmimage.errors import SettingsWrong, UserdataWrong
from vmimage.instance.userdata import Sorted
from vmimage.system.aliases import StrPath
from vmimage.system.whole_files import sync

GRAINS = "/etc/salt/grains"
SECRETS = "/etc/salt/minion.d/vm_create-userdata.conf"

_HEADER = "# Written by vm_create from the userdata of this instance, at each boot; beside it, the key ami of the grains is.\n"


class _File(NamedTuple):
    """A file as it should be.

    :ivar content: None for no file
    :ivar mode: None for owner and mode as they are
    """

    path: Path
    content: bytes | None
    mode: int | None


def write_sorted(userdata: Sorted, grains_path: StrPath = GRAINS, secrets_path: StrPath = SECRETS) -> bool:
    """Give both files the settings of the userdata; if it contains none, remove those of an earlier userdata.

    :returns: whether anything was to be changed
    :raises SettingsWrong: if the grains file is not YAML, or sets flat what userdata sets otherwise
    :raises UserdataWrong: if a file cannot be written; then both are as before
    """
    grains_path, secrets_path = Path(os.path.realpath(grains_path)), Path(secrets_path)
    wanted = userdata.kind == "settings"
    try:
        for path in (grains_path, secrets_path):
            _clear(path)  # of a run that was killed
        if not wanted and not os.path.lexists(secrets_path):
            return False
        grains = _File(grains_path, _with_ours(grains_path, userdata.grains), None)
        secrets = _File(secrets_path, (_HEADER + _dumped(userdata.secrets)).encode() if wanted else None, 0o600)
        # the secrets are written first and removed last: while they exist, the grains are ours
        changes = [file for file in ((secrets, grains) if wanted else (grains, secrets)) if not _is_so(file)]
        _replace_files(changes)
    except OSError as error:
        what = f"the userdata cannot be written to {error.filename or secrets_path}: {error.strerror}"
        raise UserdataWrong(what, hint="both files are as before; is the disk full, or read-only?") from error
    return bool(changes)


# the grains file


def _with_ours(path: Path, grains: dict[str, Any]) -> bytes | None:
    """The new content of the grains file, None for no file."""
    text = _text_of(path)
    others = _loaded(text, path)
    kept = _without(text, "ami") if "ami" in others else text
    others.pop("ami", None)
    for key, value in grains.get("ami", {}).items():
        if others.get(f"ami.{key}", value) != value:
            raise SettingsWrong(f"ami.{key} stands in {path}, and userdata has another value", hint="remove it there")
    wanted = others | grains
    new = kept + ("\n" if kept and not kept.endswith("\n") and grains else "") + _dumped(grains)
    try:
        is_right = _loaded(new, path) == wanted
    except SettingsWrong:
        is_right = False  # it is {written: so}
    new = new if is_right else _dumped(wanted)
    return new.encode() if new.strip() else None


def _text_of(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError:
        raise SettingsWrong(f"{path} is not UTF-8", hint="correct it by hand; its grains are lost to Salt, too") from None


def _loaded(text: str, path: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(text)
    except Exception as error:  # also ValueError and more, of scalars that look like dates
        mark = getattr(error, "problem_mark", None)
        where = f" near line {mark.line + 1}" if mark else ""
        raise SettingsWrong(f"{path} is not YAML{where}", hint="correct it by hand; its grains are lost to Salt, too") from None
    if not isinstance(found or {}, dict):
        raise SettingsWrong(f"{path} contains no grains", hint="write them as KEY: VALUE")
    return found or {}


def _without(text: str, key: str) -> str:
    """The text without a key at its top; comments at the left margin below it belong to what follows."""
    document = yaml.compose(text, Loader=yaml.SafeLoader)
    tops = [name for name, _ in document.value] if isinstance(document, yaml.MappingNode) else []
    bounds = [name.start_mark.index for name in tops] + [len(text)]
    for name, start, end in zip(tops, bounds, bounds[1:], strict=False):
        if name.value == key:
            comments = re.search(r"^(?:(?:#.*)?\n)*\Z", text[start:end], re.MULTILINE)
            return text[:start] + (comments[0] if comments else "") + text[end:]
    return text


def _dumped(mapping: dict[str, Any]) -> str:
    return yaml.safe_dump(mapping, sort_keys=False, width=float("inf"), default_flow_style=False) if mapping else ""


# both files, or neither


def _is_so(file: _File) -> bool:
    path, content, mode = file
    if content is None or not path.is_file() or path.is_symlink():
        return content is None and not os.path.lexists(path)
    return path.read_bytes() == content and mode in (None, path.stat().st_mode & 0o777)


def _replace_files(changes: Sequence[_File]) -> None:
    """Replace or remove each file at once; if that fails for a file, those before it are restored."""
    try:
        for path, content, mode in changes:
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is not None:
                _write_partial(path, content, mode)
            if os.path.lexists(path):
                os.link(path, _beside(path, "previous"), follow_symlinks=False)
        with ExitStack() as undo:
            for path, content, _ in changes:
                undo.callback(_restore, path)
                path.unlink() if content is None else os.replace(_beside(path, "partial"), path)
                sync(path.parent)
            undo.pop_all()
    finally:
        for path, _, _ in changes:
            _clear(path)


def _beside(path: Path, what: str) -> Path:
    return path.with_name(f"{path.name}.{what}")  # Salt reads only *.conf


def _clear(path: Path) -> None:
    for what in ("partial", "previous"):
        _beside(path, what).unlink(missing_ok=True)


def _write_partial(path: Path, content: bytes, mode: int | None) -> None:
    """Write a file aside: only its owner may read it before it has its mode."""
    descriptor = os.open(_beside(path, "partial"), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        if mode is None and path.exists():
            before = path.stat()
            os.fchown(descriptor, before.st_uid, before.st_gid)
            mode = before.st_mode & 0o777
        os.fchmod(descriptor, 0o644 if mode is None else mode)
        os.fsync(descriptor)


def _restore(path: Path) -> None:
    previous = _beside(path, "previous")
    if os.path.lexists(previous):
        os.rename(previous, path)
    else:
        path.unlink(missing_ok=True)
