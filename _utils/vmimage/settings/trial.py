"""The fields of ``ami.trial``: where and how a published image is tried; which values cannot be meant."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from vmimage.errors import SettingsWrong

_LONGEST_SECONDS = 86400
_LARGEST_PORT = 65535


def _field(default: object, doc: str) -> Any:  # the type of the field
    return field(default=default, metadata={"doc": doc})


@dataclass(frozen=True)
class TrialSettings:
    """How ``vm_create.try`` boots an image.  Things of the cloud are given by their exact name, or by their id."""

    flavor: str = _field("", "of the server")
    network: str = _field("", "that the server is in")
    keypair: str = _field(
        "", "by which its user logs in: the name of a key in the cloud, or the absolute path of a public key on the builder"
    )
    security_groups: tuple[str, ...] = _field((), "default: a group of its own that lets in port, 22 and ping")
    floating_ip_network: str = _field("", "from which it gets a floating IP; default: none")
    port: int = _field(22, "that must answer")
    seconds: int = _field(300, "to wait for that")
    user: str = _field("root", "who logs in by ssh, for the line that is printed")


FIELDS = {setting.name: setting for setting in fields(TrialSettings)}


def read_trial(values: Mapping[str, Any]) -> TrialSettings:
    """The fields of a value of ``ami.trial`` that :func:`check_trial` has nothing against."""
    given: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
    return TrialSettings(**given)


def check_trial(values: Mapping[Any, Any], place: str) -> None:
    """Refuse a value of ``ami.trial`` that cannot be meant.

    :param place: where it stands, for the message
    :raises SettingsWrong: naming the field
    """
    for key, value in values.items():
        if key not in FIELDS:
            near = difflib.get_close_matches(str(key), FIELDS, 1)
            raise SettingsWrong(
                f"{place} has an unknown key {key!r}",
                hint=f"did you mean {near[0]}?" if near else f"it takes {', '.join(FIELDS)}",
            )
        if wrong := _wrong(key, value):
            raise SettingsWrong(f"{key} of {place} is {value!r}", hint=wrong)


def _wrong(key: str, value: Any) -> str:
    """Why a value, of any type that YAML has, cannot be meant; or an empty string."""
    if key in ("port", "seconds"):
        most = _LARGEST_PORT if key == "port" else _LONGEST_SECONDS
        return "" if type(value) is int and 1 <= value <= most else f"a number from 1 to {most}"
    if key == "security_groups":
        is_good = isinstance(value, (list, tuple)) and all(isinstance(group, str) and group for group in value)
        return "" if is_good else "a list of names"
    if not isinstance(value, str):
        return "a text: put it in quotes"
    return "" if value.isprintable() and not (key == "user" and set(value) & set(" @:/")) else "a name"
