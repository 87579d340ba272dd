"""Calls as GitHub, GitLab, Gitea and Forgejo send them: what may have moved a revision is heard, all else is refused by its name."""

import hashlib
import json
import logging
from urllib.parse import quote_plus, urlencode

import pytest
from forge_calls import FORGES, encoded, signature, signed
from vmimage.errors import HookRefused
from vmimage.fleet.reactions import react_to_hook
from vmimage.fleet.webhook import accept_call

SECRET = "a secret of the forges"
ADDRESSES = {"web": "https://forge.example.org/team/web", "db": "https://forge.example.org/team/db.git"}
FORMS = [
    (forge, form) for forge in FORGES for form in (False, True) if not (forge == "GitLab" and form)
]  # GitLab sends JSON alone


def accepted(body, headers):
    return accept_call(body, headers, (SECRET,), ADDRESSES)


@pytest.mark.parametrize(("forge", "form"), FORMS)
@pytest.mark.parametrize(
    ("ref", "move"),
    [
        ("refs/heads/main", {}),
        ("refs/heads/a branch/grün&more=1+1", {"created": True}),
        ("refs/heads/main", {"deleted": True}),
        ("refs/tags/v1", {"created": True}),
        ("refs/tags/v1", {"deleted": True}),
    ],
    ids=["a push", "a new branch", "a deleted branch", "a new tag", "a deleted tag"],
)
def test_what_moves_a_revision_is_about_its_repository(forge, form, ref, move):
    event = "tag_push" if forge == "GitLab" and "/tags/" in ref else "push"
    assert accepted(*signed(forge, SECRET, "team/web", event, ref, form=form, **move)).repositories == ("web",)


@pytest.mark.parametrize(
    ("forge", "event"),
    [("GitHub", "create"), ("GitHub", "delete"), ("GitHub", "ping"), ("Gitea", "create"), ("Forgejo", "delete")],
)
@pytest.mark.parametrize("form", [False, True], ids=["JSON", "form"])
def test_a_new_or_deleted_tag_or_branch_and_the_ping_of_a_new_hook_are_heard(forge, event, form):
    assert accepted(*signed(forge, SECRET, "team/db", event, form=form)).repositories == ("db",)


def test_a_ping_of_a_repository_that_the_fleet_does_not_have_says_so():
    with pytest.raises(HookRefused, match="about no repository of ami_fleet"):
        accepted(*signed("GitHub", SECRET, "team/other", "ping", form=True))


@pytest.mark.parametrize("event", ["push", "tag_push", "repository_update"])
def test_of_gitlabs_system_hooks_the_body_says_the_event(event):
    body, headers = signed("GitLab", SECRET, "team/web")
    body = json.dumps({**json.loads(body), "event_name": event}).encode()
    headers = {**headers, "X-Gitlab-Event": "System Hook"}
    if event == "repository_update":
        with pytest.raises(HookRefused, match="no push: the event repository_update"):
            accepted(body, headers)
    else:
        assert accepted(body, headers).repositories == ("web",)


@pytest.mark.parametrize(
    ("forge", "event", "name"),
    [("GitHub", "issues", "issues"), ("GitLab", "note", "Note Hook"), ("Forgejo", "issue_comment", "issue_comment")],
)
def test_another_event_begins_nothing_and_is_named_in_the_log(forge, event, name, caplog):
    options = {
        "ami_fleet": {
            "repositories": {"web": {"git": ADDRESSES["web"]}},
            "builders": {"target": "*"},
            "hooks": {"secret": SECRET},
        }
    }
    body, headers = signed(forge, SECRET, "team/web", event)
    with caplog.at_level(logging.WARNING):
        assert react_to_hook(options, {"body": body, "headers": headers}) == {}
    assert f"was refused: signed, and no push: the event {name}" in caplog.text


@pytest.mark.parametrize("event", ["push\n", "a secret of the forges 123", "x" * 41, ""])
def test_a_name_that_looks_like_none_is_not_repeated(event):
    body, headers = signed("GitHub", SECRET, "team/web")
    with pytest.raises(HookRefused) as refused:
        accepted(body, {**headers, "X-GitHub-Event": event})
    assert refused.value.message == "signed, and no push: the event of another kind"


@pytest.mark.parametrize(("forge", "form"), FORMS)
def test_each_forge_is_refused_with_another_secret(forge, form):
    with pytest.raises(HookRefused, match="another secret"):
        accepted(*signed(forge, "another secret than ours", "team/web", form=form))


def test_the_same_payload_is_the_same_call_as_json_and_as_a_form():
    """Else who has seen a signed call could send it once more in the other form."""
    body, headers = signed("Gitea", SECRET, "team/web")
    again = urlencode({"payload": body}).encode()
    first, second = accepted(body, headers), accepted(again, headers)
    assert first == second and first.digest == hashlib.sha256(body).hexdigest()


def test_a_signed_body_is_never_read_as_a_form_by_what_its_headers_say():
    """A commit's message can have a payload of its author's own in it."""
    theirs = quote_plus(json.dumps({"repository": {"clone_url": ADDRESSES["db"]}}))
    data = {"message": f"&payload={theirs}&", "repository": {"clone_url": ADDRESSES["web"]}}
    body = encoded(data)
    headers = {"X-Hub-Signature-256": f"sha256={signature(SECRET, body)}", "Content-Type": "application/x-www-form-urlencoded"}
    assert accepted(body, headers).repositories == ("web",)


@pytest.mark.parametrize("more", [b"&payload=%7B%7D", b"&a=b"])
def test_a_form_has_a_payload_and_nothing_else(more):
    body = signed("GitHub", SECRET, "team/web", form=True)[0] + more
    with pytest.raises(HookRefused, match="a form with more than a payload"):
        accepted(body, {"X-Hub-Signature-256": f"sha256={signature(SECRET, body)}"})


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", ""])
def test_the_body_says_what_it_is_and_not_its_content_type(content_type):
    body, headers = signed("GitHub", SECRET, "team/web", form=True)
    assert accepted(body, {**headers, "Content-Type": content_type}).repositories == ("web",)
