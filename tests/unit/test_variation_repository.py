"""ami.yaml of a variation's repository: what it may tell, how much that weighs, and how it is refused."""

import os
from functools import partial
from types import SimpleNamespace

import pytest
import settings_sources
from settings_sources import source
from vmimage.errors import RepositoryWrong, SettingsWrong
from vmimage.repository.checkout import Checkout
from vmimage.settings.gather import gather_settings
from vmimage.settings.schema import KEYS
from vmimage.settings.strict_yaml import LIMIT_BYTES
from vmimage.variation import source as variation_repository
from vmimage.variation.source import pin_variation, read_own_settings

ADDRESS, NODE = "https://hg.example.org/web", "9ed741a55f17" + "0" * 28
WHAT = f"ami.yaml of {ADDRESS}"


@pytest.fixture
def checkout(tmp_path, tree):
    """A maker of the files of a commit, with this ami.yaml."""

    def make(text=None, **more):
        entries = more if text is None else {"ami.yaml": text, **more}
        return Checkout(tree(tmp_path / "checkout", entries), "hg", ADDRESS, "249:9ed741a55f17", NODE, "", False)

    return make


@pytest.fixture
def pinned(checkout, monkeypatch):
    """``(settings, handed down)`` of a build whose repository has this ami.yaml; the pillar and the call say something, too."""

    def pin(text, pillar=None, **arguments):
        here, sources = checkout(text), [source("pillar", {"ami": pillar or {}})]
        arguments = {"hg_address_variation": ADDRESS, **arguments}
        monkeypatch.setattr(variation_repository, "fetch_variation", lambda settings, ask, say: here)
        settings = gather_settings(sources, arguments)
        return pin_variation(settings, lambda lighter: gather_settings([*sources, *lighter], arguments), ask=True, say=print)

    return pin


refusal = partial(settings_sources.refusal, read_own_settings, kind=RepositoryWrong)


@pytest.mark.parametrize(
    ("text", "settings"),
    [
        ("ami.headroom_mib: 5\nami.update: false\n", {"headroom_mib": 5, "update": False}),
        ("ami:\n  headroom_mib: 5\n  packages: [curl]\n", {"headroom_mib": 5, "packages": ["curl"]}),
        ("ami: {headroom_mib: 5}\nami.update: false\n", {"headroom_mib": 5, "update": False}),
        ("\ufeffami.name: web\n", {"name": "web"}),
        ("ami.name:\nami.keep: 2\n", {"keep": 2}),
        ("ami.live: true\n", {"live": True}),
        ("ami:\n", {}),
        ("ami: {}\n", {}),
        ("", {}),
        ("# nothing yet\n", {}),
        ("---\n", {}),
        (None, {}),
    ],
)
def test_settings_are_read_flat_and_nested(checkout, text, settings):
    assert read_own_settings(checkout(text)) == settings


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ami.name: web\nami.update: [\n", f"{WHAT} (line 3) is not YAML"),
        ("ami.name: a\nami.name: b\n", f"ami.name in {WHAT} (line 2) stands twice"),
        ("ami.name: a\nami: {name: a}\n", f"ami.name in {WHAT} (line 2) stands twice, nested and flat"),
        ("ami.name:\nami: {name: a}\n", f"ami.name in {WHAT} (line 2) stands twice, nested and flat"),
        ("ami.pillar: &a {}\n", f"ami.pillar in {WHAT} (line 1) has an anchor or alias"),
        ("- ami.name: web\n", f"{WHAT} holds no settings"),
        ("ami: [name]\n", f"ami in {WHAT} (line 1) is no setting"),
        ("ami: false\n", f"ami in {WHAT} (line 1) is no setting"),
        ("name: web\n", f"name in {WHAT} (line 1) is no setting"),
        ("ami.name: web\nkeystone.user: me\n", f"keystone.user in {WHAT} (line 2) is no setting"),
        (b"\x1f\x8b\0\0", f"{WHAT} contains null bytes"),
        ("#" * LIMIT_BYTES + "#", f"{WHAT} has more than 64 KiB"),
    ],
    ids=repr,
)
def test_wrong_yaml_is_named_with_file_and_line(checkout, text, words):
    assert words in refusal(checkout(text))


def test_what_follows_a_forgotten_space_is_not_shown(checkout):
    assert "hunter2" not in refusal(checkout("keystone.password:hunter2: x\n"))


#: what a repository may tell; a new setting is the builder's until somebody thought about it
MAY_BE_SET = set(
    """name type release architecture mirror packages base base_format base_hash base_unverified variation pillar update room_mib
    headroom_mib outputs disk_format compression kernel_command_line live properties carry_over keep gate kernel_id ramdisk_id initrd_id
    members variations""".split()
)


@pytest.mark.parametrize("key", sorted(KEYS))
def test_where_things_are_who_it_is_and_what_it_runs_is_the_builders_to_tell(checkout, key):
    try:
        read_own_settings(checkout(f"ami.name: web\nami.{key}: x\n" if key != "name" else "ami.name: web\n"))
        said = ""
    except (RepositoryWrong, SettingsWrong) as wrong:  # x is not good for every setting
        said = str(wrong)
    assert (f"ami.{key} in {WHAT} (line 2) cannot be set by the repository" in said) == (key not in MAY_BE_SET)


@pytest.mark.parametrize("base", ["/etc/shadow", "file:///etc/shadow", "etc/shadow", "../base.img", "", "HTTP://x/a"])
def test_a_base_that_is_a_file_of_the_builder_is_refused(checkout, base):
    assert f"ami.base in {WHAT} (line 1) is a file of the builder" in refusal(checkout(f"ami.base: '{base}'\n"))


@pytest.mark.parametrize("base", ["https://x/a.img", "http://x/a.img", "salt://bases/a.img", "glance:debian-12"])
def test_a_base_with_an_address_is_the_repositorys_to_tell(checkout, base):
    assert read_own_settings(checkout(f"ami.base: {base}\n")) == {"base": base}


@pytest.mark.parametrize("digest", ["/etc/shadow", "file:///proc/kcore", "SHA512SUMS"])
def test_a_checksum_file_of_the_builder_is_refused(checkout, digest):
    said = refusal(checkout(f"ami.base: https://x/a\nami.base_hash: {digest}\n"))
    assert f"ami.base_hash in {WHAT} (line 2) is a file of the builder" in said


@pytest.mark.parametrize("digest", ["sha256:" + "a" * 64, "SHA512=" + "0f" * 64, "c" * 64, "https://x/SHA512SUMS"])
def test_a_digest_is_the_repositorys_to_tell(checkout, digest):
    assert read_own_settings(checkout(f"ami.base_hash: {digest}\n")) == {"base_hash": digest}


@pytest.mark.parametrize("target", ["../outside/secret", "/etc/passwd", "nowhere", "other.yaml"])
def test_a_link_in_place_of_ami_yaml_is_refused_wherever_it_leads(checkout, tmp_path, tree, target):
    tree(tmp_path / "outside", {"secret": "ami.name: hunter2\n"})
    said = refusal(checkout(f"-> {target}", **{"other.yaml": "ami.name: web\n"}))
    assert f"{WHAT} is a link or a directory" in said and "hunter2" not in said


def test_a_directory_in_place_of_ami_yaml_is_refused(checkout):
    assert f"{WHAT} is a link or a directory" in refusal(checkout(**{"ami.yaml/x": ""}))


def test_the_repository_weighs_less_than_pillar_and_pillar_less_than_an_argument(pinned):
    text = "ami: {headroom_mib: 1, room_mib: 1, keep: 1}\n"
    settings, _ = pinned(text, {"room_mib": 2, "keep": 2}, keep=3)
    assert (settings.headroom_mib, settings.room_mib, settings.keep) == (1, 2, 3)


def test_what_is_handed_down_is_in_force_and_may_be_given_as_arguments_again(pinned):
    settings, handed_down = pinned("ami: {packages: [less], carry_over: [hw_*], keep: 1, room_mib: 1}\n", {"keep": 2})
    assert handed_down == {
        "packages": ["less"],
        "carry_over": ["hw_*"],
        "keep": 2,
        "room_mib": 1,
        "hg_rev_variation": NODE,
        "revision": "249:9ed741a55f17",
    }
    assert gather_settings([], {"hg_address_variation": ADDRESS, **handed_down}) == settings


def test_the_revision_is_pinned_to_the_full_hash_and_shown_as_people_read_it(pinned):
    settings, _ = pinned("", hg_rev_variation="stable")
    assert (settings.hg_rev_variation, settings.revision) == (NODE, "249:9ed741a55f17")


def test_the_repository_says_what_its_revision_is_whatever_was_written_by_hand(pinned):
    assert pinned("", {"revision": "of last year"})[0].revision == "249:9ed741a55f17"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ami.relese: x\n", f"unknown setting ami.relese in the {WHAT}"),
        ("ami.: x\n", f"unknown setting ami. in the {WHAT}"),
        ("ami.update: maybe\n", f"ami.update in the {WHAT} is 'maybe', not a boolean"),
        ("ami.name: ../x\n", f"ami.name in the {WHAT} is '../x'"),
        ("ami.variation: /srv/web\n", f"ami.variation in the {WHAT} is '/srv/web'"),
        ("ami.variation: {directory: /etc}\n", "ami.hg_address_variation is set, too"),
        ("ami.variation: {id: ../../x}\n", f"the id in ami.variation in the {WHAT}"),
        ("ami.base_hash: sha256:0\n", f"ami.base_hash in the {WHAT}"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_named_with_key_and_file(pinned, text, words):
    with pytest.raises(SettingsWrong) as caught:
        pinned(text)
    assert words in str(caught.value)


def test_a_wrong_setting_that_something_weightier_replaces_is_not_looked_at(pinned):
    assert pinned("ami.keep: many\n", {"keep": 2})[0].keep == 2


def test_an_id_of_the_repository_is_good(pinned):
    assert pinned("ami.variation: {id: web1.example.org}\n")[0].variation == {"id": "web1.example.org"}


def test_the_fetching_gets_all_that_the_settings_say(monkeypatch):
    asked = SimpleNamespace()

    def fetch(kind, address, revision, cache, **more):
        asked.__dict__.update(kind=kind, address=address, revision=revision, cache=cache, **more)

    monkeypatch.setattr(variation_repository, "fetch_repository", fetch)
    given = {
        "git_address_variation": ADDRESS,
        "git_rev_variation": "v1",
        "cache": "/c",
        "repository_credentials": "/r",
        "tries": 2,
    }
    given |= {"repository_subrepositories": True, "repository_stale": True}
    variation_repository.fetch_variation(gather_settings([], given), ask=False, say=os.write)
    assert vars(asked) == {
        "kind": "git",
        "address": ADDRESS,
        "revision": "v1",
        "cache": "/c",
        "credentials": "/r",
        "subrepositories": True,
        "stale": True,
        "ask": False,
        "tries": 2,
        "say": os.write,
    }


def test_a_builder_that_lets_no_root_run_as_a_machine_is_not_overruled(pinned):
    assert pinned("ami.live: true\n")[0].live
    assert not pinned("ami.live: true\n", pillar={"live": False})[0].live
