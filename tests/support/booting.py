"""Booting a triplet and asking it about itself: by cloud-init's userdata on a NoCloud disk, answered on the second serial line."""

import json
import subprocess
from contextlib import contextmanager

from servers import own_port
from vmimage.image import qemu

HANGS_SECONDS = 900  # for a boot that hangs, not for a slow boot
#: who an instance is, ``key=value`` in each line
WHO = r"""
echo "machine_id=$(cat /etc/machine-id)"
echo "host_keys=$(cat /etc/ssh/ssh_host_*_key.pub | cut -d' ' -f2 | sha256sum | cut -d' ' -f1)"
echo "host_key_count=$(ls /etc/ssh/ssh_host_*_key | wc -l)"
"""
_ALL = r"""
systemctl is-system-running --wait >/run/state
{
  echo "@@BEGIN"
  echo "state=$(cat /run/state)"
  echo "failed=$(systemctl --failed --plain --no-legend | tr '\n' ';')"
  echo "address=$(ip -4 -o address show scope global | awk '{print $4}' | tr '\n' ' ')"
  @WHO
  echo "root_mib=$(df -BM --output=size / | tail -1 | tr -dc 0-9)"
  echo "root_options=$(findmnt -no OPTIONS /)"
  echo "cloud_init=$(cloud-init status | tr '\n' ' ')"
  echo "kernel=$(uname -r)"
  echo "@@END"
} > /dev/ttyS1
""".replace("  @WHO\n", WHO)
_APART = ["systemd-run", "--no-block", "--property=DefaultDependencies=no", "sh", "-c"]  # from cloud-init's own unit


def userdata():
    """Userdata by which an instance tells about itself when it has come up."""
    return "#cloud-config\n" + json.dumps({"runcmd": [[*_APART, _ALL]]})


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


@contextmanager
def asked(triplet, directory):
    """A booted triplet and what it says of itself.

    :returns: ``(facts as dict, {guest port: port of the loopback})``
    """
    (directory / "user-data").write_text(userdata(), encoding="utf-8")
    (directory / "meta-data").write_text(json.dumps({"instance-id": "test", "local-hostname": "guest"}), encoding="utf-8")
    disk, answer = directory / "seed.iso", directory / "answer"
    files = [directory / "user-data", directory / "meta-data"]
    subprocess.run(["genisoimage", "-quiet", "-output", disk, "-volid", "cidata", "-joliet", "-rock", *files], check=True)
    more = ["-drive", f"file={disk},format=raw,if=virtio,readonly=on", "-serial", f"file:{answer}"]
    ports = {80: own_port(), 22: own_port()}
    forwards = [(ours, guests) for guests, ours in ports.items()]

    def is_up(console):
        return answer.exists() and "@@END" in answer.read_text(errors="replace")

    with qemu.booted(triplet, is_up, HANGS_SECONDS, forwards, more):
        text = answer.read_text(encoding="utf-8", errors="replace")
        yield facts_of(text.split("@@BEGIN")[1].split("@@END")[0]), ports


def facts_of(answer):
    """What an instance tells, as a dict."""
    return dict(line.strip().split("=", 1) for line in answer.splitlines() if "=" in line)
