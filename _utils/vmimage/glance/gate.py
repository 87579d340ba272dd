"""The gate: a boot of the triplet that must succeed before the name moves to it."""

from collections.abc import Mapping
from typing import Any

from vmimage.errors import BootFailed
from vmimage.image import qemu
from vmimage.image.triplet import Triplet

_SECONDS = 300


def pass_gate(triplet: Triplet, gate: bool | Mapping[str, Any]) -> dict[str, Any]:
    """Boot a triplet as ``ami.gate`` asks.

    :param gate: True, or ``seconds`` to the login prompt and ``ports`` that must answer
    :returns: as of :func:`vmimage.image.qemu.look`
    :raises BootFailed: if it does not come up in time, or a port does not answer
    """
    options = gate if isinstance(gate, Mapping) else {}
    seen: dict[str, Any] = qemu.look(triplet, options.get("seconds", _SECONDS), options.get("ports", []))
    if ports := [port for port, answer in seen["answers"].items() if answer in (qemu.REFUSED, qemu.SILENT)]:
        failed = f"; units that failed: {', '.join(seen['failed'])}" if seen["failed"] else ""
        raise BootFailed(f"{triplet.name} came up, but nothing answers on port {', '.join(map(str, ports))}{failed}")
    return seen
