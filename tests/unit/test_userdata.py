"""A table of userdata documents, each with its exact outcome.  ``hunter2`` is the secret of all of them: no message may show it."""

import bz2
import gzip
import lzma

import pytest
from vmimage.errors import SettingsWrong, UserdataWrong
from vmimage.instance.userdata import Sorted, sort_userdata
from vmimage.settings.schema import KEYS
from vmimage.settings.strict_yaml import LIMIT_BYTES

BOM = b"\xef\xbb\xbf"
HG, GIT = "ami.hg_address_variation: https://hg.example.org/web\n", "ami.git_address_variation: https://git.example.org/web\n"


def ami(**settings):
    return {"ami": settings}


def keystone(**secrets):
    return {"keystone": secrets}


OURS = {
    "flat": ("ami.name: web\nami.type: debian\n", ami(name="web", type="debian"), {}),
    "nested": ("ami: {name: web}\nkeystone:\n  user: alice\n", ami(name="web"), keystone(user="alice")),
    "half and half": ("ami: {name: web}\nami.type: ubuntu\n", ami(name="web", type="ubuntu"), {}),
    "in quotes": ("\"ami.name\": 'web'\n", ami(name="web"), {}),
    "json": ('{"ami": {"name": "web", "keep": 2}}', ami(name="web", keep=2), {}),
    "json with an escaped emoji": ('{"ami": {"pillar": {"a": "\\ud83d\\ude00"}}}', {}, ami(pillar={"a": "\U0001f600"})),
    "carriage returns": ("ami.name: web\r\nami.keep: 5\r\n", ami(name="web", keep=5), {}),
    "a byte order mark": (BOM + b"ami.name: web\n", ami(name="web"), {}),
    "comments": ("# me\nami.name: web  # the name\n\n# end", ami(name="web"), {}),
    "document marks": ("---\nami.name: web\n...\n", ami(name="web"), {}),
    "no newline at the end": ("ami.name: web", ami(name="web"), {}),
    "every type": (
        "ami: {update: no, room_mib: 100, packages: [curl, '1.10'], gate: {seconds: 9.5, ports: [22]}, publish: false}",
        ami(update=False, room_mib=100, packages=["curl", "1.10"], gate={"seconds": 9.5, "ports": [22]}, publish=False),
        {},
    ),
    "umlauts in properties": ("ami.properties: {os_title: Bücher}", ami(properties={"os_title": "Bücher"}), {}),
    "keystone alone": ("keystone.password: hunter2\n", {}, keystone(password="hunter2")),
    "keystone's own types": (
        "keystone: {timeout: 30, insecure: yes, user: a}",
        {},
        keystone(timeout=30, insecure=True, user="a"),
    ),
    "a password in quotes": ("keystone.password: '0123 #hunter2'\n", {}, keystone(password="0123 #hunter2")),
    "a password with odd characters": ('keystone.password: "a\\tb\\x1b: \\" é"', {}, keystone(password='a\tb\x1b: " é')),
    "a hash inside of a password": ("keystone.password: hunter2#3", {}, keystone(password="hunter2#3")),
    "pillar is secret": (
        "ami.name: web\nami.pillar: {db: {password: hunter2, port: 5432}}",
        ami(name="web"),
        ami(pillar={"db": {"password": "hunter2", "port": 5432}}),
    ),
    "a password in an address": (
        "ami.name: web\nami.base: https://me:hunter2@images.example.org/a.img\n",
        ami(name="web"),
        ami(base="https://me:hunter2@images.example.org/a.img"),
    ),
    "a password with a slash and an at": (
        "ami.base: https://me:hun/t@er2@x/a.img",
        {},
        ami(base="https://me:hun/t@er2@x/a.img"),
    ),
    "a signature in an address": ("ami.base: https://x/a.img?sig=hunter2", {}, ami(base="https://x/a.img?sig=hunter2")),
    "a password without a scheme": ("ami.variation: me:hunter2@x/web", {}, ami(variation="me:hunter2@x/web")),
    "a secret by its name": ("ami.properties: {db_password: hunter2}", {}, ami(properties={"db_password": "hunter2"})),
    "addresses without a secret": (
        "ami: {base: 'https://x:8080/a.img', variation: {directory: 'salt://web', id: web1}}",
        ami(base="https://x:8080/a.img", variation={"directory": "salt://web", "id": "web1"}),
        {},
    ),
    "behind a mark of YAML": ("%YAML 1.1\n---\nami.name: web\n...\n", ami(name="web"), {}),
    "hg at a revision": (
        HG + "ami.hg_rev_variation: 249:9ed741a55f17\n",
        ami(hg_address_variation="https://hg.example.org/web", hg_rev_variation="249:9ed741a55f17"),
        {},
    ),
    "git at a branch": (
        GIT + "ami.git_rev_variation: stable\n",
        ami(git_address_variation="https://git.example.org/web", git_rev_variation="stable"),
        {},
    ),
    "code of its own": ("ami.git_address: file:///srv/code\n", ami(git_address="file:///srv/code"), {}),
    "a user of ssh is kept like a secret": (
        "ami.hg_address_variation: ssh://hg@hg.example.org/web\n",
        {},
        ami(hg_address_variation="ssh://hg@hg.example.org/web"),
    ),
    "an end": ("ami.when_done: poweroff\n", ami(when_done="poweroff"), {}),
    "a key left empty is not set": ("ami.name: web\nami.base:\nkeystone.password:\n", ami(name="web"), {}),
}

NOT_OURS = {
    "nothing": (b"", "empty"),
    "white space": (b" \r\n\t\n", "empty"),
    "comments alone": (b"# ami.name: web\n", "empty"),
    "a mark alone": (b"---\n", "empty"),
    "an empty mapping": (b"{}", "empty"),
    "empty settings": (b"ami:\nkeystone: {}\n", "empty"),
    "a byte order mark alone": (BOM, "empty"),
    "a script": (b"#!/bin/sh\nami.name: web\n", "script"),
    "a script behind a mark": (BOM + b"#!/bin/sh\n", "script"),
    "a script of Windows": (b"<powershell>dir</powershell>", "script"),
    "cloud-config": (b"#cloud-config\nusers: []\n", "cloud-config"),
    "cloud-config in capitals": (b"#Cloud-Config\nusers: []\n", "cloud-config"),
    "an archive of cloud-config": (b"#cloud-config-archive\n- x\n", "cloud-config"),
    "a boothook": (b"#cloud-boothook\n", "cloud-init"),
    "an include": (b"#include\nhttp://x/\n", "cloud-init"),
    "a part handler": (b"#part-handler\n", "cloud-init"),
    "a template": (b"## template: jinja\n#cloud-config\n", "cloud-init"),
    "mime": (b'Content-Type: multipart/mixed; boundary="=="\nMIME-Version: 1.0\n\n--==\n', "mime"),
    "mime with a script that writes settings": (
        b'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="x"\n\n--x\nContent-Type: text/x-shellscript\n\n#!/bin/sh\nami.name: no\n--x--\n',
        "mime",
    ),
    "mime from a mail": (b"From nobody\nmime-version: 1.0\n", "mime"),
    "gzip": (gzip.compress(b"ami.name: web"), "compressed"),
    "xz": (lzma.compress(b"ami.name: web"), "compressed"),
    "bzip2": (bz2.compress(b"ami.name: web"), "compressed"),
    "bzip2 of nothing": (bz2.compress(b""), "compressed"),
    "zstd": (b"\x28\xb5\x2f\xfd\x04\x00", "compressed"),
    "lz4": (b"\x04\x22\x4d\x18\x64\x40", "compressed"),
    "zip": (b"PK\x03\x04\x14\x00", "compressed"),
    "a program": (b"\x7fELF\x02\x01\x01\x00", "program"),
    "base64": (b"IyEvYmluL3NoCmVj\naG8gaGVsbG8Kc2xlZXAK\n", "base64"),
}

WRONG = {
    "an unknown setting": ("ami.name: web\nami.relase: sid\n", "ami.relase", "line 2", "did you mean ami.release?"),
    "an unknown setting, nested": ("ami:\n  name: web\n  relase: sid\n", "ami.relase", "line 3", "did you mean ami.release?"),
    "an unknown setting left empty": ("ami.relase:\n", "ami.relase", "line 1"),
    "a deeper flat key": ("ami.variation.id: web\n", "ami.variation.id", "did you mean ami.variation?"),
    "an unknown key of keystone": ("keystone.pasword: hunter2", "keystone.pasword", "line 1", "did you mean keystone.password?"),
    "an unknown top": ("amy.name: web", "amy.name", "line 1", "did you mean ami.name?"),
    "a setting without its prefix": ("release: sid", "unknown key release", "did you mean ami.release?"),
    "a colon for a dot": ("ami:name: web", "ami...", "line 1"),
    "something else altogether": ("zzz: 1", "unknown key zzz", "settings begin with ami. or keystone."),
    "a prefix alone": ("ami.: 1", "unknown key ami.", "line 1"),
    "cloud-config without its first line": (
        "\nhostname: web\n",
        "hostname",
        "line 2",
        "looks like cloud-config",
        "#cloud-config",
    ),
    "packages could be both": ("packages: [curl]", "did you mean ami.packages?", "looks like cloud-config"),
    "a password of cloud-config": ("password: hunter2", "unknown key password", "looks like cloud-config"),
    "a list": ("- ami.name: web", "no settings"),
    "a text": ("hunter2", "no settings"),
    "a page of a portal": ("<html><body>Log in</body></html>", "no settings"),
    "no space after the colon": ("ami.name:web", "no settings", "KEY: VALUE"),
    "no space after one colon": (
        "ami.type: debian\nkeystone.password:hunter2\n",
        "not YAML",
        "line",
        "the space after each colon",
    ),
    "no space in braces": ("keystone: {password:hunter2}", "keystone.password...", "line 1", "did you mean keystone.password?"),
    "a value at the top": ("ami: web", "ami in the userdata (line 1) is not a mapping", "ami: {type: debian}"),
    "secrets at the top": ("keystone: hunter2", "keystone in the userdata (line 1) is not a mapping"),
    "twice": ("ami.name: web\nami.name: web\n", "ami.name", "line 2", "stands twice"),
    "twice, nested and flat": ("ami: {name: web}\nami.name: web\n", "ami.name", "line 2", "stands twice, nested and flat"),
    "twice at the top": ("ami: {name: web}\nami: {type: debian}\n", "ami in the userdata (line 2) stands twice"),
    "twice within a value": ("ami.gate: {ports: [22], ports: [80]}", "ami.gate.ports", "stands twice"),
    "a secret twice": ("keystone.password: a\nkeystone.password: hunter2\n", "keystone.password", "line 2", "stands twice"),
    "a release of digits": ("ami.release: 12", "ami.release", "line 1", "put it in quotes"),
    "a name that is a number": ("ami.name: 1.5", "ami.name", "put it in quotes"),
    "a name that is a date": ("ami.name: 2013-01-01", "ami.name", "line 1", "put it in quotes"),
    "a name that is true": ("ami:\n  name: yes", "ami.name", "line 2", "put it in quotes"),
    "a version that is a number": ("ami.packages: [curl, 1.10]", "ami.packages", "put it in quotes"),
    "a package that is false": ("ami.packages: [curl, no]", "ami.packages", "put it in quotes"),
    "a property that is true": ("ami.properties: {hw_x: true}", "ami.properties", "line 1", "put it in quotes"),
    "an id that is a number": ("ami.variation: {id: 7}", "ami.variation", "line 1", "put it in quotes"),
    "an octal password": ("keystone.password: 0123", "keystone.password", "line 1", "put it in quotes"),
    "a password of digits": ("keystone:\n  password: 8123", "keystone.password", "line 2", "put it in quotes"),
    "a password that is a time": ("keystone.password: 12:30:00", "keystone.password", "put it in quotes"),
    "a password that is infinite": ("keystone.password: .inf", "keystone.password", "put it in quotes"),
    "a password that is off": ("keystone.password: Off", "keystone.password", "put it in quotes"),
    "a password that is a list": ("keystone.password: [hunter2]", "keystone.password", "not a single value"),
    "a password that is an equals sign": ("keystone.password: =", "keystone.password", "put it in quotes"),
    "a password that is cut at a hash": ("keystone.password: hun #hunter2", "keystone.password", "before a #", "quotes"),
    "a password with an at": ("keystone.password: @hunter2", "not YAML", "line 1", "goes in quotes"),
    "a password with a percent": ("ami.name: web\nkeystone.password: %hunter2", "not YAML", "line 2", "goes in quotes"),
    "a password with a star": ("keystone.password: *hunter2", "keystone.password", "line 1", "goes in quotes"),
    "a password with an ampersand": ("keystone.password: &hunter2 x", "keystone.password", "line 1", "goes in quotes"),
    "a password with an exclamation mark": ("keystone.password: !hunter2", "keystone.password", "line 1", "goes in quotes"),
    "a password with a colon": ("keystone.password: hun: hunter2", "not YAML", "line 1", "quotes"),
    "a quote without its end": ('keystone.password: "hunter2\nami.name: web\n', "not YAML", "line"),
    "an octal in pillar": ("ami.pillar: {mode: 0644}", "ami.pillar.mode", "line 1", "put it in quotes"),
    "a date in pillar": ("ami.pillar: {since: 2013-01-01}", "ami.pillar.since", "put it in quotes"),
    "a number too big for Salt": ("ami.pillar: {n: 9223372036854775808}", "ami.pillar.n", "put it in quotes"),
    "a key that is a number": ("ami.pillar: {80: x}", "ami.pillar", "key that is no text", "put it in quotes"),
    "a key that is a truth": ("yes: 1", "the userdata (line 1) has a key that is no text"),
    "a key that is a list": ("? [a, b]\n: 1", "key that is no text"),
    "a merge": ("ami.pillar:\n  <<: {a: 1}\n", "line 2", "put it in quotes"),
    "a tab": ("ami:\n\tname: web\n", "not YAML", "line 2", "tab"),
    "crooked": ("ami:\n  name: web\n type: debian\n", "not YAML", "line 3", "indentation"),
    "two documents": ("ami.name: web\n---\nami.name: db\n", "line 2", "second document"),
    "aliases": ("ami.pillar: {a: &a [x], b: *a}", "ami.pillar.a", "anchor or alias"),
    "a billion laughs": (
        "a: &a [lol]\n"
        + "".join(f"{b}: &{b} [{', '.join(f'*{a}' for _ in range(9))}]\n" for a, b in zip("abc", "bcd", strict=True)),
        "line 1",
        "anchor or alias",
    ),
    "an anchor on everything": ("&a {ami.name: web}", "the userdata (line 1) has an anchor"),
    "a Python object": ("ami.name: !!python/object/apply:os.system [id]", "ami.name", "has a tag"),
    "deep": ("ami.pillar: " + "[" * 60000, "nested too deeply"),
    "deep in blocks": ("- " * 30000, "nested too deeply"),
    "a key without an end": (f"? {'a' * 5000}\n: 1", "very long key"),
    "a value without an end": (f"ami.base: {'a' * 60000}", "ami.base", "very long"),
    "null bytes": (b"ami.name: web\0b", "null bytes"),
    "utf-16": ("ami.name: web\n".encode("utf-16"), "null bytes", "UTF-8"),
    "latin-1": ("ami.name: web\nami.pillar: {a: Bücher}\n".encode("latin-1"), "line 2", "not UTF-8"),
    "rubbish": (bytes(range(1, 256)), "not UTF-8"),
    "control characters": (b"ami.name: web\nami.type: \x1b[31m\n", "not YAML", "line 2", "cannot be seen"),
    "a null by an escape": ('ami.base: "/a\\0b"', "ami.base", "null"),
    "half a character": ('ami.pillar: {a: "\\ud83d"}', "ami.pillar.a", "half a character"),
    "no character at all": ('ami.name: "\\UFFFFFFFF"', "not YAML"),
    "65 KiB": (b"# " + b"x" * 65 * 1024, "more than 64 KiB"),
    "a wrong value": ("ami.name: -web", "ami.name in the userdata (line 1) is '-web'", "begins with a letter"),
    "a wrong type": ("ami.update: 1", "ami.update in the userdata (line 1) is 1, not a boolean"),
    "a wrong type of a secret": ("ami.pillar: hunter2", "ami.pillar in the userdata (line 1) is ***, not a mapping"),
    "a wrong type of a secret number": ("ami.pillar: 8123", "ami.pillar in the userdata (line 1) is ***, not a mapping"),
    "an address with a secret in the wrong place": (
        "ami.cache: http://me:hunter2@x/",
        "ami.cache in the userdata (line 1) is ***",
    ),
    "a secret that nothing goes with": (
        "ami.base_hash: http://me:hunter2@x/y",
        "ami.base_hash",
        "line 1",
        "it goes with ami.base",
    ),
    "a long wrong value": ("ami.pillar: [" + "hunter2, " * 5000 + "]", "ami.pillar in the userdata (line 1) is [***, "),
    "a password in an address, cut at a hash": ("ami.base_hash: http://me:hunter2 #@x/y", "ami.base_hash", "is ***"),
    "a password of a mirror": ("ami.mirror: http://me:hunter2@x/y", "ami.mirror contains a password", "line 1"),
    "an end that is none": ("ami.when_done: reboot", "ami.when_done in the userdata (line 1) is 'reboot'", "stay or poweroff"),
    "hg and git": (HG + GIT, "ami.git_address_variation in the userdata (line 2)", "ami.hg_address_variation is set, too"),
    "a revision alone": ("ami.git_rev_variation: v1", "ami.git_rev_variation in the userdata (line 1) is 'v1'", "_address_"),
    "a revision that is a number": (HG + "ami.hg_rev_variation: 249", "ami.hg_rev_variation", "line 2", "put it in quotes"),
    "a revision to compute": (HG + "ami.hg_rev_variation: max(all())", "'max(all())' is neither a hash nor a name", "line 2"),
    "a repository beside a directory": (HG + "ami.variation: /srv/web", "ami.variation in the userdata (line 2)", "keep one"),
    "a password in an address of a repository": (
        "ami.hg_address_variation: https://me:hunter2@x/web",
        "ami.hg_address_variation in the userdata (line 1): a password stands in the address",
        "netrc",
    ),
    "an option for mmdebstrap": ("ami.mirror: ['--setup-hook=reboot']", "ami.mirror in the userdata (line 1) is no mirror"),
    "what contradicts itself": (
        "ami: {base: /a, base_hash: b,\n base_unverified: true}",
        "ami.base_unverified",
        "line 2",
        "keep one",
    ),
}


@pytest.mark.parametrize(("document", "grains", "secrets"), OURS.values(), ids=OURS)
def test_settings_are_sorted_into_grains_and_secrets(document, grains, secrets):
    data = document if isinstance(document, bytes) else document.encode()
    assert sort_userdata(data) == Sorted(grains, secrets, "settings")


@pytest.mark.parametrize(("data", "kind"), NOT_OURS.values(), ids=NOT_OURS)
def test_what_holds_no_settings_of_ours_is_named_by_its_kind(data, kind):
    assert sort_userdata(data) == Sorted({}, {}, kind)


@pytest.mark.parametrize(("document", "words"), [(row[0], row[1:]) for row in WRONG.values()], ids=WRONG)
def test_what_is_wrong_is_named_with_key_and_line_and_without_secrets(document, words):
    with pytest.raises((UserdataWrong, SettingsWrong)) as caught:
        sort_userdata(document if isinstance(document, bytes) else document.encode())
    message = str(caught.value)
    assert [word for word in words if word not in message] == [], message
    assert caught.value.hint and len(message) < 2000
    assert "hunter2" not in message and "8123" not in message
    assert "".join(message.splitlines()).isprintable()  # it goes to a console


def test_64_kib_are_not_too_much():
    data = b"ami.name: web\n"
    assert sort_userdata(data + b"#" * (LIMIT_BYTES - len(data))).grains == ami(name="web")


def test_a_new_setting_is_known_as_soon_as_it_is_there(monkeypatch):
    monkeypatch.delitem(KEYS, "keep")
    with pytest.raises(SettingsWrong, match="unknown setting ami.keep"):
        sort_userdata(b"ami.keep: 3")


def test_secrets_are_not_in_what_a_sorted_userdata_shows():
    assert "hunter2" not in repr(sort_userdata(b"keystone.password: hunter2"))


def test_the_example_of_the_project_is_good(request):
    sort_userdata((request.config.rootpath / "userdata.example").read_bytes())


MISPLACED = {
    "base64": (b"YW1pLm5hbWU6IHdl\nYgphbWkua2VlcDogMwo=\n", "base64 of settings"),
    "base64 twice": (b"WVcxcExtNWhiV1U2SUhkbFlncGhiV2t1YTJWbGNEb2dNd289\n", "base64 of settings"),
    "below cloud-config": (b"#cloud-config\npackages: [x]\nami.name: web\n", r"#cloud-config, and sets ami.name \(line 3\)"),
    "below an include": (b"#include\nami:\n  name: web\n", r"#include, and sets ami \(line 2\)"),
    "a template": (b"## template: jinja\nkeystone.user: {{ x }}\n", "template"),
    "a part of MIME": (
        b'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="x"\n\n--x\nContent-Type: text/x-shellscript\n\n#!/bin/sh\nami.name: no\n'
        b"--x\nContent-Type: text/x-yaml\nContent-Transfer-Encoding: base64\n\nYW1pLm5hbWU6IHdlYgo=\n--x--\n",
        r"MIME, whose part 2 \(text/x-yaml\) sets ami.name",
    ),
    "MIME of a single part": (b"Content-Type: text/plain\nMIME-Version: 1.0\n\nami.name: web\n", "MIME, whose part 1"),
    "of a shell": (b"export OS_USERNAME=x\nOS_PASSWORD=secret\n", "lines of a shell"),
}


@pytest.mark.parametrize(("data", "words"), MISPLACED.values(), ids=MISPLACED)
def test_settings_of_ours_are_never_left_to_others(data, words):
    with pytest.raises(UserdataWrong, match=words) as wrong:
        sort_userdata(data)
    assert "secret" not in str(wrong.value)


@pytest.mark.parametrize(
    "first", ["#cloud settings", "#include-list of the shop", "#cloud-settings", "# cloud-config", "#Cloud-configured"]
)
def test_a_comment_that_begins_like_a_word_of_cloud_init_is_a_comment(first):
    assert sort_userdata(f"{first}\nami.name: web\n".encode()).grains == {"ami": {"name": "web"}}


def test_zeros_at_the_end_are_no_part_of_it():
    assert sort_userdata(b"ami.name: web\n\0\0").kind == "settings"
