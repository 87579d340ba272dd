import platform

import pytest
from vmimage.errors import NotPublished, SettingsWrong
from vmimage.glance.description import main_image, part_image
from vmimage.glance.generations import leftovers, roots_of, unneeded_parts
from vmimage.glance.outputs import image_name, image_names, outputs_of
from vmimage.image.triplet import Triplet
from vmimage.settings.gather import gather_settings

GIB = 1 << 30


def described(manifest=None, kind="triplet", **settings):
    """The properties of the main image of an output in the store."""
    gathered, manifest = web_settings(outputs=[kind], **settings), manifest or made()
    (output,) = outputs_of(gathered, Triplet("/srv/images", "web"), manifest)
    ids = {f"{role}_id": f"{role[0]}1" for role in output.parts}
    return main_image(gathered, manifest, output, "builder1", serial=12, ids=ids)


def web_settings(**settings):
    return gather_settings([], {"name": "web", "architecture": "amd64", **settings})


def made(size=5 * GIB, **more):
    """The manifest of a triplet, as far as the store gets it."""
    files = {role: {"path": role, "bytes": 7, "sha256": f"digest of {role}"} for role in ("root_image", "kernel", "ramdisk")}
    return {
        "build": "b1",
        "created": "2024-01-02T03:04:05Z",
        "architecture": "x86_64",
        "files": {
            **files,
            "kernel": {**files["kernel"], "version": "6.1.0-9-cloud-amd64"},
            "root_image": {**files["root_image"], "bytes": size},
        },
        "distribution": {"os": "Debian", "osrelease": "12", "oscodename": "bookworm"},
        "base": {"reference": "debian bookworm amd64", "digest": "sha256:b"},
        "variation": {"reference": "/srv/web", "digest": "sha256:v", "id": None, "revision": "v1.2"},
        "versions": {"salt": "3006.9", "e2fsprogs": "1.47.0"},
        "login": "debian",
        **more,
    }


def with_disk(firmware=("bios", "uefi"), secure_boot=True, virtual=3 * GIB, **more):
    """The manifest of a build that made a whole disk and a bare root image, too."""
    facts = {"bytes": 7, "disk_format": "qcow2", "container_format": "bare", "virtual_bytes": virtual}
    boots = {"firmware": list(firmware), "secure_boot": secure_boot}
    disk = {**facts, **boots, "path": "web.disk.qcow2", "sha256": "digest of disk"}
    bare = {**facts, "path": "web.bare.qcow2", "sha256": "digest of bare"}
    return made(outputs={"disk": disk, "bare": bare}, **more)


@pytest.mark.parametrize(
    ("machine", "architecture", "name"),
    [
        ("x86_64", "", "web-amd64"),
        ("aarch64", "", "web-arm64"),
        ("riscv64", "", "web-riscv64"),
        ("x86_64", "i386", "web-i386"),
    ],
)
def test_an_image_is_called_by_its_variation_and_debians_name_of_the_architecture(monkeypatch, machine, architecture, name):
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert image_name(web_settings(architecture=architecture)) == name


# kernel and ramdisk


@pytest.mark.parametrize(("role", "kind"), [("kernel", "aki"), ("ramdisk", "ari")])
def test_a_part_is_described_with_its_format_and_with_what_it_is_known_by(role, kind):
    assert part_image(web_settings(visibility="public"), made(), role, "builder1") == {
        "name": f"web_{role}",
        "disk_format": kind,
        "container_format": kind,
        "visibility": "private",
        "architecture": "x86_64",
        "vm_create_role": role,
        "vm_create_name": "web-amd64",
        "vm_create_build": "b1",
        "vm_create_builder": "builder1",
        "vm_create_sha256": f"digest of {role}",
        "vm_create_kernel_version": "6.1.0-9-cloud-amd64",
    }


def test_further_properties_are_of_the_root_image_alone():
    assert "hw_disk_bus" not in part_image(web_settings(properties={"hw_disk_bus": "virtio"}), made(), "kernel", "builder1")


# the root image


def test_a_root_image_is_an_ami_that_leads_to_its_kernel_and_ramdisk():
    keys = ("disk_format", "container_format", "kernel_id", "ramdisk_id")
    assert [described()[key] for key in keys] == ["ami", "ami", "k1", "r1"]


def test_a_root_image_arrives_unseen_and_under_a_name_of_its_own():
    image = described(visibility="public")
    assert (image["name"], image["visibility"]) == ("new web-amd64 b1", "private")


def test_a_root_image_says_what_system_it_holds():
    keys = ("architecture", "os_type", "os_distro", "os_version")
    assert [described()[key] for key in keys] == ["x86_64", "linux", "debian", "12"]


def test_a_system_without_a_version_is_described_by_its_code_name():
    sid = {"os": "Debian", "osrelease": "", "oscodename": "sid"}
    assert described(made(distribution=sid))["os_version"] == "sid"


@pytest.mark.parametrize(("size", "gib"), [(1, 1), (GIB - 1, 1), (GIB, 1), (GIB + 1, 2), (5 * GIB, 5)])
def test_a_disk_must_have_room_for_every_byte(size, gib):
    assert described(made(size))["min_disk"] == gib


def test_a_root_image_carries_its_marks_and_where_it_came_from():
    marks = {key.removeprefix("vm_create_"): value for key, value in described().items() if key.startswith("vm_create_")}
    assert marks == {
        "role": "root_image",
        "name": "web-amd64",
        "build": "b1",
        "builder": "builder1",
        "sha256": "digest of root_image",
        "state": "new",
        "serial": "12",
        "built": "2024-01-02T03:04:05Z",
        "kernel_version": "6.1.0-9-cloud-amd64",
        "base": "debian bookworm amd64",
        "base_digest": "sha256:b",
        "variation": "/srv/web",
        "variation_digest": "sha256:v",
        "revision": "v1.2",
        "made_with": "e2fsprogs 1.47.0, salt 3006.9",
    }


@pytest.mark.parametrize(
    "variation",
    [{"reference": "/srv/web", "digest": None}, {"reference": "/srv/web", "digest": "", "revision": ""}],
    ids=["of a manifest from before there were revisions", "empty"],
)
def test_what_is_not_known_is_left_out(variation):
    assert not {"vm_create_revision", "vm_create_variation_digest"} & set(described(made(variation=variation)))


def test_further_properties_are_passed_on_as_given():
    image = described(properties={"hw_disk_bus": "virtio", "description": "the web"})
    assert (image["hw_disk_bus"], image["description"]) == ("virtio", "the web")


def test_the_image_notes_which_properties_the_settings_gave_it():
    assert described(properties={"hw_b": "x", "hw_a": "y"})["vm_create_configured"] == "hw_a hw_b"
    assert "vm_create_configured" not in described()


def test_all_that_glance_keeps_as_a_property_is_a_str():
    others = {key: value for key, value in described().items() if not isinstance(value, str)}
    assert others == {"min_disk": 5}


# other outputs


def test_a_whole_disk_needs_no_kernel_and_is_raw_or_qcow2_in_no_container():
    image = described(with_disk(), "disk")
    keys = ("name", "disk_format", "container_format", "min_disk", "vm_create_role", "vm_create_name", "vm_create_sha256")
    expected = ["new web-amd64-disk b1", "qcow2", "bare", 3, "disk", "web-amd64-disk", "digest of disk"]
    assert [image[key] for key in keys] == expected
    assert not {"kernel_id", "ramdisk_id"} & set(image)


def test_a_bare_root_image_leads_to_its_kernel_and_ramdisk():
    image = described(with_disk(), "bare")
    keys = ("name", "disk_format", "container_format", "kernel_id", "ramdisk_id", "vm_create_role")
    assert [image[key] for key in keys] == ["new web-amd64-bare b1", "qcow2", "bare", "k1", "r1", "bare"]


def test_each_output_has_a_name_of_its_own_that_does_not_depend_on_the_others():
    names = {"triplet": "web-amd64", "bare": "web-amd64-bare", "disk": "web-amd64-disk"}
    assert image_names(web_settings(outputs=["tar", "disk", "ec2", "bare", "triplet"])) == names
    for kind, name in names.items():
        assert image_names(web_settings(outputs=[kind])) == {kind: name}


@pytest.mark.parametrize("kind", ["bare", "disk"])
def test_an_output_that_was_not_built_is_refused_by_name(kind):
    with pytest.raises(NotPublished, match=f"web was built without {kind}, which ami.outputs asks for"):
        described(made(), kind)


# what a cloud asks


def test_an_image_says_how_it_was_made_and_promises_nothing():
    image = described(keep=2)
    assert {key: image[key] for key in image if key.startswith(("image_", "provided_", "uuid_", "replace_"))} == {
        "image_build_date": "2024-01-02 03:04:05",
        "image_description": "web on Debian 12, revision v1.2",
        "image_original_user": "debian",
        "image_source": "private",
        "provided_until": "none",
        "uuid_validity": "last-2",
    }
    assert described(keep=0)["uuid_validity"] == "none"


def test_a_login_that_is_not_known_is_not_said():
    assert "image_original_user" not in described(made(login=""))
    assert described(made(login="none"))["image_original_user"] == "none"


def test_what_the_settings_say_of_an_image_outweighs_what_is_derived():
    given = {"image_source": "https://images.example.org/web", "os_version": "12.5", "min_ram": "512", "min_disk": "10"}
    image = described(properties=given)
    assert {key: str(image[key]) for key in given} == given and (image["min_ram"], image["min_disk"]) == (512, 10)


def test_a_disk_that_is_too_small_for_the_image_is_refused_by_name():
    with pytest.raises(SettingsWrong, match="min_disk in ami.properties is 4, and web-amd64 has 5 GiB"):
        described(properties={"min_disk": "4"})


@pytest.mark.parametrize(("firmware", "said"), [(("bios", "uefi"), None), (("uefi",), "uefi"), (("bios",), "bios"), ((), None)])
def test_firmware_is_asked_for_only_where_a_single_kind_boots_the_image(firmware, said):
    image = described(with_disk(firmware), "disk")
    assert image.get("hw_firmware_type") == said
    assert ("hw_firmware_type" in image.get("vm_create_derived", "")) is (said is not None)


def test_properties_of_a_single_output_outweigh_those_of_all():
    properties = {"hw_disk_bus": "virtio", "disk": {"hw_disk_bus": "scsi", "hw_firmware_type": "uefi"}}
    disk = described(with_disk(), "disk", properties=properties)
    assert (disk["hw_disk_bus"], disk["hw_firmware_type"], disk["vm_create_configured"]) == (
        "scsi",
        "uefi",
        "hw_disk_bus hw_firmware_type",
    )
    bare = described(with_disk(), "bare", properties=properties)
    assert bare["hw_disk_bus"] == "virtio" and not {"disk", "hw_firmware_type"} & set(bare)


@pytest.mark.parametrize(
    ("properties", "disk", "words"),
    [
        (
            {"hw_firmware_type": "uefi"},
            {"firmware": ["bios"]},
            "hw_firmware_type in ami.properties is uefi, and web-amd64-disk boots by bios only",
        ),
        (
            {"os_secure_boot": "required"},
            {},
            "os_secure_boot in ami.properties is required, and web-amd64-disk is not made to boot by UEFI",
        ),
        (
            {"os_secure_boot": "required", "hw_firmware_type": "uefi"},
            {"secure_boot": False},
            "os_secure_boot in ami.properties is required, and the loader of web-amd64-disk is not signed",
        ),
    ],
)
def test_an_image_that_its_properties_would_not_boot_is_refused(properties, disk, words):
    with pytest.raises(SettingsWrong, match=words):
        described(with_disk(**disk), "disk", properties=properties)


def test_secure_boot_is_asked_for_where_the_settings_say_so():
    properties = {"os_secure_boot": "required", "hw_firmware_type": "uefi", "hw_machine_type": "q35"}
    image = described(with_disk(), "disk", properties=properties)
    assert {key: image[key] for key in properties} == properties
    assert "os_secure_boot" not in described(with_disk(), "disk")


# known again


def created(image, identity):
    """As the store lists it once it was created."""
    return {**image, "id": identity, "vm_create_self": identity, "status": "queued", "created_at": "2024-01-02T03:04:05Z"}


def test_a_root_image_is_known_again_by_its_marks():
    image = created(described(), "i1")
    assert roots_of([image], "web-amd64") == [image]
    assert leftovers([image], "web-amd64", build="b1", builder="another") == [image]


@pytest.mark.parametrize("role", ["kernel", "ramdisk"])
def test_a_part_is_known_again_by_its_marks(role):
    image = created(part_image(web_settings(), made(), role, "builder1"), f"{role[0]}1")
    assert unneeded_parts([image]) == [image]
    assert unneeded_parts([image, created(described(), "i1")]) == []


def test_an_image_is_not_ours_before_it_has_an_id_to_say_so():
    assert "vm_create_self" not in described() and "vm_create_self" not in part_image(
        web_settings(), made(), "kernel", "builder1"
    )
