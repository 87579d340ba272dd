import json

import pytest
from vmimage.errors import SettingsWrong, VariationMissing
from vmimage.settings.gather import gather_settings
from vmimage.variation.apply import find_variation, minion_config, visible_pillar
from vmimage.variation.in_root import image_grains
from vmimage.variation.root_grains import grains_of


class Files:
    """A Salt that has these directories as its file_roots."""

    def __init__(self, *roots, **environments):
        self.roots, self.others = roots, environments

    def file_roots(self):
        return self.roots

    def environments(self):
        return self.others

    def state_options(self):
        return {}

    def cache_tree(self, url):
        return None


def found(tmp_path, *roots, **settings):
    return find_variation(gather_settings([], {"name": "web", **settings}), Files(*roots))


@pytest.mark.parametrize(
    ("entries", "states"),
    [
        ({"variation.sls": ""}, ("variation",)),
        ({"variation/init.sls": ""}, ("variation",)),
        ({"top.sls": ""}, ()),
        ({"variation.sls": "", "top.sls": ""}, ("variation",)),
    ],
    ids=["a file", "a directory", "a top file", "both"],
)
def test_a_directory_is_a_variation_by_what_it_holds(tmp_path, tree, entries, states):
    top = tree(tmp_path / "v", {**entries, "pillar/top.sls": ""})
    variation = found(tmp_path, variation=str(top))
    assert (variation.states, variation.file_roots, variation.pillar_roots, variation.id) == (
        states,
        (str(top),),
        (f"{top}/pillar",),
        "web",
    )
    assert variation.digest.startswith("sha256:")


def test_states_of_the_file_roots_are_found_with_their_id(tmp_path, tree):
    first, second = tree(tmp_path / "one", {"users/admin.sls": ""}), tree(tmp_path / "two", {"nginx/init.sls": ""})
    variation = found(tmp_path, first, second, variation={"states": ["nginx", "users.admin"], "id": "web1"})
    assert (variation.states, variation.file_roots, variation.id) == (("nginx", "users.admin"), (str(first), str(second)), "web1")


@pytest.mark.parametrize(
    ("changed", "counts"),
    [
        ("one/web.sls", True),
        ("one/users/admin.sls", True),
        ("two/nginx/init.sls", True),
        ("two/nginx/files/conf", True),
        ("one/other.sls", False),
    ],
)
def test_the_digest_of_states_covers_their_files_and_directories(tmp_path, tree, changed, counts):
    roots = [
        tree(tmp_path / "one", {"web.sls": "", "users/admin.sls": "", "other.sls": ""}),
        tree(tmp_path / "two", {"nginx/init.sls": "", "nginx/files/conf": ""}),
    ]
    states = {"states": ["web", "users.admin", "nginx"]}
    before = found(tmp_path, *roots, variation=states).digest
    (tmp_path / changed).write_text("new")
    assert (found(tmp_path, *roots, variation=states).digest != before) is counts


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"variation": "/nonexistent"}, "no variation /nonexistent"),
        ({"variation": "salt://web"}, "no variation salt://web"),
        ({"variation": "EMPTY"}, "neither variation.sls nor top.sls"),
        ({"variation": {"states": ["nignx"]}}, "nignx is not in the file_roots"),
        ({}, "the state variation is not in the file_roots"),
    ],
    ids=["no directory", "not in salt", "empty directory", "mistyped state", "default"],
)
def test_a_variation_that_is_not_there_is_named(tmp_path, tree, settings, words):
    top = tree(tmp_path / "empty", {})
    settings = {key: str(top) if value == "EMPTY" else value for key, value in settings.items()}
    with pytest.raises(VariationMissing, match=words):
        found(tmp_path, top, **settings)


def test_a_minion_without_file_roots_is_named_as_the_reason(tmp_path):
    with pytest.raises(VariationMissing, match="no file_roots"):
        found(tmp_path, tmp_path / "gone")


def test_passwords_of_the_cloud_never_reach_a_root(tmp_path, tree, root):
    settings = gather_settings([], {"name": "web"})
    pillar = {
        "keystone.password": "hunter2",
        "keystone": {"password": "hunter2"},
        "ami": {"x": "hunter2"},
        "ami.y": "hunter2",
        "master": {"keystone.password": "hunter2", "keystone": {"password": "hunter2"}, "hash_type": "sha256"},
        "web": {"a": 1},
    }
    seen = visible_pillar(pillar, settings)
    assert "hunter2" not in json.dumps(seen)
    assert seen["web"] == {"a": 1} and seen["ami"]["name"] == "web" and seen["master"] == {"hash_type": "sha256"}
    assert "keystone" not in seen


def test_the_pillar_of_a_formula_for_keystone_reaches_a_root():
    pillar = {"keystone": {"password": "hunter2", "server": {"enabled": True}, "extensions": ["trust"]}}
    seen = visible_pillar(pillar, gather_settings([], {"name": "web"}))
    assert seen["keystone"] == {"server": {"enabled": True}, "extensions": ["trust"]}


def test_the_salt_in_a_root_writes_only_below_its_own_home(tmp_path, tree, root):
    top = tree(tmp_path / "v", {"variation.sls": ""})
    variation, settings = found(tmp_path, variation=str(top)), gather_settings([], {"name": "web"})
    config = minion_config(variation, settings, {"base": ["/run/vm_create/states/0"]}, [], {"module_dirs": []}, root)
    assert config["pillar_safe_render_error"] is False  # else its error says to look at a master's log
    assert config["vm_create_name"] == "localhost" and config["file_client"] == "local" and config["id"] == "web"
    assert all(config[key].startswith("/run/vm_create/") for key in ("root_dir", "log_file"))
    assert config["file_roots"] == {"base": ["/run/vm_create/states/0"]}


def test_what_other_environments_of_a_minion_hold_counts_and_is_shown(tmp_path, tree):
    tree(tmp_path / "base", {"variation.sls": "x"})
    dev = tree(tmp_path / "dev", {"word": "old"})
    variation = find_variation(gather_settings([], {"name": "web"}), Files(tmp_path / "base", dev=(str(dev),)))
    assert variation.environments == {"dev": (str(dev),)}
    before = variation.digest
    (dev / "word").write_text("new")
    assert variation.digest != before


def test_grains_are_read_from_the_release_of_the_root(root, tree):
    text = 'NAME="Ubuntu"\nID=ubuntu\nVERSION_ID="24.04"\nVERSION_CODENAME=noble\n# a comment\n'
    tree(root, {"usr/lib/os-release": text, "etc/os-release": "-> ../usr/lib/os-release"})
    expected = {
        "os": "Ubuntu",
        "os_family": "Debian",
        "osrelease": "24.04",
        "oscodename": "noble",
        "osfullname": "Ubuntu",
        "virtual": "kvm",
    }
    assert expected.items() <= grains_of(root).items()


@pytest.mark.parametrize("key", ["root", "workspace", "output", "cache"])
def test_a_build_does_not_take_place_among_the_states(tmp_path, tree, key):
    top = tree(tmp_path / "v", {"variation.sls": ""})
    with pytest.raises(SettingsWrong, match=f"ami.{key} is {top}/below, below {top}"):
        found(tmp_path, variation=str(top), **{key: f"{top}/below"})
    assert found(tmp_path, variation=str(top), **{key: f"{top}-beside"})


def test_grains_of_a_name_are_of_the_id_until_a_state_names_the_machine(monkeypatch):
    monkeypatch.setattr(image_grains, "__opts__", {"id": "web1.example.org", "vm_create_name": "localhost"}, raising=False)
    monkeypatch.setattr(image_grains.socket, "gethostname", lambda: "localhost")
    names = image_grains.names()
    assert (names["fqdn"], names["nodename"], names["host"], names["domain"]) == (
        *["web1.example.org"] * 2,
        "web1",
        "example.org",
    )
    monkeypatch.setattr(image_grains.socket, "gethostname", lambda: "shop")
    assert image_grains.names() == {}


RELEASES = {
    "debian": ('ID=debian\nNAME="Debian GNU/Linux"\nVERSION_ID="13"\nVERSION_CODENAME=trixie\n', 13, "Debian-13", [13], "trixie"),
    "ubuntu": ('NAME="Ubuntu"\nID=ubuntu\nVERSION_ID="24.04"\nVERSION_CODENAME=noble\n', 24, "Ubuntu-24.04", [24, 4], "noble"),
    "no number": ('ID=debian\nNAME="Debian GNU/Linux"\nVERSION_CODENAME=sid\n', None, "Debian-", [""], "sid"),
}


@pytest.mark.parametrize("release", RELEASES)
def test_the_pillar_sees_the_release_of_the_root_by_each_grain_that_tells_it(tmp_path, release):
    text, major, finger, numbers, codename = RELEASES[release]
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/os-release").write_text(text, encoding="utf-8")
    found = grains_of(tmp_path)
    assert (found["osmajorrelease"], found["osfinger"], found["osrelease_info"]) == (major, finger, numbers)
    assert found["lsb_distrib_codename"] == found["oscodename"] == codename
