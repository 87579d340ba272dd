"""The fleet as a table for a terminal."""

from fleet_status import NOW, image, result, running, status
from vmimage.fleet.table import age_words, make_table

EMPTY = {"plan": {}, "running": [], "last": {}, "paused": [], "problems": {}}


def test_it_has_what_runs_what_waits_and_what_has_ended():
    assert make_table(status(), NOW) == (
        "images: 1 fine, 1 waiting, 1 parked, 1 building\n"
        "\n"
        "running\n"
        "  #17  web-amd64  b1  variation 45 %  42.0 s\n"
        "\n"
        "not as the repositories ask\n"
        "  db-amd64    waiting  no builder is free\n"
        "  mail-amd64  parked   failed 3 times: the package exim9 does not exist\n"
        "\n"
        "last builds\n"
        "  #9  mail-amd64   failed     9 h ago  no exim9\n"
        "  #3  cache-amd64  published  3 h ago\n"
    )


def test_an_empty_fleet_says_so():
    assert make_table(EMPTY, NOW) == "images: none\n"


def test_a_build_whose_step_is_not_known_shows_how_far_the_fleet_has_come():
    assert "  #17  web-amd64  b1  sent  42.0 s\n" in make_table(status(running=[running()]), NOW)


def test_what_is_paused_is_named():
    assert "\npaused: fleet, web-amd64\n" in make_table(status(paused=["fleet", "web-amd64"]), NOW)


def test_a_repository_that_is_left_out_is_among_the_problems():
    text = make_table(status(plan={"web-amd64": image()}, problems={"db": "ami_fleet.repositories.db: it has no address"}), NOW)
    assert text.startswith("images: 1 fine\n") and "problems\n  db  ami_fleet.repositories.db: it has no address\n" in text


def test_a_reason_does_nothing_to_the_terminal_and_has_a_line():
    text = make_table(status(last={"web-amd64": result(4, "failed", reason="\x1b[2Jgone\x07\n  -> and more")}), NOW)
    assert "\x1b" not in text and "\x07" not in text and "gone\\x07" in text and "and more" not in text


def test_ages_are_in_a_unit_of_their_size():
    ages = [age_words(seconds) for seconds in (-5, 0, 59, 119, 120, 7199, 7200, 172_800)]
    assert ages == ["0 s", "0 s", "59 s", "119 s", "2 min", "120 min", "2 h", "2 d"]
