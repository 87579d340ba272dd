"""Booting a whole disk by its own loader, under BIOS, UEFI, or UEFI with Secure Boot enforced, and what it says of itself.

The variation :data:`TELL` lets an instance tell at each boot on its second serial line; where a drive ``again`` is there, it then makes its
kernel's files and GRUB's configuration again, as an upgrade does, and reboots.
"""

import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

from servers import own_port
from vmimage.image import qemu
from vmimage.system.shell import run, started

HANGS_SECONDS = 900  # for a boot that hangs, not for a slow boot
DISK_GIB = 20
FIRMWARES = ("bios", "uefi", "secure")
_OVMF = Path("/usr/share/OVMF")
#: of what is asked for beside the sample: an emulated machine need not guard against what real processors leak, and its timer may be late
SETTINGS = {
    "publish": False,
    "outputs": ["triplet", "bare", "disk", "ec2"],
    "kernel_command_line": "mitigations=off no_timer_check",
}

TELL = r"""
include:
  - variation

cloud-init has nothing to look for here:
  file.managed:
    - name: /etc/cloud/cloud-init.disabled
    - contents: ''

the instance tells of itself:
  file.managed:
    - name: /usr/local/sbin/tell
    - mode: '0755'
    - contents: |
        #!/bin/sh
        exec > /dev/ttyS1 2>&1
        echo "@@BEGIN"
        echo "root_mib=$(df -BM --output=size / | tail -1 | tr -dc 0-9)"
        echo "root=$(findmnt -no SOURCE /)"
        echo "esp=$(ls /boot/efi > /dev/null && findmnt -t vfat -no FSTYPE /boot/efi)"
        echo "command_line=$(cat /proc/cmdline)"
        echo "secure_boot=$(od -An -tu1 -j4 /sys/firmware/efi/efivars/SecureBoot-* 2>/dev/null | tr -d ' ')"
        echo "firmware=$(test -d /sys/firmware/efi && echo uefi || echo bios)"
        echo "failed=$(systemctl --failed --plain --no-legend | tr '\n' ';')"
        echo "loaders=$(cd /boot/efi && find EFI -iname '*.efi' | sort | tr '\n' ' ')"
        echo "@@END"
        [ -e /dev/disk/by-id/virtio-again ] && [ ! -e /var/lib/again ] || exit 0
        set -x
        touch /var/lib/again
        # what this machine needs, loosely packed: an emulated processor takes a third of an hour for the rest
        printf 'MODULES=dep\nCOMPRESSLEVEL=1\n' > /etc/initramfs-tools/conf.d/again
        echo 'GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX written.again=1"' > /etc/default/grub.d/90-again.cfg
        dpkg-reconfigure -f noninteractive "linux-image-$(uname -r)"
        dpkg-trigger --by-package=shim-signed /usr/lib/shim
        dpkg --triggers-only grub-cloud-amd64
        sync
        systemctl reboot

tell.service:
  file.managed:
    - name: /etc/systemd/system/tell.service
    - contents: |
        [Unit]
        After=nginx.service systemd-growfs-root.service boot-efi.automount
        [Service]
        Type=oneshot
        ExecStart=/usr/local/sbin/tell
        [Install]
        WantedBy=multi-user.target
  service.enabled:
    - name: tell
    - require:
      - file: tell.service
"""


def lacking_firmware():
    """What is to be installed before a disk can be booted by UEFI, or an empty text."""
    return "" if (_OVMF / "OVMF_CODE_4M.secboot.fd").exists() else "no OVMF: apt-get install ovmf"


def build_disks(salt, release, **more):
    """The sample that tells of itself, with a disk and more; the answer of create_variation."""
    (salt.states / "tell.sls").write_text(TELL, encoding="utf-8")
    variation = {"states": ["tell"], "id": "variation"}
    return salt.good("vm_create.create_variation", variation=variation, release=release, **{**SETTINGS, **more})


def _firmware(kind, directory):
    """Arguments of QEMU for a firmware."""
    if kind == "bios":
        return ["-machine", "q35"]
    code, machine, more = "OVMF_CODE_4M.fd", "q35", []
    variables = directory / "variables"
    if kind == "secure":  # Microsoft's keys are in its variables
        code, machine = "OVMF_CODE_4M.secboot.fd", "q35,smm=on"
        more = ["-global", "driver=cfi.pflash01,property=secure,value=on"]
    if not variables.exists():
        variables.write_bytes((_OVMF / ("OVMF_VARS_4M.ms.fd" if kind == "secure" else "OVMF_VARS_4M.fd")).read_bytes())
    flash = [f"unit=0,readonly=on,file={_OVMF / code}", f"unit=1,file={variables}"]
    return ["-machine", machine, *more, *(word for part in flash for word in ("-drive", f"if=pflash,format=raw,{part}"))]


class Machine:
    """An instance that boots a disk.

    :param Path directory: of its own disk over the disk that is given, which is not changed
    :param str firmware: of :data:`FIRMWARES`
    """

    def __init__(self, disk, disk_format, directory, firmware):
        self.disk, self.console, self.answer = directory / "own", directory / "console", directory / "answer"
        self.port, self.log = own_port(), directory / "qemu.log"
        run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", disk_format, "-b", disk, self.disk, f"{DISK_GIB}G"])
        self._firmware = _firmware(firmware, directory)
        self._directory = directory

    @contextmanager
    def running(self, *, again=False):
        """It runs for the time of the block.

        :param bool again: let it make kernel and GRUB again
        """
        more = []
        if again:
            (self._directory / "again").write_bytes(bytes(1 << 20))
            more = ["-drive", f"file={self._directory / 'again'},format=raw,if=none,id=again"]
            more += ["-device", "virtio-blk-pci,drive=again,serial=again"]
        # a single processor: a second may meet what the kernel changes in its own code at that moment (Oops: int3), which only emulation does
        argv = [
            "qemu-system-x86_64", *self._firmware, "-accel", "tcg", "-cpu", "Nehalem", "-smp", "1", "-m", "1024",
            "-nodefaults", "-display", "none", "-drive", f"file={self.disk},format=qcow2,if=none,id=own,cache=unsafe",
            "-device", "virtio-blk-pci,drive=own,bootindex=0", *more,
            "-netdev", f"user,id=net0,restrict=on,hostfwd=tcp:127.0.0.1:{self.port}-:80", "-device", "virtio-net-pci,netdev=net0",
            "-device", "virtio-rng-pci", "-serial", f"file:{self.console}", "-serial", f"file:{self.answer}",
        ]  # fmt: skip
        with open(self.log, "ab") as log, started(argv, log) as child:
            self._child = child
            yield self

    def facts(self, boot=1, seconds=HANGS_SECONDS):
        """What it says of itself at its first boot, or at a later boot of the same run."""
        deadline = time.monotonic() + seconds
        while True:
            said = self.answer.read_text(errors="replace").split("@@BEGIN") if self.answer.exists() else []
            if len(said) > boot and "@@END" in said[boot]:
                lines = said[boot].split("@@END")[0].splitlines()
                return dict(line.strip().split("=", 1) for line in lines if "=" in line)
            assert self._child.poll() is None and time.monotonic() < deadline, self.said()
            time.sleep(0.2)

    def page(self, seconds=HANGS_SECONDS):
        """The first page that its web server gives."""
        argv = ["curl", "-fsS", "--retry", "60", "--retry-all-errors", "--retry-delay", "1", "--max-time", str(seconds)]
        return subprocess.run([*argv, f"http://127.0.0.1:{self.port}/"], check=True, capture_output=True, text=True).stdout

    def wait_for(self, words, seconds=HANGS_SECONDS):
        """Until some words are on its console."""
        deadline = time.monotonic() + seconds
        while words not in qemu.read_console(self.console):
            assert self._child.poll() is None and time.monotonic() < deadline, self.said()
            time.sleep(0.2)

    def said(self):
        """The end of its console and of what it said."""
        return "\n".join(qemu.read_console(path)[-3000:] for path in (self.console, self.answer))
