"""Whatever is wrong with credentials, and wherever a password was put: it is never shown."""

import json
import traceback

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from vmimage.errors import VmImageError
from vmimage.glance import clouds
from vmimage.glance.credentials import Credentials, gather_credentials, secrets_of
from vmimage.settings.auth_options import is_secret

ADDRESS = "https://cloud.example.org:5000/v3"
GOOD = {
    "auth_url": ADDRESS,
    "user_id": "u1",
    "project_id": "p1",
    "user": "builder",
    "username": "builder",
    "tenant": "images",
    "project_name": "images",
    "application_credential_id": "a1",
    "application_credential_name": "ci",
    "region_name": "north",
    "interface": "public",
    "cacert": __file__,
    "insecure": False,
    "verify": True,
    "verify_ssl": True,
    "timeout": 5,
    "api_timeout": 5,
    "image_endpoint": "http://glance",
    "image_endpoint_override": "http://glance",
}
SECRET = (
    "password",
    "application_credential_secret",
    "token",
    "auth_type",
    "pasword",
    "endpoint",
    "user_domain_name",
    "profile",
    "x",
)
# letters that no message has in a row; of what breaks addresses, YAML and shells
secrets = some.text("QXZJVqxzjv", min_size=12, max_size=16) | some.from_regex(
    r"[QXZJV]{6}[@:/#?%&*!'\"\\ -][QXZJV]{6}", fullmatch=True
)
numbers = some.integers(10**13, 10**15)


def of_key(key, secret):
    """What may stand under a key: what belongs there, the secret, or the secret in a wrapping."""
    misplaced = [
        secret,
        f"https://me:{secret}@cloud.example.org/v3",
        f"https://cloud.example.org/{secret}/v2.0",
        [secret],
        {"a": secret},
        {f"password:{secret}": None},
    ]
    belongs = [some.just(GOOD[key])] * 3 if key in GOOD else [some.just(secret)] * 3
    return some.one_of(*belongs, some.sampled_from([*misplaced, None, ""]))


def of_keys(keys, secret):
    return some.fixed_dictionaries({}, optional={key: of_key(key, secret) for key in keys})


def everything_of(error):
    return "".join(traceback.format_exception(error)) + str(error) + repr(error) + error.hint


def look(sources, secret, **options):
    """Gather; see that neither what comes out nor what is wrong tells the secret."""
    try:
        found = gather_credentials(sources, **options)
    except VmImageError as wrong:
        assert str(secret) not in everything_of(wrong) and wrong.hint
        return None
    if found is not None and secret in secrets_of(found):
        rest = [value for key, value in vars(found).items() if key != "auth"]
        rest += [value for key, value in found.auth.items() if not is_secret(key)]
        if not any(str(secret) in str(value) for value in rest):
            assert str(secret) not in f"{found!r} {found} {found.public()}"
    return found


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    top = tmp_path_factory.mktemp("clouds")
    (top / ".config/openstack").mkdir(parents=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(top)
        patch.setattr(clouds, "SITE_DIRECTORY", str(top))
        yield top


@settings(max_examples=200)
@given(data=some.data(), secret=secrets | numbers)
def test_no_message_about_keystone_keys_tells_a_secret(data, secret):
    keys = [key for key in (*GOOD, *SECRET) if key not in ("verify", "api_timeout", "image_endpoint_override")]
    places = [{}, {}]
    for key in data.draw(some.lists(some.sampled_from(keys), unique=True, max_size=7)):
        place = data.draw(some.sampled_from(places))
        place[f"keystone.{key}"] = data.draw(of_key(key, secret))
    if data.draw(some.integers(0, 9)) == 0:
        places[0]["keystone"] = data.draw(of_key("x", secret))
    sources = [(where, place, place.get) for where, place in zip(("minion config", "pillar"), places, strict=True)]
    cloud = data.draw(some.sampled_from(["", "", "", "web"]))
    look(sources, secret, cloud=cloud, environment={"HOME": "/nowhere"})


@settings(max_examples=200)
@given(data=some.data(), secret=secrets)
def test_no_message_about_variables_tells_a_secret(data, secret):
    keys = [f"OS_{key.upper()}" for key in (*GOOD, *SECRET) if key != "verify"]
    keys += ["OS_TENANT_NAME", "OS_DEFAULT_DOMAIN", "OS_CLIENT_CONFIG_FILE"]
    usual = {"OS_AUTH_URL": ADDRESS, "OS_USERNAME": "builder", "OS_PROJECT_NAME": "images", "OS_PASSWORD": secret}
    variables = data.draw(some.sampled_from([{}, usual])).copy()
    for key in data.draw(some.lists(some.sampled_from(keys), unique=True, max_size=4)):
        variables[key] = str(data.draw(of_key(key.removeprefix("OS_").lower(), secret)))
    look([], secret, environment={"HOME": "/nowhere", **variables})


@settings(max_examples=150)
@given(data=some.data(), secret=secrets | numbers)
def test_no_message_about_clouds_tells_a_secret(data, secret, home):
    keys = (*GOOD, *SECRET)
    files = {}
    for name in ("clouds.yaml", "secure.yaml", "clouds-public.yaml"):
        entry = data.draw(of_keys(data.draw(some.lists(some.sampled_from(keys), max_size=2)), secret))
        auth = data.draw(of_keys(data.draw(some.lists(some.sampled_from(keys), max_size=6)), secret))
        entry["auth"] = data.draw(some.sampled_from([auth] * 8 + [secret, [secret]]))
        if data.draw(some.integers(0, 4)) == 0:
            entry["regions"] = data.draw(some.sampled_from(["north", ["north", "south"], [{"name": "north", "values": secret}]]))
        top = "public-clouds" if "public" in name else "clouds"
        files[name] = {top: {"web": entry, "acme": {"auth": auth}}}
    for name, document in files.items():
        text = json.dumps(document)
        if data.draw(some.integers(0, 9)) == 0:
            text = text[: data.draw(some.integers(0, len(text)))]
        (home / ".config/openstack" / name).write_text(text, encoding="utf-8")
    look([], secret, cloud="web", environment={"HOME": str(home)})


@settings(max_examples=100)
@given(data=some.data(), secret=secrets)
def test_no_message_about_broken_yaml_tells_a_secret(data, secret, home):
    broken = [
        "password: {}: x",
        "password: *{}",
        "password: !{} x",
        "password: '{}",
        'password: "{}\\q"',
        "password: {}\n\tx",
        "{{password: {}",
        "[{}",
        "%{}",
        "!!int {}",
        "!!bool {}",
        "? [{}]\n: x",
        "&{} x: y",
    ]
    line = data.draw(some.sampled_from(broken)).format(secret)
    before = data.draw(some.sampled_from(["", "clouds:\n  web:\n    auth:\n      ", "clouds:\n  web: "]))
    for name in ("clouds.yaml", "secure.yaml", "clouds-public.yaml"):
        (home / ".config/openstack" / name).write_text("{}", encoding="utf-8")
    (home / ".config/openstack" / data.draw(some.sampled_from(["clouds.yaml", "secure.yaml"]))).write_text(
        f"{before}{line}\n", encoding="utf-8"
    )
    look([], secret, cloud="web", environment={"HOME": str(home)})


@given(secrets, some.sampled_from(["password", "application_credential_secret", "token", "client_secret", "passcode"]))
def test_credentials_themselves_never_tell_a_secret(secret, key):
    credentials = Credentials(auth_type="v3password", auth={"auth_url": ADDRESS, key: secret}, origin="the OS_* variables")
    assert secret not in f"{credentials!r} {credentials} {credentials.public()}"
    assert secrets_of(credentials) == (secret,)


def test_these_tests_see_credentials_too(home):
    assert look([], "QXZJVQXZJVQX", environment={"OS_AUTH_URL": ADDRESS, "OS_TOKEN": "QXZJVQXZJVQX", "OS_PROJECT_ID": "p"})
