"""What the fleet remembers: numbers that grow, results that are written once, what people have asked for."""

from dataclasses import replace

import pytest
from fleet_world import MemoryCache
from vmimage.fleet.claims import Claims
from vmimage.fleet.records import Claim, Ending, Phase, Result, Wanted

WANTED = Wanted("web-amd64", "web", "web", "0" * 40, {"keep": 2}, "minions", "digest")
CLAIM = Claim(1, WANTED, "b1", 1000.0, 1060.0)
RESULT = Result(1, "web-amd64", "digest", "0" * 40, "b1", Ending.PUBLISHED, "published", 9.0, 1009.0, {"images": ["one"]})


@pytest.fixture
def claims():
    return Claims(MemoryCache(), "main")


def test_a_claim_and_a_result_come_back_as_they_were(claims):
    sent = replace(CLAIM, phase=Phase.SENT, job="20260101000000000001")
    claims.write(CLAIM)
    claims.write(sent)
    assert claims.open() == [sent]
    claims.end(RESULT)
    assert claims.open() == [] and claims.results() == [RESULT]


def test_a_result_is_written_once(claims):
    claims.write(CLAIM)
    claims.end(RESULT)
    claims.write(CLAIM)
    assert claims.end(replace(RESULT, ending=Ending.LOST, reason="later")) == RESULT
    assert claims.results() == [RESULT] and claims.open() == []


def test_a_log_is_written_once(claims):
    claims.write_log(1, "the first")
    claims.write_log(1, "another")
    assert claims.log(1) == "the first" and claims.log(2) == ""


def test_numbers_grow_whatever_is_lost(claims):
    assert [claims.next_number(), claims.next_number(), claims.next_number(17), claims.next_number()] == [1, 2, 18, 19]
    fresh = Claims(MemoryCache(), "main")
    fresh.write(replace(CLAIM, number=4))
    assert fresh.next_number() == 5
    fresh.end(replace(RESULT, number=40))
    assert fresh.next_number() == 41


def test_fleets_of_other_names_have_their_own(claims):
    other = Claims(claims._cache, "other")
    claims.write(CLAIM)
    assert other.open() == [] and other.next_number() == 1


def test_what_people_ask_for_is_kept_until_it_is_taken_back(claims):
    claims.ask("pause.web-amd64", 5.0)
    claims.ask("pause", 6.0)
    assert claims.asked() == {"pause.web-amd64": 5.0, "pause": 6.0}
    assert claims.take_back("pause") and not claims.take_back("pause")
    assert claims.asked() == {"pause.web-amd64": 5.0}
