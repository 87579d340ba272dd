"""The ami-creation image, made by the project itself as the variation ``ami_creator``: for tests that look into it or boot it.

    from creation import creation  # noqa: F401  a fixture of the session: the minion that made it; files are in creation.output

It is made once in a run, whoever asks for it, from wheels that are kept beside the packages of this Python.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from building import PROJECT, Salt
from once import made_once
from vmimage.delivery import REQUIREMENTS

NAME = "ami-creation"


@pytest.fixture(scope="session")
def creation(bootstrapped, tmp_path_factory):
    """The minion that made the image, with what create_variation returned as ``returned``."""
    return made_once(tmp_path_factory, "creation", lambda directory: build_creation(directory / "minion"), by_all_groups=True)


def build_creation(directory, brings=None, **settings):
    """Make the image below a directory; its files are in ``output``.

    :param dict brings: more of the pillar ``ami_creator``
    """
    salt = Salt(Path(directory))
    salt.configure(file_roots={"base": [str(salt.states), str(PROJECT / "states"), str(wheels().parent)]})
    salt.pillar(json.dumps({"ami_creator": {"wheels": "salt://wheels", **(brings or {})}}))
    variation = {"states": ["ami_creator"], "id": NAME}
    salt.returned = salt.good("vm_create.create_variation", name=NAME, variation=variation, publish=False, **settings)
    return salt


def wheels():
    """A directory with a wheel of each requirement: pip alone reaches the network, and one requirement needs a compiler."""
    key = hashlib.sha256(f"{sys.version}{REQUIREMENTS}".encode()).hexdigest()[:12]
    kept = Path(sys.prefix) / f"wheels-{key}" / "wheels"
    if not kept.is_dir():
        with tempfile.TemporaryDirectory(dir=sys.prefix) as partial:
            argv = [sys.executable, "-m", "pip", "wheel", "-q", "--wheel-dir", f"{partial}/wheels", *REQUIREMENTS]
            subprocess.run(argv, check=True)
            kept.parent.mkdir(exist_ok=True)
            shutil.move(f"{partial}/wheels", kept)
    return kept


if __name__ == "__main__":  # for a look by hand: python tests/support/creation.py DIRECTORY
    build_creation(sys.argv[1])
