"""``swapon`` and ``swapoff`` in a root: an image that is being made uses no swap, and the builder's is not its own.

This file is copied into the root's ``/run`` and run there under each of these names; it imports nothing of this project.
"""

import sys

_HINT = "name it in /etc/fstab first, or use mount.swap: it is used when the image boots"


def swap_of_fstab(path: str = "/etc/fstab") -> set[str]:
    """The swap that each boot of the image uses."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            entries = [line.split() for line in file]
    except OSError:
        return set()
    return {entry[0] for entry in entries if len(entry) > 2 and entry[2] == "swap" and not entry[0].startswith("#")}


def main(program: str, words: list[str]) -> int:
    """Do what the program would; returns its exit code."""
    if program == "swapoff":
        return 0
    paths = [word for word in words if word.startswith(("/", "UUID=", "LABEL=", "PARTUUID=", "PARTLABEL="))]
    unknown = [path for path in paths if path not in swap_of_fstab()]
    if unknown:
        print(f"swapon: {unknown[0]}: no boot of the image uses it: {_HINT}", file=sys.stderr)
    return 1 if unknown else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
