"""What several tests look at is made once in a run, whichever worker of pytest asks first; the others wait for it."""

import fcntl
import os
import pickle
from pathlib import Path

GROUP = "VMIMAGE_TESTS_RUN"  # the directory of the group, in that of the run (tests/run.py)


def made_once(tmp_path_factory, name, make, *, by_all_groups=False):
    """What ``make(directory)`` returned, in this worker or in another.

    :param str name: of the thing, and of its directory, which all workers share
    :param make: returns something that can be pickled; the directory is new and empty
    :param bool by_all_groups: whether the workers of other groups of the run share it, too
    """
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if base.name.startswith("popen-") else base) / "shared"
    if by_all_groups and GROUP in os.environ:
        shared = Path(os.environ[GROUP]).with_name("shared")
    shared.mkdir(exist_ok=True)
    kept = shared / f"{name}.pickle"
    with open(shared / f"{name}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            number = len(list(shared.glob(f"{name}-*")))  # where an earlier try failed
            directory = shared / f"{name}-{number}"
            directory.mkdir()
            kept.write_bytes(pickle.dumps(make(directory)))
    return pickle.loads(kept.read_bytes())
