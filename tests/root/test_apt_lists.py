"""The shared lists of apt below an overlay: what a build does to them stays with it, whatever other builds do meanwhile."""

import os

import pytest
from vmimage.apt import lists
from vmimage.apt.cache import AptCache
from vmimage.root.mounts import is_mounted
from vmimage.system import syscalls
from vmimage.system.digest import digest_of_tree
from vmimage.system.namespace import run_privately

LIST = "mirror_dists_bookworm_main_binary-amd64_Packages"


@pytest.fixture
def cache_of(tmp_path, tree):
    """A maker of the cache of a build; a first build has shared its lists."""
    root = tree(tmp_path / "root", {"etc/apt/sources.list": "deb mirror bookworm main\n"})

    def make(name):
        return AptCache(tmp_path / "cache", tmp_path / name, root, "sha256:base")

    first = make("first")
    first.begin()
    tree(first.own, {f"lists/{LIST}": "old", "bin/pkgcache.bin": "computed"})
    first.keep_lists({"offered": {"http://mirror/InRelease": "0"}, "newest": "1"})
    return make


def replace_lists(cache, text):
    """As another build does that has fetched newer lists."""
    cache.begin()
    assert not cache.drop_damaged_lists(pytest.fail)
    (cache.own / "lists" / LIST).write_text(text)
    cache.keep_lists()


def test_what_a_build_does_to_its_lists_is_not_in_the_cache(cache_of):
    shared = cache_of("any").shared
    before = digest_of_tree(shared)

    def build():
        cache = cache_of("own")
        cache.begin(by_overlay=True)
        assert is_mounted(cache.own / "lists") and not cache.drop_damaged_lists(pytest.fail)
        (cache.own / "lists" / LIST).write_text("another")
        (cache.own / "bin/pkgcache.bin").unlink()
        (cache.own / "lists/more").touch()
        cache.end()
        return is_mounted(cache.own / "lists")

    assert run_privately(build) is False
    assert digest_of_tree(shared) == before


def test_lists_that_another_build_replaces_stay_for_the_build_that_is_shown_them(cache_of):
    def build():
        cache = cache_of("own")
        cache.begin(by_overlay=True)
        replace_lists(cache_of("other"), "new")
        read = (cache.own / "lists" / LIST).read_text(), (cache.shared / "lists" / LIST).read_text()
        return *read, cache.drop_damaged_lists(pytest.fail), len(list(cache.top.glob("left-*")))

    assert run_privately(build) == ("old", "new", False, 1)
    replace_lists(cache_of("third"), "newer")
    assert not list(cache_of("any").top.glob("left-*"))


def test_a_byte_that_is_flipped_below_an_overlay_is_found_and_no_list_is_left(cache_of):
    cache = cache_of("own")
    path = cache.shared / "lists" / LIST
    facts = path.stat()
    path.write_text("odd")
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))

    def build():
        cache.begin(by_overlay=True)
        said = []
        with cache.begin_reading_lists() as reading:
            return cache.drop_damaged_lists(said.append, reading.finish), said, list(cache.own.glob("*/*_*")), cache.known()

    is_damaged, said, left, known = run_privately(build)
    assert is_damaged and len(said) == 1 and str(path) in said[0] and left == []
    assert known == {"offered": None, "newest": None} and not cache.shared.exists()


@pytest.mark.parametrize("own", [True, False])
def test_lists_that_a_build_has_itself_shared_a_moment_ago_are_not_read_again_and_those_of_others_are(cache_of, monkeypatch, own):
    fetching = cache_of("fetching")
    fetching.begin()
    (fetching.own / "lists" / LIST).write_text("fetched")
    digests = fetching.keep_lists()
    assert digests.keys() == {f"lists/{LIST}", "bin/pkgcache.bin"}
    if not own:
        replace_lists(cache_of("other"), "by another")
    cache = cache_of("own")

    def build():
        if own:
            monkeypatch.setattr(lists, "digest_of_file", lambda path, algorithm: pytest.fail(f"{path} was read a moment ago"))
        is_own = cache.begin(by_overlay=True, just_read=digests)
        (cache.own / "lists" / LIST).write_text("damaged")
        return is_own, cache.drop_damaged_lists(lambda line: None)

    assert run_privately(build) == (own, not own)


def test_where_no_overlay_can_be_mounted_a_build_has_copies(cache_of, monkeypatch):
    def refuse(*arguments, **options):
        raise OSError(19, "No such device")

    monkeypatch.setattr(syscalls, "mount", refuse)
    cache = cache_of("own")
    cache.begin(by_overlay=True)
    assert (cache.own / "lists" / LIST).read_text() == "old" and not is_mounted(cache.own / "lists")
    assert not cache.drop_damaged_lists(pytest.fail)
