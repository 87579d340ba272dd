import pytest
from hypothesis import example, given
from hypothesis import strategies as some
from vmimage.errors import RepositoryWrong
from vmimage.repository.address import Wanted, check_address, host_of, parse_revision, scheme_of

HASH = "9ed741a55f17c3a2b1908f7e6d5c4b3a29180f7e"
KEY = "ami.hg_address_variation"

GOOD = {
    "/srv/variations": ("file", ""),
    "/srv/my variations/web": ("file", ""),
    "/": ("file", ""),
    "file:///srv/variations": ("file", ""),
    "https://example.org/variations": ("https", "example.org"),
    "https://example.org": ("https", "example.org"),
    "http://127.0.0.1:8000/": ("http", "127.0.0.1:8000"),
    "http://[::1]:8000/v": ("http", "[::1]:8000"),
    "https://example.org/~alice/v%20w.git": ("https", "example.org"),
    "https://example.org/größe": ("https", "example.org"),
    "ssh://hg@example.org/srv/v": ("ssh", "example.org"),
    "ssh://example.org:2222//srv/v": ("ssh", "example.org:2222"),
    "ssh://git@example.org/~alice/v-1.git": ("ssh", "example.org"),
}

BAD = {
    # nothing, or no address
    "": "no address",
    None: "no address",
    42: "no address",
    "variations": "neither an address nor an absolute path",
    "../variations": "neither an address nor an absolute path",
    "./-x": "begins with '-'",
    "~/variations": "neither an address nor an absolute path",
    "example.org/variations": "neither an address nor an absolute path",
    "git@example.org:variations": "neither an address nor an absolute path",
    "https:/example.org/x": "neither an address nor an absolute path",
    "C:\\variations": "contains one of",
    # options
    "-x": "begins with '-'",
    "--config=alias.pull=!touch x": "begins with '-'",
    "--upload-pack=touch x": "begins with '-'",
    "https://example.org/--config=x": "begins with '-'",
    "/srv/--config": "begins with '-'",
    "ssh://-oProxyCommand=touch%20x/y": "begins with '-'",
    "ssh://git@-oProxyCommand=x/y": "no host's name",
    "ssh://%2doProxyCommand=x/y": "begins with '-'",
    "ssh://-oProxyCommand=x@example.org/y": "begins with '-'",
    "ssh://example.org/-oProxyCommand=x": "begins with '-'",
    "ssh://example.org/%2doProxyCommand=x": "begins with '-'",
    "ssh://example.org/x --config ui.ssh=y": "begins with '-'",
    # commands and transports
    "ext::sh -c touch% x": "transport",
    "ext::https://example.org/x": "transport",
    "fd::17": "transport",
    "https::https://example.org/x": "transport",
    "a+b.c-d::x": "transport",
    "::x": "transport",
    "https://example.org/$(touch x)": "contains one of",
    "/srv/$HOME": "contains one of",
    "/srv/`touch x`": "contains one of",
    "ssh://example.org/x;touch y": "contains one of",
    "ssh://example.org/'x'": "contains one of",
    "https://example.org/x\nsshcommand=y": "control character",
    "https://example.org/x\r": "control character",
    "https://example.org/\x1b[2J": "control character",
    "/srv/x\0y": "control character",
    "/srv/x\u2028y": "control character",
    "ssh://example.org/x%0ay": "escaped control character",
    "file:///x%00y": "escaped control character",
    # other schemes
    "git://example.org/x": "of this kind",
    "ftp://example.org/x": "of this kind",
    "svn+ssh://example.org/x": "of this kind",
    "static-http://example.org/x": "of this kind",
    "bundle:///x": "of this kind",
    "path://default": "of this kind",
    "salt://variations": "of this kind",
    "HTTPS://example.org/x": "of this kind",
    " https://example.org/x": "of this kind",
    "://example.org/x": "of this kind",
    # secrets
    "https://alice:s3cr3t@example.org/x": "password",
    "https://alice:@example.org/x": "password",
    "https://:s3cr3t@example.org/x": "password",
    "https://a:b@c:s3cr3t@example.org/x": "password",
    "ssh://git:s3cr3t@example.org/x": "password",
    "ftp://git:s3cr3t@example.org/x": "password",
    "file://git:s3cr3t@/x": "password",
    "https://s3cr3t@example.org/x": "may be a token",
    "https://alice%3As3cr3t@example.org/x": "may be a token",
    "ssh://alice%3As3cr3t@example.org/x": "no user's name",
    "https://example.org/x?private_token=s3cr3t": "a space or '?'",
    "https://example.org/x#s3cr3t": "contains one of",
    "alice:s3cr3t@example.org:x": "neither an address nor an absolute path",
    # hosts
    "https://": "no host's name",
    "https:///x": "no host's name",
    "https://exam ple.org/x": "a space",
    "https://example.org:port/x": "no host's name",
    "https://example.org:123456/x": "no host's name",
    "https://exämple.org/x": "no host's name",
    "https://.example.org/x": "no host's name",
    "ssh://example.org": "no path",
    "ssh://example.org/": "no path",
    "file://example.org/x": "names no host",
    "file://x": "names no host",
    "file://": "names no host",
    "file:///": "names no host",
}


@pytest.mark.parametrize("kind", ["hg", "git"])
@pytest.mark.parametrize("address", GOOD)
def test_an_address_of_a_known_form_is_accepted(kind, address):
    check_address(kind, address, KEY)
    assert (scheme_of(address), host_of(address)) == GOOD[address]


@pytest.mark.hostile("repositories", refused=True)
@pytest.mark.parametrize("kind", ["hg", "git"])
@pytest.mark.parametrize("address", BAD, ids=ascii)
def test_any_other_address_is_refused_by_the_name_of_its_setting_and_not_repeated(kind, address):
    with pytest.raises(RepositoryWrong, match=BAD[address]) as refused:
        check_address(kind, address, KEY)
    assert refused.value.message.startswith(f"{KEY}: ") and refused.value.hint
    assert "s3cr3t" not in str(refused.value)


def test_another_kind_of_repository_is_refused():
    with pytest.raises(RepositoryWrong, match="hg or git"):
        check_address("svn", "https://example.org/x", KEY)


pieces = some.sampled_from(
    [
        "https",
        "ssh",
        "file",
        "ext",
        "://",
        "::",
        "/",
        "@",
        ":",
        "-",
        "--config",
        "=",
        "%",
        "%2d",
        "%0a",
        "?",
        "#",
        "[",
        "]",
        "..",
        "\n",
        " ",
    ]
    + ["example.org", "alice", "s3cr3t", ":s3cr3t@", "~", "$", "'", "8000"]
)
addresses = some.lists(pieces | some.text(max_size=3), max_size=9).map("".join)


@given(addresses)
@example("ssh://a@-b/c")
def test_whatever_is_given_is_accepted_or_refused_without_telling_it(address):
    try:
        check_address("git", address, KEY)
    except RepositoryWrong as refused:
        assert "s3cr3t" not in str(refused) and refused.message and refused.hint
    else:
        assert address.isprintable() and not address.startswith("-") and "--config" not in address
        assert scheme_of(address) in ("https", "http", "ssh", "file")
        assert not host_of(address).startswith("-")
        assert ":" not in address.partition("://")[2].partition("/")[0].rpartition("@")[0]


REVISIONS = {
    "": Wanted(""),
    HASH: Wanted(HASH, digits=HASH),
    HASH.upper(): Wanted(HASH.upper(), digits=HASH),
    HASH[:12]: Wanted(HASH[:12], digits=HASH[:12], name=HASH[:12]),
    HASH[:7]: Wanted(HASH[:7], digits=HASH[:7], name=HASH[:7]),
    HASH[:6]: Wanted(HASH[:6], name=HASH[:6]),
    "20260131": Wanted("20260131", digits="20260131", name="20260131"),
    "stable": Wanted("stable", name="stable"),
    "release 1.0": Wanted("release 1.0", name="release 1.0"),
    "feature/größe-1_x+y": Wanted("feature/größe-1_x+y", name="feature/größe-1_x+y"),
    "v1.0": Wanted("v1.0", name="v1.0"),
    "@": Wanted("@", name="@"),
    "tip": Wanted("tip", name="tip"),
    "cafe": Wanted("cafe", name="cafe"),
}
OF_HG = {
    f"249:{HASH[:12]}": Wanted(f"249:{HASH[:12]}", digits=HASH[:12]),
    f"0:{HASH}": Wanted(f"0:{HASH}", digits=HASH),
    "HEAD": Wanted("HEAD", name="HEAD"),
}
OF_GIT = {"HEAD": Wanted("HEAD"), "2026": Wanted("2026", name="2026")}
WRONG = {
    None: "no revision",
    249: "no revision",
    True: "no revision",
    "a\nb": "no revision",
    "a\0b": "no revision",
    "-x": "begins with '-'",
    "--config=alias.log=!x": "begins with '-'",
    "-r": "begins with '-'",
    "a..b": "neither a hash nor a name",
    "1::3": "neither a hash nor a name",
    ":": "neither a hash nor a name",
    "HEAD~1": "neither a hash nor a name",
    "HEAD^": "neither a hash nor a name",
    "HEAD^{tree}": "neither a hash nor a name",
    "master@{1}": "neither a hash nor a name",
    "master:variation.sls": "neither a hash nor a name",
    ":/fix": "neither a hash nor a name",
    "max(all())": "neither a hash nor a name",
    "branch('x')": "neither a hash nor a name",
    "a or b|c": "neither a hash nor a name",
    "not x!": "neither a hash nor a name",
    " stable": "neither a hash nor a name",
    "stable ": "neither a hash nor a name",
    "a\\b": "neither a hash nor a name",
    "*": "neither a hash nor a name",
    "$(x)": "neither a hash nor a name",
    "x" * 201: "neither a hash nor a name",
    "x:" + HASH[:12]: "neither a hash nor a name",
    HASH + "0": "41 digits",
    HASH + HASH: "80 digits",
}
WRONG_OF_HG = {"249": "another commit in each clone", "249:9ed": "3 digits", f"249:{HASH}0": "41 digits", "249:xyz": "neither"}
WRONG_OF_GIT = {f"249:{HASH[:12]}": "neither a hash nor a name"}


@pytest.mark.parametrize(
    "kind, text", [(kind, text) for kind, more in (("hg", OF_HG), ("git", OF_GIT)) for text in {**REVISIONS, **more}]
)
def test_a_revision_is_a_hash_or_a_name_or_the_latest(kind, text):
    wanted = parse_revision(kind, text, "ami.rev")
    assert wanted == {**REVISIONS, **(OF_HG if kind == "hg" else OF_GIT)}[text]
    assert wanted.is_exact == (len(wanted.digits) == 40) and wanted.is_latest == (text == "" or (kind, text) == ("git", "HEAD"))


@pytest.mark.hostile("repositories", refused=True)
@pytest.mark.parametrize(
    "kind, text",
    [(kind, text) for kind, more in (("hg", WRONG_OF_HG), ("git", WRONG_OF_GIT)) for text in {**WRONG, **more}],
    ids=ascii,
)
def test_what_would_have_to_be_computed_is_no_revision(kind, text):
    with pytest.raises(RepositoryWrong, match={**WRONG, **WRONG_OF_HG, **WRONG_OF_GIT}[text]) as refused:
        parse_revision(kind, text, "ami.rev")
    assert refused.value.message.startswith("ami.rev: ") and "nothing, for the latest" in refused.value.hint


@given(some.sampled_from(["hg", "git"]), some.text(alphabet="-0aF:.@{}^~/ x\n(", max_size=12) | some.text(max_size=8))
def test_whatever_is_given_as_revision_nothing_in_it_can_be_an_option_or_a_range(kind, text):
    try:
        wanted = parse_revision(kind, text, "ami.rev")
    except RepositoryWrong as refused:
        assert refused.hint
    else:
        assert not wanted.name.startswith("-") and ".." not in wanted.name and not set(":~^(){}*?\\\n") & set(wanted.name)
        assert set(wanted.digits) <= set("0123456789abcdef") and len(wanted.digits) in (0, *range(7, 41))
