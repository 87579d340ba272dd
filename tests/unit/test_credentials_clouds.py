"""Who we are to the cloud, by an entry of clouds.yaml."""

import os
from functools import partial

import pytest
import settings_sources
import yaml
from settings_sources import source
from vmimage.errors import CredentialsWrong, SettingsWrong
from vmimage.glance import clouds
from vmimage.glance.credentials import gather_credentials, secrets_of

ADDRESS = "https://cloud.example.org:5000/v3"
AUTH = {"auth_url": ADDRESS, "username": "builder", "password": "hunter2", "project_name": "images"}
APPLICATION = {"auth_url": ADDRESS, "application_credential_id": "a1", "application_credential_secret": "hunter2"}


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home, a current and a site directory that are empty."""
    for name in ("home/.config/openstack", "here", "site"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(clouds, "SITE_DIRECTORY", str(tmp_path / "site"))
    return tmp_path / "home"


def write(path, document):
    path.write_text(document if isinstance(document, str) else yaml.safe_dump(document), encoding="utf-8")
    return path


def write_cloud(home, entry, *, name="ami", file="clouds.yaml"):
    return write(home / ".config/openstack" / file, {"clouds": {name: entry, "other": {}}})


def of_cloud(home, *, cloud="ami", keystone=None, **variables):
    environment = {"HOME": str(home), **variables}
    return gather_credentials([source("pillar", {"keystone": keystone})], cloud=cloud, environment=environment)


refusal = partial(settings_sources.refusal, of_cloud, kind=CredentialsWrong)


def of_entry(home, entry, **options):
    write_cloud(home, entry)
    return of_cloud(home, **options)


def entry_refusal(home, entry, **options):
    write_cloud(home, entry)
    return refusal(home, **options)


# what is found


def test_an_entry_with_a_password(home):
    path = write_cloud(home, {"auth": AUTH, "region_name": "north", "interface": "internal", "identity_api_version": 3})
    credentials = of_cloud(home)
    assert credentials.auth_type == "v3password"
    assert credentials.auth == {**AUTH, "user_domain_id": "default", "project_domain_id": "default"}
    assert (credentials.region_name, credentials.interface) == ("north", "internal")
    assert credentials.origin == f"the cloud ami in {path}"
    assert secrets_of(credentials) == ("hunter2",)


def test_an_entry_with_an_application_credential(home):
    credentials = of_entry(home, {"auth_type": "v3applicationcredential", "auth": APPLICATION})
    assert (credentials.auth_type, credentials.auth) == ("v3applicationcredential", APPLICATION)


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        ({"auth": AUTH}, "v3password"),
        ({"auth": AUTH, "auth_type": "password"}, "v3password"),
        ({"auth": AUTH, "auth-type": "v3password"}, "v3password"),
        ({"auth": AUTH, "auth_plugin": "password"}, "v3password"),
        ({"auth": APPLICATION}, "v3applicationcredential"),
        ({"auth": {"auth_url": ADDRESS, "token": "hunter2", "tenant_id": "p1"}}, "v3token"),
        ({"auth": {"auth_url": ADDRESS, "token": "hunter2", "project_id": "p1"}, "auth_type": "token"}, "v3token"),
    ],
)
def test_the_kind_is_given_or_seen(home, entry, kind):
    assert of_entry(home, entry).auth_type == kind


def test_an_auth_type_that_we_do_not_know_is_passed_on_with_its_options_as_they_are(home):
    auth = {
        "auth_url": "https://cloud",
        "identity_provider": "idp",
        "client_secret": "hunter2",
        "domain_id": "d1",
        "auth_methods": ["a"],
    }
    credentials = of_entry(home, {"auth_type": "v3oidcclientcredentials", "auth": auth | {"tenant_name": "images"}})
    assert credentials.auth == {**auth, "auth_url": "https://cloud/v3", "project_name": "images"}
    assert secrets_of(credentials) == ("hunter2",)


def test_the_address_of_an_auth_type_that_is_not_of_v3_is_left_as_it_is(home):
    credentials = of_entry(home, {"auth_type": "acme", "auth": {"auth_url": "https://cloud/"}})
    assert credentials.auth == {"auth_url": "https://cloud"}


def test_an_auth_type_without_an_address_is_passed_on(home):
    credentials = of_entry(home, {"auth_type": "none", "auth": {"endpoint": "http://glance"}})
    assert (credentials.auth_type, credentials.auth, credentials.public()["auth_type"]) == (
        "none",
        {"endpoint": "http://glance"},
        "none",
    )


@pytest.mark.parametrize("key", ["domain_id", "default_domain", "default_domain_id", "default-domain-id"])
def test_one_domain_stands_for_both(home, key):
    auth = of_entry(home, {"auth": {**AUTH, key: "d1"}}).auth
    assert (auth["user_domain_id"], auth["project_domain_id"]) == ("d1", "d1")


def test_what_is_of_auth_may_stand_at_the_top(home):
    assert of_entry(home, {"auth": {"auth_url": ADDRESS}, **AUTH}).auth["username"] == "builder"


@pytest.mark.parametrize(
    ("keys", "field", "value"),
    [
        ({"verify": False}, "insecure", True),
        ({"verify": True}, "insecure", False),
        ({"insecure": True}, "insecure", True),
        ({"cacert": __file__}, "cacert", __file__),
        ({"endpoint_type": "internalURL"}, "interface", "internal"),
        ({"api_timeout": 30}, "timeout", 30),
        ({"image_endpoint_override": "http://glance/"}, "image_endpoint", "http://glance"),
        ({"image-endpoint-override": "http://glance/"}, "image_endpoint", "http://glance"),
        ({"interface": None}, "interface", "public"),
        ({"regions": ["north", "south"]}, "region_name", "north"),
        ({"regions": [{"name": "north", "values": {"interface": "admin"}}, "south"]}, "interface", "admin"),
        ({"regions": ["north", "south"], "region_name": "south"}, "region_name", "south"),
        ({"regions": []}, "region_name", ""),
    ],
)
def test_an_entry_says_how_to_reach_the_cloud(home, keys, field, value):
    assert getattr(of_entry(home, {"auth": AUTH, **keys}), field) == value


@pytest.mark.parametrize(
    ("keystone", "field", "value"),
    [
        ({"region": "south"}, "region_name", "south"),
        ({"interface": "admin"}, "interface", "admin"),
        ({"timeout": 5}, "timeout", 5),
        ({"verify_ssl": False}, "insecure", True),
    ],
)
def test_how_to_reach_the_cloud_may_be_given_beside_it(home, keystone, field, value):
    assert getattr(of_entry(home, {"auth": AUTH, "region_name": "north"}, keystone=keystone), field) == value


def test_a_region_that_is_given_beside_is_taken_with_its_values(home):
    regions = ["north", {"name": "south", "values": {"auth": {"auth_url": "https://south"}, "interface": "internal"}}]
    credentials = of_entry(home, {"auth": AUTH, "regions": regions, "region_name": "north"}, keystone={"region": "south"})
    assert (credentials.auth["auth_url"], credentials.interface) == ("https://south/v3", "internal")


def test_an_entry_may_have_a_number_for_its_name(home):
    write_cloud(home, {"auth": AUTH}, name=2024)
    assert of_cloud(home, cloud="2024").auth["username"] == "builder"


def test_os_cloud_names_an_entry_and_the_variables_its_region(home):
    path = write_cloud(home, {"auth": AUTH})
    credentials = of_cloud(home, cloud="", OS_CLOUD="ami", OS_REGION_NAME="south", OS_USERNAME="other")
    assert credentials.origin == f"the cloud ami in {path}"
    assert (credentials.region_name, credentials.auth["username"]) == ("south", "builder")


def test_ami_cloud_outweighs_os_cloud(home):
    write(home / ".config/openstack/clouds.yaml", {"clouds": {"ami": {"auth": AUTH}, "web": {"auth": APPLICATION}}})
    assert of_cloud(home, cloud="web", OS_CLOUD="ami").auth == APPLICATION


def test_keystone_keys_outweigh_os_cloud(home):
    write_cloud(home, {"auth": AUTH})
    assert of_cloud(home, cloud="", OS_CLOUD="ami", keystone=APPLICATION).auth == APPLICATION


# which files


def test_the_first_file_wins(home):
    def project():
        return of_cloud(home, **variables).auth["project_name"]

    variables = {}
    entry = {"clouds": {"ami": {"auth": AUTH}}}
    for place in (home.parent / "site", home / ".config/openstack", home.parent / "here"):
        entry["clouds"]["ami"]["auth"]["project_name"] = place.name
        write(place / "clouds.yaml", entry)
        assert project() == place.name
    entry["clouds"]["ami"]["auth"]["project_name"] = "named"
    variables = {"OS_CLIENT_CONFIG_FILE": str(write(home / "named.yaml", entry))}
    assert project() == "named"


@pytest.mark.parametrize("suffix", ["yaml", "yml", "json"])
def test_a_file_may_have_any_of_the_suffixes(home, suffix):
    write_cloud(home, {"auth": AUTH}, file=f"clouds.{suffix}")
    assert of_cloud(home).auth["username"] == "builder"


def test_a_file_of_the_current_directory_is_named_by_its_whole_path(home):
    path = write(home.parent / "here/clouds.yaml", {"clouds": {"ami": {"auth": AUTH}}})
    assert of_cloud(home).origin == f"the cloud ami in {path}"


def test_secrets_lie_over_the_entry_wherever_they_are(home):
    path = write_cloud(home, {"auth": {key: AUTH[key] for key in ("auth_url", "username", "project_name")}})
    secure = write(home.parent / "site/secure.yaml", {"clouds": {"ami": {"auth": {"password": "hunter2"}}}})
    credentials = of_cloud(home)
    assert credentials.auth["password"] == "hunter2" and credentials.auth["username"] == "builder"
    assert credentials.origin == f"the cloud ami in {path} and {secure}"


def test_a_secure_file_may_be_named(home):
    write_cloud(home, {"auth": {**AUTH, "password": "other"}})
    write(home / ".config/openstack/secure.yaml", {"clouds": {"ami": {"auth": {"password": "another"}}}})
    path = write(home / "secrets", {"clouds": {"ami": {"auth": {"password": "hunter2"}}}})
    assert of_cloud(home, OS_CLIENT_SECURE_FILE=str(path)).auth["password"] == "hunter2"


def test_a_secure_file_of_other_clouds_is_no_matter(home):
    path = write_cloud(home, {"auth": AUTH})
    write(home.parent / "here/secure.yaml", {"clouds": {"other": {"auth": {"password": "x"}}}})
    assert of_cloud(home).origin == f"the cloud ami in {path}"


@pytest.mark.parametrize("key", ["profile", "cloud"])
def test_a_vendor_lies_below_its_entry(home, key):
    vendor = {"auth": {"auth_url": ADDRESS, "username": "vendor's"}, "interface": "internal", "region_name": "vendor's"}
    write(home.parent / "here/clouds-public.yaml", {"public-clouds": {"acme": vendor}})
    own = {name: AUTH[name] for name in ("username", "password", "project_name")}
    credentials = of_entry(home, {key: "acme", "auth": own, "region_name": "north"})
    assert (credentials.auth["auth_url"], credentials.auth["username"]) == (ADDRESS, "builder")
    assert (credentials.interface, credentials.region_name) == ("internal", "north")


def test_without_a_home_the_users_own_is_looked_at(home, monkeypatch):
    monkeypatch.setenv("HOME", str(home))
    write_cloud(home, {"auth": AUTH})
    assert gather_credentials([], cloud="ami", environment={}).auth["username"] == "builder"


# what is wrong


def test_where_there_is_no_file_the_directories_are_named(home):
    message = refusal(home)
    assert "there is no clouds.yaml" in message
    assert f"., {home}/.config/openstack, {home.parent}/site" in message


def test_an_entry_that_is_missing_is_named_with_those_that_there_are(home):
    path = write_cloud(home, {"auth": AUTH}, name="web")
    assert f"{path} has no cloud ami\n  -> it has: other, web" in refusal(home)
    assert f"{path} has no cloud prod\n" in refusal(home, cloud="", OS_CLOUD="prod")


@pytest.mark.parametrize("text", ["", "clouds:\n", "clouds: {}\n", "# nothing\n", "{}", "other: {ami: {}}"])
def test_a_file_without_clouds_has_none(home, text):
    write(home / ".config/openstack/clouds.yaml", text)
    assert "has no cloud ami\n  -> it has: none" in refusal(home)


@pytest.mark.parametrize("variable", ["OS_CLIENT_CONFIG_FILE", "OS_CLIENT_SECURE_FILE"])
def test_a_file_that_is_named_and_not_there_is_an_error(home, variable):
    write_cloud(home, {"auth": AUTH})
    assert f"{variable} in the environment names no file" in refusal(home, **{variable: "/nowhere/clouds.yaml"})


@pytest.mark.parametrize(
    "text",
    [
        "clouds:\n  ami:\n    auth: {password: hunter2\n",
        "clouds:\n  ami:\n    password: *hunter2\n",
        "clouds:\n  ami: {}\n  web: !hunter2 {}\n",
        'clouds:\n  ami: {}\n  web: "hunter2\n',
        "clouds:\n\n\t hunter2",
    ],
)
def test_broken_yaml_is_named_by_its_file_and_line_alone(home, text):
    path = write(home / ".config/openstack/clouds.yaml", text)
    message = refusal(home)
    assert f"{path} is not YAML near line " in message
    assert int(message.split("near line ")[1].split()[0]) in (3, 4)


@pytest.mark.parametrize(
    "text", ["a: 2013-99-99", "a: !!int hunter2", "a: !!bool hunter2", "a: !!timestamp hunter2", "\x00", "[" * 5000]
)
def test_scalars_that_yaml_stumbles_over_are_named_by_the_file(home, text):
    path = write(home / ".config/openstack/secure.yaml", text)
    write_cloud(home, {"auth": AUTH})
    assert f"{path} is not YAML" in refusal(home)


def test_a_file_in_another_encoding_is_named(home):
    path = write_cloud(home, {})
    path.write_bytes(b"clouds: {ami: {auth: {password: hunter2\xe9}}}")
    assert f"{path} is not YAML" in refusal(home)


def test_a_file_that_cannot_be_read_is_named(home, monkeypatch):
    path = write_cloud(home, {"auth": AUTH})

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(clouds.Path, "read_bytes", refuse)
    assert f"{path} cannot be read: Permission denied" in refusal(home)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("hunter2", "clouds.yaml is not a mapping"),
        ("[hunter2]", "clouds.yaml is not a mapping"),
        ("clouds: hunter2", "clouds in "),
        ("clouds: {ami: hunter2}", "the cloud ami in "),
        ("clouds: {ami: {auth: hunter2}}", "auth in the cloud ami in "),
        ("clouds: {ami: {auth: [hunter2]}}", "auth in the cloud ami in "),
        ("clouds: {ami: {auth: {}, regions: hunter2}}", "regions in the cloud ami in "),
        ("clouds: {ami: {auth: {}, regions: [1, hunter2]}}", "regions in the cloud ami in "),
        ("clouds: {ami: {auth: {}, regions: [{nam: hunter2}]}}", "regions in the cloud ami in "),
        ("clouds: {ami: {auth: {}, regions: [{name: x, values: hunter2}]}}", "a region of the cloud ami in "),
        ("clouds: {ami: {auth_type: [hunter2]}}", "auth_type in the cloud ami in "),
        ("clouds: {ami: {auth: {}, region_name: [hunter2]}}", "region_name in the cloud ami in "),
    ],
)
def test_what_is_of_another_shape_is_named_by_its_place(home, document, words):
    path = write(home / ".config/openstack/clouds.yaml", document)
    message = refusal(home)
    assert words in message and str(path) in message and " is not a" in message


def test_a_region_that_is_not_there_is_named_with_those_that_there_are(home):
    message = entry_refusal(home, {"auth": AUTH, "regions": ["north", "south"]}, keystone={"region": "west"})
    assert "has no region of the name that is set\n  -> it has: north, south" in message


@pytest.mark.parametrize("vendors", [None, {"public-clouds": {"other": {}}}, {}])
def test_a_vendor_that_is_not_known_is_an_error(home, vendors):
    if vendors is not None:
        write(home.parent / "here/clouds-public.yaml", vendors)
    message = entry_refusal(home, {"profile": "acme", "auth": AUTH})
    assert "profile in the cloud ami in " in message and "names a vendor that is not known here" in message


@pytest.mark.parametrize(
    ("auth", "words"),
    [
        (
            {key: AUTH[key] for key in ("auth_url", "username")},
            "auth.password and auth.project_name are missing (found auth.auth_url",
        ),
        (
            {},
            "auth.auth_url, auth.username, auth.password and auth.project_name are missing (found nothing in the cloud ami in /",
        ),
        (
            {**AUTH, "application_credential_id": "a1"},
            "auth.application_credential_id, auth.password, auth.project_name and auth.user",
        ),
        ({**AUTH, "tenant_name": "other"}, "auth.project_name and auth.tenant_name in the cloud ami in "),
        ({**AUTH, "password": 12345}, "auth.password in the cloud ami in "),
        ({**AUTH, "auth_url": "https://cloud/v2.0"}, "auth.auth_url in the cloud ami in "),
    ],
)
def test_an_entry_is_checked_as_the_other_ways_under_its_own_names(home, auth, words):
    message = entry_refusal(home, {"auth": auth})
    assert words in message and "keystone." not in message


def test_what_is_missing_in_an_entry_belongs_into_it_or_into_secure_yaml(home):
    assert "secure.yaml" in entry_refusal(home, {"auth": {key: AUTH[key] for key in AUTH if key != "password"}})


def test_two_places_of_one_key_that_differ_are_refused(home):
    message = entry_refusal(home, {"auth": AUTH, "username": "other"})
    assert "auth.username and username in the cloud ami in " in message and "are different values for the same key" in message


def test_an_unknown_option_is_named_with_the_option_that_was_meant(home):
    message = entry_refusal(home, {"auth": {**AUTH, "pasword": "hunter2"}}, kind=SettingsWrong)
    assert "unknown setting auth.pasword in the cloud ami in " in message and "did you mean auth.password?" in message


def test_of_a_key_that_swallowed_its_value_only_the_name_is_shown(home):
    message = entry_refusal(home, {"auth": {**AUTH, "password:hunter2": "x"}}, kind=SettingsWrong)
    assert "unknown setting auth.password... in the cloud ami" in message


def test_a_secret_of_a_plugin_that_we_do_not_know_is_put_in_quotes_too(home):
    message = entry_refusal(home, {"auth_type": "v3totp", "auth": {"passcode": 771234}})
    assert "auth.passcode in the cloud ami in " in message and "put it in quotes" in message and "771234" not in message


def test_an_entry_of_identity_v2_is_gone(home):
    assert "auth_type in the cloud ami in " in entry_refusal(home, {"auth": AUTH, "auth_type": "v2password"})


def test_what_contradicts_between_entry_and_keystone_keys_is_named_with_both_places(home):
    message = entry_refusal(home, {"auth": AUTH, "cacert": __file__}, keystone={"insecure": True})
    assert "keystone.insecure in the pillar and cacert in the cloud ami in " in message


def test_a_file_that_lies_behind_a_link_or_a_directory_of_its_name_is_no_crash(home):
    (home / ".config/openstack/clouds.yaml").mkdir()
    os.symlink("clouds.yml", home / ".config/openstack/clouds.yml")
    assert "there is no clouds.yaml" in refusal(home)
