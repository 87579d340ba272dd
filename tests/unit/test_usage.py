"""What takes the room in a root, measured on small roots made for it."""

import json
import os

import pytest
from vmimage.image.ext4 import measure_content
from vmimage.image.usage import BLOCK, measure_contents

pytestmark = pytest.mark.usefixtures("confining_kernel")
STATUS = "".join(
    f"Package: {name}\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n\n"
    for name in ("dpkg", "bash", "python3", "base")
)
LISTS = {
    "dpkg": "/.\n/usr\n/usr/bin\n/usr/bin/dpkg\n",
    "bash:amd64": "/.\n/bin\n/bin/bash\n/usr\n/usr/share/doc\n/usr/share/doc/bash\n/usr/share/doc/bash/README\n",
    "python3": "/usr/lib/python3\n/usr/lib/python3/x.py\n",
}


@pytest.fixture
def filled(root, tree):
    files = {f"var/lib/dpkg/info/{name}.list": text for name, text in LISTS.items()}
    files |= {"var/lib/dpkg/status": STATUS, "usr/bin/dpkg": b"x" * 5000, "usr/bin/bash": b"x" * 9000, "bin": "-> usr/bin"}
    files |= {"usr/share/doc/bash/README": b"x", "usr/lib/python3/x.py": b"x", "srv/data/of/mine": b"x" * 50000}
    files |= {"usr/lib/python3/__pycache__/x.cpython-311.pyc": b"x" * 100}
    return tree(root, files)


def test_the_whole_is_what_the_image_is_planned_for(filled):
    measured, content = measure_contents(filled), measure_content(filled)
    assert (measured["blocks"], measured["inodes"]) == (content.blocks, content.inodes)
    assert sum(measured["packages"].values()) + sum(measured["unowned"].values()) == content.blocks * BLOCK
    assert measured["directories"][:2] == ["/", content.blocks * BLOCK]


def test_a_file_belongs_to_the_package_that_lists_it_wherever_a_merged_usr_put_it(filled):
    packages = measure_contents(filled)["packages"]
    assert packages["dpkg"] == 2 * BLOCK
    assert packages["bash"] == 3 * BLOCK + 3 * BLOCK  # the program; its README, and the two directories that only it names


def test_what_python_compiled_belongs_to_the_module(filled):
    assert measure_contents(filled)["packages"]["python3"] == 3 * BLOCK  # directory, module, compiled


def test_files_of_no_package_are_counted_by_directory(filled):
    assert measure_contents(filled)["unowned"]["/srv/data/of"] == 13 * BLOCK


def test_a_file_of_several_names_is_counted_once(filled):
    before = measure_contents(filled)["blocks"]
    os.link(filled / "srv/data/of/mine", filled / "srv/data/of/again")
    assert measure_contents(filled)["blocks"] == before


@pytest.mark.hostile("traps in a root")
def test_no_link_is_followed_out_of_the_root(filled, tmp_path):
    (tmp_path / "outside" / "large").write_bytes(b"x" * 100000)
    before = measure_contents(filled)
    (filled / "srv/out").symlink_to("../../outside")
    (filled / "out").symlink_to("../outside")
    assert measure_contents(filled)["blocks"] == before["blocks"]


@pytest.mark.hostile("traps in a root")
def test_a_list_that_is_a_trap_harms_nobody(filled):
    os.mkfifo(filled / "var/lib/dpkg/info/trap.list")
    (filled / "var/lib/dpkg/info/circle.list").symlink_to("circle.list")
    assert "dpkg" in measure_contents(filled)["packages"]


def test_what_is_small_is_folded_and_the_sums_stay(filled, tree):
    tree(filled, {f"srv/many/{place}/file": b"x" for place in range(1000)} | {"srv/large": b"x" * (2 << 20)})
    measured = measure_contents(filled)
    assert len(json.dumps(measured)) < 20000

    def check(name, size, parts):
        assert not parts or sum(part[1] for part in parts) == size, name
        for part in parts:
            check(*part)

    check(*measured["directories"])
    (srv,) = (part for part in measured["directories"][2] if part[0] == "srv")
    assert ["large", 2 << 20, []] in srv[2] and "many" in [part[0] for part in srv[2]]
