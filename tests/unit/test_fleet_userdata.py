"""The userdata of an instance that builds for the fleet, as the builder's own code reads them; what its console says."""

import dataclasses

import pytest
from vmimage.errors import SettingsWrong
from vmimage.fleet.configuration import Configuration
from vmimage.fleet.console import last_line, read_console
from vmimage.fleet.instances import InstanceKind, Instances, read_kind
from vmimage.fleet.kinds import Means, builders_of
from vmimage.fleet.records import Claim, Seen, Wanted
from vmimage.fleet.userdata import render_userdata
from vmimage.glance.credentials import Credentials
from vmimage.instance.userdata import sort_userdata
from vmimage.settings.gather import gather_settings

AUTH = {
    "auth_url": "https://cloud.example.org:5000/v3",
    "username": "alice",
    "password": "of the fleet",
    "project_name": "images",
}
CREDENTIALS = Credentials(auth_type="v3password", auth=AUTH, origin="a test", region_name="One", interface="internal")
SETTINGS = {
    "git_address_variation": "https://git.example.org/web",
    "git_rev_variation": "0123456789" * 4,
    "revision": "249:9ed741a55f17",
    "pillar": {"web": {"title": "grün ☂ 😀 \u2028\x85\x7f\ufeff: #{\n\t\\", "port": 80, "on": True, "no": None}},
    "packages": ("curl", "0123"),
    "properties": {"hw_disk_bus": "virtio"},
    "keep": 2,
    "cloud": "mine",
    "keep_on_failure": True,
}


def claim(**more):
    wanted = Wanted("web-amd64", "web", "web", "0" * 40, {**SETTINGS, **more}, "small", "f" * 64)
    return Claim(17, wanted, "web-amd64-17", 1000.0, 1120.0)


def read(**more):
    return sort_userdata(render_userdata(claim(**more), CREDENTIALS, ("of-the-credential", "se: cret'#")))


def test_a_builder_reads_all_settings_of_the_claim_as_they_were():
    found = read()
    assert found.kind == "settings"
    ami = {**found.grains["ami"], **found.secrets["ami"]}
    kept = {key: value for key, value in SETTINGS.items() if key not in ("cloud", "keep_on_failure")}
    assert {key: ami[key] for key in kept} == {**kept, "packages": ["curl", "0123"]}
    settings = gather_settings([], ami)
    assert (settings.name, settings.publish, settings.promote, settings.number, settings.order) == (
        "web",
        True,
        False,
        17,
        "f" * 64,
    )
    assert (settings.when_done, settings.keep_on_failure, settings.cloud) == ("poweroff", False, "")


def test_secrets_are_no_grains():
    found = read()
    assert found.secrets["keystone"] == {
        "auth_url": AUTH["auth_url"],
        "application_credential_id": "of-the-credential",
        "application_credential_secret": "se: cret'#",
        "region": "One",
        "interface": "internal",
        "timeout": 600,
    }
    assert set(found.grains) == {"ami"}
    assert "pillar" in found.secrets["ami"]


def test_no_secret_of_the_fleet_is_in_it():
    text = render_userdata(claim(), CREDENTIALS, ("id", "secret")).decode()
    assert "of the fleet" not in text
    assert "alice" not in text


def test_how_the_cloud_is_reached_is_passed_on():
    there = dataclasses.replace(CREDENTIALS, insecure=True, image_endpoint="https://images.example.org")
    found = sort_userdata(render_userdata(claim(), there, ("id", "secret"))).secrets["keystone"]
    assert (found["insecure"], found["image_endpoint"]) == (True, "https://images.example.org")


def test_a_variation_that_goes_to_another_cloud_is_refused_before_anything_is_made():
    def refuse():
        pytest.fail("no cloud is to be opened")

    builders = Instances("main", "small", InstanceKind("i", "f", ("n",)), "other", refuse)
    with pytest.raises(SettingsWrong, match="published to the cloud mine, and ami_fleet.instances.small are in other"):
        builders.start(claim())


# the configuration

GOOD = {"image": "ami-creation-amd64", "flavor": "m1.medium", "network": "private"}


def test_a_kind_of_instances_is_read():
    kind = read_kind("small", {**GOOD, "network": ["a", "b"], "volume_gb": 20, "limit": 4, "deadline": "2 hours"})
    assert (kind.network, kind.volume_gb, kind.limit, kind.deadline, kind.roles) == (("a", "b"), 20, 4, 7200, ("member",))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"flavour": "m1"}, "flavour.*did you mean ami_fleet.instances.small.flavor"),
        ({"image": ""}, "small.image: it is missing"),
        ({"flavor": 3}, "small.flavor: this is no text"),
        ({"network": [3]}, "small.network: this is no list of texts"),
        ({"roles": []}, "small.roles: this is no list of texts"),
        ({"limit": 0}, "small.limit: 0"),
        ({"volume_gb": -1}, "small.volume_gb: -1"),
        ({"deadline": "soon"}, "small.deadline: 'soon' is no time"),
        ({"deadline": 5}, "small.deadline: too short"),
    ],
)
def test_a_kind_that_cannot_be_meant_is_refused_by_its_key(values, message):
    with pytest.raises(SettingsWrong, match=f"(?s){message}"):
        read_kind("small", {**GOOD, **values})


# the console

IDS = [f"0c5a6b1e-7a8f-4f5e-9d59-1f6d3c4b2a1{number}" for number in range(4)]
DONE = f"web-amd64 {{}} published: image {IDS[0]}, kernel {IDS[1]}, ramdisk {IDS[2]}; web-amd64-disk: image {IDS[3]}, from 249:9ed741a55f17"


def console(*lines):
    return "".join(f"\x1b[0m[   21.300412] python3[417]: {line}\r\n" for line in lines)


@pytest.mark.parametrize(("how", "changed"), [("is", True), ("was already", False)])
def test_the_last_line_of_a_build_that_is_published_names_its_images(how, changed):
    seen = read_console(console("vm_create: variation", f"vm_create: {DONE.format(how)}"), "web-amd64")
    published = seen.result["published"]
    assert (seen.seen, seen.error, published["changed"]) == (Seen.ENDED, "", changed)
    assert {kind: output["image"] for kind, output in published["outputs"].items()} == {"triplet": IDS[0], "disk": IDS[3]}
    assert published["revision"] == "249:9ed741a55f17"


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ("vm_create: FAILED at variation: state nginx: no such package", "variation: state nginx: no such package"),
        ("vm_create: FAILED at userdata: unknown key ami.nmae (line 1)", "userdata: unknown key ami.nmae (line 1)"),
        (
            "vm_create: web is built: /srv/web.manifest.json; ami.publish and the keystone settings did not ask",
            "web is built: /srv",
        ),
        ("vm_create: nothing to build: the userdata is script", "nothing to build: the userdata is script"),
    ],
)
def test_the_last_line_of_a_build_that_published_nothing_is_its_error(line, error):
    seen = read_console(console("vm_create: sync", line), "web-amd64")
    assert (seen.seen, seen.result) == (Seen.ENDED, None)
    assert seen.error.startswith(error)


@pytest.mark.parametrize(
    ("lines", "step", "percent"),
    [
        ([], "", None),
        (["vm_create: userdata", "vm_create: highstate"], "highstate", None),
        (["vm_create: variation", "[INFO    ] base done in 12.0 s"], "base done", None),
        (["vm_create: variation", "[INFO    ] upload: 512.0 MiB of 2.0 GiB, 40.1 MiB/s, 39 s left"], "upload", 25),
        (["[INFO    ] base: 3.0 MiB, 1.0 MiB/s", "vm_create: variation"], "variation", None),
    ],
)
def test_a_build_under_way_shows_its_step(lines, step, percent):
    seen = read_console(console(*lines), "web-amd64")
    assert (seen.seen, seen.step, seen.percent) == (Seen.RUNNING, step, percent)


def test_what_a_console_does_to_a_terminal_is_not_passed_on():
    seen = read_console("vm_create: FAILED at variation: \x07\x1b]0;title" + "x" * 5000 + "\n", "web-amd64")
    assert seen.error.isprintable()
    assert len(seen.error) <= 500
    assert last_line("one\n\x07two\n\n") == "\\x07two"


def test_a_fleet_with_instances_opens_no_cloud_until_it_needs_it():
    def refuse(cloud):
        pytest.fail("no cloud is to be opened")

    found = builders_of(Configuration(instances={"small": GOOD, "large": {**GOOD, "limit": 2}}), Means(None, refuse))
    assert [*found] == ["small", "large"]
    with pytest.raises(SettingsWrong, match="ami_fleet.instances.small.flavour"):
        builders_of(Configuration(instances={"small": {**GOOD, "flavour": "x"}}), Means(None, refuse))
