"""The settings of publishing: what is meant is taken, what cannot be meant is refused by name."""

import math
from functools import partial

import pytest
import settings_sources
from vmimage.settings.gather import gather_settings

UUID = "0c5a6b1e-7a8f-4f5e-9d59-1f6d3c4b2a10"


refusal = partial(settings_sources.refusal, settings_sources.gathered)


def test_who_says_nothing_publishes_privately_where_credentials_are_set_and_without_a_gate():
    settings = gather_settings([])
    assert (settings.publish, settings.cloud, settings.visibility, settings.gate) == ("auto", "", "", False)
    assert (settings.keep, settings.tries, settings.properties, settings.carry_over) == (3, 7, {}, ())
    assert (settings.kernel_id, settings.ramdisk_id, settings.initrd_id, settings.revision) == ("", "", "", "")


@pytest.mark.parametrize(
    ("key", "value", "wanted"),
    [
        ("revision", 12, "a string"),
        ("revision", 1.5, "a string"),
        ("publish", 1, "a boolean or a string"),
        ("publish", ["auto"], "a boolean or a string"),
        ("cloud", True, "a string"),
        ("cloud", {"name": "mycloud"}, "a string"),
        ("kernel_id", 7, "a string"),
        ("ramdisk_id", [UUID], "a string"),
        ("initrd_id", 7, "a string"),
        ("properties", ["hw_disk_bus=virtio"], "a mapping"),
        ("properties", "hw_disk_bus=virtio", "a mapping"),
        ("carry_over", "x_*", "a list"),
        ("carry_over", ["x_*", 1], "a list of strings"),
        ("visibility", False, "a string"),
        ("members", "a" * 32, "a list"),
        ("members", [7], "a list of strings"),
        ("keep", "3", "an integer"),
        ("keep", True, "an integer"),
        ("keep", 1.5, "an integer"),
        ("gate", "yes", "a boolean or a mapping"),
        ("gate", 300, "a boolean or a mapping"),
        ("gate", [22], "a boolean or a mapping"),
        ("tries", "7", "an integer"),
        ("tries", True, "an integer"),
    ],
)
def test_a_value_of_another_type_is_refused_with_the_type_that_is_wanted(key, value, wanted):
    assert f"the argument {key} is {value!r}, not {wanted}" in refusal(**{key: value})


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        *[("publish", value, "true, false or auto") for value in ("", "true", "yes", "Auto")],
        *[("visibility", value, "private, shared, community or public") for value in ("Public", "hidden", "all")],
        ("keep", -1, "not negative"),
        *[("tries", value, "from 1 to 20") for value in (-1, 0, 21)],
        ("base", "glance:", "glance:NAME or glance:ID"),
        ("properties", {"hw_video_ram": 16}, "the value of hw_video_ram is not a string: put it in quotes"),
        ("properties", {"a": "b", "hw_qemu_guest_agent": True}, "the value of hw_qemu_guest_agent is not a string"),
        ("properties", {"description": None}, "the value of description is not a string"),
        *[("properties", {key: "x"}, f"{key!r} is no name of a property") for key in (1, "", "x" * 256)],
        *[("properties", {f"vm_create_{key}": "x"}, f"vm_create_{key} is set by") for key in ("self", "state", "anything")],
        *[
            ("properties", {key: "wrong"}, f"{key} is not 'wrong' but ")
            for key in """hw_disk_bus hw_cdrom_bus hw_firmware_type hw_rng_model hw_scsi_model hw_vif_model hw_watchdog_action os_secure_boot
            replace_frequency provided_until uuid_validity image_build_date image_source hotfix_hours maintained_until""".split()
        ],
        ("properties", {"provided_until": "2026-13-01"}, "none, notice or YYYY-MM-DD"),
        ("properties", {"uuid_validity": "last-three"}, "last-N"),
        ("properties", {"hw_machine_type": "q35; reboot"}, "a machine type of the hypervisor"),
        ("properties", {"min_ram": "a lot"}, "min_ram is a number of MiB, in quotes"),
        ("properties", {"min_disk": "-1"}, "min_disk is a number of GiB, in quotes"),
        ("properties", {"disk": "uefi"}, "disk is an output: its properties are a mapping"),
        ("properties", {"disk": {"hw_firmware_type": "efi"}}, "hw_firmware_type is not 'efi' but one of bios, uefi (of disk)"),
        ("properties", {"bare": {"kernel_id": UUID}}, "kernel_id is set by Glance or by the publishing itself (of bare)"),
        ("gate", {}, "true, or {seconds"),
        *[(key, "mine", "the id of an image") for key in ("kernel_id", "ramdisk_id", "initrd_id")],
        *[("base", f"glance:{rest}", "glance:NAME or glance:ID") for rest in ("", " ", " debian", "debian ")],
        ("gate", {"port": [22]}, "unknown key 'port': it takes seconds and ports"),
        ("gate", {"seconds": 300, 7: 8}, "unknown key 7"),
        *[
            ("gate", {"ports": ports}, "list of TCP port numbers")
            for ports in (22, "22", None, ["22"], [22, 0], [65536], [-1], [True])
        ],
        *[
            ("gate", {"seconds": seconds}, "seconds is a positive number")
            for seconds in (0, -1, "300", None, [300], True, math.inf, math.nan)
        ],
    ],
)
def test_a_value_that_cannot_be_meant_is_refused_with_key_value_and_what_is_meant(key, value, words):
    message = refusal(**{key: value})
    assert f"the argument {key} is {value!r}" in message and words in message


@pytest.mark.parametrize(
    "field",
    "id name disk_format container_format visibility kernel_id ramdisk_id status owner protected size".split(),
)
def test_a_property_that_the_publishing_sets_itself_is_refused(field):
    assert f"{field} is set by Glance or by the publishing itself" in refusal(properties={"hw_disk_bus": "virtio", field: "x"})


@pytest.mark.parametrize(("value", "words"), [("iso", "contains 'iso'"), ("disk", "contains disk twice")])
def test_outputs_that_cannot_be_meant_are_named(value, words):
    assert "at least one of triplet, bare, disk" in refusal(outputs=[])
    assert words in refusal(outputs=["disk", value])


def test_two_ramdisks_are_a_contradiction():
    message = refusal(ramdisk_id=UUID, initrd_id=UUID.replace("0", "1"))
    assert "the argument initrd_id is '" in message and "ami.ramdisk_id" in message


@pytest.mark.parametrize(
    "given",
    [
        {"ramdisk_id": UUID, "initrd_id": UUID},
        {"initrd_id": UUID},
        *[{"publish": value} for value in (True, False, "auto")],
        *[{"visibility": value} for value in ("private", "shared", "community", "public")],
        *[{"keep": value} for value in (0, 1)],
        *[{"tries": value} for value in (1, 20)],
        *[{"base": base} for base in ("glance:debian 12", f"glance:{UUID}")],
        {"properties": {"hw_disk_bus": "virtio", "trait:HW_CPU": "required"}},
        {"properties": {"hw_vif_model": "VirtualE1000", "hw_machine_type": "x86_64=q35", "min_disk": "20", "os_version": "12.5"}},
        {
            "properties": {
                "provided_until": "2027-12-31",
                "uuid_validity": "last-3",
                "image_source": "https://images.example.org/web",
            }
        },
        {"properties": {"disk": {"hw_firmware_type": "uefi", "os_secure_boot": "required"}, "triplet": {}}},
        *[{"gate": gate} for gate in (True, {"seconds": 0.5}, {"ports": [1, 65535]}, {"seconds": 300, "ports": []})],
    ],
    ids=str,
)
def test_a_value_that_can_be_meant_is_kept_as_given(given):
    settings = gather_settings([], given)
    assert {key: getattr(settings, key) for key in given} == given


def test_patterns_to_carry_over_are_kept_in_their_order():
    assert gather_settings([], {"carry_over": ["x_*", "owner_?"]}).carry_over == ("x_*", "owner_?")


@pytest.mark.parametrize("project", ["", "a project", "a/b", "x" * 256])
def test_a_member_is_an_id_of_a_project(project):
    assert "a list of ids of projects" in refusal(members=[project])


@pytest.mark.parametrize("visibility", ["private", "community", "public"])
def test_members_are_of_images_that_are_shared(visibility):
    assert f"no members where visibility is {visibility}" in refusal(members=["a" * 32], visibility=visibility)
    for good in ({}, {"visibility": "shared"}):
        assert gather_settings([], {"name": "web", "members": ["a" * 32], **good}).members == ("a" * 32,)
