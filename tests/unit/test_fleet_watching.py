"""Where a build is, by what its builder says and what an earlier build took."""

import pytest
from vmimage.fleet.watching import place_of, steps_of

KNOWN = [{"step": "base", "seconds": 1.0}, {"step": "variation", "seconds": 6.0}, {"step": "triplet", "seconds": 3.0}]


@pytest.mark.parametrize(
    ("done", "known", "place"),
    [
        ([], KNOWN, ("", None)),
        (["base"], KNOWN, ("variation", 10)),
        (["base", "variation"], KNOWN, ("triplet", 70)),
        (["base", "variation", "triplet"], KNOWN, ("publishing", 100)),
        (["base"], (), ("after base", None)),
        (["base", "disk"], KNOWN, ("after disk", None)),
        (["base"], [{"step": "base", "seconds": 0.0}], ("publishing", None)),
    ],
)
def test_the_step_that_runs_and_what_lies_behind_it(done, known, place):
    assert place_of(done, known) == place


def test_an_earlier_build_that_built_nothing_says_nothing_of_steps():
    assert steps_of(
        [{}, {"steps": [], "unchanged": False}, {"steps": [1], "unchanged": True}, {"steps": [2]}, {"steps": [3]}]
    ) == [2]
    assert steps_of([]) == ()
