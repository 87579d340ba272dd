"""Properties of a published image as the settings have them: those of all outputs, those of a single output, and their values.

What a property may be is Nova's to say for hardware (nova.objects.fields) and the standard SCS-0102's for the handling of images.  Nova does
not start an image with a value that it does not know, and Glance takes any: so the value is refused here, before anything is built.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

#: outputs that Glance takes, in the order in which they are published
GLANCE_KINDS = ("triplet", "bare", "disk")
#: fields that are numbers to Glance: MiB and GiB
NUMBERS = ("min_disk", "min_ram")
#: what Glance or the publishing sets on every image, and no user
_RESERVED = frozenset(
    """architecture checksum container_format created_at deleted deleted_at direct_url disk_format file id is_public kernel_id location
    locations name os_hash_algo os_hash_value os_hidden os_type owner protected ramdisk_id schema self size status stores tags
    updated_at virtual_size visibility""".split()
)
_BUSES = "fdc, ide, lxc, sata, scsi, uml, usb, virtio, xen"
#: words, one of which a property must be
_WORDS = {
    "hw_cdrom_bus": _BUSES,
    "hw_disk_bus": _BUSES,
    "hw_firmware_type": "bios, uefi",
    "hw_rng_model": "virtio",
    "hw_scsi_model": "buslogic, ibmvscsi, lsilogic, lsilogicsas, lsisas1068, lsisas1078, paravirtual, virtio-scsi, vmpvscsi",
    "hw_vif_model": "e1000, e1000e, igb, lan9118, ne2k_pci, netfront, pcnet, rtl8139, spapr-vlan, sriov, virtio, virtuale1000, "
    "virtuale1000e, virtualpcnet32, virtualsriovethernetcard, virtualvmxnet, virtualvmxnet3, vmxnet, vmxnet3",
    "hw_watchdog_action": "disabled, none, pause, poweroff, reset",
    "os_secure_boot": "disabled, optional, required",
    "replace_frequency": "critical_bug, daily, monthly, never, quarterly, weekly, yearly",
}
_DATE = r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
#: ``{property: (pattern, in words)}``
_PATTERNS = {
    "hotfix_hours": (r"[0-9]+", "a number of hours"),
    "hw_machine_type": (r"[A-Za-z0-9._=-]+", "a machine type of the hypervisor, such as q35, or ARCHITECTURE=TYPE"),
    "image_build_date": (rf"{_DATE}( ([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?)?", "YYYY-MM-DD or YYYY-MM-DD hh:mm[:ss]"),
    "image_source": (r"private|[a-z][a-z0-9+.-]*:\S+", "an address, or private"),
    "maintained_until": (_DATE, "YYYY-MM-DD"),
    "provided_until": (rf"none|notice|{_DATE}", "none, notice or YYYY-MM-DD"),
    "uuid_validity": (rf"none|notice|forever|last-[0-9]+|{_DATE}", "none, notice, forever, last-N or YYYY-MM-DD"),
}


def properties_of(properties: Mapping[str, Any], kind: str) -> dict[str, str]:
    """The properties of an output as ``ami.properties`` gives them: its own overrule those of all."""
    shared = {key: value for key, value in properties.items() if key not in GLANCE_KINDS}
    return {**shared, **(properties.get(kind) or {})}


def find_wrong_property(properties: Mapping[Any, Any]) -> str:
    """What is wrong with ``ami.properties`` and what would be right, or an empty string.

    :param properties: with keys and values of any type, as YAML has them
    """
    return next(_wrong(properties), "")


def _wrong(properties: Mapping[Any, Any]) -> Iterator[str]:
    for key, value in properties.items():
        if key in GLANCE_KINDS and isinstance(value, dict):
            yield from (f"{wrong} (of {key})" for wrong in _wrong_of_one(value))
    yield from _wrong_of_one(
        {key: value for key, value in properties.items() if not (key in GLANCE_KINDS and isinstance(value, dict))}
    )


def _wrong_of_one(properties: Mapping[Any, Any]) -> Iterator[str]:
    """What is wrong with the properties of an image."""
    for key, value in properties.items():
        if not isinstance(key, str) or not 0 < len(key) < 256:
            yield f"{key!r} is no name of a property: a string of 1 to 255 characters"
        elif key in GLANCE_KINDS:
            yield f"{key} is an output: its properties are a mapping"
        elif not isinstance(value, str):
            yield f"the value of {key} is not a string: put it in quotes"
        elif key.startswith(("vm_create_", "os_glance_")) or key in _RESERVED:
            yield f"{key} is set by Glance or by the publishing itself"
        elif key in NUMBERS and not re.fullmatch(r"[0-9]{1,9}", value):
            yield f"{key} is a number of {'GiB' if key == 'min_disk' else 'MiB'}, in quotes"
        elif key in _WORDS and value.lower() not in _WORDS[key].split(", "):
            yield f"{key} is not {value!r} but {'one of ' if ',' in _WORDS[key] else ''}{_WORDS[key]}"
        elif key in _PATTERNS and not re.fullmatch(_PATTERNS[key][0], value):
            yield f"{key} is not {value!r} but {_PATTERNS[key][1]}"
