"""Trees deeper than Python's stack and longer than a path may be."""

import os

import pytest
from vmimage.errors import ImageUnsound
from vmimage.image.changes import list_changes
from vmimage.image.ext4 import measure_content
from vmimage.image.left_out import find_left_out
from vmimage.image.usage import measure_contents
from vmimage.root import files
from vmimage.root.workspace import Workspace
from vmimage.system.digest import digest_of_tree
from vmimage.system.trees import entries_below, fitting_paths, remove_entry, remove_tree

DEEP = 1500


@pytest.fixture(autouse=True)
def nothing_deep_is_left(tmp_path):
    """pytest itself cannot remove it."""
    yield
    remove_tree(tmp_path)


def make_deep(top, depth=DEEP, name="d"):
    """Directories in each other, with a file and a link in each; made by descriptors, for a path would be too long."""
    top.mkdir(parents=True, exist_ok=True)
    here = os.open(top, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
        os.close(os.open("file", os.O_WRONLY | os.O_CREAT, dir_fd=here))
        os.symlink("/", "link", dir_fd=here)
    os.close(here)
    return top


@pytest.mark.hostile("deep trees")
@pytest.mark.parametrize("name", ["d", "d" * 200], ids=["deep", "with paths beyond any limit"])
def test_a_workspace_is_forgotten_however_deep_a_variation_made_it(tmp_path, name):
    workspace = Workspace(tmp_path, "web")
    make_deep(workspace.upper / "srv", name=name)
    workspace.forget()
    assert list(workspace.path.iterdir()) == []


@pytest.mark.hostile("deep trees")
def test_a_deep_directory_of_an_image_is_found_and_removed(root):
    make_deep(root / "srv")
    (root / "kept").write_text("kept")
    assert len(files.match(root, "/srv/**")) == DEEP + 1
    assert len(files.match(root, "/srv/**/file")) == DEEP
    files.remove(root, "/srv")
    assert "srv" not in os.listdir(root) and (root / "kept").exists()


@pytest.mark.hostile("deep trees")
def test_what_a_link_leads_to_is_not_removed(tmp_path):
    kept, gone = tmp_path / "kept", tmp_path / "gone"
    kept.mkdir(), gone.mkdir()
    (kept / "file").write_text("kept")
    (gone / "link").symlink_to(kept)
    (tmp_path / "top").symlink_to(gone)
    with pytest.raises(OSError):
        remove_tree(tmp_path / "top")
    remove_entry(tmp_path / "top")
    remove_entry(gone)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["kept"] and (kept / "file").exists()


def test_nothing_to_remove_is_an_error_unless_it_is_ignored(tmp_path):
    remove_tree(tmp_path / "nothing", ignore_errors=True)
    with pytest.raises(FileNotFoundError):
        remove_tree(tmp_path / "nothing")


@pytest.mark.hostile("deep trees")
def test_a_deep_tree_is_measured_walked_and_has_a_digest(tmp_path):
    top = make_deep(tmp_path / "root")
    assert measure_content(top).inodes == measure_contents(top, {"none": "1"})["inodes"] == 1 + 3 * DEEP
    assert sum(1 for _ in entries_below(top)) == 3 * DEEP
    assert find_left_out(top).swap == {}
    before = digest_of_tree(top)
    (top / "d/d/d/file").write_text("more")
    assert digest_of_tree(top) != before
    remove_tree(top)


@pytest.mark.hostile("deep trees", refused=True)
@pytest.mark.parametrize(
    "look",
    [
        measure_content,
        find_left_out,
        lambda top: measure_contents(top, {"none": "1"}),
        lambda top: list_changes(top, top, top),
        lambda top: files.match(top, "/**/file"),
    ],
    ids=["content", "left out", "contents", "changes", "patterns"],
)
def test_a_path_that_is_too_long_is_an_error_that_names_its_top(tmp_path, look):
    top = make_deep(tmp_path / "root", 25, "d" * 200)
    with pytest.raises(ImageUnsound, match="too deep.*4,096 bytes: /dddd") as caught, fitting_paths(top):
        look(top)
    assert str(tmp_path) not in str(caught.value) and len(str(caught.value)) < 400
    remove_tree(top)
