"""What a boot tries: KVM, and the emulator where nothing starts under it.

The program that boots is a script here, for no machine of the tests is sure to have a KVM that starts kernels, or one that does not.
"""

import os
from pathlib import Path

import pytest
from vmimage.image import qemu
from vmimage.image.triplet import Triplet

_PROGRAM = """#!/bin/sh
while [ $# -gt 0 ]; do
    case "$1" in
        -accel) accelerator=${2%%,*} ;;
        -serial) [ -n "${console-}" ] || console=${2#file:} ;;
    esac
    shift
done
case " $SPEAKS " in *" $accelerator "*) echo "login:" > "$console" ;; esac
exec sleep 60
"""


@pytest.fixture
def boots(tmp_path, monkeypatch):
    """Boots under what speaks; returns what it came up under, and what the next boot would try."""
    program = tmp_path / "bin" / qemu.program()
    program.parent.mkdir()
    program.write_text(_PROGRAM)
    program.chmod(0o755)
    triplet = Triplet(tmp_path, "web")
    triplet.root_image.write_bytes(bytes(1 << 20))
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(qemu, "_KVM_IS_SILENT", tmp_path / "silent")
    monkeypatch.setattr(qemu, "_KVM_SIGN_SECONDS", 0.3)
    monkeypatch.setattr(os, "access", lambda path, mode: path == "/dev/kvm" or Path(path).exists())

    def boot(speaks):
        monkeypatch.setenv("SPEAKS", speaks)
        with qemu.booted(triplet, lambda text: "login:" in text, 5) as up:
            return up.accelerator, qemu.accelerators()

    return boot


def test_where_only_the_emulator_speaks_no_later_boot_waits_for_kvm(boots):
    assert boots("tcg") == ("tcg", ["tcg"])
    assert boots("kvm tcg") == ("tcg", ["tcg"])


def test_a_kvm_that_starts_kernels_is_used_again(boots):
    assert boots("kvm tcg") == ("kvm", ["kvm", "tcg"])


def test_an_image_that_says_nothing_anywhere_is_no_fault_of_kvm(boots):
    with pytest.raises(qemu.BootFailed):
        boots("none")
    assert qemu.accelerators() == ["kvm", "tcg"]
