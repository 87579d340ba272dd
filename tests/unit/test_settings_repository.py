"""Settings of repositories: what cannot be meant is refused at the door, by its name and the place where it stands."""

from functools import partial

import pytest
import settings_sources
from settings_sources import gathered
from vmimage.settings.gather import gather_settings

HG, GIT = "https://hg.example.org/web", "https://git.example.org/web"


def of_pillar(**settings):
    return gathered({"ami": settings})


refusal = partial(settings_sources.refusal, of_pillar)


@pytest.mark.parametrize("ending", ["_variation", ""], ids=["of the variation", "of the code"])
def test_both_hg_and_git_are_refused(ending):
    said = refusal(**{f"hg_address{ending}": HG, f"git_address{ending}": GIT})
    assert f"ami.git_address{ending} in the pillar is '{GIT}'" in said and f"ami.hg_address{ending} is set, too" in said


@pytest.mark.parametrize("key", ["hg_rev", "git_rev"])
@pytest.mark.parametrize("ending", ["_variation", ""], ids=["of the variation", "of the code"])
def test_a_revision_without_an_address_is_refused(key, ending):
    said = refusal(**{f"{key}{ending}": "stable"})
    assert f"ami.{key}{ending} in the pillar is 'stable'" in said
    assert f"goes with ami.{key.replace('rev', 'address')}{ending}, which is not set" in said


def test_a_revision_of_the_other_kind_is_refused():
    said = refusal(hg_address_variation=HG, git_rev_variation="stable")
    assert "ami.git_rev_variation in the pillar" in said and "ami.git_address_variation, which is not set" in said


@pytest.mark.parametrize("variation", ["/srv/web", {"directory": "/srv/web"}, {"states": ["nginx"]}], ids=repr)
def test_an_address_beside_a_variation_is_refused(variation):
    said = refusal(hg_address_variation=HG, variation=variation)
    assert "ami.variation in the pillar is" in said and "ami.hg_address_variation is set, too: keep one" in said


def test_an_address_beside_an_id_alone_is_good():
    settings = of_pillar(git_address_variation=GIT, git_rev_variation="v1", variation={"id": "web1"})
    assert settings.repository == ("git", GIT, "v1")


def test_the_variation_and_the_code_may_come_from_different_kinds():
    settings = of_pillar(hg_address_variation=HG, git_address=GIT, git_rev="v1")
    assert (settings.repository, settings.git_address, settings.git_rev) == (("hg", HG, ""), GIT, "v1")


def test_without_any_address_there_is_no_repository():
    assert gather_settings([]).repository is None


def test_an_address_taken_back_by_an_argument_leaves_none():
    settings = gathered({"ami": {"hg_address_variation": HG}}, **{"hg_address_variation": "", "variation": "/srv/web"})
    assert settings.repository is None


@pytest.mark.hostile("settings", refused=True)
@pytest.mark.parametrize("key", ["hg_address_variation", "git_address_variation", "hg_address", "git_address"])
@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("ssh://-ohunter2/x", "begins with '-'"),
        ("ext::sh -c hunter2", "transport of git"),
        ("https://me:hunter2@example.org/x", "password stands in the address"),
    ],
)
def test_a_hostile_address_is_refused_by_its_key_and_never_repeated(key, address, why):
    said = refusal(**{key: address})
    assert said.startswith(f"ami.{key} in the pillar: ") and why in said
    assert "hunter2" not in said


@pytest.mark.hostile("settings", refused=True)
@pytest.mark.parametrize("kind", ["hg", "git"])
@pytest.mark.parametrize("ending", ["_variation", ""], ids=["of the variation", "of the code"])
@pytest.mark.parametrize("revision", ["--config=x", "max(all())"])
def test_a_hostile_revision_is_refused_by_its_key(kind, ending, revision):
    said = refusal(**{f"{kind}_address{ending}": HG, f"{kind}_rev{ending}": revision})
    assert said.startswith(f"ami.{kind}_rev{ending} in the pillar: ")


@pytest.mark.parametrize(
    ("value", "good"), [("stay", True), ("poweroff", True), ("halt", False), ("", False), ("Poweroff", False)]
)
def test_when_done_is_stay_or_poweroff(value, good):
    if good:
        assert of_pillar(when_done=value).when_done == value
    else:
        said = refusal(when_done=value)
        assert f"ami.when_done in the pillar is {value!r}" in said and "stay or poweroff" in said


def test_the_directory_of_credentials_is_an_absolute_path():
    assert "ami.repository_credentials in the pillar is 'credentials'" in refusal(repository_credentials="credentials")


@pytest.mark.hostile("settings", refused=True)
@pytest.mark.parametrize("package", ["-oDPkg::Pre-Invoke::=reboot", "curl,-oX", "two words", "", "./x.deb", "/x.deb"])
def test_a_package_that_apt_would_take_for_something_else_is_refused(package):
    assert f"ami.packages in the pillar contains {package!r}" in refusal(packages=["curl", package])


@pytest.mark.parametrize("package", ["curl", "g++", "curl=7.88.1-10+deb12u12", "curl/bookworm", "curl:amd64", "?essential"])
def test_packages_are_named_as_apt_names_them(package):
    assert of_pillar(packages=[package]).packages == (package,)


@pytest.mark.hostile("settings", refused=True)
@pytest.mark.parametrize(
    "mirror", ["--setup-hook=reboot", ["--setup-hook=reboot"], ["-"], ["/etc/shadow"], "a\nb", [""]], ids=repr
)
def test_a_mirror_that_mmdebstrap_would_take_for_something_else_is_refused(mirror):
    assert "ami.mirror in the pillar is no mirror" in refusal(mirror=mirror)


@pytest.mark.parametrize(
    "mirror", ["http://deb.example.org/debian", ["deb [trusted=yes] file:/srv/a ./", "deb http://a/ x main"]], ids=repr
)
def test_mirrors_are_addresses_or_lines_of_sources(mirror):
    assert of_pillar(mirror=mirror).mirror == mirror


@pytest.mark.hostile("settings", refused=True)
@pytest.mark.parametrize("minion_id", ["../../etc", "a b", "a\nb", "$(x)"])
def test_an_id_that_is_none_of_a_minion_is_refused(minion_id):
    assert f"the id in ami.variation in the pillar is {minion_id!r}" in refusal(variation={"id": minion_id})
