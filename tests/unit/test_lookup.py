from functools import partial

import pytest
import settings_sources
from settings_sources import source
from vmimage.settings.lookup import look_up

KNOWN = ("user", "password", "tenant")


def of_pillar(mapping, **options):
    return look_up("keystone", KNOWN, [source("pillar", mapping)], **options)


refusal = partial(settings_sources.refusal, of_pillar)


def test_a_key_is_found_nested_and_flat_with_the_place_where_it_stands():
    sources = [source("minion config", {"keystone.user": "me"}), source("pillar", {"keystone": {"tenant": "web"}})]
    assert look_up("keystone", KNOWN, sources) == {
        "user": ("me", "keystone.user in the minion config"),
        "tenant": ("web", "keystone.tenant in the pillar"),
    }


def test_the_weightiest_place_wins():
    sources = [source("minion config", {"keystone.user": "me"}), source("pillar", {"keystone": {"user": "you"}})]
    assert look_up("keystone", KNOWN, sources)["user"] == ("me", "keystone.user in the minion config")


def test_keys_of_other_prefixes_are_nobodys_business():
    assert look_up("keystone", KNOWN, [source("pillar", {"ami.name": "x", "keystones": {"a": 1}, 3: 4})]) == {}


def test_a_null_is_nothing():
    assert look_up("keystone", KNOWN, [source("pillar", {"keystone": {"user": None}, "keystone.tenant": None})]) == {}


def test_an_unknown_key_is_named_with_its_prefix_its_place_and_the_key_that_was_meant():
    message = refusal({"keystone.pasword": "x"})
    assert "unknown setting keystone.pasword in the pillar" in message and "did you mean keystone.password?" in message


def test_two_values_in_one_place_are_an_error_with_the_prefix():
    message = refusal({"keystone": {"user": "me"}, "keystone.user": "you"})
    assert "keystone.user stands twice in the pillar, nested and flat, with two values" in message


def test_what_is_no_mapping_gets_an_example():
    message = refusal({"keystone": "me"}, example="user: NAME")
    assert "keystone in the pillar is 'me', not a mapping" in message and "write keystone: {user: NAME}" in message


@pytest.mark.parametrize(
    "mapping",
    [
        {"keystone": "hunter2"},
        {"keystone": ["hunter2"]},
        {"keystone": {"password": "hunter2"}, "keystone.password": "hunter22"},
        {"keystone": {"password:hunter2": None}},
        {"keystone.password=hunter2": None},
        {"keystone": {("password", "hunter2"): None}},
    ],
)
def test_where_values_may_be_secret_none_is_shown(mapping):
    assert "hunter2" not in refusal(mapping, secret=True)
