"""Each row of the tables of what happens when a part of the fleet dies is shown by a test, which is there."""

import ast
import re

import pytest
from pages import PROJECT

PAGES = [PROJECT / "docs" / name for name in ("explanation/fleet.md", "guide/instances.md")]


def rows_of(page):
    """The rows of the table of a page."""
    lines = page.read_text(encoding="utf-8").partition("| what dies |")[2].splitlines()[2:]
    end = next((number for number, line in enumerate(lines) if not line.startswith("|")), len(lines))
    return [line.strip("|").split(" | ") for line in lines[:end]]


ROWS = [row for page in PAGES for row in rows_of(page)]


def names_in(path):
    """The names of the tests in a file."""
    tree = ast.parse((PROJECT / path).read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


def is_there(named):
    """Whether the last column of a row names a test by its file and name, and nothing else."""
    found = re.fullmatch(r"`(tests/\w+/test_\w+\.py)::(test_\w+)`", named.strip())
    return bool(found) and (PROJECT / found[1]).is_file() and found[2] in names_in(found[1])


def test_the_tables_have_the_parts_of_a_fleet():
    parts = " ".join(row[0] for row in ROWS)
    assert [len(rows_of(page)) >= 6 for page in PAGES] == [True, True]
    assert [
        part for part in ("minion", "instance", "master", "pass", "Glance", "repository", "poke", "cache") if part not in parts
    ] == []


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].strip())
def test_a_row_names_a_test_that_is_there(row):
    assert len(row) == 3 and is_there(row[2]), row


@pytest.mark.parametrize(
    "named",
    [
        "",
        "`tests/unit/test_fleet_faults.py`",
        "`tests/unit/test_fleet_faults.py::test_it_is_gone`",
        "`tests/unit/test_nothing.py::test_the_memory_is_lost`",
        "`tests/unit/test_fleet_faults.py::the_memory`",
    ],
)
def test_a_name_that_leads_nowhere_is_seen(named):
    assert not is_there(named)
