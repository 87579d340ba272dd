"""A forge's call: only who holds the secret is heard, and only about a repository that is configured, by its whole address."""

import hashlib
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vmimage.errors import HookRefused, SettingsWrong
from vmimage.fleet.webhook import LIMIT_BYTES, accept_call, is_new, normal_address, read_secrets

SECRET, OLD = "0123456789abcdef-new", "0123456789abcdef-old"
ADDRESSES = {"web": "https://forge.example.org/team/web", "db": "ssh://git@forge.example.org/team/db.git", "hg": "/srv/hg/web"}
#: how each forge names the repository, and what it sends of the signature
GITHUB = {"repository": {"clone_url": "https://forge.example.org/team/web.git", "ssh_url": "git@forge.example.org:team/web.git"}}
GITLAB = {"project": {"git_http_url": "https://forge.example.org/team/web.git"}}


def signature(body, secret=SECRET):
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def call(data=None, headers=None, secrets=(SECRET,), body=None, sign=None):
    """A call as it would be judged; ``sign`` makes the headers of the body."""
    body = json.dumps(GITHUB if data is None else data).encode() if body is None else body
    sign = sign or (lambda text: {"X-Hub-Signature-256": f"sha256={signature(text)}"})
    return accept_call(body, sign(body) if headers is None else headers, secrets, ADDRESSES)


SIGNED = {
    "GitHub": (GITHUB, lambda body: {"X-Hub-Signature-256": f"sha256={signature(body)}"}),
    "GitLab": (GITLAB, lambda body: {"X-Gitlab-Token": SECRET}),
    "Forgejo": (GITHUB, lambda body: {"X-Forgejo-Signature": signature(body)}),
    "Gitea": (GITHUB, lambda body: {"X-Gitea-Signature": signature(body)}),
    "Forgejo, all that it sends": (
        GITHUB,
        lambda body: {
            "X-Forgejo-Signature": signature(body),
            "X-Gitea-Signature": signature(body),
            "X-Hub-Signature-256": f"sha256={signature(body)}",
        },
    ),
}


@pytest.mark.parametrize("forge", SIGNED)
def test_what_a_forge_has_signed_is_accepted(forge):
    data, sign = SIGNED[forge]
    accepted = call(data, sign=sign)
    assert accepted.repositories == ("web",)
    assert accepted.digest == hashlib.sha256(json.dumps(data).encode()).hexdigest()


def test_headers_are_known_in_any_case():
    assert call(sign=lambda body: {"x-HUB-signature-256": f"sha256={signature(body)}"}).repositories == ("web",)


@pytest.mark.parametrize("forge", SIGNED)
def test_while_a_secret_is_replaced_both_are_good(forge):
    data, sign = SIGNED[forge]
    assert call(data, sign=sign, secrets=(OLD, SECRET)).repositories == ("web",)


@pytest.mark.parametrize("forge", SIGNED)
def test_another_secret_is_refused(forge):
    data, sign = SIGNED[forge]
    with pytest.raises(HookRefused, match="another secret") as refused:
        call(data, sign=sign, secrets=(OLD,))
    assert SECRET not in str(refused.value) and OLD not in str(refused.value)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Hub-Signature": "sha1=00"},
        {"Authorization": f"Bearer {SECRET}"},
        {"X-GitHub-Event": "push"},
    ],
    ids=str,
)
def test_what_is_not_signed_is_refused(headers):
    with pytest.raises(HookRefused, match="not signed"):
        call(headers=headers)


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Hub-Signature-256": ""},
        {"X-Hub-Signature-256": signature(json.dumps(GITHUB).encode())},  # without its prefix
        {"X-Hub-Signature-256": f"sha256={signature(json.dumps(GITHUB).encode())[:-1]}"},
        {"X-Forgejo-Signature": f"sha256={signature(json.dumps(GITHUB).encode())}"},
        {"X-Hub-Signature-256": f"sha256={signature(b'', SECRET)}"},
        {"X-Gitlab-Token": ""},
        {"X-Gitlab-Token": SECRET[:-1]},
        {"X-Gitlab-Token": f"{SECRET} "},
        {"X-Gitlab-Token": "\udcff"},
        {"X-Gitlab-Token": SECRET, "X-Hub-Signature-256": "sha256=00"},
    ],
    ids=str,
)
def test_what_is_wrongly_signed_is_refused(headers):
    with pytest.raises(HookRefused, match="another secret"):
        call(headers=headers)


def test_a_body_that_was_changed_is_refused():
    body = json.dumps(GITHUB).encode()
    headers = {"X-Hub-Signature-256": f"sha256={signature(body)}"}
    with pytest.raises(HookRefused, match="changed on its way"):
        call(body=body.replace(b"web", b"wed"), headers=headers)


def test_without_a_secret_nothing_is_accepted_and_an_empty_secret_is_none():
    with pytest.raises(HookRefused, match="no secret is configured"):
        call(secrets=(), sign=lambda body: {"X-Hub-Signature-256": f"sha256={signature(body, '')}"})
    assert read_secrets({}) == () and read_secrets({"secret": []}) == ()


def test_a_body_that_is_too_large_is_refused_before_it_is_looked_at():
    with pytest.raises(HookRefused, match=f"{LIMIT_BYTES + 1} bytes"):
        call(body=b" " * (LIMIT_BYTES + 1))
    with pytest.raises(HookRefused, match="no JSON"):
        call(body=b" " * LIMIT_BYTES)


@pytest.mark.parametrize(
    "body", [b"", b"\xff", b"[" * 100_000, b"null", b"[]", b'{"repository": "web"}', b'{"repository": {"clone_url": 3}}']
)
def test_a_body_that_is_no_push_is_refused(body):
    with pytest.raises(HookRefused, match="signed, and (no JSON|about no repository)"):
        call(body=body)


@pytest.mark.parametrize(("body", "headers"), [(None, {}), ("text", {}), (b"{}", None), (b"{}", [])])
def test_an_event_that_is_no_call_is_refused(body, headers):
    with pytest.raises(HookRefused, match="no call of a forge"):
        accept_call(body, headers, [SECRET], ADDRESSES)


@pytest.mark.parametrize(
    ("address", "names"),
    [
        ("https://forge.example.org/team/web", ("web",)),
        ("HTTPS://Forge.Example.ORG:443/team/web.git/", ("web",)),
        ("git@forge.example.org:team/db", ("db",)),
        ("ssh://git@forge.example.org:22/team/db.git", ("db",)),
        ("file:///srv/hg/web", ("hg",)),
        ("/srv/hg/web/", ("hg",)),
    ],
)
def test_the_same_address_in_other_words_is_the_repository(address, names):
    assert call({"repository": {"clone_url": address}}).repositories == names


@pytest.mark.parametrize(
    "address",
    [
        "https://forge.example.org/team/web2",
        "https://forge.example.org/team/we",
        "https://forge.example.org/team/web/other",
        "https://forge.example.org/other/team/web",
        "https://forge.example.org/team/WEB",
        "https://forge.example.org.evil.example/team/web",
        "https://evil.example/?https://forge.example.org/team/web",
        "https://forge.example.org:8443/team/web",
        "http://forge.example.org/team/web",
        "https://forge.example.org@evil.example/team/web",
        "ssh://root@forge.example.org/team/db.git",
        "forge.example.org/team/web",
        "/srv/hg/web.old",
        "web",
        "",
    ],
)
def test_an_address_that_is_only_alike_is_none(address):
    with pytest.raises(HookRefused, match="about no repository"):
        call({"repository": {"clone_url": address}})


def test_what_the_owner_of_a_repository_writes_about_it_is_no_address():
    page = ADDRESSES["web"]
    data = {
        "repository": {"clone_url": "https://forge.example.org/mine", "website": page, "homepage": page, "original_url": page}
    }
    with pytest.raises(HookRefused, match="about no repository"):
        call(data)


@given(st.text(), st.text())
def test_an_address_is_compared_with_any_text(address, more):
    same = normal_address(address)
    assert address == "" or same != normal_address(f"{address.rstrip('/')}-{more}x")


@pytest.mark.parametrize(
    "hooks",
    [
        {"secret": "short"},
        {"secret": ""},
        {"secret": None},
        {"secret": 1234567890123456},
        {"secret": [SECRET, "short"]},
        {"secret": {"a": SECRET}},
    ],
)
def test_a_secret_that_could_be_guessed_is_refused_by_its_key(hooks):
    with pytest.raises(SettingsWrong, match="ami_fleet.hooks.secret") as refused:
        read_secrets(hooks)
    assert "short" not in str(refused.value) and SECRET not in str(refused.value)


def test_a_key_of_hooks_that_is_not_known_is_named():
    with pytest.raises(SettingsWrong, match="no key secrte"):
        read_secrets({"secrte": SECRET})


def test_one_secret_or_several():
    assert read_secrets({"secret": SECRET}) == (SECRET,)
    assert read_secrets({"secret": [SECRET, OLD]}) == (SECRET, OLD)


def test_a_call_is_new_once_and_a_thousand_are_remembered():
    known, seen = True, []
    for number in range(1500):
        known, seen = is_new(f"{number}", seen, number)
        assert known
    assert len(seen) == 1000 and seen[-1] == ["1499", 1499]
    assert is_new("1499", seen, 2000) == (False, seen)
    assert is_new("500", seen, 2000)[0] is False and is_new("499", seen, 2000)[0] is True
