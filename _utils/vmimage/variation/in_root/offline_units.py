"""What the files of a root say of systemd's units: their names, where they are described, what enables them.

This file is copied into the root's ``/run``, and the program ``systemctl`` there imports it; it imports nothing of this project.
"""

import os

#: the root's own program
SYSTEMCTL = "/usr/bin/systemctl"
KINDS = ("service", "socket", "target", "mount", "automount", "swap", "path", "timer", "slice", "scope", "device")
PLACES = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/lib/systemd/system",
    "/usr/lib/systemd/system",
)
#: of which a boot reaches each, and starts what they want
TARGETS = ("sysinit", "basic", "sockets", "timers", "paths", "local-fs", "multi-user", "graphical")


def unit_name(word: str) -> str:
    """The full name of a unit, as systemctl completes and escapes it."""
    if word.startswith("/"):
        import re

        path = word.strip("/") or "-"
        return (
            re.sub(r"[^\w:./]", lambda odd: "".join(f"\\x{byte:02x}" for byte in odd[0].encode()), path, flags=re.ASCII).replace(
                "/", "-"
            )
            + ".mount"
        )
    if word.endswith((".slice.service", ".scope.service")) and unit_file(word.removesuffix(".service")):
        word = word.removesuffix(".service")  # of a caller that does not know these kinds, as Salt
    return word if word.rpartition(".")[2] in KINDS and "." in word else f"{word}.service"


def unit_file(name: str) -> str | None:
    """Where the unit is described, its template counted; a SysV script for a service that has no unit; None for nothing."""
    stem, _, kind = name.rpartition(".")
    names = [name, f"{stem.split('@', 1)[0]}@.{kind}"] if "@" in stem else [name]
    for known in names:
        for place in PLACES:
            if os.path.lexists(f"{place}/{known}"):
                return f"{place}/{known}"
    script = f"/etc/init.d/{stem}"
    return script if kind == "service" and os.access(script, os.X_OK) else None


def is_masked(name: str) -> bool:
    """Whether the unit cannot be started at all: it leads to /dev/null, or is empty."""
    path = unit_file(name)
    if path is None or path.startswith("/etc/init.d/"):
        return False
    target = os.path.realpath(path)
    return target == "/dev/null" or os.path.isfile(target) and os.path.getsize(target) == 0


def own_name(name: str) -> str:
    """The name of the unit that an alias leads to."""
    path = unit_file(name)
    if path is None or not os.path.islink(path) or is_masked(name):
        return name
    target = os.path.basename(os.path.realpath(path))
    return target if target.rpartition(".")[2] in KINDS and "@." not in target else name


def is_linked(name: str) -> bool:
    """Whether a link enables the unit: systemctl says "enabled" of each that has a link."""
    top = PLACES[0]
    return os.path.isdir(top) and any(
        directory.endswith((".wants", ".requires")) and os.path.islink(f"{top}/{directory}/{name}")
        for directory in os.listdir(top)
    )


def is_pulled_in(name: str) -> bool:
    """Whether the boot itself starts the unit: packages link units without an [Install] section to targets."""
    places = ("/lib/systemd/system", "/usr/lib/systemd/system")
    return any(os.path.lexists(f"{place}/{target}.target.wants/{name}") for place in places for target in TARGETS)


def is_plainly_enabled(name: str) -> bool:
    """Whether systemctl can only say "enabled": a unit in a file of its own, to which a link leads."""
    path = unit_file(name)
    is_plain = path is not None and os.path.isfile(path) and not os.path.islink(path) and not path.startswith("/etc/init.d/")
    return is_plain and is_linked(name) and not is_masked(name)


def file_state(name: str) -> str:
    """What ``systemctl is-enabled`` says."""
    import subprocess

    done = subprocess.run([SYSTEMCTL, "is-enabled", unit_name(name)], check=False, env=offline_environment(), capture_output=True)
    return done.stdout.decode().strip() or "not-found"


def offline_environment() -> dict[str, str]:
    """In which systemctl works on files, and asks no systemd."""
    return {**os.environ, "SYSTEMD_OFFLINE": "1"}


def description(path: str) -> str:
    """What the file of a unit calls it, or an empty str."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return next((line[12:].rstrip("\n") for line in file if line.startswith("Description=")), "")
    except OSError:
        return ""
