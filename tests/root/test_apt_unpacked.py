"""What an earlier build has decompressed is what dpkg installs: of that very package, and of no other."""

import os
import tarfile

import pytest
from building import Salt, cache_with
from looking import looked_into, tree_of
from vmimage.system.digest import QUICK, digest_of_file, read_record, write_record

VARIATION = """
a package is installed:
  pkg.installed:
    - name: tree
"""
# a package of the same file name, made in the root, is not taken for the package that is kept
OWN = """
a package of that name, but of other content, is installed:
  cmd.run:
    - name: |
        printf %s "$(head -c 4 /usr/share/doc/tree/copyright)" > /srv/said
        mkdir -p /srv/own/DEBIAN /srv/own/srv && cd /srv && echo of the own > own/srv/own-file
        name=$(cd /run/vm_create/packages && ls tree_*.deb)
        dpkg-query -f 'Package: ${Package}\\nVersion: ${Version}\\nArchitecture: ${Architecture}\\n' -W tree > own/DEBIAN/control
        printf 'Maintainer: me\\nDescription: mine\\n' >> own/DEBIAN/control
        dpkg-deb -b own "$name" && PATH=/run/vm_create/dpkg:$PATH dpkg -i "$name" && rm -r own "$name"
    - require:
      - pkg: a package is installed
"""


@pytest.fixture(scope="module")
def images(bootstrapped, tmp_path_factory):
    """The images of three builds: without what is kept, with that, and with something else put in its place, seen and unseen."""
    top = tmp_path_factory.mktemp("unpacked")
    salt = Salt(top / "salt")
    salt.configure(**{"ami.cache": cache_with(bootstrapped, top / "cache")})

    def built(name, text):
        salt.good("vm_create.create_variation", name=name, variation=salt.variation(name, variation=text), publish=False)
        return salt.output / f"{name}.img"

    found = {"first": built("first", VARIATION), "second": built("second", VARIATION)}
    (kept,) = top.glob("cache/apt/unpacked/*/tree_*.deb.tar")
    with tarfile.open(kept) as tar:
        at = tar.getmember("./usr/share/doc/tree/copyright").offset_data
    facts = kept.stat()
    with open(kept, "r+b") as file:
        file.seek(at)
        file.write(b"kept")
    os.utime(kept, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    damaged = kept.read_bytes()
    found["mended"] = built("mended", VARIATION)  # it is found to be damaged, and made again
    assert kept.read_bytes() != damaged
    kept.write_bytes(damaged)
    (record,) = top.glob(
        "cache/apt/digests/*.json"
    )  # what dpkg got is seen by what is in no package: its digest, too, is another
    write_record(record, {**read_record(record), f"unpacked/{kept.parent.name}/{kept.name}": digest_of_file(kept, QUICK)})
    return {**found, "third": built("third", VARIATION + OWN)}


@pytest.mark.parametrize("name", ["second", "mended"])
def test_an_image_is_the_same_with_it_as_without_and_where_it_was_damaged(images, name):
    with looked_into(images["first"]) as first, looked_into(images[name]) as second:
        files, other_files = tree_of(first), tree_of(second)
    assert [path for path in sorted(files.keys() | other_files.keys()) if files.get(path) != other_files.get(path)] == []
    assert "/usr/bin/tree" in files


def test_it_is_what_dpkg_installs_of_that_very_package(images):
    with looked_into(images["third"]) as root:
        assert (root / "srv/said").read_text(encoding="utf-8") == "kept"


def test_a_package_of_the_same_name_is_installed_as_it_is(images):
    with looked_into(images["third"]) as root:
        assert (root / "srv/own-file").read_text(encoding="utf-8") == "of the own\n"
        assert not (root / "usr/bin/tree").exists()
