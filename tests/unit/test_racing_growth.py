"""benchmarks/growth: sizes, the straight line, the picture."""

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))

import growth  # noqa: E402
from peers.grown import SIZES, Size  # noqa: E402
from racing import curve  # noqa: E402
from racing.line import fit, largest_deviation  # noqa: E402
from racing.svg import step_of  # noqa: E402


def points(panel, *seconds):
    sizes = [size for size in SIZES if size.panel == panel][: len(seconds)]
    laps = [{"seconds": value, "steps": {"pack": value / 2 if value > 6 else value / 3}} for value in seconds]
    return growth.with_line([growth.point(size, [lap]) for size, lap in zip(sizes, laps, strict=True)])


def found():
    machine = {"date": "today", "system": "Debian", "kernel": "6", "cpu": "EPYC", "cores": 2, "memory_gib": 8.0, "disk": "ext4"}
    panels = {"files": points("files", 5.1, 6.0, 15.0, 30.0, 70.0), "states": points("states", 5.0, 6.0)}
    return {"job": "Growth", "machine": machine, "rounds": 1, "panels": panels}


@pytest.mark.parametrize(
    ("places", "line", "farthest"),
    [
        ([(0, 1), (1, 3), (2, 5)], (1, 2), 0),
        ([(0, 0), (1, 3), (2, 0)], (1, 0), 2),
        ([(10, 5), (20, 5), (30, 5)], (5, 0), 0),
        ([(0, 0), (1, -3), (2, 0)], (-1, 0), -2),
    ],
)
def test_the_line_is_that_of_least_squares_and_its_farthest_point_is_given_with_its_side(places, line, farthest):
    assert fit(places) == pytest.approx(line)
    assert largest_deviation(places, fit(places))[1] == pytest.approx(farthest)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: size.name)
def test_a_size_is_as_large_as_it_says(size):
    files = size.files()
    assert len({path for path, _ in files}) == len(files)
    if size.panel == "files":
        assert size.bytes() == size.amount * 1_000_000
        assert size.states().count("file.recurse") == 1
    else:
        assert len(files) == size.states().count("file.managed") == size.amount


def test_each_state_lays_a_file_that_is_there():
    laid = [line.split("salt://files/")[1] for line in Size("states", 10).states().splitlines() if "salt://" in line]
    assert laid == [path for path, _ in Size("states", 10).files()]


def test_what_bends_is_seen_by_its_farthest_point():
    line = points("files", 10.0, 10.0, 10.0, 10.0, 60.0)
    assert line["largest_deviation"]["at"] == 2500 and line["largest_deviation"]["seconds"] < -9


def test_two_points_make_no_line():
    assert points("states", 5.0, 6.0)["line"] is None


def test_the_table_has_a_row_for_each_size_and_the_line_below():
    rows = [line.split() for line in curve.render(found()).splitlines()]
    assert ["5000", "5500", "70.0", "35.0", "35.0"] in rows and ["100", "100", "6.0", "2.0", "4.0"] in rows
    assert sum("farthest:" in row for row in rows) == 1


def test_the_picture_has_a_dot_for_each_build_and_a_line_where_there_are_enough():
    drawn = curve.draw(found())
    parts = [part.get("class") for part in ElementTree.fromstring(drawn).iter()]
    assert (parts.count("ours"), parts.count("line")) == (7, 1)
    heights = [float(part.split('cy="')[1].split('"')[0]) for part in drawn.split("<circle")[1:6]]
    assert heights == sorted(heights, reverse=True)


@pytest.mark.parametrize(("most", "step"), [(0.9, 1), (8, 1), (16, 2), (45, 5), (46, 10), (300, 50), (5000, 1000)])
def test_grid_lines_stand_at_round_distances(most, step):
    assert step_of(most) == step
