import platform

import pytest
from vmimage.glance.description import image_name, part_image, root_image
from vmimage.glance.generations import leftovers, roots_of, unneeded_parts
from vmimage.settings.gather import gather_settings

GIB = 1 << 30


def described(manifest=None, **settings):
    """The properties of a root image in the store."""
    ids = {"kernel_id": "k1", "ramdisk_id": "r1"}
    return root_image(web_settings(**settings), manifest or made(), "builder1", serial=12, **ids)


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
        **more,
    }


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
