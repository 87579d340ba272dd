"""What the fleet asks of those who build: standing minions, or instances that are made for a single build."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from vmimage.fleet.records import Claim, Sight
from vmimage.fleet.watching import Place, Steps


class Builders(Protocol):
    """A kind of builder.

    Nothing here waits for the end of a build, and each method may be called again after a crash in the midst of it: a second ``start`` of the
    same claim starts nothing, a second ``stop`` stops nothing.
    """

    def free(self, claims: Sequence[Claim]) -> list[str]:
        """Builders that can take a build now, in the order in which they are to be asked.

        :param claims: those of this kind that are open: their builders are busy
        """

    def start(self, claim: Claim) -> str:
        """Begin the build of a claim.

        :returns: its job: Salt's job id, or the id of the server
        :raises VmImageError: it did not begin; the claim is then ended as lost
        """

    def begin_look(self) -> None:
        """Ask what :meth:`look` waits for, where that takes time; it may be left out."""

    def look(self, claims: Sequence[Claim]) -> dict[int, Sight]:
        """What can be seen of open claims, by their numbers; with as few requests as there can be."""

    def watch(self, claims: Sequence[Claim], known: Mapping[str, Steps]) -> dict[int, Place]:
        """Where builds are, by their numbers, as far as that can be seen in time.

        :param known: steps of earlier builds, by the names of images
        """

    def stop(self, claim: Claim) -> None:
        """End the build and take away what was made for it, in every ending, also of a build that has ended."""

    def log(self, claim: Claim) -> str:
        """The log of the build so far; empty where there is none."""

    def sweep(self, claims: Sequence[Claim]) -> list[str]:
        """Take away what no open claim holds: what a fleet that was killed has left.

        :returns: what was taken away, by name
        """
