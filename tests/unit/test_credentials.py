"""Who we are to the cloud, by keystone.* and by OS_*."""

import pickle
from functools import partial

import pytest
import settings_sources
from settings_sources import source
from vmimage.errors import CredentialsWrong, SettingsWrong
from vmimage.glance.credentials import Credentials, gather_credentials, secrets_of

ADDRESS = "https://cloud.example.org:5000/v3"
USER = {"auth_url": ADDRESS, "user": "builder", "password": "hunter2", "tenant": "images"}
APPLICATION = {"auth_url": ADDRESS, "application_credential_id": "a1", "application_credential_secret": "hunter2"}
VARIABLES = {"OS_AUTH_URL": ADDRESS, "OS_USERNAME": "builder", "OS_PASSWORD": "hunter2", "OS_PROJECT_NAME": "images"}
APPLICATION_VARIABLES = {
    "OS_AUTH_URL": ADDRESS,
    "OS_APPLICATION_CREDENTIAL_ID": "a1",
    "OS_APPLICATION_CREDENTIAL_SECRET": "hunter2",
}
TOKEN_VARIABLES = {"OS_AUTH_URL": ADDRESS, "OS_TOKEN": "hunter2", "OS_PROJECT_ID": "p1"}
IN_DEFAULT = {"user_domain_id": "default", "project_domain_id": "default"}


def without(mapping, *keys):
    return {key: value for key, value in mapping.items() if key not in keys}


def of_pillar(keystone, **options):
    return gather_credentials([source("pillar", {"keystone": keystone})], **{"environment": {}, **options})


def of_variables(variables, **options):
    return gather_credentials([], environment=variables, **options)


refusal = partial(settings_sources.refusal, kind=CredentialsWrong)


# what is found


@pytest.mark.parametrize(
    "keystone",
    [
        USER,
        {"auth_url": ADDRESS, "username": "builder", "password": "hunter2", "project": "images"},
        {"auth_url": ADDRESS, "user": "builder", "username": "builder", "password": "hunter2", "project_name": "images"},
    ],
    ids=["names of 2013", "names of today", "both"],
)
def test_a_user_of_keystone_keys_signs_in_with_a_password(keystone):
    credentials = of_pillar(keystone)
    assert credentials.auth_type == "v3password"
    assert credentials.auth == {
        "auth_url": ADDRESS,
        "username": "builder",
        "password": "hunter2",
        "project_name": "images",
        **IN_DEFAULT,
    }
    assert credentials.origin == "keystone.* in the pillar"


def test_keystone_keys_of_several_places_add_up_and_the_weightiest_wins():
    sources = [
        source("minion config", {"keystone.auth_url": ADDRESS, "keystone.user": "builder", "keystone.tenant": "images"}),
        source("grains", {}),
        source("pillar", {"keystone": {"password": "hunter2", "tenant": "others"}}),
    ]
    credentials = gather_credentials(sources, environment={})
    assert (credentials.auth["project_name"], credentials.auth["password"]) == ("images", "hunter2")
    assert credentials.origin == "keystone.* in the minion config and pillar"


def test_ids_need_no_domain():
    auth = of_pillar({"auth_url": ADDRESS, "user_id": "u1", "password": "hunter2", "tenant_id": "p1"}).auth
    assert auth == {"auth_url": ADDRESS, "user_id": "u1", "password": "hunter2", "project_id": "p1"}


def test_an_rc_file_that_exports_name_and_id_is_no_contradiction():
    auth = of_variables({**VARIABLES, "OS_PROJECT_ID": "p1", "OS_TENANT_NAME": "images"}).auth
    assert (auth["project_name"], auth["project_id"]) == ("images", "p1")


@pytest.mark.parametrize(
    ("keys", "auth"),
    [
        ({"user_domain": "staff", "project_domain": "work"}, {"user_domain_name": "staff", "project_domain_name": "work"}),
        ({"user_domain_name": "staff"}, {"user_domain_name": "staff", "project_domain_id": "default"}),
        ({"project_domain_id": "d1"}, {"user_domain_id": "default", "project_domain_id": "d1"}),
    ],
)
def test_a_domain_is_the_default_domain_where_none_is_given(keys, auth):
    assert of_pillar({**USER, **keys}).auth.items() >= auth.items()
    assert len([key for key in of_pillar({**USER, **keys}).auth if "domain" in key]) == 2


@pytest.mark.parametrize("variable", ["OS_DEFAULT_DOMAIN", "OS_DEFAULT_DOMAIN_ID"])
def test_a_common_domain_stands_for_those_of_user_and_project(variable):
    auth = of_variables({**VARIABLES, variable: "d1", "OS_PROJECT_DOMAIN_NAME": "work"}).auth
    assert (auth["user_domain_id"], auth["project_domain_name"]) == ("d1", "work") and "project_domain_id" not in auth


def test_an_application_credential_goes_alone():
    credentials = of_pillar({**APPLICATION, "user_domain": "left over", "project_domain": "left over"})
    assert credentials.auth_type == "v3applicationcredential"
    assert credentials.auth == APPLICATION


def test_the_name_of_an_application_credential_goes_with_its_user():
    named = {**without(APPLICATION, "application_credential_id"), "application_credential_name": "ci", "user": "builder"}
    assert of_pillar(named).auth == {
        **without(named, "user"),
        "username": "builder",
        "user_domain_id": "default",
    }


def test_the_id_of_an_application_credential_needs_no_user_beside_its_name():
    assert of_pillar({**APPLICATION, "application_credential_name": "ci"}).auth["application_credential_name"] == "ci"


def test_a_token_comes_from_the_environment_alone():
    credentials = of_variables(TOKEN_VARIABLES)
    assert (credentials.auth_type, credentials.auth) == (
        "v3token",
        {"auth_url": ADDRESS, "token": "hunter2", "project_id": "p1"},
    )


def test_variables_are_as_good_as_keystone_keys():
    credentials = of_variables(VARIABLES)
    assert credentials.origin == "the OS_* variables"
    assert (credentials.auth_type, credentials.auth) == ("v3password", of_pillar(USER).auth)


@pytest.mark.parametrize(
    ("auth_type", "loader"),
    [("password", "v3password"), ("v3password", "v3password"), ("v3oidcpassword", "v3oidcpassword")],
)
def test_the_auth_type_is_passed_on_as_keystoneauth_calls_it(auth_type, loader):
    credentials = of_variables({**VARIABLES, "OS_AUTH_TYPE": auth_type})
    assert credentials.auth_type == loader and credentials.auth["password"] == "hunter2"


def test_empty_variables_are_none():
    assert of_variables({**VARIABLES, "OS_TOKEN": "", "OS_INSECURE": "", "OS_CACERT": "", "OS_USER_DOMAIN_NAME": ""}).auth == {
        **of_variables(VARIABLES).auth
    }


@pytest.mark.parametrize(
    ("keys", "field", "value"),
    [
        ({"region": "north"}, "region_name", "north"),
        ({"region_name": "north"}, "region_name", "north"),
        ({"interface": "internal"}, "interface", "internal"),
        ({"interface": "adminURL"}, "interface", "admin"),
        ({"insecure": True}, "insecure", True),
        ({"insecure": "false"}, "insecure", False),
        ({"verify_ssl": False}, "insecure", True),
        ({"verify_ssl": True}, "insecure", False),
        ({"verify_ssl": True, "insecure": False}, "insecure", False),
        ({"timeout": 12.5}, "timeout", 12.5),
        ({"image_endpoint": "https://images.example.org/"}, "image_endpoint", "https://images.example.org"),
        ({"cacert": __file__}, "cacert", __file__),
        ({"cacert": __file__, "verify_ssl": True}, "insecure", False),
    ],
)
def test_how_to_reach_the_cloud_is_given_beside(keys, field, value):
    assert getattr(of_pillar({**USER, **keys}), field) == value


def test_how_to_reach_the_cloud_has_defaults():
    credentials = of_pillar(USER)
    assert (credentials.region_name, credentials.interface, credentials.cacert) == ("", "public", "")
    assert (credentials.insecure, credentials.timeout, credentials.image_endpoint) == (False, 600, "")


@pytest.mark.parametrize(
    ("variable", "value", "field", "expected"),
    [
        ("OS_REGION_NAME", "north", "region_name", "north"),
        ("OS_INTERFACE", "internal", "interface", "internal"),
        ("OS_ENDPOINT_TYPE", "internalURL", "interface", "internal"),
        ("OS_INSECURE", "True", "insecure", True),
        ("OS_INSECURE", "0", "insecure", False),
        ("OS_CACERT", __file__, "cacert", __file__),
        ("OS_IMAGE_ENDPOINT_OVERRIDE", "http://glance:9292", "image_endpoint", "http://glance:9292"),
    ],
)
def test_variables_say_how_to_reach_the_cloud(variable, value, field, expected):
    assert getattr(of_variables({**VARIABLES, variable: value}), field) == expected


@pytest.mark.parametrize(
    ("address", "completed"),
    [
        ("https://cloud:5000/v3", "https://cloud:5000/v3"),
        ("https://cloud:5000/v3/", "https://cloud:5000/v3"),
        ("https://cloud:5000", "https://cloud:5000/v3"),
        ("https://cloud:5000/", "https://cloud:5000/v3"),
        ("https://cloud/identity", "https://cloud/identity/v3"),
        ("https://v3.example.org", "https://v3.example.org/v3"),
        ("http://[2001:db8::1]:5000/identity/", "http://[2001:db8::1]:5000/identity/v3"),
    ],
)
def test_an_address_is_completed_to_that_of_identity_v3(address, completed):
    assert of_pillar({**USER, "auth_url": address}).auth["auth_url"] == completed


# which way is taken


def test_keystone_keys_outweigh_the_environment():
    assert of_pillar(USER, environment=APPLICATION_VARIABLES).origin == "keystone.* in the pillar"


def test_the_environment_is_asked_only_if_it_may_be():
    assert of_variables({**VARIABLES, "OS_INSECURE": "maybe"}, ambient=False, required=False) is None
    assert "OS_" not in refusal(of_variables, {**VARIABLES, "OS_CLOUD": "web"}, ambient=False)


@pytest.mark.parametrize("variables", [{}, {"OS_REGION_NAME": "north", "OS_INTERFACE": "public"}, {"OS_PASSWORD": ""}])
def test_where_there_are_no_credentials_they_are_none_or_the_ways_are_listed_best_first(variables):
    assert of_variables(variables, required=False) is None
    message = refusal(of_variables, variables)
    ways = ["ami.cloud", "keystone.application_credential_id", "keystone.user, keystone.password", "OS_CLOUD", "OS_AUTH_URL"]
    places = [message.index(way) for way in ways]
    assert places == sorted(places)


def test_an_empty_keystone_is_none():
    sources = [source("pillar", {"keystone": None}), source("minion config", {"keystone.user": ""})]
    assert gather_credentials(sources, environment={}, required=False) is None


def test_half_a_way_is_an_error_even_where_none_is_required():
    assert "keystone.password" in refusal(of_pillar, without(USER, "password"), required=False)


def test_a_cloud_and_keystone_keys_contradict_each_other():
    message = refusal(of_pillar, {**USER, "region": "north"}, cloud="web")
    assert (
        "ami.cloud and keystone.auth_url, keystone.user, keystone.password and keystone.tenant in the pillar contradict"
        in message
    )


# what is missing


@pytest.mark.parametrize(
    ("gather", "sources", "words"),
    [
        (
            of_pillar,
            without(USER, "password", "tenant"),
            "keystone.password and keystone.tenant are missing (found keystone.auth_url and keystone.user in the pillar)",
        ),
        (
            of_pillar,
            {"password": "hunter2"},
            "keystone.auth_url, keystone.user and keystone.tenant are missing (found keystone.password in the pillar)",
        ),
        (of_pillar, {"timeout": 5}, "keystone.auth_url, keystone.user, keystone.password and keystone.tenant are missing"),
        (of_pillar, {**USER, "password": ""}, "keystone.password is missing"),
        (of_pillar, {**USER, "password": None}, "keystone.password is missing"),
        (
            of_pillar,
            {"application_credential_id": "a1"},
            "keystone.auth_url and keystone.application_credential_secret are missing",
        ),
        (of_pillar, without(APPLICATION, "application_credential_id"), "keystone.application_credential_id is missing"),
        (
            of_pillar,
            {**without(APPLICATION, "application_credential_id"), "application_credential_name": "ci"},
            "keystone.user is missing (found keystone.auth_url, keystone.application_credential_name and",
        ),
        (
            of_variables,
            {"OS_PASSWORD": "hunter2", "OS_REGION_NAME": "north"},
            "OS_AUTH_URL, OS_USERNAME and OS_PROJECT_NAME are missing (found OS_PASSWORD and OS_REGION_NAME in the environment)",
        ),
        (of_variables, without(VARIABLES, "OS_PASSWORD"), "OS_PASSWORD is missing"),
        (of_variables, without(TOKEN_VARIABLES, "OS_PROJECT_ID"), "OS_PROJECT_NAME is missing"),
        (of_variables, without(APPLICATION_VARIABLES, "OS_AUTH_URL"), "OS_AUTH_URL is missing"),
    ],
)
def test_all_that_is_missing_is_named_at_once_with_what_was_found(gather, sources, words):
    assert words in refusal(gather, sources)


def test_what_was_found_is_named_with_each_place():
    sources = [source("minion config", {"keystone.auth_url": ADDRESS}), source("pillar", {"keystone": {"user": "builder"}})]
    message = refusal(gather_credentials, sources, environment={})
    assert "(found keystone.auth_url in the minion config and keystone.user in the pillar)" in message


# what contradicts


@pytest.mark.parametrize(
    ("gather", "sources", "words"),
    [
        (
            of_pillar,
            {**APPLICATION, "password": "hunter2"},
            "keystone.application_credential_id, keystone.application_credential_secret and keystone.password in the pillar contradict",
        ),
        (of_pillar, {**APPLICATION, "user": "builder"}, "and keystone.user in the pillar contradict"),
        (of_pillar, {**APPLICATION, "tenant": "images"}, "and keystone.tenant in the pillar contradict"),
        (of_pillar, {**APPLICATION, "project_id": "p1"}, "and keystone.project_id in the pillar contradict"),
        (of_pillar, {**USER, **APPLICATION}, "keystone.password, keystone.tenant and keystone.user in the pillar contradict"),
        (
            of_variables,
            {**VARIABLES, "OS_TOKEN": "hunter2"},
            "OS_TOKEN, OS_PASSWORD and OS_USERNAME in the environment contradict",
        ),
        (
            of_variables,
            {**VARIABLES, "OS_AUTH_TYPE": "v3applicationcredential"},
            "OS_AUTH_TYPE, OS_PASSWORD, OS_PROJECT_NAME and OS_USERNAME in the environment contradict",
        ),
        (
            of_variables,
            {**APPLICATION_VARIABLES, "OS_AUTH_TYPE": "password"},
            "OS_AUTH_TYPE, OS_APPLICATION_CREDENTIAL_ID and OS_APPLICATION_CREDENTIAL_SECRET in the environment contradict",
        ),
        (
            of_variables,
            {**VARIABLES, "OS_AUTH_TYPE": "password", "OS_TOKEN": "hunter2"},
            "OS_AUTH_TYPE and OS_TOKEN in the environment contradict",
        ),
        (
            of_pillar,
            {**USER, "insecure": True, "cacert": __file__},
            "keystone.insecure and keystone.cacert in the pillar contradict",
        ),
        (of_pillar, {**USER, "verify_ssl": False, "cacert": __file__}, "keystone.verify_ssl and keystone.cacert in the pillar"),
    ],
)
def test_what_contradicts_each_other_is_named_with_its_place(gather, sources, words):
    message = refusal(gather, sources)
    assert message.startswith(words) if words.startswith("OS_") else words in message


@pytest.mark.parametrize(
    ("keys", "names"),
    [
        ({**USER, "username": "other"}, ("user", "username")),
        ({**USER, "project": "other"}, ("tenant", "project")),
        ({**USER, "project_name": "other"}, ("tenant", "project_name")),
        ({**USER, "tenant_id": "p1", "project_id": "p2"}, ("tenant_id", "project_id")),
        ({**USER, "region": "north", "region_name": "south"}, ("region", "region_name")),
        ({**USER, "insecure": True, "verify_ssl": True}, ("insecure", "verify_ssl")),
    ],
)
def test_two_values_under_two_names_of_one_thing_are_refused(keys, names):
    assert f"keystone.{names[0]} and keystone.{names[1]} in the pillar are different values for the same key" in refusal(
        of_pillar, keys
    )


def test_two_names_in_two_places_are_named_with_both():
    sources = [source("minion config", {"keystone.tenant": "images"}), source("pillar", {"keystone": {"project": "others"}})]
    message = refusal(gather_credentials, sources, environment={})
    assert "keystone.tenant in the minion config and keystone.project in the pillar are different values" in message


def test_two_variables_of_one_thing_are_refused_too():
    message = refusal(of_variables, {**VARIABLES, "OS_TENANT_NAME": "others"})
    assert "OS_PROJECT_NAME and OS_TENANT_NAME in the environment are different values" in message


# what cannot be meant


def test_an_unknown_key_is_named_with_the_key_that_was_meant():
    message = refusal(of_pillar, {**USER, "pasword": "hunter2"}, kind=SettingsWrong)
    assert "keystone.pasword in the pillar" in message and "did you mean keystone.password?" in message


@pytest.mark.parametrize("key", ["token", "endpoint"])
def test_salts_admin_token_of_identity_v2_is_refused_by_name(key):
    message = refusal(of_pillar, {**USER, key: "hunter2"})
    assert f"keystone.{key} in the pillar cannot be used" in message and "keystone.image_endpoint" in message


@pytest.mark.parametrize("key", ["password", "user", "tenant", "auth_url", "region", "interface", "cacert"])
@pytest.mark.parametrize("value", [12345, 0o123, 1.5, True, ["hunter2"], {"hunter2": 1}], ids=repr)
def test_what_is_no_str_is_to_be_put_in_quotes_and_is_not_shown(key, value):
    message = refusal(of_pillar, {**USER, key: value})
    assert f"keystone.{key} in the pillar is not a string" in message and "put it in quotes" in message
    assert str(value) not in message


def test_the_secret_of_an_application_credential_is_put_in_quotes_too():
    message = refusal(of_pillar, {**APPLICATION, "application_credential_secret": 771234})
    assert "put it in quotes" in message and "771234" not in message


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        *[("insecure", value, "is not a boolean") for value in ("maybe", 1, 0, 1.0, [], "hunter2")],
        *[("verify_ssl", value, "is not a boolean") for value in ("/etc/ssl/hunter2.pem", 1)],
        *[("timeout", value, "number of seconds") for value in (0, -1, True, "600", "", float("inf"), float("nan"), 10**400)],
        *[("interface", value, "is not an interface") for value in ("hunter2", "Public", "URL", "publicurl")],
        *[("cacert", value, "names no file") for value in ("/nowhere/hunter2", "/", "~hunter2\0", "\0", "x" * 5000)],
        *[
            ("auth_url", value, "contains an @")
            for value in ("https://me:hunter2@cloud/v3", "https://me:hun/ter2@cloud", "hunter2@")
        ],
        *[
            ("auth_url", value, "is not an address")
            for value in (
                "cloud:5000/v3",
                "ftp://cloud/v3",
                "https://",
                "https:///v3",
                "https://me:hunter2",
                "https://cloud:99999",
                "https://[hunter2",
                "https://cloud/v3 ",
                "https://cloud\n/v3",
                "https://cloud/\x07",
                "https://cloud/v3?x=1",
                "https://cloud/v3?",
                "https://cloud/v3#x",
                "https://cloud\\v3",
                "hunter2",
            )
        ],
        *[
            ("auth_url", f"https://cloud{path}", "is of Identity v2, which is gone")
            for path in ("/v2.0", "/v2.0/", "/id/v2.0/tokens", "/v2")
        ],
        ("auth_url", "https://cloud/v3/auth/tokens", "goes on after /v3"),
        ("image_endpoint", "https://me:hunter2@glance", "contains an @"),
        ("image_endpoint", "glance", "is not an address"),
    ],
)
def test_a_value_that_cannot_be_meant_is_named_by_its_key(key, value, words):
    message = refusal(of_pillar, {**USER, key: value})
    assert f"keystone.{key} in the pillar" in message and words in message


@pytest.mark.parametrize("kind", ["v2password", "v2token"])
def test_an_auth_type_of_identity_v2_is_gone(kind):
    assert "OS_AUTH_TYPE in the environment is of Identity v2" in refusal(of_variables, {**VARIABLES, "OS_AUTH_TYPE": kind})


def test_variables_are_checked_under_their_own_names():
    assert "OS_INSECURE in the environment is not a boolean" in refusal(of_variables, {**VARIABLES, "OS_INSECURE": "hunter2"})
    assert "OS_CACERT in the environment names no file" in refusal(of_variables, {**VARIABLES, "OS_CACERT": "/hunter2"})


# what people see


@pytest.mark.parametrize("keys", [USER, APPLICATION], ids=["user", "application credential"])
def test_neither_repr_nor_public_shows_a_secret(keys):
    credentials = of_pillar({**keys, "region": "north"})
    assert "hunter2" not in f"{credentials!r} {credentials} {credentials.public()}"
    assert secrets_of(credentials) == ("hunter2",)


def test_public_says_who_we_are():
    assert of_pillar({**USER, "region": "north"}).public() == {
        "origin": "keystone.* in the pillar",
        "auth_type": "v3password",
        "auth_url": ADDRESS,
        "user": "builder",
        "project": "images",
        "region": "north",
    }
    assert of_pillar(APPLICATION).public() == {
        "origin": "keystone.* in the pillar",
        "auth_type": "v3applicationcredential",
        "auth_url": ADDRESS,
        "application_credential": "a1",
    }


def test_secrets_of_plugins_that_we_do_not_know_are_known_by_their_names():
    auth = {
        "password": "a",
        "client_secret": "abc",
        "access_token": "ab",
        "passcode": "d",
        "code": "e",
        "username": "me",
        "token": "",
        "methods": ["x"],
    }
    assert secrets_of(Credentials(auth_type="x", auth=auth, origin="y")) == ("abc", "ab", "a", "d", "e")


def test_credentials_cross_to_another_process():
    assert pickle.loads(pickle.dumps(of_pillar(USER))) == of_pillar(USER)


@pytest.mark.parametrize(
    "variables", [VARIABLES, APPLICATION_VARIABLES, TOKEN_VARIABLES], ids=["password", "application", "token"]
)
def test_the_loader_of_keystoneauth_takes_the_options(variables):
    loading = pytest.importorskip("keystoneauth1.loading")
    credentials = of_variables({**variables, "OS_USER_DOMAIN_NAME": "staff", "OS_PROJECT_DOMAIN_ID": "d1"})
    plugin = loading.get_plugin_loader(credentials.auth_type).load_from_options(**credentials.auth)
    assert plugin.auth_url == ADDRESS
