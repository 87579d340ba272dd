"""How this project reaches a Salt: as files that are synced from file_roots, installed by pip, or packed for a new builder.

Installed by pip, the faces and the SLS lie inside this package; synced, they lie in the directories that Salt keeps for them.
"""

import hashlib
import io
import os
import tarfile
from collections.abc import Iterable
from pathlib import Path

VERSION = "0.1.0"
#: what pip installs for this project; here, for of _utils Salt syncs nothing but Python files
REQUIREMENTS = (
    "salt>=3006,<3009",
    "python-glanceclient>=4",
    "python-keystoneclient>=5",
    "oslo.utils>=7.4",
    "jsonschema>=3.2",
    "pyyaml>=6",
    "requests>=2.28",
    "xxhash>=2",  # Salt brings it from 3008 on; a builder's image and who makes it name what they keep by it (vmimage.system.digest)
)
_HERE = Path(__file__).resolve().parent
#: the directory that Python imports ``vmimage`` from
IMPORTED_FROM = _HERE.parent
#: of a checkout, or of the minion's extension_modules
TOP = IMPORTED_FROM.parent
_MODULES = ("vm_create.py", "vm_kmod.py", "vm_mount.py", "vm_sysctl.py")  # by name: they may lie among those of others
_TOP_SLS = "base:\n  '*':\n    - ami_creator\n"
#: what pip installs where it is asked for, by the name of the extra
EXTRAS = {
    "ec2": ("boto3>=1.28,<2",),
    "fleet": ("openstacksdk>=4,<5",),
    "metrics": ("prometheus_client>=0.17,<1",),  # an older Salt does not bring it
}


def salt_loader() -> dict[str, list[str]]:
    """The directories of our modules, states and runners, for the entry point ``salt.loader``."""
    found = {"modules": modules_directory(), "states": _holding("vm_image.py", _HERE / "salt_states", TOP / "_states")}
    found["runners"] = _holding("vm_fleet.py", _HERE / "salt_runners", TOP / "_runners")
    return {kind: [str(path)] for kind, path in found.items() if path.is_dir()}


def modules_directory() -> Path:
    """Where our execution modules are: in a wheel, in a checkout, or among the synced modules."""
    return _holding("vm_create.py", _HERE / "salt_modules", TOP / "_modules", TOP / "modules")


def states_directory() -> Path:
    """Where the SLS of this project are, if they were delivered with the code."""
    return _holding("ami_creator_pre.sls", _HERE / "salt_sls", TOP / "states")


def machinery() -> list[Path]:
    """The files of this package, sorted, without what a wheel has put beside them."""
    return [path for path in sorted(_HERE.rglob("*.py")) if not path.relative_to(_HERE).parts[0].startswith("salt_")]


def write_project(path: str | os.PathLike[str], file_roots: Iterable[str] = ()) -> None:
    """Write this project's code and SLS into a tar with the layout of a checkout; the same files make the same bytes.

    In it are also ``requirements.txt`` and ``requirements-EXTRA.txt``, for pip, and ``SHA256SUMS`` of all files: by this file a comparison of a directory with the
    tar finds what was removed.

    :param path: of the tar; an older tar is replaced at once
    :param file_roots: directories to take the SLS from, where none were delivered with the code
    """
    required = {"": REQUIREMENTS, **{f"-{name}": packages for name, packages in EXTRAS.items()}}
    files = _code() | _sls(file_roots)
    files |= {
        f"requirements{name}.txt": "".join(f"{package}\n" for package in packages).encode() for name, packages in required.items()
    }
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in sorted(files.items()))
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    try:
        with tarfile.open(partial, "w", format=tarfile.USTAR_FORMAT) as tar:
            for name, data in sorted((files | {"SHA256SUMS": sums.encode()}).items()):
                member = tarfile.TarInfo(name)  # of root, mode 0644, of 1970
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def _code() -> dict[str, bytes]:
    """``{path: content}`` of modules, states and machinery."""
    modules, states = modules_directory(), _holding("vm_image.py", _HERE / "salt_states", TOP / "_states", TOP / "states")
    found = {f"_modules/{name}": modules / name for name in _MODULES}
    found["_states/vm_image.py"] = states / "vm_image.py"
    found |= {f"_utils/vmimage/{path.relative_to(_HERE)}": path for path in machinery()}
    return {name: file.read_bytes() for name, file in found.items()}


def _sls(file_roots: Iterable[str]) -> dict[str, bytes]:
    """``{path: content}`` of the SLS: our own, or by name from a minion's file_roots, where there are SLS of other projects, too."""
    own = states_directory()
    if own.is_dir():
        found = own.glob("*.sls")
    else:
        found = _holding("ami_creator_pre.sls", own, *map(Path, file_roots)).glob("ami_creator*.sls")
    return {"states/top.sls": _TOP_SLS.encode()} | {f"states/{path.name}": path.read_bytes() for path in found}


def _holding(file: str, *candidates: Path) -> Path:
    """The first directory that contains a file, or else the first directory."""
    return next((path for path in candidates if (path / file).exists()), candidates[0])
