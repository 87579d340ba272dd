from functools import partial

import pytest
import settings_sources
from settings_sources import gathered, source
from vmimage.settings.gather import gather_settings
from vmimage.settings.schema import KEYS

refusal = partial(settings_sources.refusal, gathered)


@pytest.mark.parametrize(
    "mapping",
    [
        {"ami": {"type": "ubuntu", "release": "noble"}},
        {"ami.type": "ubuntu", "ami.release": "noble"},
        {"ami": {"type": "ubuntu"}, "ami.release": "noble"},
        {"ami": {"type": "ubuntu", "release": "noble"}, "ami.type": "ubuntu"},
    ],
    ids=["nested", "flat", "half and half", "twice the same"],
)
def test_settings_are_read_nested_and_flat_alike(mapping):
    settings = gathered(mapping)
    assert (settings.type, settings.release) == ("ubuntu", "noble")


def test_two_values_for_one_key_in_one_place_are_an_error():
    assert "ami.type stands twice in the pillar" in refusal({"ami": {"type": "debian"}, "ami.type": "ubuntu"})


def test_the_weightiest_place_wins():
    places = [
        source("minion config", {"ami": {"name": "b"}}),
        source("grains", {"ami.name": "c"}),
        source("pillar", {"ami": {"name": "d"}}),
    ]
    assert gather_settings(places, {"name": "a"}).name == "a"
    names = []
    while places:
        names.append(gather_settings(places).name)
        places.pop(0)
    assert names == ["b", "c", "d"]


def test_places_add_up():
    places = [source("minion config", {"ami.update": False}), source("pillar", {"ami": {"name": "web"}})]
    settings = gather_settings(places, {"release": "trixie"})
    assert (settings.update, settings.name, settings.release, settings.type) == (False, "web", "trixie", "debian")


def test_an_argument_of_none_is_no_argument():
    assert gathered({"ami": {"name": "web"}}, name=None).name == "web"


def test_an_unknown_key_is_named_with_its_place_and_the_key_that_was_meant():
    message = refusal({"ami": {"relase": "bookworm"}})
    assert "ami.relase in the pillar" in message and "did you mean ami.release?" in message


def test_an_unknown_argument_is_named():
    assert "ami.headroom in an argument" in refusal(headroom=3)


def test_an_unknown_key_that_resembles_nothing_gets_the_list():
    assert "base_keyring, " in refusal({"ami": {"zzzzzz": 1}})


def test_ami_itself_must_be_a_mapping():
    assert "ami in the pillar is 'debian', not a mapping" in refusal({"ami": "debian"})


@pytest.mark.parametrize("empty", [None, {}], ids=["null", "no keys"])
def test_an_empty_ami_is_all_defaults(empty):
    assert gathered({"ami": empty}) == gathered()


@pytest.mark.parametrize(
    ("key", "value", "wanted"),
    [
        ("update", "yes", "a boolean"),
        ("update", 1, "a boolean"),
        ("room_mib", True, "an integer"),
        ("room_mib", "2048", "an integer"),
        ("room_mib", 1.5, "an integer"),
        ("release", 12, "a string"),
        ("name", ["web"], "a string"),
        ("packages", "curl", "a list"),
        ("packages", [1], "a list of strings"),
        ("packages", [{"curl": "1"}], "a list of strings"),
        ("mirror", 5, "a string or a list"),
        ("mirror", [None], "a list of strings"),
        ("variation", ["nginx"], "a string or a mapping"),
        ("pillar", [], "a mapping"),
    ],
)
def test_a_value_of_another_type_is_refused_with_the_type_that_is_wanted(key, value, wanted):
    message = refusal({"ami": {key: value}})
    assert f"ami.{key} in the pillar is {value!r}, not {wanted}" in message


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *[("name", name) for name in ("", "-web", ".web", "a/b", "..", "web\n", "w eb", "x" * 201)],
        *[("type", kind) for kind in ("", "fedora", "Debian")],
        *[("release", release) for release in ("", "12", "Bookworm", "bookworm main", "../x", "bookworm\n")],
        *[("architecture", architecture) for architecture in ("x86_64", "AMD64", "amd64,i386")],
        *[("base_format", kind) for kind in ("vmdk", "bootstrap", "RAW")],
        *[("room_mib", -1), ("headroom_mib", -1)],
        *[("output_mode", mode) for mode in ("", "rw", "0700", "0644 ", "0400", "1600", 640, 600, 0, -1)],
        *[(key, "relative/path") for key in ("root", "output", "workspace", "cache")],
        *[(key, "/a\0b") for key in ("root", "output", "workspace", "cache")],
        *[("root", path) for path in ("/", "//", "/mnt/..", "/.")],
    ],
)
def test_a_value_that_cannot_be_meant_is_refused_with_key_and_value(key, value):
    arguments = {"base": "/srv/a.img", key: value} if key == "base_format" else {key: value}
    assert f"the argument {key} is {value!r}" in refusal(**arguments)


@pytest.mark.parametrize(("mistyped", "meant"), [("trixi", "trixie"), ("bookwrom", "bookworm"), ("nobel", "noble")])
def test_a_release_that_is_nearly_a_known_release_is_refused_with_that(mistyped, meant):
    assert f"did you mean {meant}?" in refusal(release=mistyped)
    assert gathered(release=mistyped, mirror="http://mirror.example.org/own").release == mistyped


@pytest.mark.parametrize("release", ["trixie", "stable", "sid", "jammy", "newer", "trixie-backports"])
def test_a_release_that_is_known_or_like_none_that_is_known_is_taken(release):
    assert gathered(release=release).release == release


@pytest.mark.parametrize("key", ["base_hash", "base_keyring", "base_format", "base_unverified"])
def test_what_is_said_of_a_base_needs_a_base(key):
    assert "it goes with ami.base" in refusal(**{key: {"base_unverified": True, "base_format": "raw"}.get(key, "x")})


def test_a_base_cannot_be_unverified_and_have_a_digest():
    assert "keep one" in refusal(base="/srv/a.img", base_hash="sha256:" + "0" * 64, base_unverified=True)


@pytest.mark.parametrize(
    ("variation", "words"),
    [
        ({}, "names no states"),
        ({"states": []}, "names no states"),
        ({"states": "nginx"}, "not a list of strings"),
        ({"states": ["nginx", 3]}, "not a list of strings"),
        ({"states": ["nginx"], "directory": "/srv/web"}, "both a directory and states"),
        ({"state": ["nginx"]}, "unknown key 'state'"),
        ({"states": ["nginx"], 1: 2, "x": 3}, "unknown key 1"),
        ({"states": ["nginx"], "id": 7}, "the id in the argument variation is 7, not a string"),
    ],
)
def test_a_variation_that_cannot_be_meant_is_refused(variation, words):
    assert words in refusal(variation=variation)


def test_a_variation_of_states_and_an_id_is_kept_as_given():
    variation = {"states": ["nginx", "users.admin"], "id": "web1.example.org"}
    assert gathered(variation=variation).variation == variation


def test_the_root_is_below_mnt_by_default():
    assert str(gathered(name="web").root_path) == "/mnt/web"
    assert str(gathered(root="/srv/root").root_path) == "/srv/root"


def test_a_root_behind_links_that_lead_in_circles_is_no_crash(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    assert gathered(root=f"{tmp_path}/loop/x").root


def test_a_link_to_the_machines_own_root_is_refused(tmp_path):
    (tmp_path / "link").symlink_to("/")
    assert "cannot be the machine's own" in refusal(root=f"{tmp_path}/link")


def test_as_dict_leaves_out_what_is_empty_and_keeps_what_is_false_or_zero():
    settings = gathered(update=False, headroom_mib=0, packages=[]).as_dict()
    assert settings["update"] is False and settings["headroom_mib"] == 0
    assert not {"packages", "pillar", "mirror", "base"} & set(settings)


@pytest.mark.parametrize("key", sorted(KEYS))
def test_every_setting_is_documented(key):
    assert len(KEYS[key].metadata["doc"]) > 10


@pytest.mark.parametrize(("settings", "mode"), [({}, 0o600), ({"output_mode": "0640"}, 0o640), ({"output_mode": 0o644}, 0o644)])
def test_the_mode_of_the_files_is_octal_as_text_and_as_yaml_reads_it(settings, mode):
    assert gathered(**settings).file_mode == mode
