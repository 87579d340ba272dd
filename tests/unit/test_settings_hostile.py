"""Strings that are no name and no path, in every setting that takes either; documents that want to be more than data."""

import re
import time

import pytest
from settings_sources import gathered
from vmimage.base.locate import locate_base
from vmimage.errors import UserdataWrong, VmImageError
from vmimage.settings import schema
from vmimage.settings.strict_yaml import read_document
from vmimage.system.address import public_address
from vmimage.system.progress import Progress
from vmimage.variation.apply import find_variation

STRINGS = {
    "parents": "../../etc/shadow",
    "a slash": "a/b",
    "two lines": "web\nami.publish: true",
    "a null": "web\0x",
    "an option": "--upload-pack=touch x",
    "an escape sequence": "\x1b]52;c;eA==\x07",
    "a colour": "\x1b[31mred",
    "another direction": "\u202egnp.bew",
    "half a character": "web\ud83d",
    "no UTF-8": "web\udcff",
    "a command": "$(touch x)`id`;reboot",
    "markup": "<script>alert(1)</script>",
    "a format": "{settings.__class__} %s%n",
    "very long": "x" * 100_000,
    "a long name": "x" * 300 + "/",
    "many addresses": "a://" * 20_000,
}
#: words of one language: nothing but letters, digits and a few signs
NAMES = (
    "name",
    "type",
    "release",
    "architecture",
    "base_format",
    "network",
    "when_done",
    "visibility",
    "publish",
    "memory",
    "disk_format",
    "compression",
)
NAMES += ("output_mode", "kernel_id", "ramdisk_id", "initrd_id", "order")
PATHS = ("root", "output", "workspace", "cache", "repository_credentials")
ADDRESSES = ("hg_address", "git_address", "hg_address_variation", "git_address_variation")
FREE = {
    "kernel_command_line",
    "order",
    "base_hash",
    "base_keyring",
    "variation",
    "base",
    "pre",
    "post",
    "revision",
    "cloud",
    "mirror",
}
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def shown(error):
    """What an error says, which a terminal only shows."""
    assert isinstance(error, VmImageError) and not CONTROL.search(str(error)), repr(str(error))[:300]
    return str(error)


def test_every_setting_that_takes_a_text_is_among_them():
    revisions = {name.replace("address", "rev") for name in ADDRESSES}
    takes_text = {name for name, setting in schema.KEYS.items() if "str" in str(setting.type)}
    assert takes_text == {*NAMES, *PATHS, *ADDRESSES, *FREE, *revisions}


@pytest.mark.hostile("settings", refused=True)
@pytest.mark.parametrize("text", STRINGS.values(), ids=STRINGS)
@pytest.mark.parametrize("key", [*NAMES, *PATHS, *ADDRESSES])
def test_what_is_no_name_path_or_address_is_refused_by_its_key(key, text):
    more = {"base": "/srv/a.img"} if key == "base_format" else {}
    with pytest.raises(VmImageError) as caught:
        gathered(**{key: text, **more})
    assert key in shown(caught.value)


@pytest.mark.hostile("settings", refused=True)
@pytest.mark.parametrize("text", [text for name, text in STRINGS.items() if name in ("two lines", "a null", "an escape sequence", "no UTF-8",
                                                                                 "another direction", "half a character", "a colour")], ids=ascii)  # fmt: skip
@pytest.mark.parametrize("key", PATHS)
def test_an_absolute_path_with_characters_that_cannot_be_seen_is_refused(key, text):
    with pytest.raises(VmImageError) as caught:
        gathered(**{key: f"/srv/{text}"})
    assert key in shown(caught.value)


@pytest.mark.hostile("settings", refused=True)
@pytest.mark.parametrize("ending", ["", "file://", "salt://", "file:///"], ids=["bare", "file", "salt", "absolute file"])
@pytest.mark.parametrize("text", STRINGS.values(), ids=STRINGS)
def test_a_base_that_is_none_is_named(tmp_path, text, ending):
    with pytest.raises(VmImageError) as caught:
        asked = gathered(base=f"{ending}{text}", base_unverified=True, cache=str(tmp_path))
        locate_base(asked, Progress(), lambda address: None)
    shown(caught.value)
    assert not list(tmp_path.rglob("*"))


ODD_BASES = [
    "http://[",
    "http://a b/",
    "http://",
    "https://\x1b]52;c;x\x07/",
    "http://%00",
    "glance:",
    "glance:\n",
    "-",
    "ftp://x/y",
    "ext::sh",
]


@pytest.mark.hostile("settings", refused=True)
@pytest.mark.parametrize("address", ODD_BASES, ids=ascii)
def test_an_address_of_a_base_that_is_none_is_named(tmp_path, address):
    with pytest.raises(VmImageError) as caught:
        asked = gathered(base=address, cache=str(tmp_path))
        locate_base(asked, Progress(), lambda address: None)
    shown(caught.value)


@pytest.mark.hostile("settings", refused=True)
@pytest.mark.parametrize("text", ["x" * 200_000, "a://" * 50_000, "a://" * 50_000 + "@", "a://b" + "?" * 200_000, "://" * 60_000])
def test_a_long_text_is_searched_for_secrets_in_no_time(text):
    begun = time.process_time()
    assert "s3cr3t" not in public_address(f"{text} https://me:s3cr3t@example.org/?s3cr3t")
    assert time.process_time() - begun < 10  # it took minutes


class NoHost:
    """A minion whose file_roots are empty."""

    def __init__(self, directory):
        self.directory = directory

    def file_roots(self):
        return [self.directory]

    def environments(self):
        return {}

    def state_options(self):
        return {}

    def cache_tree(self, address):
        return None


@pytest.mark.hostile("settings", refused=True)
@pytest.mark.parametrize("as_what", [str, "salt://{}".format, "/srv/{}".format, lambda text: {"states": [text]}, lambda text: {"id": text}],
                         ids=["a directory", "salt", "a path", "a state", "an id"])  # fmt: skip
@pytest.mark.parametrize("text", STRINGS.values(), ids=STRINGS)
def test_a_variation_that_is_none_is_named(tmp_path, text, as_what):
    with pytest.raises(VmImageError) as caught:
        find_variation(gathered(variation=as_what(text)), NoHost(tmp_path))
    shown(caught.value)


LAUGHS = "a: &a [x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
DOCUMENTS = {
    "a bomb of aliases": LAUGHS,
    "an alias of itself": "a: &a [*a]\n",
    "a merge": "a: &a {b: 1}\nc: {<<: *a}\n",
    "a call of Python": "a: !!python/object/apply:os.system ['touch x']\n",
    "a module of Python": "a: !!python/module:os\n",
    "a name of Python": "a: !!python/name:os.system\n",
    "a tag of its own": "a: !<tag:example.org,2000:x> y\n",
    "a tag that is declared": "%TAG ! tag:yaml.org,2002:python/\n---\na: !object:os.system {}\n",
    "binary": "a: !!binary eA==\n",
    "a set": "a: !!set {b}\n",
    "deep lists": "a: " + "[" * 5000,
    "deep mappings": "a: " + "{b: " * 5000,
    "deep blocks": "".join(" " * depth + "a:\n" for depth in range(100)),
    "a key that is a list": "? [a, b]\n: c\n",
    "a key that is a mapping": "{a: b}: c\n",
    "a key of 60,000 bytes": "a" * 60_000 + ": b\n",
    "a hundred thousand keys": "a: b\n" * 100_000,
    "a key twice": "ami.name: a\nami.name: b\n",
    "two documents": "a: b\n---\na: c\n",
    "an escape sequence": "a: \x1b]52;c;eA==\x07\n",
    "a null": "a: b\0\n",
    "half a character": 'a: "\\ud83d"\n',
    "a character beyond all": 'a: "\\UFFFFFFFF"\n',
    "a number of sixty thousand digits": "a: 0" + "7" * 60_000 + "\n",
    "base sixty": "a: 1:20:30\n",
    "an octal": "a: 0777\n",
    "an infinite number": "a: [.inf, 1e999999]\n",
}


@pytest.mark.hostile("settings", refused=True)
@pytest.mark.parametrize("text", DOCUMENTS.values(), ids=DOCUMENTS)
def test_a_document_that_is_more_than_data_is_refused(text):
    with pytest.raises(UserdataWrong) as caught:
        read_document(text.encode(), "the userdata")
    assert len(shown(caught.value)) < 600
