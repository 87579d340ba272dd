"""What machine it was."""

import os
import platform
import re
import time
from pathlib import Path


def describe(directory):
    """Facts that a reader needs to judge the figures."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text(encoding="ascii"))
    return {
        "date": time.strftime("%Y-%m-%d"),
        "system": platform.freedesktop_os_release()["PRETTY_NAME"],
        "kernel": platform.release(),
        "cpu": model[1].strip() if model else platform.machine(),
        "cores": os.cpu_count(),
        "memory_gib": round(int(memory[1]) / 2**20, 1),
        "disk": file_system_of(directory, Path("/proc/self/mounts").read_text(encoding="utf-8")),
    }


def in_words(facts):
    """One line of them."""
    hardware = f"{facts['cores']} cores of {facts['cpu']}, {facts['memory_gib']} GiB, disk: {facts['disk']}"
    return f"{hardware}; {facts['system']}, Linux {facts['kernel']}; {facts['date']}"


def file_system_of(directory, mounts):
    """The type of the file system that a directory lies in.

    :param Path directory: absolute
    :param str mounts: as /proc/self/mounts has them; of two on one place the later is seen
    """
    fields = (line.split() for line in mounts.splitlines())
    under = [(len(Path(point).parts), kind) for _, point, kind, *_ in fields if directory.is_relative_to(point)]
    deepest = max((depth for depth, _ in under), default=0)  # in a chroot there may be none
    return [kind for depth, kind in under if depth == deepest][-1] if under else "unknown"
