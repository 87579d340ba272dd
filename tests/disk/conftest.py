"""Whole disks, booted: a build for each release, and boots of it under each firmware, emulated."""

import pytest
from building import Salt
from disks import build_disks, lacking_firmware
from once import made_once
from root_fixtures import bootstrapped, machine, nothing_is_left, own_directories  # noqa: F401  fixtures

RELEASES = ("bookworm", "trixie")


@pytest.fixture(scope="session", autouse=True)
def firmware(lacking):
    """A firmware for UEFI, or a reason why not."""
    if lacking_firmware():
        lacking(lacking_firmware())


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """By its release: a minion that has built the sample with a disk."""

    def build(release):
        def make(directory):
            salt = Salt(directory / "minion")
            salt.pillar("web: {title: Seen in a test}\n")
            salt.returned = build_disks(salt, release)
            return salt

        return made_once(tmp_path_factory, f"disks-{release}", make)

    return build
