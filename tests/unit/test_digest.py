import os
import runpy
import sys

import pytest
from vmimage.errors import BaseUnverified, SettingsWrong
from vmimage.system import digest
from vmimage.system.digest import (
    QUICK,
    check_digest,
    digest_of_file,
    digest_of_tree,
    find_in_checksums,
    known_digest,
    parse_digest,
)

#: of the text "abc", from FIPS 180
ABC_256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
ABC_512 = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"


@pytest.fixture
def abc(tmp_path):
    path = tmp_path / "abc.img"
    path.write_bytes(b"abc")
    return path


@pytest.mark.parametrize(("algorithm", "hexadecimal"), [("sha256", ABC_256), ("sha512", ABC_512)])
def test_the_digest_of_a_file_is_the_published_digest(abc, algorithm, hexadecimal):
    assert digest_of_file(abc, algorithm) == f"{algorithm}:{hexadecimal}"


def test_what_is_read_again_for_damage_has_the_published_digest_of_xxh3(tmp_path):
    path = tmp_path / "empty"
    path.touch()
    assert digest_of_file(path, "xxh3_128") == "xxh3_128:99aa06d3014798d86001c324468d497f"  # of nothing, from xxHash's own tests
    assert QUICK == "xxh3_128"


def test_where_salt_brings_no_xxhash_it_is_sha256(monkeypatch):
    monkeypatch.setitem(sys.modules, "xxhash", None)
    assert runpy.run_path(digest.__file__)["QUICK"] == "sha256"


def test_progress_ends_at_the_size_of_the_file(tmp_path):
    path, progress = tmp_path / "big", []
    path.write_bytes(bytes(3 << 20))
    digest_of_file(path, moved=lambda done, total: progress.append((done, total)))
    assert progress[-1] == (3 << 20, 3 << 20) and len(progress) > 1


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"sha256:{ABC_256}", ("sha256", ABC_256)),
        (f"sha256={ABC_256}", ("sha256", ABC_256)),
        (f"SHA512:{ABC_512.upper()}", ("sha512", ABC_512)),
        (f"  {ABC_256}\n", ("sha256", ABC_256)),
        (ABC_512, ("sha512", ABC_512)),
        ("https://example.org/SHA512SUMS", None),
        ("SHA256SUMS", None),
        ("/srv/sha256:sums/SHA256SUMS", None),
    ],
    ids=["colon", "equals", "upper case", "bare with space", "bare 512", "an address", "a file name", "a path"],
)
def test_a_digest_is_distinguished_from_an_address(text, found):
    assert parse_digest(text) == found


@pytest.mark.parametrize(
    "text",
    [
        f"sha256:{ABC_256[:-1]}",
        f"sha512:{ABC_256}",
        "abc123",
        "md5:900150983cd24fb0d6963f7d28e17f72",
        "sha1=a9993e36",
        f"sha256:o{ABC_256[1:]}",
    ],
    ids=["too short", "of another length", "bare and short", "md5", "sha1", "a letter o for a zero"],
)
def test_half_a_digest_is_refused(text):
    with pytest.raises(SettingsWrong, match="digest"):
        parse_digest(text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"{ABC_256}  abc.img\n", ("sha256", ABC_256)),
        (f"{ABC_256} *abc.img\n", ("sha256", ABC_256)),
        (f"{'0' * 64}  other.img\n{ABC_256}  ./images/abc.img\n", ("sha256", ABC_256)),
        (f"SHA512 (abc.img) = {ABC_512}\n", ("sha512", ABC_512)),
        (f"SHA256 (other.img) = {'0' * 64}\nSHA256 (abc.img) = {ABC_256.upper()}\n", ("sha256", ABC_256)),
        (f"{ABC_512}\n", ("sha512", ABC_512)),
        (f"{'0' * 64}  abc.img.sig\n", None),
        (f"{'0' * 64}  xabc.img\n", None),
        (f"SHA256 (abc) = {ABC_256}\n", None),
        (f"{ABC_256[:40]}  abc.img\n", None),
        ("", None),
    ],
    ids=[
        "text",
        "binary",
        "second, in a directory",
        "bsd",
        "bsd, second",
        "alone",
        "longer name",
        "ending of a name",
        "bsd, other",
        "sha1",
        "empty",
    ],
)
def test_a_file_is_found_in_a_checksum_file_by_its_whole_name(text, found):
    assert find_in_checksums(text, "abc.img") == found


def test_a_wrong_digest_names_both(abc, tmp_path):
    with pytest.raises(BaseUnverified) as caught:
        check_digest(abc, ("sha256", "0" * 64), tmp_path / "table.json")
    assert ABC_256 in str(caught.value) and "0" * 64 in str(caught.value)


def test_a_known_digest_is_not_computed_again(abc, tmp_path):
    table = tmp_path / "cache" / "table.json"
    assert known_digest(abc, table) == f"sha256:{ABC_256}"
    assert known_digest(abc, table, moved=lambda done, total: pytest.fail("read again")) == f"sha256:{ABC_256}"


@pytest.mark.parametrize("keep_time", [False, True], ids=["written", "written, with its old time put back"])
def test_a_changed_file_is_read_again(abc, tmp_path, keep_time):
    table, before = tmp_path / "table.json", os.stat(abc)
    known_digest(abc, table)
    abc.write_bytes(b"abd")
    if keep_time:
        os.utime(abc, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert known_digest(abc, table) == digest_of_file(abc) != f"sha256:{ABC_256}"


def test_a_file_put_in_the_place_of_another_is_read_again(abc, tmp_path):
    table = tmp_path / "table.json"
    known_digest(abc, table)
    other = tmp_path / "other"
    other.write_bytes(b"xyz")
    os.utime(other, ns=(os.stat(abc).st_atime_ns, os.stat(abc).st_mtime_ns))
    os.replace(other, abc)
    assert known_digest(abc, table) == digest_of_file(abc)


def test_the_table_keeps_both_algorithms_of_many_files(abc, tmp_path):
    table, other = tmp_path / "table.json", tmp_path / "other"
    other.write_bytes(b"xyz")
    known = [known_digest(path, table, kind) for path in (abc, other) for kind in ("sha256", "sha512")]
    assert [known_digest(path, table, kind, pytest.fail) for path in (abc, other) for kind in ("sha256", "sha512")] == known


TREE = {"top.sls": "base: {}", "web/init.sls": "nginx", "files/run.sh": "#!/bin/sh", "link": "-> web", "empty/": None}
CHANGES = {
    "content": lambda top: (top / "top.sls").write_text("base: []"),
    "execute bit": lambda top: (top / "files/run.sh").chmod(0o755),
    "rename": lambda top: (top / "top.sls").rename(top / "topp.sls"),
    "move": lambda top: (top / "web/init.sls").rename(top / "init.sls"),
    "another link": lambda top: ((top / "link").unlink(), (top / "link").symlink_to("files")),
    "link becomes file": lambda top: ((top / "link").unlink(), (top / "link").write_text("web")),
    "new empty directory": lambda top: (top / "more").mkdir(),
    "empty file instead of directory": lambda top: ((top / "empty").rmdir(), (top / "empty").touch()),
    "new hidden file": lambda top: (top / ".hidden").touch(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_the_digest_of_a_tree_tells_every_change(tmp_path, tree, change):
    top = tree(tmp_path / "states", TREE)
    before = digest_of_tree(top)
    change(top)
    assert digest_of_tree(top) != before


@pytest.mark.parametrize("ignored", [".git/config", "web/.git", ".hg/store/data"])
def test_the_digest_of_a_tree_ignores_what_version_control_keeps(tmp_path, tree, ignored):
    top = tree(tmp_path / "states", TREE)
    before = digest_of_tree(top)
    tree(top, {ignored: "whatever"})
    assert digest_of_tree(top) == before


def test_the_digest_of_a_tree_does_not_depend_on_place_time_or_order(tmp_path, tree):
    first = tree(tmp_path / "one", TREE)
    second = tree(tmp_path / "elsewhere" / "other", dict(reversed(TREE.items())))
    os.utime(second / "top.sls", (1, 1))
    assert digest_of_tree(first) == digest_of_tree(second)


def test_the_digest_of_a_tree_does_not_follow_links_out_of_it(tmp_path, tree):
    top = tree(tmp_path / "states", {"link": f"-> {tmp_path}/outside"})
    before = digest_of_tree(top)
    tree(tmp_path / "outside", {"file": "text"})
    assert digest_of_tree(top) == before
