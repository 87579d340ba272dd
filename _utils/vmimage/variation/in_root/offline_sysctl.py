"""``sysctl`` in a root: what its files say is set when the image boots; the kernel that runs is the builder's.

This file is copied into the root's ``/run`` and run there; it imports nothing of this project.  To load files that a boot reads is done
by that boot.  What would be set in the running kernel alone is refused by name: no image would have it.
"""

import glob
import os
import subprocess
import sys

_HINT = "write it into a file in /etc/sysctl.d, as sysctl.present does: it is set when the image boots"
#: what systemd-sysctl reads when the image boots, which has nothing of what is in /run now
_READ_AT_BOOT = tuple(f"{place}/sysctl.d/*.conf" for place in ("/etc", "/usr/local/lib", "/usr/lib", "/lib"))
_PLACES = ("/usr/sbin", "/sbin")


def is_read_at_boot(path: str) -> bool:
    """Whether a boot reads the file, by its name or by a link, as Debian 12 has one to /etc/sysctl.conf."""
    return os.path.realpath(path) in {os.path.realpath(found) for pattern in _READ_AT_BOOT for found in glob.glob(pattern)}


def load(names: list[str], quiet: bool) -> int:
    """Say what the files set, as sysctl does; returns the exit code."""
    for name in names:
        try:
            with open("/dev/stdin" if name == "-" else name, encoding="utf-8", errors="replace") as file:
                lines = [line.strip() for line in file]
        except OSError as error:
            print(f'sysctl: cannot open "{name}": {error.strerror}', file=sys.stderr)
            return 255
        if not is_read_at_boot(name):
            print(f"sysctl: no boot of the image reads {name}: {_HINT}", file=sys.stderr)
            return 1
        pairs = (line.lstrip("-").partition("=") for line in lines if "=" in line and line[0] not in "#;")
        if not quiet:
            print("".join(f"{key.strip()} = {value.strip()}\n" for key, _, value in pairs), end="")
    return 0


def main(words: list[str]) -> int:
    """Do what sysctl would, but for the running kernel; returns its exit code."""
    # of -p the rest of its word is the name of a file
    clusters = [word[1:].partition("p") for word in words if word.startswith("-") and not word.startswith("--")]
    shorts = "".join(flags + load for flags, load, _ in clusters)
    longs = {word.partition("=")[0] for word in words if word.startswith("--")}
    plain = [word for word in words if not word.startswith("-") or word == "-"]
    if "--system" in longs:
        return 0
    if "--load" in longs or set(shorts) & set("pf"):
        given = [word.partition("=")[2] for word in words if word.startswith("--load=")] + [name for *_, name in clusters if name]
        return load([*given, *plain] or ["/etc/sysctl.conf"], "q" in shorts or "--quiet" in longs)
    settings = [word for word in plain if "=" in word]
    if settings or "w" in shorts or "--write" in longs:
        print(f"sysctl: {' '.join(settings or plain)}: the kernel that runs is the builder's: {_HINT}", file=sys.stderr)
        return 1
    real = next(path for place in _PLACES if os.path.exists(path := f"{place}/sysctl"))
    return subprocess.run([real, *words], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
