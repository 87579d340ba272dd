"""Which names an image differs at, and how much room they take: for roots that a variation made strange."""

import os

import pytest
from vmimage.image.changes import count_blocks, list_changes


@pytest.fixture
def overlay(tmp_path, tree):
    """``(upper, lower, root)`` of a root to which one directory was added; without whiteouts the upper shows what the root does."""
    for name in ("lower", "upper"):
        tree(tmp_path / name, {})
    tree(tmp_path / "upper", {"new/": None})
    return tmp_path / "upper", tmp_path / "lower", tmp_path / "upper"


def test_a_file_with_holes_takes_only_what_is_between_them(overlay):
    with open(overlay[0] / "new/lastlog", "wb") as file:
        file.truncate(1 << 42)
        file.seek(1 << 30)
        file.write(b"x")
    with open(overlay[0] / "new/empty", "wb") as file:
        file.truncate(1 << 42)
    assert count_blocks(list_changes(*overlay)) < 100


def test_a_file_without_holes_takes_its_whole_blocks(overlay):
    (overlay[0] / "new/file").write_bytes(b"x" * 40961)
    assert count_blocks(list_changes(*overlay)) == 2 + 11


def test_a_tree_deeper_than_pythons_stack_is_listed_parents_first(overlay):
    path, made = str(overlay[0] / "new"), []
    for _ in range(1050):
        path += "/d"
        os.mkdir(path)
        made.append(path)
    try:
        names = [change.name for change in list_changes(*overlay)]
    finally:
        for directory in reversed(made):
            os.rmdir(directory)
    assert len(names) == 1052 and names == sorted(names, key=len)
