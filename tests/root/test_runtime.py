"""The builder's Salt in a root that has next to nothing."""

import os
import shutil

from vmimage.root.enter import work_inside
from vmimage.root.mounts import run_in_root
from vmimage.root.runtime import HOME, PYTHON, bind_runtime, own_runtime
from vmimage.system.shell import run
from vmimage.variation.in_root import offline_paths, offline_salt

PROGRAM = f"""
import sys
sys.path.insert(0, "{HOME}")
import offline_salt
offline_salt.prepare()
import salt.crypt  # which loads libcrypto
import salt.utils.network
import ssl
print("loaded", hasattr(salt.utils.network, "RES_INIT"))
"""


def test_salt_needs_no_library_of_the_root(tmp_path):
    for name in ("bin", "etc", "proc", "sys", "run", "tmp", "dev", "root"):
        (tmp_path / name).mkdir()
    shell = os.path.realpath(shutil.which("dash"))
    files = [word for line in run(["ldd", shell]).output.splitlines() for word in line.split() if word.startswith("/")]
    for path in files:  # what /bin/sh needs: the programs around our Python are its scripts
        (tmp_path / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tmp_path / path[1:])
    shutil.copy(shell, tmp_path / "bin/sh")
    (tmp_path / "etc/passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    (tmp_path / "etc/group").write_text("root:x:0:\n")

    def work():
        bind_runtime(own_runtime(), tmp_path)
        for module in (offline_salt, offline_paths):
            shutil.copy(module.__file__, f"{tmp_path}{HOME}")
        return run_in_root(tmp_path, [PYTHON, "-c", PROGRAM]).output

    assert work_inside(tmp_path, work).splitlines()[-1] == "loaded True"
