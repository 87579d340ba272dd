"""Who hears of a failure and of its end."""

import pytest
from vmimage.errors import SettingsWrong
from vmimage.fleet.notify import Notify, notify, read_notify, what_changed
from vmimage.fleet.records import Ending, Result


def build(number, ending, digest="d1", reason=""):
    return Result(number, "web-amd64", digest, "0" * 40, "b1", Ending(ending), reason, 3.0, 1.8e9)


def history(*endings):
    """Results, the newest first, all of the same input."""
    return [build(90 - at, ending) for at, ending in enumerate(endings)]


@pytest.mark.parametrize(
    ("ending", "earlier", "change"),
    [
        ("failed", [], "failed"),
        ("failed", ["published"], "failed"),
        ("failed", ["unchanged", "failed"], "failed"),
        ("failed", ["failed"], ""),
        ("failed", ["lost", "failed"], ""),
        ("published", [], ""),
        ("published", ["published"], ""),
        ("published", ["failed"], "recovered"),
        ("unchanged", ["failed"], "recovered"),
        ("published", ["cancelled", "superseded", "lost", "failed"], "recovered"),
        ("published", ["published", "failed"], ""),
        ("lost", ["published"], ""),
        ("cancelled", ["failed"], ""),
        ("superseded", ["failed"], ""),
    ],
)
def test_a_change_from_good_to_bad_and_back_is_worth_a_word(ending, earlier, change):
    assert what_changed(build(99, ending), history(*earlier)) == change


def test_a_failure_of_another_input_is_new():
    assert what_changed(build(99, "failed", "d2"), history("failed")) == "failed"


def send(wanted, result, earlier=(), returner=lambda name, job: None):
    return notify(wanted, "main", result, list(earlier), returner)


def test_a_returner_gets_a_job_that_failed_and_a_job_that_is_good_again():
    calls = []
    send(Notify(returner="slack"), build(17, "failed"), returner=lambda name, job: calls.append((name, job)))
    send(Notify(returner="slack"), build(18, "published"), history("failed"), lambda name, job: calls.append((name, job)))
    assert [(name, job["success"], job["retcode"], job["jid"]) for name, job in calls] == [
        ("slack", False, 1, "main-17"),
        ("slack", True, 0, "main-18"),
    ]
    assert calls[0][1]["return"]["change"] == "failed" and calls[0][1]["fun"] == "vm_fleet.build"


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"comand": []}, "no key comand"),
        ({"command": "mail team"}, "notify.command"),
        ({"command": ["mail"]}, "absolute path"),
        ({"command": ["/bin/mail", 3]}, "notify.command"),
        ({"returner": ["slack"]}, "notify.returner"),
        ({"seconds": 0}, "notify.seconds"),
        ({"seconds": True}, "notify.seconds"),
        ({"seconds": "many"}, "notify.seconds"),
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused_by_its_key(given, key):
    with pytest.raises(SettingsWrong, match=key):
        read_notify(given)


def test_what_the_configuration_says_is_read():
    assert read_notify({}) == Notify()
    assert read_notify({"command": ["/bin/mail", "team"], "returner": "slack", "seconds": 5}) == Notify(
        ("/bin/mail", "team"), "slack", 5.0
    )
