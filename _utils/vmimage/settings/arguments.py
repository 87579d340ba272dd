"""Arguments of functions that are no settings: they come from a command line, where Salt makes of them what YAML does."""

from vmimage.errors import SettingsWrong


def read_number(value: object, name: str, what: str, *, least: int = 0) -> int:
    """A whole number.

    :param name: of the argument
    :param what: it says, for the message
    :raises SettingsWrong: naming the argument
    """
    try:
        number = int(str(value))
    except ValueError:
        number = least - 1
    if isinstance(value, bool) or number < least:
        raise SettingsWrong(f"the argument {name} is {value!r}", hint=f"{what}: a whole number, {least} or more")
    return number


def read_ports(value: object, name: str) -> list[int]:
    """TCP ports: a number, a list, or a text such as ``80,22``; none in an empty text.

    :raises SettingsWrong: naming the argument
    """
    parts = value if isinstance(value, list | tuple) else [part for part in str(value).split(",") if part.strip()]
    if any(isinstance(part, bool) or not str(part).strip().isdecimal() or not 0 < int(str(part)) < 65536 for part in parts):
        raise SettingsWrong(f"the argument {name} is {value!r}", hint="TCP ports from 1 to 65535, such as 80,22")
    return [int(str(part)) for part in parts]
