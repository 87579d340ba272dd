"""What an instance that runs says of itself, and how long to wait for it."""

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
