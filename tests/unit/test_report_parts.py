"""What the report draws and compares: rectangles, bars, differences."""

import pytest
from hypothesis import given
from hypothesis import strategies as some
from vmimage.report.changes import compare_facts, compare_states, signed_amount
from vmimage.report.contents import group_packages
from vmimage.report.timeline import lay_out_states, lay_out_steps, seconds_words, total_seconds
from vmimage.report.treemap import Node, lay_out, squarify

amounts = some.lists(some.integers(1, 10**10), min_size=1, max_size=80)


@given(amounts, some.integers(50, 2000), some.integers(50, 2000))
def test_rectangles_are_as_large_as_their_amounts_and_inside_the_frame(amounts, width, height):
    amounts = sorted(amounts, reverse=True)
    placed = squarify(amounts, 3, 5, width, height)
    for amount, (x, y, across, down) in zip(amounts, placed, strict=True):
        assert across * down == pytest.approx(amount / sum(amounts) * width * height, rel=1e-3, abs=1e-3)
        assert x >= 3 - 1e-6 and y >= 5 - 1e-6 and x + across <= 3 + width + 1e-3 and y + down <= 5 + height + 1e-3


@given(some.lists(some.integers(1, 1000), min_size=2, max_size=25))
def test_no_two_rectangles_overlap(amounts):
    placed = squarify(sorted(amounts, reverse=True), 0, 0, 900, 400)
    for place, (x, y, across, down) in enumerate(placed):
        for u, v, wide, high in placed[place + 1 :]:
            assert min(x + across, u + wide) - max(x, u) < 1e-6 or min(y + down, v + high) - max(y, v) < 1e-6


def test_equal_amounts_make_squares():
    assert all(across / down == pytest.approx(1) for _, _, across, down in squarify([1] * 8, 0, 0, 400, 200))


def test_a_part_lies_within_its_group_below_its_name():
    tiles = lay_out([Node("usr", 90, (Node("bin", 60), Node("lib", 30))), Node("etc", 10)], 600, 300)
    assert [(tile.path, tile.depth, tile.is_group) for tile in tiles] == [
        ("usr", 0, True),
        ("usr/bin", 1, False),
        ("usr/lib", 1, False),
        ("etc", 0, False),
    ]
    (x, y, across, down), (u, v, wide, high) = tiles[0].place, tiles[1].place
    assert x < u and y + 12 < v and u + wide < x + across and v + high < y + down


def test_nothing_to_show_is_no_rectangle():
    assert lay_out([Node("empty", 0)], 100, 100) == [] and squarify([], 0, 0, 10, 10) == []


def test_packages_stand_by_where_they_come_from():
    measured = {"packages": {"nginx": 5, "bash": 3, "vim": 2}, "unowned": {"/boot": 4, "": 1}}
    groups = group_packages(measured, {"added": {"nginx": "1"}, "changed": {"vim": ["1", "2"]}})
    assert {group.kind: group.amount for group in groups} == {"base": 3, "added": 7, "unowned": 5}
    assert sum(part.amount for group in groups for part in group.parts) == 15


def test_steps_follow_each_other_and_parts_of_one_step_are_one_row():
    rows = lay_out_steps(
        [
            {"step": "a", "seconds": 1.5},
            {"step": "b", "seconds": 0.25},
            {"step": "b", "seconds": 0.25},
            {"step": "c", "seconds": 2},
        ]
    )
    assert [(row["step"], row["begin"], row["seconds"]) for row in rows] == [("a", 0, 1.5), ("b", 1.5, 0.5), ("c", 2.0, 2)]
    assert rows[1]["bars"] == [(1.5, 0.25), (1.75, 0.25)]
    assert total_seconds(rows) == sum(row["seconds"] for row in rows) == 4


def test_steps_that_ran_beside_each_other_are_drawn_so():
    rows = lay_out_steps([{"step": "b", "seconds": 2, "started": 1001.0}, {"step": "a", "seconds": 3, "started": 1000.0}])
    assert [(row["step"], row["begin"]) for row in rows] == [("a", 0), ("b", 1)]
    assert total_seconds(rows) == 3


@given(some.lists(some.integers(0, 5000), min_size=1, max_size=20), some.floats(0.1, 100))
def test_states_lie_within_their_step_in_the_order_they_ran(durations, seconds):
    before, placed = lay_out_states([{"duration_ms": duration} for duration in durations], 7.0, seconds)
    begins = [begin for begin, _ in placed]
    assert begins == sorted(begins) and begins[0] == pytest.approx(7 + before)
    assert before + min(seconds, sum(durations) / 1000) == pytest.approx(seconds) and begins[-1] <= 7 + seconds + 1e-9


@pytest.mark.parametrize(("seconds", "words"), [(0.0042, "4 ms"), (0.96, "1.0 s"), (59.94, "59.9 s"), (185, "3 min 05 s")])
def test_seconds_are_written_as_people_say_them(seconds, words):
    assert seconds_words(seconds) == words


OLD = {
    "files": {"root_image": {"bytes": 10 << 20}, "kernel": {"bytes": 5, "version": "6.1.0-8"}},
    "base": {"reference": "b", "digest": "sha256:1"},
    "settings": {"keep": 3, "output": "/a"},
    "steps": [{"step": "a", "seconds": 4}],
    "states": [{"sls": "s", "id": "stays", "changed": True}, {"sls": "s", "id": "goes"}],
}
NEW = {
    "files": {"root_image": {"bytes": 12 << 20}, "kernel": {"bytes": 5, "version": "6.1.0-9"}},
    "base": {"reference": "b", "digest": "sha256:2"},
    "settings": {"keep": 4, "output": "/b"},
    "steps": [{"step": "a", "seconds": 2}],
    "states": [{"sls": "s", "id": "stays", "result": False}, {"sls": "s", "id": "comes"}],
}


def test_what_differs_from_the_build_before_is_shown_and_where_it_was_written_is_not():
    differing = {name: (old, new) for name, old, new in compare_facts(OLD, NEW) if old != new}
    assert differing == {
        "root image": ("10.0 MiB", "12.0 MiB (+2.0 MiB)"),
        "kernel version": ("6.1.0-8", "6.1.0-9"),
        "base: digest": ("sha256:1", "sha256:2"),
        "settings: keep": (3, 4),
        "time of all steps": ("4.0 s", "2.0 s"),
    }


def test_states_that_came_went_and_ended_otherwise_are_shown():
    assert compare_states(OLD, NEW) == [
        ("~", "stays", "s", "changed", "failed"),
        ("+", "comes", "s", "not there", "unchanged"),
        ("−", "goes", "s", "unchanged", "not there"),
    ]


def test_what_a_failed_build_did_not_come_to_is_no_difference():
    cut_short = {"states": NEW["states"], "settings": NEW["settings"]}
    assert [row[0] for row in compare_states(OLD, cut_short)] == ["~", "+"]
    assert [name for name, old, new in compare_facts(OLD, cut_short) if old != new] == ["settings: keep"]


def test_the_same_build_again_is_no_difference():
    assert not [row for row in compare_facts(OLD, OLD) if row[1] != row[2]] and not compare_states(OLD, OLD)


def test_more_and_less_are_signed():
    assert (signed_amount(2048), signed_amount(-1 << 20)) == ("+2.0 KiB", "−1.0 MiB")
