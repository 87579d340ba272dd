"""A source of userdata: what it gets to know of the machine, and what it answers."""

from dataclasses import dataclass
from pathlib import Path

from vmimage.errors import UserdataWrong
from vmimage.settings.strict_yaml import LIMIT_BYTES

METADATA_URL = "http://169.254.169.254"


@dataclass(frozen=True)
class Machine:
    """The machine on which sources look for userdata.

    :ivar top: the root directory
    :ivar base_url: of the metadata server
    :ivar request_seconds: for a request to it, from beginning to end
    :ivar end: when all has to be done, by the monotonic clock
    """

    top: Path = Path("/")
    base_url: str = METADATA_URL
    request_seconds: float = 10
    end: float = float("inf")


@dataclass(frozen=True)
class Found:
    """The userdata of a source.

    :ivar data: empty for none
    :ivar where: for messages
    :ivar sure: whether, if there is none, no other source need be asked
    """

    data: bytes
    where: str
    sure: bool = True


class Trouble(UserdataWrong):
    """A source that is there, or should be, could not be read; another try can help."""


def check_size(data: bytes, where: str) -> None:
    """Refuse what is too large to be userdata; another try would not help.

    :raises UserdataWrong:
    """
    if len(data) > LIMIT_BYTES:
        raise UserdataWrong(
            f"the userdata in {where} has more than {LIMIT_BYTES // 1024} KiB", hint="give settings, a few lines of YAML"
        )
