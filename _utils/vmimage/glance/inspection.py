"""What Glance and Nova will look at, looked at before anything is uploaded: the bytes of the files, and the description of the images.

Both ask oslo.utils what a file is, and refuse what is not what it is called, or refers to other files.  So does this module.
"""

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vmimage.errors import ImageUnsound, NotReady, SettingsWrong, StoreRefused
from vmimage.glance.generations import KERNEL, Image
from vmimage.glance.outputs import Output

if TYPE_CHECKING:
    from oslo_utils.imageutils.format_inspector import FileInspector

_AGAIN = "make it again: vm_create.create_variation"
#: a kernel for x86 begins with the sector of a boot loader, which looks like a partition table with no sound entry; Glance minds it as little
_NO_TABLE = {"mbr"}


def check_output(output: Output) -> None:
    """Refuse a main image whose file is not what it will be called, or is no file to trust.

    :raises ImageUnsound: naming the file, and what was found in it
    """
    found = _inspected(output.path)
    # a whole disk is raw to Glance and Nova, who look for a partition table themselves
    expected = output.content if output.disk_format in ("raw", "ami") else output.disk_format
    if str(found) != expected:
        raise ImageUnsound(
            f"{output.path} is to be published as {output.disk_format}, and {_found(found, expected)}", hint=_AGAIN
        )
    if failures := _failures(found):
        raise ImageUnsound(f"{output.path} is not safe: {', '.join(sorted(failures.values()))}", hint=_AGAIN)
    if expected == "qcow2" and found.virtual_size != output.virtual_bytes:
        raise ImageUnsound(
            f"{output.path} is a disk of {found.virtual_size} bytes, its manifest says {output.virtual_bytes}", hint=_AGAIN
        )


def check_part(role: str, path: Path) -> None:
    """Refuse a kernel or ramdisk that is an image of a disk.

    :raises ImageUnsound: naming the file, and what was found in it
    """
    found = _inspected(path)
    if role == KERNEL and str(found) == "gpt" and set(_failures(found)) == _NO_TABLE:
        return
    if str(found) != "raw":
        raise ImageUnsound(f"{path} is to be published as a {role}, and {_found(found, 'raw')}", hint=_AGAIN)


def _found(found: "FileInspector", expected: str) -> str:
    return f"is a {found} image" if str(found) != "raw" else f"is no {expected} image"


def _inspected(path: Path) -> "FileInspector":
    """The only format that a file has."""
    try:
        from oslo_utils.imageutils import format_inspector
    except ImportError as error:
        raise NotReady("the oslo.utils of this machine inspects no images", hint="pip install 'oslo.utils>=7.4'") from error
    try:
        found = format_inspector.detect_file_format(str(path))
    except format_inspector.ImageFormatError as error:
        raise ImageUnsound(f"{path} is an image of more than one kind: {error}", hint=_AGAIN) from error
    assert found is not None  # the file was read to its end
    return found


def _failures(found: "FileInspector") -> dict[str, str]:
    """``{check: why}`` of the checks that a file does not pass."""
    from oslo_utils.imageutils.format_inspector import SafetyCheckFailed

    log = logging.getLogger(type(found).__module__)  # warns of each check: what matters of them is an error, and the rest no news
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        found.safety_check()
    except SafetyCheckFailed as failed:
        return {name: str(why) for name, why in failed.failures.items()}
    finally:
        log.setLevel(level)
    return {}


def check_description(schema: Mapping[str, Any], image: Image, configured: Iterable[str], *, whole: bool = True) -> None:
    """Refuse an image that the store will not take.

    :param schema: of the store (:meth:`vmimage.glance.client.Store.image_schema`)
    :param configured: the properties that the settings give
    :param whole: else the image has not all that it will have
    :raises SettingsWrong, StoreRefused: naming the property
    """
    from jsonschema import Draft4Validator

    keep = {key: value for key, value in schema.items() if key in ("properties", "additionalProperties", "required")}
    for error in Draft4Validator(keep).iter_errors(dict(image)):
        if error.validator == "required" and not whole:
            continue
        key = str(error.absolute_path[0]) if error.absolute_path else ""
        place = f"{key} in ami.properties" if key in set(configured) else key or "its description"
        kind = SettingsWrong if key in set(configured) else StoreRefused
        raise kind(
            f"the store takes no image with {place}: {error.message}"[:500],
            hint="openstack image show, or GET /v2/schemas/image, says what it takes",
        )
