"""The gate: a boot of what is to be published, which must succeed before the names move."""

from collections.abc import Iterable, Mapping
from typing import Any

from vmimage.errors import BootFailed
from vmimage.glance.outputs import Output
from vmimage.image import qemu
from vmimage.image.triplet import Triplet
from vmimage.system.shell import check_installed

_SECONDS = 300


def check_gate(kinds: Iterable[str]) -> None:
    """Refuse before any work outputs that could not be booted on this machine.

    :raises NotReady: naming what is missing
    """
    check_installed(qemu.program())
    if "disk" in kinds:
        qemu.check_firmware("the disk", "uefi")


def boots_of(triplet: Triplet, outputs: Iterable[Output]) -> list[Triplet | qemu.Disk]:
    """What a cloud would boot of outputs.

    Kernel, ramdisk and root are the same files in a triplet and in a bare image, and boot once for both.  A disk boots by each firmware
    that it is made for.
    """
    outputs = list(outputs)
    disks = [
        qemu.Disk(f"{triplet.name} ({output.kind}, {firmware})", output.path, output.disk_format, firmware)
        for output in outputs
        if not output.parts
        for firmware in output.firmware or ("bios",)
    ]
    return [*([triplet] if any(output.parts for output in outputs) else []), *disks]


def pass_gate(target: Triplet | qemu.Disk, gate: bool | Mapping[str, Any]) -> dict[str, Any]:
    """Boot a triplet or a disk as ``ami.gate`` asks.

    :param gate: True, or ``seconds`` to the login prompt and ``ports`` that must answer
    :returns: as of :func:`vmimage.image.qemu.look`
    :raises BootFailed: if it does not come up in time, or a port does not answer
    """
    options = gate if isinstance(gate, Mapping) else {}
    seen: dict[str, Any] = qemu.look(target, options.get("seconds", _SECONDS), options.get("ports", []))
    if ports := [port for port, answer in seen["answers"].items() if answer in (qemu.REFUSED, qemu.SILENT)]:
        failed = f"; units that failed: {', '.join(seen['failed'])}" if seen["failed"] else ""
        raise BootFailed(f"{target.name} came up, but nothing answers on port {', '.join(map(str, ports))}{failed}")
    return seen
