import os
import tempfile
import threading
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some
from vmimage.errors import RootHostile
from vmimage.root import files

pytestmark = pytest.mark.usefixtures("confining_kernel")

names = some.sampled_from(["a", "b", "c", "..", "."])
paths = some.lists(names, min_size=1, max_size=6).map("/".join)
targets = (
    paths | paths.map(lambda path: f"/{path}") | paths.map(lambda path: f"{'../' * 6}outside/{path}") | some.just("/OUT/secret")
)
entries = some.lists(some.tuples(paths, some.none() | some.just("text") | targets.map(lambda path: f"-> {path}")), max_size=12)
asked = paths | paths.map(lambda path: f"/{path}") | paths.map(lambda path: f"/{path}/")


@contextmanager
def image_of(entries):
    with tempfile.TemporaryDirectory() as top:
        root, outside = Path(top) / "root", Path(top) / "outside"
        root.mkdir(), outside.mkdir()
        for path in ("secret", "a", "b", "c"):
            (outside / path).write_text("of the host")
        for path, content in entries:
            place = root / os.path.normpath(f"/{path}").lstrip("/")
            with suppress(OSError, RuntimeError):
                if not place.parent.resolve().is_relative_to(root):
                    continue
                if content is None:
                    place.mkdir(parents=True)
                elif content.startswith("-> "):
                    place.symlink_to(content[3:].replace("OUT", str(outside).lstrip("/")))
                elif place.resolve().is_relative_to(root):
                    place.write_text(content)
        yield root
        assert sorted(os.listdir(top)) == ["outside", "root"]
        assert {path.name: path.read_text() for path in outside.iterdir()} == dict.fromkeys(
            ("secret", "a", "b", "c"), "of the host"
        )


ACTIONS = {
    "write": lambda root, path: files.write_text(root, path, "new"),
    "make": files.make_directory,
    "remove": files.remove,
    "truncate": files.truncate,
    "mount": lambda root, path: Path(files.own_directory(root, path)).joinpath("mark").touch(),
}


@pytest.mark.hostile("traps in a root")
@given(entries, some.lists(some.tuples(some.sampled_from(sorted(ACTIONS)), asked), max_size=6))
def test_no_change_ever_reaches_the_host(entries, actions):
    with image_of(entries) as root:
        for action, path in actions:
            with suppress(RootHostile, OSError):
                ACTIONS[action](root, path)
        assert root.is_dir()


@pytest.mark.hostile("traps in a root")
@given(entries, asked)
def test_nothing_of_the_host_is_ever_read(entries, path):
    with image_of(entries) as root:
        with suppress(RootHostile):
            with suppress(OSError, RuntimeError):
                assert files.read_text(root, path, "nothing") in ("nothing", "text")
            assert "secret" not in files.list_directory(root, path)
            host = [root.parent, *(root.parent / "outside").iterdir()]
            found = files.lstat(root, path)
            assert found is None or found.st_ino not in {path_of_host.stat().st_ino for path_of_host in host}
            assert all(match.startswith("/") and "outside" not in match for match in files.match(root, f"/{path}/**/*"))


def test_renames_elsewhere_on_the_machine_do_not_disturb(root, tree, tmp_path):
    tree(root, {"run/conf": "ours", "etc/a/b/link": "-> ../../../etc/../run/conf"})
    name, new_name, done = tmp_path / "one", tmp_path / "other", threading.Event()
    name.touch()

    def rename():
        while not done.is_set():
            name.rename(new_name), new_name.rename(name)

    busy = threading.Thread(target=rename)
    busy.start()
    try:
        assert {files.read_text(root, "/etc/a/b/link") for _ in range(6_000)} == {"ours"}
    finally:
        done.set()
        busy.join()
