"""What an instance that runs says of itself, and how long to wait for it."""

import json
import subprocess

from vmimage.image import qemu

HANGS_SECONDS = 900  # for a boot that hangs, not for a slow boot
#: asks an instance by its shell: a line for each fact
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
echo "user=$(id -un)"
"""


def remember_accelerator(accelerator):
    """Let later boots of this process not try again what did not start a kernel here."""
    qemu.accelerators = lambda: [accelerator]


def asked_by_key(salt, questions, **settings):
    """Boot by ``vm_create.boot`` with a key of its own, log in as root, ask, and power it off.

    :param str questions: commands of a shell
    :returns: what they answered, what the boot returned, and the path of the private key
    """
    with salt.start("vm_create.boot", "variation", ssh_key=True, **settings) as boot:
        said = []
        while not said or not said[-1].startswith("log in: "):
            said.append(boot.stderr.readline())
            assert said[-1], "".join(said)
        command = said[-1].removeprefix("log in: ").split()
        words = f"{questions}; (sleep 1; systemctl poweroff) >/dev/null 2>&1 &"
        asked = subprocess.run([*command, words], capture_output=True, text=True)
        out, err = boot.communicate(timeout=HANGS_SECONDS)
    assert asked.returncode == 0, asked
    assert boot.returncode == 0, f"{out}{err}"
    return asked.stdout, json.loads(out)["local"], command[command.index("-i") + 1]
