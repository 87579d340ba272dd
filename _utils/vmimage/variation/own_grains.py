"""The grains that states set (``grains.present``): kept where a minion of the image reads them, as on a machine."""

from vmimage.root import files
from vmimage.root.runtime import HOME
from vmimage.system.aliases import StrPath

_OF_THE_IMAGE = "/etc/salt/grains"
#: beside the configuration of the Salt in a root
_OF_THE_BUILD = f"{HOME}/etc/grains"


def show_grains(root: StrPath) -> str:
    """Let the Salt in a root know the grains that the image has in a file; returns the file's text."""
    text = _read(root, _OF_THE_IMAGE)
    if text:
        files.write_text(root, _OF_THE_BUILD, text)
    return text


def keep_grains(root: StrPath, shown: str) -> None:
    """Write what states made of the shown grains to the image; a file that a state manages there itself stays."""
    text = _read(root, _OF_THE_BUILD)
    if text != shown:
        files.make_directory(root, "/etc/salt")
        files.write_text(root, _OF_THE_IMAGE, text)


def _read(root: StrPath, path: str) -> str:
    return files.read_text(root, path) if files.is_file(root, path) else ""
