"""``hostname NAME`` in a root: no process but the first may give the root's kernel a name, so it is asked to (:mod:`vmimage.root.apart`).

This file is copied into the root's ``/run`` and run there; it imports nothing of this project.
"""

import os
import signal
import sys
import time

_REAL = "/bin/hostname"
#: where the first process looks before it looks at /etc/hostname
_WANTED = "/run/vm_create/hostname"


def wanted_name(words: list[str]) -> str | None:
    """The name that is to be set, or None where one is asked for."""
    if {"-b", "--boot"} & set(words):
        return None
    for number, word in enumerate(words):
        if word in ("-F", "--file") or word.startswith(("--file=", "-F")):
            name = word.partition("=")[2] or word[2:] if word not in ("-F", "--file") else "".join(words[number + 1 : number + 2])
            with open(name, encoding="utf-8", errors="replace") as file:
                return next((line.strip() for line in file if line.strip() and not line.startswith("#")), "")
    return next((word for word in words if not word.startswith("-")), None)


def main(words: list[str]) -> int:
    """Do what hostname would; returns its exit code."""
    try:
        name = wanted_name(words)
        if name is None:
            os.execv(_REAL, ["hostname", *words])
        if not name or len(name) > 64:
            print("hostname: the specified hostname is invalid", file=sys.stderr)
            return 1
        with open(_WANTED, "w", encoding="utf-8") as file:
            file.write(f"{name}\n")
        os.kill(1, signal.SIGUSR2)
        until = time.monotonic() + 5
        while os.uname().nodename != name and time.monotonic() < until:
            time.sleep(0.01)
        os.unlink(_WANTED)
    except PermissionError:
        print("hostname: you must be root to change the host name", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"hostname: {error.strerror}", file=sys.stderr)
        return 1
    return 0 if os.uname().nodename == name else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
