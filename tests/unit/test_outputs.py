"""What settings ask for besides the triplet, and what its files are called."""

from functools import partial

import pytest
import settings_sources
from settings_sources import gathered
from vmimage.image.outputs import output_names
from vmimage.image.triplet import OUTPUT_ENDINGS
from vmimage.settings.schema import COMPRESSIONS, DISK_FORMATS, OUTPUTS, keys_that

refusal = partial(settings_sources.refusal, gathered)
FORMS = [{"disk_format": form, "compression": kind} for form in DISK_FORMATS for kind in COMPRESSIONS]


def names(*outputs, **settings):
    return output_names(gathered(name="web", outputs=list(outputs), **settings))


def test_a_triplet_is_all_that_is_made_by_default():
    assert gathered().outputs == ("triplet",) and not gathered().makes_disk
    assert output_names(gathered()) == {}


def test_each_output_has_a_file_of_its_own():
    assert names("triplet", "bare", "disk", "tar", "ec2") == {
        "bare": "web.bare.qcow2", "disk": "web.disk.qcow2", "tar": "web.tar.zst", "ec2": "web.disk.raw"
    }  # fmt: skip


def test_settings_choose_the_format():
    assert names("bare", "disk", "ec2", disk_format="raw") == {
        "bare": "web.bare.raw", "disk": "web.disk.raw", "ec2": "web.disk.raw"
    }  # fmt: skip
    assert names("tar", compression="zlib") == {"tar": "web.tar.gz"}
    assert names("tar", compression="none") == {"tar": "web.tar"}


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_a_triplet_knows_all_names_that_its_outputs_can_have(form):
    assert {name.removeprefix("web.") for name in names(*OUTPUTS, **form).values()} <= set(OUTPUT_ENDINGS)


@pytest.mark.parametrize("outputs", [["disk"], ["triplet", "ec2"]], ids=str)
def test_a_disk_for_ec2_is_a_disk_too(outputs):
    assert gathered(outputs=outputs).makes_disk


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"outputs": ["triplet", "vmdk"]}, "outputs contains 'vmdk'"),
        ({"outputs": ["disk", "disk"]}, "outputs contains disk twice"),
        ({"outputs": []}, "outputs is ()"),
        ({"outputs": "disk"}, "not a list"),
        ({"disk_format": "vmdk"}, "disk_format is 'vmdk'"),
        ({"compression": "xz"}, "compression is 'xz'"),
        ({"kernel_command_line": "a=1; reboot"}, "kernel_command_line is"),
        ({"kernel_command_line": "$(reboot)"}, "kernel_command_line is"),
        ({"kernel_command_line": 'a="b'}, "kernel_command_line is"),
        ({"kernel_command_line": "a\nreboot"}, "kernel_command_line is"),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_what_cannot_be_meant_is_refused_by_name(settings, message):
    assert message in refusal(**settings)


def test_the_refusal_of_an_output_names_those_there_are():
    assert "triplet, bare, disk, tar, ec2" in refusal(outputs=["vmdk"])


def test_words_for_the_kernel_are_taken():
    words = "net.ifnames=0 console=ttyS1,9600n8 systemd.unit=rescue.target"
    assert gathered(kernel_command_line=words).kernel_command_line == words


def test_what_shapes_the_files_is_part_of_what_a_build_is_made_of():
    assert {"outputs", "disk_format", "compression", "kernel_command_line"} <= keys_that("shapes_image")
