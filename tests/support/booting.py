"""What an instance that runs says of itself, and how long to wait for it."""

import json
import re
import shlex
import subprocess
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from vmimage.image import qemu

HANGS_SECONDS = 900  # for a boot that hangs, not for a slow boot
#: run by its shell: a line for each fact
FACTS = r"""
echo "state=$(systemctl is-system-running --wait)"
echo "failed=$(systemctl --failed --plain --no-legend | tr '\n' ';')"
echo "address=$(ip -4 -o address show scope global | awk '{print $4}' | tr '\n' ' ')"
echo "machine_id=$(cat /etc/machine-id)"
echo "host_keys=$(cat /etc/ssh/ssh_host_*_key.pub | cut -d' ' -f2 | sha256sum | cut -d' ' -f1)"
echo "host_key_count=$(ls /etc/ssh/ssh_host_*_key | wc -l)"
echo "root_mib=$(df -BM --output=size / | tail -1 | tr -dc 0-9)"
echo "root_options=$(findmnt -no OPTIONS /)"
echo "kernel=$(uname -r)"
"""


def remember_accelerator(accelerator):
    """Let later boots of this process not try again what did not start a kernel here."""
    qemu.accelerators = lambda: [accelerator]


@dataclass(frozen=True)
class Visited:
    """An instance that ``vm_create.boot`` has booted, asked by the key that it gave, and powered off.

    :ivar str answer: what its shell has said
    :ivar str page: that it serves on port 80
    :ivar Path key: the file of the key, while it ran
    :ivar dict seen: what ``vm_create.boot`` has returned
    """

    answer: str
    page: str
    key: Path
    seen: dict


def visited(salt, questions, **settings):
    """Boot by ``vm_create.boot``, log in as root by the key that it gives, and ask: a :class:`Visited`.

    :param str questions: commands of a shell
    """
    with salt.start("vm_create.boot", "variation", forward="80", ssh_key=True, **settings) as boot:

        def line_with(words):
            said = []
            while not said or words not in said[-1]:
                said.append(boot.stderr.readline())
                assert said[-1], "".join(said)
            return said[-1]

        command = shlex.split(line_with("log in: ").removeprefix("log in: "))
        port = re.search(r"port 80 is (127\.0\.0\.1:\d+)", line_with("it stays up "))[1]
        asked = subprocess.run([*command, questions], capture_output=True, text=True)
        assert asked.returncode == 0, asked
        with urllib.request.urlopen(f"http://{port}/", timeout=60) as answer:
            page = answer.read().decode()
        subprocess.run([*command, "(sleep 1; systemctl poweroff) >/dev/null 2>&1 &"], check=True)
        out, err = boot.communicate(timeout=HANGS_SECONDS)
    assert boot.returncode == 0, f"{out}{err}"
    return Visited(asked.stdout, page, Path(command[command.index("-i") + 1]), json.loads(out)["local"])
