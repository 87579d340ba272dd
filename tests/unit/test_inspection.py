"""The description of an image against the schema of a store: what is refused is named.  The files: tests/tools."""

import pytest
from vmimage.errors import SettingsWrong, StoreRefused
from vmimage.glance.inspection import check_description

SCHEMA = {
    "name": "image",
    "properties": {
        "name": {"type": ["null", "string"], "maxLength": 255},
        "container_format": {"type": ["null", "string"], "enum": [None, "bare"]},
        "hw_disk_bus": {"type": "string", "enum": ["virtio"]},
        "min_disk": {"type": "integer", "maximum": 2147483647},
    },
    "additionalProperties": {"type": "string"},
    "required": ["name", "owner_team"],
}
GOOD = {"name": "web", "container_format": "bare", "min_disk": 3, "owner_team": "web", "any_other": "text"}


def test_what_the_store_takes_is_taken():
    check_description(SCHEMA, GOOD, ())


@pytest.mark.parametrize(
    ("more", "configured", "kind", "words"),
    [
        ({"hw_disk_bus": "scsi"}, ["hw_disk_bus"], SettingsWrong, "hw_disk_bus in ami.properties: 'scsi' is not one of"),
        ({"any_other": 7}, ["any_other"], SettingsWrong, "any_other in ami.properties: 7 is not of type 'string'"),
        ({"container_format": "ami"}, [], StoreRefused, "container_format: 'ami' is not one of"),
        ({"name": "x" * 300}, [], StoreRefused, "name: "),
    ],
)
def test_what_the_store_does_not_take_is_named(more, configured, kind, words):
    with pytest.raises(kind, match=f"the store takes no image with {words}"):
        check_description(SCHEMA, {**GOOD, **more}, configured)


def test_what_an_image_must_have_is_asked_for_once_it_is_whole():
    lacking = {key: value for key, value in GOOD.items() if key != "owner_team"}
    check_description(SCHEMA, lacking, (), whole=False)
    with pytest.raises(StoreRefused, match="'owner_team' is a required property"):
        check_description(SCHEMA, lacking, ())
