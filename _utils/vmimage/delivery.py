"""How this project reaches a Salt: as files that are synced from file_roots, or installed by pip.

Installed by pip, the faces and the SLS lie inside this package; synced, they lie in the directories that Salt keeps for them.
"""

from pathlib import Path

VERSION = "0.1.0"
_HERE = Path(__file__).resolve().parent
_TOP = _HERE.parents[1]  # of a checkout, or of the minion's extension_modules


def salt_loader():
    """The directories of our modules and states, for the entry point ``salt.loader``."""
    found = {"modules": modules_directory(), "states": _holding("vm_image.py", _HERE / "salt_states", _TOP / "_states")}
    return {kind: [str(path)] for kind, path in found.items() if path.is_dir()}


def modules_directory():
    """Where our execution modules are: in a wheel, in a checkout, or among the synced ones."""
    return _holding("vm_create.py", _HERE / "salt_modules", _TOP / "_modules", _TOP / "modules")


def states_directory():
    """Where the SLS of this project are, if they came along."""
    return _holding("ami_creator_pre.sls", _HERE / "salt_sls", _TOP / "states")


def _holding(file, *candidates):
    return next((path for path in candidates if (path / file).exists()), candidates[0])
