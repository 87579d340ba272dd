import json

import pytest
from vmimage.base.bootstrap import digest_of_plan, plan_bootstrap
from vmimage.settings.gather import gather_settings

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
