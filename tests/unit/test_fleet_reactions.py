"""What the master's reactor begins on an event: a call of the runner, or nothing and a line of the log."""

import hashlib
import hmac
import json
import logging

import pytest
from vmimage.fleet.reactions import react_to_end, react_to_hook, react_to_poke

SECRET = "a secret of the fleet"
OPTIONS = {
    "ami_fleet": {
        "repositories": {"web": {"hg": "https://hg.example.org/web"}, "db": {"git": "https://git.example.org/db"}},
        "builders": {"target": "*"},
        "hooks": {"secret": SECRET},
    }
}


def begun(reaction):
    """The arguments of the runner's call, or None."""
    if not reaction:
        return None
    (call,) = reaction.values()
    (arguments,) = call["runner.vm_fleet.hook"]
    return {key: value for argument in arguments["args"] for key, value in argument.items()}


@pytest.mark.parametrize(
    "data",
    [
        {"repository": "web", "_stamp": "2026"},  # of salt-run
        {"id": "b1", "data": {"repository": "web", "__pub_fun": "event.send"}, "tag": "vm_fleet/poke"},  # of a minion
    ],
    ids=["salt-run", "a minion"],
)
def test_a_poke_names_its_repository(data):
    assert begun(react_to_poke(OPTIONS, data)) == {"repositories": ["web"]}


@pytest.mark.parametrize("data", [{}, {"id": "b1", "data": None}, {"id": "b1", "data": {}}], ids=str)
def test_a_poke_without_a_name_is_for_all(data):
    assert begun(react_to_poke(OPTIONS, data)) == {"repositories": []}


@pytest.mark.parametrize("name", ["we", "web2", "WEB", "", ["web"], {"web": 1}, 3, "{{ web }}"], ids=str)
def test_a_name_that_is_none_of_the_repositories_begins_nothing(name, caplog):
    with caplog.at_level(logging.WARNING):
        assert react_to_poke(OPTIONS, {"repository": name}) == {}
    assert "a poke of the fleet was refused" in caplog.text and "{{ web }}" not in caplog.text


def event(data, secret=SECRET):
    body = json.dumps(data).encode()
    return {
        "body": body,
        "headers": {"X-Hub-Signature-256": "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()},
    }


def test_a_forges_call_names_the_repository_and_its_digest_and_nothing_else_of_it():
    data = event({"repository": {"clone_url": "https://git.example.org/db.git"}, "mark": "words of the body"})
    assert begun(react_to_hook(OPTIONS, data)) == {"repositories": ["db"], "digest": hashlib.sha256(data["body"]).hexdigest()}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"ami_fleet": {}},
        {"ami_fleet": {**OPTIONS["ami_fleet"], "hooks": {"secret": "short"}}},
        {"ami_fleet": {**OPTIONS["ami_fleet"], "hooks": {}}},
    ],
)
def test_a_fleet_that_is_wrongly_configured_hears_nobody(options, caplog):
    with caplog.at_level(logging.WARNING):
        assert react_to_hook(options, event({"repository": {"clone_url": "https://git.example.org/db"}})) == {}
    assert "a call of the fleet's webhook was refused" in caplog.text


@pytest.mark.parametrize("data", [{}, {"body": "VALUE_TRIMMED", "headers": {}}, {"id": "b1", "data": {"body": b""}}], ids=str)
def test_an_event_that_the_engine_did_not_make_begins_nothing(data, caplog):
    assert react_to_hook(OPTIONS, data) == {}
    assert "no call of a forge" in caplog.text


def test_the_return_of_a_builds_job_begins_a_look_that_asks_no_repository():
    (call,) = react_to_end(OPTIONS, {"id": "b1", "fun": "vm_create.create_variation"}).values()
    assert call == {"runner.vm_fleet.reconcile": [{"args": [{"ask": False}]}]}
