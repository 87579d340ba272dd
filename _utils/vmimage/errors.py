"""What can be wrong, each with what to do about it.

Every error that a user can meet is a :class:`VmImageError`: its text says what is wrong and names the thing, its hint says
what to do.  The face turns them into Salt's ``CommandExecutionError``; nothing below the face catches them to go on.
"""

import re
from collections.abc import Sequence
from typing import Any

_COLOURS = re.compile(r"\x1b\[[0-9;:]*m")
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def printable(text: object) -> str:
    """A text that does nothing to a terminal: without colours, and with other control characters, and bytes that are no UTF-8, escaped."""
    return _CONTROLS.sub(lambda found: f"\\x{ord(found[0]) & 0xFF:02x}", _COLOURS.sub("", str(text).replace("\r\n", "\n")))


class VmImageError(Exception):
    """Base of all errors of this project.

    :param message: what is wrong, naming the key, file or program
    :param hint: what the user can do about it
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint or ""

    def __str__(self) -> str:
        return printable(f"{self.message}\n  -> {self.hint}" if self.hint else self.message)

    def __reduce__(self) -> tuple[Any, ...]:  # the callable and its arguments, for pickle
        return (_rebuilt, (type(self), self.args, self.__dict__))


def _rebuilt(kind: type[VmImageError], args: tuple[Any, ...], state: dict[str, Any]) -> VmImageError:
    """An error as it was before it crossed from the build's process to its caller."""
    error = kind.__new__(kind, *args)
    Exception.__init__(error, *args)
    error.__dict__.update(state)
    return error


class SettingsWrong(VmImageError):
    """A key is unknown, mistyped, contradictory or missing."""


class NotReady(VmImageError):
    """The machine cannot build: not root, no loop device, no room, a program missing."""


class ProgramMissing(NotReady):
    """A host program is not installed."""


class CommandFailed(VmImageError):
    """A program ended with an exit code that its caller did not allow.

    :param argv: the program and its arguments
    :param code: its exit code, negative for a signal
    :param output: the end of what it printed
    """

    def __init__(self, argv: Sequence[object], code: int, output: str = "", *, hint: str | None = None) -> None:
        self.argv, self.code, self.output = list(map(str, argv)), code, output
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        said = "".join(f"\n    {line}" for line in output.strip().splitlines()[-12:])
        super().__init__(f"{' '.join(self.argv)} {how}{said}", hint=hint)


class BuildDied(VmImageError):
    """The build's process ended without a reason (it was killed, or ran out of memory)."""


class KeptDamaged(VmImageError):
    """What an earlier build kept is no longer what it was: a base, a download, the last root image."""


class BuildStopped(VmImageError):
    """Somebody stopped the build: Ctrl-C, or SIGTERM."""


class WorkspaceBusy(VmImageError):
    """Another process builds under this name or prepares this base."""


class WorkspaceOpen(VmImageError):
    """A step-by-step run, or a failed build that was kept, still has its root open."""


class RootNotOpen(VmImageError):
    """The path given is not a root to work in."""


class RootHostile(VmImageError):
    """A path of the image would have led outside of it."""


class StillMounted(VmImageError):
    """A root could not be closed."""


class BaseMissing(VmImageError):
    """There is nothing at the base's address."""


class BaseUnverified(VmImageError):
    """A base's digest or signature is missing, or does not match."""


class BaseRefused(VmImageError):
    """A base whose format is not what its header or a setting says, or that refers to other files."""


class VariationMissing(VmImageError):
    """There is no such variation, or it contains no states."""


class VariationFailed(VmImageError):
    """States failed, did not compile, or there were none.

    :ivar states: where states failed: all of the run, as :func:`vmimage.variation.outcome.judge` describes them
    """

    states: list[dict[str, Any]]


class KernelMissing(VmImageError):
    """The root has no kernel to take out."""


class RamdiskMissing(VmImageError):
    """The root has no ramdisk of its newest kernel's version."""


class LoaderMissing(VmImageError):
    """The root lacks what a disk is booted by, or what lets it grow."""


class ImageUnsound(VmImageError):
    """The packed root image failed a check."""


class BootFailed(VmImageError):
    """A triplet did not come up in time."""


class NotPublished(VmImageError):
    """The triplet did not reach the store."""


class StoreRefused(VmImageError):
    """The store refuses a request, and would refuse it again."""


class StoreConflict(StoreRefused):
    """Another client has made or changes the same thing."""


class StoreUnreachable(VmImageError):
    """The store, Keystone or the network to them failed, after all tries."""


class ImageGone(VmImageError):
    """The store has no image of that id, or does not show it to this project."""


class CredentialsWrong(VmImageError):
    """OpenStack credentials are missing, contradictory or refused."""


class CloudRefused(VmImageError):
    """The cloud (Nova, Neutron, Cinder, Keystone) refuses a request, and would refuse it again."""


class CloudUnreachable(VmImageError):
    """The cloud or the network to it failed, after all tries."""


class ServerFailed(VmImageError):
    """A server did not come up, or its port did not answer in time."""


class UserdataWrong(VmImageError):
    """The instance's userdata cannot be used."""


class RepositoryWrong(VmImageError):
    """A repository's address, revision or content is not what the settings ask for."""


class HookRefused(VmImageError):
    """A call of a forge that nobody with the shared secret has made, or about no repository of the fleet."""


class CallFailed(VmImageError):
    """The builder's own Salt could not do what the run of the builder asked for."""
