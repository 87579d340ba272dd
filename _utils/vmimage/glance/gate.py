"""The gate: a boot of the triplet that must succeed before the name moves to it."""

from vmimage.errors import BootFailed
from vmimage.image import qemu

_SECONDS = 300


def pass_gate(triplet, gate):
    """Boot a triplet as ``ami.gate`` asks.

    :param Triplet triplet:
    :param gate: True, or dict of ``seconds`` to the login prompt and ``ports`` that must answer
    :returns: dict of :func:`vmimage.image.qemu.look`
    :raises BootFailed: if it does not come up in time, or a port does not answer
    """
    asked = gate if isinstance(gate, dict) else {}
    seen = qemu.look(triplet, asked.get("seconds", _SECONDS), asked.get("ports", []))
    if ports := [port for port, answer in seen["answers"].items() if answer in (qemu.REFUSED, qemu.SILENT)]:
        failed = f"; units that failed: {', '.join(seen['failed'])}" if seen["failed"] else ""
        raise BootFailed(f"{triplet.name} came up, but nobody answers on port {', '.join(map(str, ports))}{failed}")
    return seen
