"""The fleet as a page: it loads nothing, and nothing that a builder or a repository says becomes markup."""

import re

import pytest
from fleet_status import NOW, image, result, running, status
from vmimage.errors import SettingsWrong
from vmimage.fleet.page import make_page, report_links


def page(links=None, history=(), **more):
    return make_page("main", status(**more), list(history), NOW, links or {})


def test_it_has_images_builds_under_way_and_builds_that_ended():
    text = page(history=[result(9, "failed", "mail-amd64", reason="no exim9"), result(3, name="cache-amd64")])
    assert "<h1>Fleet main</h1>" in text and "2027-01-15 08:00:00 UTC" in text
    for words in ("variation 45 %", "no builder is free", "no exim9", "42.0 s", "3 h ago", "0123456789ab<"):
        assert words in text, words
    assert re.findall(r'<section id="(\w+)"', text) == ["images", "running", "history"]


def test_it_loads_nothing_and_runs_nothing():
    text = page(history=[result(3)], links={3: {"report": "reports/3.html"}})
    assert "default-src &#x27;none&#x27;" in text
    assert "<script" not in text and not re.search(r'(src|href)="(?!#|reports/3.html")', text)


HOSTILE = '<script>alert(1)</script><img src=x onerror="a()">\x1b[31m'


@pytest.mark.parametrize(
    "more",
    [
        {"plan": {HOSTILE: image()}},
        {"plan": {"web": image(HOSTILE)}},
        {"plan": {"web": image("stale", HOSTILE)}},
        {"plan": {"web": image(repository=HOSTILE)}},
        {"problems": {HOSTILE: HOSTILE}},
        {"running": [running(name=HOSTILE, builder=HOSTILE, step=HOSTILE)]},
        {"history": [result(1, HOSTILE, HOSTILE, reason=HOSTILE, builder=HOSTILE)]},
        {"links": {1: {HOSTILE: f'"{HOSTILE}'}}, "history": [result(1)]},
    ],
    ids=["image", "state", "reason", "repository", "problem", "running", "history", "link"],
)
def test_nothing_that_others_say_is_markup(more):
    text = page(**more)
    assert "<script" not in text and "<img" not in text and "\x1b" not in text
    assert "&lt;script&gt;" in text


def test_a_build_leads_to_what_is_known_of_it():
    text = page(history=[result(4), result(3)], links={4: {"report": "builds/4.html", "log": "builds/4.log"}})
    assert '<a href="builds/4.html">report</a> <a href="builds/4.log">log</a>' in text
    assert text.count("<a ") == 2


def test_a_fleet_that_is_paused_and_one_that_has_problems_say_so():
    assert ">paused</span>" in page(paused=["fleet"]) and ">paused</span>" not in page()
    assert "it has no address" in page(problems={"db": "it has no address"})


def test_the_address_of_a_report_is_filled_in_and_what_a_builder_is_called_stays_a_part_of_it():
    builds = [result(4, builder="b/../1", facts={"variation": "web"}), result(3)]
    links = report_links(builds, "https://{builder}.example.org/{variation}-{number}.html?{name}")
    assert links[4] == {"report": "https://b%2F..%2F1.example.org/web-4.html?web-amd64"}
    assert report_links(builds, "") == {} and len(links) == 2


@pytest.mark.parametrize(
    "template", ["javascript:alert({number})", "data:text/html,{name}", "file:///etc/{name}", "JavaScript:x"]
)
def test_a_page_leads_to_pages_alone(template):
    with pytest.raises(SettingsWrong, match="no address of a page"):
        report_links([result(1)], template)
