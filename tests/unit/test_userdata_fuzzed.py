"""Whatever is given as userdata: a result, or an error of the project that tells no secret."""

import pickle

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as some
from vmimage.errors import VmImageError
from vmimage.instance.userdata import sort_userdata
from vmimage.settings.schema import KEYS

SECRET = "hUnTeR2"
GOOD = [
    b"ami.name: web\nami.type: debian\nami.keep: 3\nami.packages: [curl, vim]\nkeystone.password: 'x'\n",
    b"ami:\n  name: web\n  gate: {seconds: 300, ports: [22]}\n  pillar:\n    a: |\n      text\nkeystone:\n  user: alice\n  timeout: 5\n",
    b'{"ami": {"name": "web", "update": false, "properties": {"a": "b"}}, "keystone": {"insecure": true}}',
]
PIECES = some.sampled_from(
    [
        *(
            "ami",
            "keystone",
            "ami.name",
            "ami.pillar",
            "ami.update",
            "keystone.password",
            "keystone.timeout",
            "web",
            "debian",
            "1.10",
        ),
        *(
            ": ",
            ":",
            "\n",
            "\r\n",
            "\n  ",
            "\n- ",
            "- ",
            "? ",
            "\t",
            " ",
            "",
            "{",
            "}",
            "[",
            "]",
            ", ",
            "#",
            " #",
            "'",
            '"',
            "|\n ",
            ">\n ",
        ),
        *(
            "&a ",
            "*a",
            "!",
            "!!str ",
            "!!set ",
            "<<",
            "=",
            "%",
            "@",
            "`",
            "---\n",
            "...\n",
            "%YAML 1.1\n",
            "%TAG ! x\n",
            "~",
            "yes",
            "0123",
        ),
        *(
            '"\\ud83d"',
            '"\\U00110000"',
            '"\\0"',
            '"\\x"',
            "\x85",
            "\u2028",
            "\ufeff",
            "\x7f",
            "2013-01-01",
            "2013-99-99",
            "1:2",
            ".nan",
            "9" * 5000,
        ),
    ]
)


def checked(data):
    """What becomes of userdata, if it is either of the two things that may become of it."""
    try:
        found = sort_userdata(data)
    except VmImageError as wrong:
        assert wrong.message and wrong.hint
        assert str(pickle.loads(pickle.dumps(wrong))) == str(wrong)
        return str(wrong)
    assert (found.kind == "settings") == bool(found.grains or found.secrets)
    assert set(found.grains) <= {"ami"} and set(found.secrets) <= {"ami", "keystone"}
    assert not set(found.grains.get("ami", {})) & {"pillar", *found.secrets.get("ami", {})}
    for plain in (found.grains, found.secrets):
        assert yaml.safe_load(yaml.safe_dump(plain)) == plain
    return found


@settings(max_examples=300)
@given(some.binary(max_size=200))
@example(b"\xef\xbb\xbf\xef\xbb\xbf")
def test_any_bytes(data):
    checked(data)


@settings(max_examples=600)
@given(some.lists(PIECES, max_size=25).map("".join))
@example("? ? ? ")
def test_anything_like_yaml(text):
    checked(text.encode())


@settings(max_examples=400)
@given(some.sampled_from(GOOD), some.data())
def test_good_documents_with_a_few_bytes_changed(document, data):
    document = bytearray(document)
    for _ in range(data.draw(some.integers(1, 4))):
        at, length = data.draw(some.integers(0, len(document))), data.draw(some.integers(0, 3))
        document[at : at + length] = data.draw(some.binary(max_size=3) | PIECES.map(str.encode))
    checked(document)


plain = some.recursive(
    some.none() | some.booleans() | some.integers(-(2**70), 2**70) | some.floats() | some.text(max_size=8) | some.dates(),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=6) | some.integers(), inner, max_size=3),
    max_leaves=6,
)
names = some.sampled_from([*sorted(KEYS), "relase", "password"])


@settings(max_examples=300)
@given(
    some.dictionaries(some.builds("{}.{}".format, some.sampled_from(["ami", "keystone", "x"]), names), plain, max_size=4)
    | some.fixed_dictionaries({}, optional={"ami": some.dictionaries(names, plain, max_size=4), "keystone": plain, "x": plain})
)
def test_any_data_written_as_yaml(data):
    checked(yaml.safe_dump(data, allow_unicode=True).encode())


places = [
    "keystone.password: {}",
    "keystone:\n  password: {}\n  nonsense: 1",
    "keystone: {{password: {}, timeout: [{}]}}",
    "keystone: {{password:{}}}",
    "keystone.password:{}",
    "keystone: {}",
    "keystone.auth_url: {}",
    "ami.pillar: {{a: {}}}\nami.name: '-'",
    "ami.pillar: {}",
    "ami.pillar: {{a: {}}}\nami.pillar: {}",
    "ami.base: https://me:{}@x/a\nami.base_format: nonsense",
    "ami.base_hash: https://me:{}@x/a",
    "ami.cache: https://x/a?{}",
    "ami.mirror: [https://me:{}@x/a]",
    "ami.properties: {{id: 'http://me:{}@x', b: 1}}",
    "ami.variation: {{directory: 'http://me:{}@x', states: [a]}}",
    "ami.variation: {{'http://me:{}@x': a}}",
    "ami.gate: {{'http://me:{}@x': a}}",
    "ami.carry_over: ['http://me:{}@x', {{}}]",
]
around = ["", "'", '"', "[", "{", "@", "&", "*", "!", "%", " #", "#", "\t", "\n", "\\", "\x1b", "- ", "0", "ü"]


@pytest.mark.parametrize("place", places)
def test_no_error_and_no_grain_tells_a_secret(place):
    """Each character before the secret, each after it, and the same on both sides, in each place."""
    for before, after in (
        {(character, "") for character in [*around, ": "]}
        | {("", character) for character in around}
        | {(character, character) for character in around}
    ):
        tells_no_secret(place, before, after)


@settings(max_examples=300)
@given(some.sampled_from(places), some.sampled_from([*around, ": "]), some.sampled_from(around))
def test_no_error_and_no_grain_tells_a_secret_between_any_two(place, before, after):
    tells_no_secret(place, before, after)


def tells_no_secret(place, before, after):  # never a colon after it: then it is a key, which is named
    found = checked(place.replace("{}", f"{before}{SECRET}{after}").replace("{{", "{").replace("}}", "}").encode())
    assert SECRET not in (found if isinstance(found, str) else repr(found)), place
