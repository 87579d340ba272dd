"""The shared cache of apt: what goes into it, and what a root cannot bring in."""

import errno
import fcntl
import hashlib
import os
import pkgutil
import select
import shutil
import signal
import subprocess
import time
import traceback
from contextlib import contextmanager

import pytest
from vmimage.apt import cache as apt_cache
from vmimage.apt import lists as apt_lists
from vmimage.apt import unpacked as apt_unpacked
from vmimage.apt.cache import AptCache
from vmimage.errors import CommandFailed, NotReady
from vmimage.system import syscalls
from vmimage.system.shell import run

pytestmark = pytest.mark.needs("dpkg-deb")
NAME = "less_1%3a590-2_amd64.deb"
MANY_DAYS = 100 * 24 * 3600
LIST = "mirror_dists_bookworm_main_binary-amd64_Packages"


def made_package(directory, text):
    """The bytes of a package with one file."""
    tree = directory / "tree"
    for path in (tree / "DEBIAN", tree / "usr/share"):
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(0o755)
    (tree / "DEBIAN/control").write_text("Package: less\nVersion: 1:590-2\nArchitecture: amd64\nMaintainer: a\nDescription: a\n")
    (tree / "usr/share/text").write_text(text)
    run(["dpkg-deb", "--root-owner-group", "--build", tree, directory / "made.deb"])
    return (directory / "made.deb").read_bytes()


@pytest.fixture(scope="session")
def deb(tmp_path_factory):
    return made_package(tmp_path_factory.mktemp("deb"), "the package")


def content_of(package, directory):
    """The tar in a package, by the real dpkg-deb."""
    (directory / "package.deb").write_bytes(package)
    with open(directory / "package.tar", "wb") as tar:
        run(["dpkg-deb", "--fsys-tarfile", directory / "package.deb"], stdout=tar)
    return (directory / "package.tar").read_bytes()


def stanza(content, package="less", version="1:590-2", architecture="amd64"):
    return (
        f"Package: {package}\nVersion: {version}\nArchitecture: {architecture}\nDescription: tells SHA256: of nothing\n"
        f"Size: {len(content)}\nSHA256: {hashlib.sha256(content).hexdigest()}\n"
    )


def begun(cache):
    """A cache that was shown to its root: without its mounts, which need root, and by a process that ends, as a step of a build."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            syscalls.mount = syscalls.mount_setattr = lambda *_, **__: None
            cache.show()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
    return cache


@pytest.fixture
def apt(tmp_path, tree, deb):
    """The cache of a build whose root has been updated: it knows of one package."""
    root = tree(tmp_path / "root", {"etc/apt/sources.list": "deb mirror bookworm main\n"})
    made = begun(AptCache(tmp_path / "cache", tmp_path / "own", root, "sha256:base"))
    made.deb = deb
    tree(made.own, {f"lists/{LIST}": f"{stanza(deb, 'more')}\n{stanza(deb)}\n", "bin/pkgcache.bin": "computed"})
    return made


def kept(apt):
    return sorted(path.name for path in apt.archives.iterdir())


def download(apt, content=None, name=NAME):
    (apt.own / "archives" / name).write_bytes(apt.deb if content is None else content)


def keep_all(apt):
    """As a build does: the content of the packages later, beside its last steps."""
    apt.keep_archives()
    apt.unpack()


def unpack_all(apt, **options):
    """Without a cache that notes what comes."""
    apt_unpacked.unpack_packages(
        apt.archives, apt.unpacked, lambda package, before, partial, target: partial.rename(target), **options
    )


def unpacked(apt):
    return {path.name: path.read_bytes() for path in apt.unpacked.iterdir()}


def flip(path):
    """A byte changes, and neither size nor time do."""
    facts, data = path.stat(), bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


@contextmanager
def open_and_locked(directory):
    """As by a build that is shown it."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        yield
    finally:
        os.close(descriptor)


def age(path):
    os.utime(path, (time.time() - MANY_DAYS,) * 2)


def test_a_package_that_the_lists_vouch_for_is_shared(apt):
    download(apt)
    apt.keep_lists()
    keep_all(apt)
    assert kept(apt) == [NAME] and (apt.archives / NAME).read_bytes() == apt.deb


def test_a_package_is_decompressed_once(apt, tmp_path):
    download(apt)
    apt.keep_lists()
    keep_all(apt)
    then = (apt.unpacked / f"{NAME}.tar").stat().st_mtime_ns
    keep_all(apt)
    assert unpacked(apt) == {f"{NAME}.tar": content_of(apt.deb, tmp_path)}
    assert (apt.unpacked / f"{NAME}.tar").stat().st_mtime_ns == then


def test_what_was_decompressed_goes_with_a_package_that_is_replaced(apt, tmp_path):
    download(apt)
    apt.keep_lists()
    apt.archives.mkdir(parents=True, exist_ok=True)
    other = made_package(tmp_path, "another package by this name" * 999)
    (apt.archives / NAME).write_bytes(other)
    unpack_all(apt)
    assert unpacked(apt) == {f"{NAME}.tar": content_of(other, tmp_path)}
    keep_all(apt)
    assert unpacked(apt) == {f"{NAME}.tar": content_of(apt.deb, tmp_path)}


def test_nothing_is_decompressed_where_that_would_take_the_images_room(apt):
    apt.archives.mkdir(parents=True, exist_ok=True)
    (apt.archives / NAME).write_bytes(apt.deb)
    unpack_all(apt, spare_mib=1 << 40)
    assert unpacked(apt) == {}


def test_a_package_that_cannot_be_decompressed_here_is_left_to_the_roots_dpkg(apt, tmp_path):
    apt.archives.mkdir(parents=True, exist_ok=True)
    (apt.archives / "strange.deb").touch()
    (apt.archives / NAME).write_bytes(apt.deb)
    unpack_all(apt)
    assert unpacked(apt) == {f"{NAME}.tar": content_of(apt.deb, tmp_path)}


@pytest.mark.parametrize(
    "content", [lambda deb: deb[:-1] + b"?", lambda deb: deb + b"more", lambda deb: b""], ids=["same size", "longer", "empty"]
)
def test_a_package_that_is_not_what_the_lists_say_is_not_shared(apt, content):
    download(apt, content(apt.deb))
    apt.keep_lists()
    keep_all(apt)
    assert kept(apt) == []


@pytest.mark.parametrize(
    "name", ["less_590-2_amd64.deb", "less_1%3a590-2_arm64.deb", "mess_1%3a590-2_amd64.deb", "less.deb", ".deb"]
)
def test_a_package_that_no_list_names_is_not_shared(apt, name):
    download(apt, name=name)
    apt.keep_lists()
    keep_all(apt)
    assert kept(apt) == []


def test_lists_that_the_variation_changed_vouch_for_nothing(apt, tree):
    apt.keep_lists()
    tree(apt.own, {f"lists/{LIST}": stanza(b"a trap")})
    download(apt, b"a trap")
    keep_all(apt)
    assert kept(apt) == []


def test_an_update_of_a_root_that_was_varied_is_not_shared(apt):
    (apt.own / "varied").touch()
    apt.keep_lists()
    assert not apt.shared.exists()


@pytest.mark.parametrize("ending", [".gz", ".lz4", ".xz"])
def test_packed_lists_tell_nothing(apt, ending):
    (apt.own / "lists" / LIST).rename(apt.own / "lists" / f"{LIST}{ending}")
    download(apt)
    apt.keep_lists()
    keep_all(apt)
    assert kept(apt) == []


def test_a_base_or_source_of_another_kind_has_lists_and_packages_of_its_own(apt, tmp_path, tree):
    other_base = AptCache(tmp_path / "cache", tmp_path / "own2", apt.root, "sha256:other")
    tree(apt.root, {"etc/apt/sources.list.d/more.list": "deb [trusted=yes] elsewhere ./\n"})
    other_source = AptCache(tmp_path / "cache", tmp_path / "own3", apt.root, "sha256:base")
    assert len({cache.shared for cache in (apt, other_base, other_source)}) == 3
    assert len({cache.archives for cache in (apt, other_base, other_source)}) == 3


def test_lists_of_the_same_content_get_their_old_times_and_others_do_not(apt, tree):
    tree(apt.own, {"lists/mirror_InRelease": "signed"})
    apt.keep_lists()
    then = (apt.shared / "lists" / LIST).stat().st_mtime_ns
    tree(apt.own, {"lists/mirror_InRelease": "signed again"})
    for name in (LIST, "mirror_InRelease"):
        os.utime(apt.own / "lists" / name, ns=(then + 10**10,) * 2)
    apt.recognize_lists()
    assert (apt.own / "lists" / LIST).stat().st_mtime_ns == then
    assert (apt.own / "lists/mirror_InRelease").stat().st_mtime_ns == then + 10**10


def test_the_next_build_begins_with_the_lists_and_their_times(apt, tmp_path):
    apt.keep_lists()
    following = begun(AptCache(tmp_path / "cache", tmp_path / "own2", apt.root, "sha256:base"))
    own, shared = following.own / "lists" / LIST, apt.shared / "lists" / LIST
    assert own.read_bytes() == shared.read_bytes() and own.stat().st_mtime_ns == shared.stat().st_mtime_ns
    assert (following.own / "bin/pkgcache.bin").read_text(encoding="utf-8") == "computed"


def test_the_next_build_knows_what_the_last_found_out(apt, tmp_path):
    def known_of(name):
        return begun(AptCache(tmp_path / "cache", tmp_path / name, apt.root, "sha256:base")).known()

    known = {"offered": {"http://mirror/InRelease": "0" * 64}, "newest": "1" * 64}
    assert known_of("own2") == {"offered": None, "newest": None}
    apt.keep_lists(known)
    assert known_of("own3") == known
    apt.keep_lists({**known, "newest": None})
    assert known_of("own4") == {**known, "newest": None}


def trap(path, kind, outside):
    path.unlink(missing_ok=True)
    if kind == "link":
        path.symlink_to(outside / "secret")
    elif kind == "dangling link":
        path.symlink_to("nowhere")
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()


@pytest.mark.parametrize("kind", ["link", "dangling link", "fifo", "directory"])
@pytest.mark.parametrize("place", [f"lists/{LIST}", "bin/pkgcache.bin", f"archives/{NAME}"])
def test_what_is_no_plain_file_is_never_followed_opened_or_shared(apt, root, tmp_path, kind, place):
    download(apt)
    apt.keep_lists()
    secret = tmp_path / "outside/secret"
    before = secret.stat()
    trap(apt.own / place, kind, secret.parent)
    (apt.own / "lists/other_InRelease").touch()  # so that they are shared again
    apt.recognize_lists()
    apt.keep_lists()
    keep_all(apt)
    found = [path for path in apt.top.rglob("*") if path.name == os.path.basename(place)]
    assert found == []
    assert secret.read_text(encoding="utf-8") == "of the host" and secret.stat().st_mtime_ns == before.st_mtime_ns


def test_a_huge_file_with_holes_is_not_even_read(apt, monkeypatch):
    download(apt)
    os.truncate(apt.own / "archives" / NAME, 1 << 42)
    apt.keep_lists()
    monkeypatch.setattr(shutil, "copyfile", lambda *arguments, **_: pytest.fail("it would fill the disk of the cache"))
    keep_all(apt)
    assert kept(apt) == []


def test_a_package_cut_short_by_a_crash_of_the_machine_is_replaced(apt):
    download(apt)
    apt.keep_lists()
    apt.archives.mkdir(parents=True, exist_ok=True)
    (apt.archives / NAME).touch()
    keep_all(apt)
    assert (apt.archives / NAME).read_bytes() == apt.deb


def test_what_killed_builds_left_is_removed(apt, tree):
    tree(
        apt.top,
        {
            "partial-1/lists/x_y": "half",
            f"archives/{apt.archives.name}/{NAME}.partial": "half",
            f"unpacked/{apt.archives.name}/x.partial": "half",
        },
    )
    apt.keep_lists()
    keep_all(apt)
    assert not list(apt.top.rglob("*partial*"))


def test_copies_that_a_killed_step_left_half_made_are_made_again(apt, tmp_path, tree):
    apt.keep_lists()
    own = tmp_path / "own2"
    tree(tmp_path, {f"own2.partial/lists/{LIST}": "hal"})
    begun(AptCache(tmp_path / "cache", own, apt.root, "sha256:base"))
    assert (own / "lists" / LIST).read_bytes() == (apt.shared / "lists" / LIST).read_bytes()
    assert not list(tmp_path.glob("*.partial"))


def test_lists_that_cannot_be_shared_whole_are_not_shared_and_leave_nothing(apt, monkeypatch):
    def full(argv):
        run(argv)
        raise OSError(28, "No space left on device")

    apt.keep_lists()
    (apt.own / "lists/other_InRelease").touch()
    monkeypatch.setattr(apt_lists, "run", full)
    with pytest.raises(OSError, match="No space"):
        apt.keep_lists()
    assert [path.name for path in (apt.shared / "lists").iterdir()] == [LIST]
    assert not list(apt.top.glob("partial-*"))


def test_old_packages_and_lists_go_unless_a_root_is_shown_them(apt, tree):
    download(apt)
    apt.keep_lists()
    keep_all(apt)
    other, shown = apt.top / ("0" * 32), apt.top / "archives/other"
    tree(other, {"lists/x_y": "old"})
    tree(shown, {"a_1_all.deb": "old"})
    for path in (other, shown / "a_1_all.deb", apt.archives / NAME, apt.unpacked / f"{NAME}.tar"):
        age(path)
    descriptor = os.open(shown, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        (apt.own / "archives" / NAME).unlink()
        keep_all(apt)
        assert kept(apt) == [] and unpacked(apt) == {} and not other.exists() and apt.shared.exists()
        assert (shown / "a_1_all.deb").exists()
    finally:
        os.close(descriptor)
    keep_all(apt)
    assert not list(shown.iterdir())


def test_packages_are_not_shown_while_a_package_is_damaged_that_another_root_is_shown(apt):
    download(apt)
    apt.keep_lists()
    keep_all(apt)
    flip(apt.archives / NAME)
    with open_and_locked(apt.archives):
        assert not apt._drop_damaged(lambda line: None)
    assert apt._drop_damaged(lambda line: None) and not (apt.archives / NAME).exists()


def test_packages_of_which_nothing_is_known_are_not_shown(apt):
    """A build was killed before it noted what came, or an earlier version brought them."""
    download(apt)
    apt.keep_lists()
    keep_all(apt)
    (record,) = apt.top.glob("digests/*.json")
    record.unlink()
    said = []
    assert apt._drop_damaged(said.append) and said == [] and kept(apt) == [] and unpacked(apt) == {}


def test_a_flipped_byte_in_the_record_of_packages_is_said_and_they_come_again(apt):
    download(apt)
    apt.keep_lists()
    keep_all(apt)
    (record,) = apt.top.glob("digests/*.json")
    flip(record)
    said = []
    assert apt._drop_damaged(said.append) and len(said) == 1 and str(record) in said[0] and kept(apt) == []
    keep_all(apt)
    assert apt._drop_damaged(said.append) and len(said) == 1 and kept(apt) == [NAME]


def test_lists_are_taken_for_just_read_only_while_they_are_those_that_were_shared(apt, tmp_path):
    digests = apt.keep_lists()
    following = [AptCache(tmp_path / "cache", tmp_path / name, apt.root, "sha256:base") for name in ("own2", "own3")]
    assert digests and following[0].begin(just_read=digests)
    assert not following[1].begin(just_read={**digests, next(iter(digests)): "of another build"}), "they are to be read"
    name = next(iter(digests))
    for cache in following:
        (cache.own / name).write_bytes(b"damaged")
    was_read, to_read = (cache._find_damaged_lists() for cache in following)
    assert was_read == [] and [path.endswith(name) for path in to_read] == [True]


def test_lists_and_packages_of_a_salt_with_another_algorithm_are_not_taken_for_damaged(apt, tmp_path, monkeypatch):
    download(apt)
    apt.keep_lists()
    keep_all(apt)
    for module in (apt_lists, apt_cache):
        monkeypatch.setattr(module, "QUICK", "sha256")  # where Salt brings no xxhash
    other = begun(AptCache(tmp_path / "cache", tmp_path / "other", apt.root, "sha256:base"))
    assert not other.drop_damaged_lists(pytest.fail) and other._drop_damaged(pytest.fail)
    assert apt.shared.is_dir() and kept(apt) == [NAME]


@pytest.mark.hostile("traps in a root")
def test_a_link_that_a_root_puts_in_place_of_a_list_while_it_is_copied_is_not_followed(apt, tmp_path, monkeypatch):
    """As it may: what is newer is computed in the root meanwhile."""

    def copy_raced(argv):
        run(argv)
        for path in argv[-1].iterdir():
            path.unlink()
            path.symlink_to("/dev/no-such-device")

    monkeypatch.setattr(apt_lists, "run", copy_raced)
    with apt.copying() as partial:
        assert apt.copy_lists("lists", partial) == {} and not [*(partial / "lists").iterdir()]


@pytest.mark.hostile("traps in a root")
@pytest.mark.parametrize("trap", [lambda path: path.symlink_to("secret"), os.mkfifo], ids=["a link", "a pipe"])
def test_what_a_root_puts_in_place_of_a_list_while_it_is_read_is_not_read(trap, apt, tmp_path):
    (tmp_path / "secret").write_text("of the builder")
    trap(tmp_path / "list")
    (digest,) = apt_lists.digests_of([tmp_path / "list"])
    assert digest.startswith("unreadable")


@pytest.mark.hostile("traps in a root")
def test_a_link_that_a_root_puts_in_place_of_a_package_while_it_is_copied_does_not_come_into_the_cache(
    apt, tmp_path, monkeypatch
):
    (tmp_path / "elsewhere").write_bytes(apt.deb)
    monkeypatch.setattr(shutil, "copyfile", lambda path, partial, **_: os.symlink(tmp_path / "elsewhere", partial))
    download(apt)
    apt.keep_lists()
    apt.keep_archives()
    assert kept(apt) == []


def test_what_could_not_be_read_when_it_came_is_not_taken_for_whole_later(apt, tmp_path, monkeypatch):
    def fail(path, algorithm):
        raise OSError(5, "Input/output error")

    cache = AptCache(tmp_path / "cache", tmp_path / "own2", apt.root, "sha256:base")
    with monkeypatch.context() as patch:
        patch.setattr(apt_lists, "digest_of_file", fail)
        apt.keep_lists()
        cache.begin()
        assert cache._find_damaged_lists()


def test_a_cache_that_is_only_read_is_read(apt, tmp_path, monkeypatch):
    def refuse(self):
        raise OSError(errno.EROFS, "Read-only file system")

    apt.keep_lists({"offered": {"a": "b"}, "newest": "c"})
    cache = AptCache(tmp_path / "cache", tmp_path / "own2", apt.root, "sha256:base")
    monkeypatch.setattr(AptCache, "locked", refuse)
    cache.begin()
    assert not cache.drop_damaged_lists(pytest.fail) and cache.known() == {"offered": {"a": "b"}, "newest": "c"}
    assert [path.name for path in cache.own.glob("lists/*_*")] == [LIST]


def test_other_users_of_a_root_read_the_lists_whatever_the_umask_of_the_builder_is(apt, tmp_path):
    cache = AptCache(tmp_path / "cache", tmp_path / "own2", apt.root, "sha256:base")
    before = os.umask(0o077)
    try:
        apt.keep_lists()
        cache.begin()
    finally:
        os.umask(before)
    files = [*cache.shared.glob("lists/*"), *cache.own.glob("lists/*"), *cache.own.glob("bin/*.bin")]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o644} and len(files) == 3


@pytest.fixture
def copies_half(apt, tmp_path, monkeypatch):
    """The cache of a second build, whose copies of the lists end at their beginning, and what that build has itself shared."""
    digests = apt.keep_lists()

    def run_half(argv):
        run(argv)
        (argv[-1] / argv[-2].name).write_bytes(b"the beginning")
        raise CommandFailed(argv, 1, "cp: error writing 'lists/a': No space left on device")

    monkeypatch.setattr(apt_lists, "run", run_half)
    return AptCache(tmp_path / "cache", tmp_path / "own2", apt.root, "sha256:base"), digests


def test_where_a_build_has_no_room_for_lists_it_says_so_and_the_shared_lists_stay(copies_half, apt):
    with pytest.raises(NotReady, match="apt's lists cannot be copied to .*own2: No space left on device"):
        copies_half[0].begin()
    assert apt.shared.exists()


def test_lists_that_a_disk_cannot_read_are_damaged(copies_half, apt, monkeypatch):
    cache, digests = copies_half
    flip(apt.shared / "lists" / LIST)
    assert not cache.begin(just_read=digests)
    assert cache.drop_damaged_lists(lambda line: None) and not apt.shared.exists()


def test_a_package_that_the_disk_cannot_read_is_removed(apt, monkeypatch):
    def fail(path, algorithm):
        raise OSError(5, "Input/output error")

    download(apt)
    apt.keep_lists()
    keep_all(apt)
    monkeypatch.setattr(apt_lists, "digest_of_file", fail)
    said = []
    assert apt._drop_damaged(said.append) and len(said) == 2 and kept(apt) == []


@pytest.mark.parametrize("place", [f"lists/{LIST}", "bin/pkgcache.bin", "record.json"])
def test_a_flipped_byte_in_lists_is_said_and_they_are_fetched_again(apt, tmp_path, place):
    apt.keep_lists({"offered": {"a": "b"}, "newest": "c"})
    flip(apt.shared / place)
    said = []
    cache = AptCache(tmp_path / "cache", tmp_path / "own2", apt.root, "sha256:base")
    cache.begin()
    assert cache.drop_damaged_lists(said.append)
    assert len(said) == 1 and str(apt.shared / place) in said[0]
    assert not list(cache.own.glob("lists/*")) and not list(cache.own.glob("bin/*.bin")) and not apt.shared.exists()
    assert cache.known() == {"offered": None, "newest": None}


@pytest.mark.parametrize("place", ["archives", "unpacked"])
def test_a_flipped_byte_in_a_package_of_the_cache_is_found_and_said(apt, place):
    download(apt)
    apt.keep_lists()
    keep_all(apt)
    path = next(getattr(apt, place).iterdir())
    flip(path)
    keep_all(apt)  # of another build, which had no look at it
    said = []
    assert apt._drop_damaged(said.append)
    assert not path.exists() and len(said) == 1 and str(path) in said[0]
    assert apt._drop_damaged(said.append)
    assert len(said) == 1
    keep_all(apt)
    assert [name for name in unpacked(apt) if place == "unpacked"] == [f"{NAME}.tar"] * (place == "unpacked")


def test_a_package_that_is_as_it_came_stays_and_so_does_a_package_that_was_replaced(apt, tmp_path):
    download(apt)
    apt.keep_lists()
    other = made_package(tmp_path, "another package by this name" * 999)
    apt.archives.mkdir(parents=True, exist_ok=True)
    (apt.archives / NAME).write_bytes(other)
    keep_all(apt)
    said = []
    apt._drop_damaged(said.append)
    assert said == [] and kept(apt) == [NAME] and list(unpacked(apt)) == [f"{NAME}.tar"]


INSTANTS = ["unpacked.run", "cache.remove_left", "cache.digest_of_file", "cache.os.replace", "cache.write_record"]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("instant", INSTANTS)
def test_what_is_killed_while_it_decompresses_leaves_nothing_that_the_next_build_takes(apt, tmp_path, monkeypatch, instant, when):
    download(apt)
    apt.keep_lists()
    apt.keep_archives()
    if os.fork() == 0:
        module, _, name = instant.rpartition(".")
        place = f"vmimage.apt.{module}.{name}"
        call = pkgutil.resolve_name(place)

        def die(*arguments, **options):
            if when == "after":
                call(*arguments, **options)
            os.kill(os.getpid(), signal.SIGKILL)

        monkeypatch.setattr(place, die)
        try:
            apt.unpack()
        finally:
            os._exit(0)
    assert os.WIFSIGNALED(os.wait()[1]), "it never came there"
    following = AptCache(tmp_path / "cache", tmp_path / "own2", apt.root, "sha256:base")
    assert following._drop_damaged(pytest.fail) and kept(following) == [NAME]
    assert set(unpacked(following)) <= {f"{NAME}.tar", f"{NAME}.tar.partial"}
    begun(following)
    keep_all(following)
    assert unpacked(following) == {f"{NAME}.tar": content_of(apt.deb, tmp_path)}
    assert following._drop_damaged(pytest.fail) and list(unpacked(following)) == [f"{NAME}.tar"]


def test_the_content_of_a_package_that_was_replaced_meanwhile_is_not_kept(apt, tmp_path, monkeypatch):
    download(apt)
    apt.keep_lists()
    apt.keep_archives()
    other = made_package(tmp_path, "another package by this name" * 999)

    def run_and_replace(argv, **options):
        found = run(argv, **options)
        (tmp_path / "new.deb").write_bytes(other)
        os.replace(tmp_path / "new.deb", apt.archives / NAME)
        return found

    monkeypatch.setattr(apt_unpacked, "run", run_and_replace)
    apt.unpack()
    assert unpacked(apt) == {}


@pytest.fixture
def dpkg_deb(apt, tmp_path):
    """A function that runs what a root's dpkg asks for the content of a package."""
    program = tmp_path / "dpkg-deb"
    home = tmp_path / "home"
    home.mkdir()
    (home / "packages").symlink_to(apt.archives)
    (home / "unpacked").symlink_to(apt.unpacked)
    program.write_text(apt_unpacked._PROGRAM.format(home=home))
    apt.deb = made_package(tmp_path, "more than a pipe holds\n" * 100_000)
    (apt.own / "lists" / LIST).write_text(stanza(apt.deb))
    own = tmp_path / "own-copy" / NAME
    own.parent.mkdir()
    own.write_bytes(apt.deb)
    download(apt)
    apt.keep_lists()
    apt.keep_archives()
    apt.unpacked.mkdir(parents=True, exist_ok=True)
    return lambda: subprocess.Popen(["sh", program, "--fsys-tarfile", own], stdout=subprocess.PIPE)


def test_what_a_dpkg_decompresses_itself_is_not_decompressed_beside_it_but_afterwards(apt, dpkg_deb, tmp_path):
    with dpkg_deb() as running:
        head = running.stdout.read(1)  # the pipe is full, and it waits
        apt.unpack()
        assert unpacked(apt) == {}
        assert head + running.stdout.read() == content_of(apt.deb, tmp_path)
    apt.unpack()
    assert unpacked(apt) == {f"{NAME}.tar": content_of(apt.deb, tmp_path)}


def test_what_a_dpkg_has_decompressed_itself_is_decompressed_while_the_variation_goes_on(apt, dpkg_deb, tmp_path, monkeypatch):
    monkeypatch.setattr(apt, "_keep_archives", lambda: [apt.archives / NAME])
    looks = []
    with dpkg_deb() as running:
        running.stdout.read(1)

        def has_ended():
            looks.append(unpacked(apt))
            if len(looks) == 6:
                running.stdout.read()
            return f"{NAME}.tar" in looks[-1]

        apt.follow(has_ended)
    assert looks[:6] == [{}] * 6 and unpacked(apt) == {f"{NAME}.tar": content_of(apt.deb, tmp_path)}


def test_a_dpkg_waits_for_what_is_being_decompressed_and_gets_that(apt, dpkg_deb, monkeypatch):
    found = []

    def run_slowly(argv, stdout):
        with dpkg_deb() as running:
            assert select.select([running.stdout], [], [], 0.5)[0] == []
            stdout.write(b"of the cache")
            stdout.flush()
            apt_unpacked.os.replace(apt.unpacked / f"{NAME}.tar.partial", apt.unpacked / f"{NAME}.tar")
            fcntl.flock(stdout, fcntl.LOCK_UN)
            found.append(running.stdout.read())

    monkeypatch.setattr(apt_unpacked, "run", run_slowly)
    monkeypatch.setattr(apt, "_keep_unpacked", lambda *_: None)
    apt.unpack()
    assert found == [b"of the cache"]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("which", ["the first", "the second"])
def test_a_dpkg_gets_what_its_package_holds_while_another_build_replaces_the_package(
    apt, dpkg_deb, tmp_path, monkeypatch, which, when
):
    """Packages of the same name and another size, as an archive has them that builds a version again."""
    apt.unpack()
    first, second = apt.deb, made_package(tmp_path, "another\n")
    (tmp_path / "second").write_bytes(second)
    (tmp_path / "second.tar").write_bytes(content_of(second, tmp_path))
    replaced = f"rm {apt.unpacked}/{NAME}.tar; mv {tmp_path}/second {apt.archives}/{NAME}; mv {tmp_path}/second.tar {apt.unpacked}/{NAME}.tar"
    compared = f'{shutil.which("cmp")} "$@"; code=$?'
    words = [replaced, compared] if when == "before" else [compared, replaced]
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/cmp").write_text("\n".join(["#!/bin/sh", *words, "exit $code"]))
    (tmp_path / "bin/cmp").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    package = first if which == "the first" else second
    (tmp_path / "own-copy" / NAME).write_bytes(package)
    with dpkg_deb() as running:
        assert running.stdout.read() == content_of(package, tmp_path)
    assert running.returncode == 0 and not (tmp_path / "second").exists()


def test_packages_that_were_read_beside_the_build_are_read_again_only_where_they_are_others(apt, monkeypatch):
    download(apt)
    apt.keep_lists()
    keep_all(apt)
    read = apt.begin_reading_packages().finish()
    assert {path.name for path in read} == {NAME, f"{NAME}.tar"}
    apt.has_read(read)
    monkeypatch.setattr(apt_lists, "digest_of_file", lambda path, algorithm: pytest.fail(f"{path} was read before"))
    assert apt._drop_damaged(pytest.fail)
    monkeypatch.undo()
    tar, said = apt.unpacked / f"{NAME}.tar", []
    tar.rename(f"{tar}.before")
    tar.write_bytes(b"another")
    assert apt._drop_damaged(said.append) and len(said) == 1 and str(tar) in said[0] and not tar.exists()


def test_a_package_that_is_damaged_when_it_is_read_beside_the_build_is_removed(apt):
    download(apt)
    apt.keep_lists()
    keep_all(apt)
    flip(apt.archives / NAME)
    apt.has_read(apt.begin_reading_packages().finish())
    said = []
    assert apt._drop_damaged(said.append) and len(said) == 1 and kept(apt) == []
