import json

from hypothesis import given, settings
from hypothesis import strategies as some
from vmimage.errors import SettingsWrong
from vmimage.settings.gather import gather_settings
from vmimage.settings.schema import KEYS, Settings

plain = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=8),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=6) | some.integers(), inner, max_size=3),
    max_leaves=6,
)
keys = some.sampled_from(sorted(KEYS)) | some.text(max_size=6) | some.integers()
fitting = {
    str: some.text(max_size=8) | some.sampled_from(["/", "/mnt/..", "/a\0b", "/a", "debian", "raw", "x"]),
    bool: some.booleans(),
    int: some.integers(),
    dict: some.dictionaries(some.sampled_from(["states", "id", "x", 1]), plain, max_size=4),
    tuple: some.lists(plain, max_size=3),
}
KINDS = {key: [fitting[kind] for kind in fitting if isinstance(setting.default, kind)] for key, setting in KEYS.items()}
KINDS |= {"variation": [fitting[dict]], "pillar": [fitting[dict]]}
few = some.lists(some.sampled_from(sorted(KINDS)), min_size=1, max_size=2).flatmap(
    lambda keys: some.fixed_dictionaries({key: some.one_of(*KINDS[key]) for key in keys})
)


def lookup(mapping):
    def get(key):
        top, _, below = key.partition(":")
        return (mapping.get(top) or {}).get(below) if below else mapping.get(top)

    return get


@given(
    some.dictionaries(
        some.just("ami") | keys.map(lambda key: f"ami.{key}"), plain | some.dictionaries(keys, plain, max_size=4), max_size=4
    )
)
def test_whatever_a_pillar_holds_gives_settings_or_says_what_is_wrong(mapping):
    try:
        found = gather_settings([("pillar", mapping, lookup(mapping))])
    except SettingsWrong as wrong:
        assert wrong.message and wrong.hint
    else:
        assert isinstance(found, Settings)


@settings(max_examples=250)
@given(few)
def test_whatever_arguments_are_given_settings_come_out_or_say_what_is_wrong(arguments):
    try:
        found = gather_settings([], arguments)
    except SettingsWrong as wrong:
        assert wrong.message and wrong.hint
    else:
        json.dumps(found.as_dict())
        assert found.root_path.is_absolute()
