"""Jobs that states give to ``at``: they run on the image's machine, in an environment without what is of the build alone."""

import os
import re
import stat

from vmimage.root import files
from vmimage.root.runtime import HOME
from vmimage.system.aliases import StrPath

_DIRECTORY = "/var/spool/cron/atjobs"
#: lines by which at sets the environment that it was called in: all that leads to our home in a root, and what says that no systemd runs
_OF_THE_BUILD = re.compile(
    rb"^(?:\w+=%s/[^:;\n]*; export \w+|SYSTEMD_OFFLINE=1; export SYSTEMD_OFFLINE)\n" % HOME.encode(), re.MULTILINE
)
_PATH = re.compile(rb"^(PATH=)%s/bin:" % HOME.encode(), re.MULTILINE)


def free_jobs(root: StrPath, changes: StrPath) -> list[str]:
    """Take the build's environment out of jobs that wait for their time.

    :param root: the mounted directory
    :param changes: the directory of what the build changed
    :returns: the paths changed
    """
    found = []
    for path in (f"{_DIRECTORY}/{name}" for name in files.list_directory(changes, _DIRECTORY)):
        facts = files.lstat(root, path)
        if facts is None or not stat.S_ISREG(facts.st_mode) or facts.st_size > files.LARGE:  # at writes none so large
            continue
        with files.opened(root, path) as descriptor, os.fdopen(os.dup(descriptor), "rb") as file:
            text = file.read()
        head, mark, rest = text.partition(b"\ncd ")  # the job itself stands below
        new = _PATH.sub(rb"\1", _OF_THE_BUILD.sub(b"", head + b"\n"))[:-1] + mark + rest
        if mark and new != text:
            files.overwrite(root, path, new)
            found.append(path)
    return found
