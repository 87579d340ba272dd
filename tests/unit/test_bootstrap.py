import json
from contextlib import nullcontext

import pytest
from vmimage.base import bootstrap
from vmimage.base.bootstrap import digest_of_plan, plan_bootstrap
from vmimage.errors import CommandFailed, SettingsWrong, VmImageError
from vmimage.settings.gather import gather_settings
from vmimage.system.shell import Finished

MIRROR = "http://mirror.example.org/debian"


def plan(architecture="amd64", **settings):
    return plan_bootstrap(gather_settings([], {"mirror": MIRROR, **settings}), architecture)


def test_the_same_settings_give_the_same_digest():
    assert digest_of_plan(plan()) == digest_of_plan(plan())
    assert digest_of_plan(plan()) == digest_of_plan(json.loads(json.dumps(plan())))


def test_the_order_and_repetition_of_packages_do_not_matter():
    assert digest_of_plan(plan(packages=["vim", "curl"])) == digest_of_plan(plan(packages=["curl", "vim", "curl", "sudo"]))


@pytest.mark.parametrize(
    "unrelated", [{"name": "web"}, {"room_mib": 1}, {"variation": "/srv/web"}, {"update": False}, {"pillar": {"a": 1}}], ids=str
)
def test_what_does_not_go_into_a_base_does_not_change_its_digest(unrelated):
    assert digest_of_plan(plan(**unrelated)) == digest_of_plan(plan())


@pytest.mark.parametrize(
    "other",
    [{"release": "bookworm"}, {"type": "ubuntu"}, {"mirror": f"{MIRROR}2"}, {"packages": ["curl"]}, {"architecture": "arm64"}],
    ids=str,
)
def test_what_goes_into_a_base_changes_its_digest(other):
    assert digest_of_plan(plan(**other)) != digest_of_plan(plan())


@pytest.mark.parametrize(
    ("settings", "kernel"),
    [
        ({}, "linux-image-cloud-amd64"),
        ({"architecture": "arm64"}, "linux-image-cloud-arm64"),
        ({"type": "ubuntu"}, "linux-image-virtual"),
    ],
    ids=["Debian", "Debian arm64", "Ubuntu"],
)
def test_a_base_gets_one_kernel_for_clouds(settings, kernel):
    assert [name for name in plan(**settings)["packages"] if name.startswith("linux-")] == [kernel]


@pytest.mark.parametrize(("release", "apart"), [("bullseye", False), ("jammy", False), ("bookworm", True), ("noble", True)])
def test_resolved_is_asked_for_only_where_it_is_a_package(release, apart):
    assert ("systemd-resolved" in plan(release=release)["packages"]) is apart


SIGNED = """Err:1 http://mirror.example.org/debian trixi Release
  404  Not Found [IP: 192.0.2.1 80]
E: The repository 'http://mirror.example.org/debian trixi Release' does not have a Release file.
E: The repository 'http://mirror.example.org/debian trixi-updates Release' does not have a Release file.
E: apt-get update --error-on=any -oAPT::Status-Fd=<$fd> -oDpkg::Use-Pty=false failed
E: mmdebstrap failed to run
"""
AWAY = """Err:1 http://mirror.example.org/debian trixie InRelease
  Could not connect to mirror.example.org:80 (192.0.2.1). - connect (111: Connection refused)
E: Failed to fetch http://mirror.example.org/debian/dists/trixie/InRelease  Could not connect to mirror.example.org:80
E: mmdebstrap failed to run
"""


def failure(monkeypatch, tmp_path, output, **settings):
    """The error of a bootstrap whose mmdebstrap prints this and fails."""

    def fail(argv, **_):
        raise CommandFailed(argv, 25, output)

    monkeypatch.setattr(bootstrap, "run", fail)
    monkeypatch.setattr(bootstrap, "check_installed", lambda *_: None)
    with pytest.raises(VmImageError) as caught:
        bootstrap.bootstrap(plan(**settings), tmp_path, lambda line: None)
    assert "--aptopt" not in caught.value.message
    return caught.value


def test_a_release_that_a_mirror_does_not_have_is_named_with_the_mirror(monkeypatch, tmp_path):
    error = failure(monkeypatch, tmp_path, SIGNED, release="trixi")
    assert error.message == "there is no debian trixi at http://mirror.example.org/debian" and "ami.release" in error.hint


def test_a_mirror_that_is_away_is_said_in_the_words_of_apt(monkeypatch, tmp_path):
    error = failure(monkeypatch, tmp_path, AWAY)
    assert (
        error.message.startswith("debian trixie amd64 cannot be bootstrapped:\n    Err:1")
        and "is the mirror reached" in error.hint
    )
    assert "Could not connect" in error.message and "failed to run" not in error.message


def test_missing_keys_are_named_by_their_package(monkeypatch, tmp_path):
    error = failure(monkeypatch, tmp_path, "W: GPG error: NO_PUBKEY 871920D1991BC93C", type="ubuntu", release="noble")
    assert error.message.startswith("the keys of ubuntu noble") and "install ubuntu-keyring," in error.hint


@pytest.mark.parametrize(
    ("code", "is_refused"), [(None, True), (1, True), (0, False)], ids=["no arch-test", "it says no", "it says yes"]
)
def test_an_architecture_whose_programs_do_not_run_here_is_refused(monkeypatch, code, is_refused):
    monkeypatch.setattr(bootstrap, "find_program", lambda name: None if code is None else f"/usr/bin/{name}")
    monkeypatch.setattr(bootstrap, "run", lambda argv, ok: Finished(code, ""))
    bootstrap.check_architecture("amd64", "amd64")
    with pytest.raises(SettingsWrong, match="this machine is amd64, and does not run") if is_refused else nullcontext():
        bootstrap.check_architecture("arm64", "amd64")


@pytest.mark.parametrize("outputs", [["triplet"], ["triplet", "bare", "tar"]], ids=str)
def test_a_base_pays_for_no_disk_that_is_not_asked_for(outputs):
    assert plan(outputs=outputs) == plan()
    assert not [package for package in plan()["packages"] if "grub" in package or "repart" in package]


@pytest.mark.parametrize("kind", ["disk", "ec2"])
@pytest.mark.parametrize(
    ("settings", "more"),
    [
        ({"release": "trixie"}, {"grub-cloud-amd64", "systemd-repart"}),
        ({"release": "bookworm"}, {"grub-cloud-amd64"}),
        ({"type": "ubuntu", "release": "noble"}, {"grub-pc", "grub-efi-amd64-signed", "shim-signed", "cloud-guest-utils"}),
    ],
    ids=["trixie", "bookworm", "noble"],
)
def test_a_base_for_a_disk_has_the_loaders_and_what_grows_the_root(kind, settings, more):
    assert {*plan(outputs=[kind], **settings)["packages"]} - {*plan(**settings)["packages"]} == more


def test_a_base_for_a_disk_of_arm64_has_no_loader_for_bios():
    packages = plan("arm64", outputs=["disk"])["packages"]
    assert "grub-efi-arm64-signed" in packages and not [
        package for package in packages if "grub-pc" in package or "cloud-amd" in package
    ]
