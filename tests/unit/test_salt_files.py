"""What becomes of userdata on disk: both files, or neither, whatever fails in between."""

import os
import stat
from contextlib import suppress
from pathlib import Path

import pytest
import yaml
from vmimage.errors import SettingsWrong, UserdataWrong
from vmimage.instance import salt_files
from vmimage.instance.salt_files import write_sorted
from vmimage.instance.userdata import Sorted

OLD = Sorted({"ami": {"name": "old"}}, {"keystone": {"password": "old: secret"}}, "settings")
NEW = Sorted({"ami": {"name": "new", "packages": ["a"]}}, {"keystone": {"password": "#new\n\U0001f600"}}, "settings")
EMPTY, SCRIPT = Sorted(), Sorted(kind="script")
OTHERS = "# of the admin\nroles: [web]  # and more\n\n# the place\nrack: 7\n"


class Files:
    """The two files of a machine."""

    def __init__(self, top):
        self.grains, self.secrets = top / "salt/grains", top / "salt/minion.d/vm_create-userdata.conf"
        self.grains.parent.mkdir()

    def write(self, userdata):
        return write_sorted(userdata, self.grains, self.secrets)

    def read(self):
        """Their texts, None for no file."""
        return tuple(path.read_text(encoding="utf-8") if path.exists() else None for path in (self.grains, self.secrets))

    def after(self, *userdata):
        """Their texts after these userdata, one after the other."""
        for document in userdata:
            self.write(document)
        return self.read()

    def names(self):
        return sorted(path.name for path in self.grains.parent.rglob("*") if path.is_file())


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


def test_grains_are_for_everybody_and_secrets_for_root_alone(files):
    assert files.write(NEW)
    assert yaml.safe_load(files.grains.read_text()) == NEW.grains
    assert yaml.safe_load(files.secrets.read_text()) == NEW.secrets
    assert [stat.S_IMODE(path.stat().st_mode) for path in (files.grains, files.secrets)] == [0o644, 0o600]
    assert files.names() == ["grains", "vm_create-userdata.conf"]


def test_salt_reads_what_was_written(files):
    from salt.utils import yaml as salts

    odd = {
        f"k{n}": text
        for n, text in enumerate(["0123", "yes", "=", "1e3", "é\U0001f600", "\x85\u2028", "a: b #c", "{{ x }}", " ", "@%&*!"])
    }
    files.write(
        Sorted({"ami": {"properties": odd}}, {"keystone": odd, "ami": {"pillar": {"a": {"b": [1, 2.5, True, None]}}}}, "settings")
    )
    assert salts.safe_load(files.grains.read_text()) == {"ami": {"properties": odd}}
    assert salts.safe_load(files.secrets.read_text()) == {"keystone": odd, "ami": {"pillar": {"a": {"b": [1, 2.5, True, None]}}}}


def test_a_second_time_changes_nothing(files):
    files.write(NEW)
    before = [path.stat().st_mtime_ns for path in (files.grains, files.secrets)]
    assert not files.write(NEW)
    assert [path.stat().st_mtime_ns for path in (files.grains, files.secrets)] == before


def test_what_others_wrote_into_the_grains_stays_with_every_comment(files):
    files.grains.write_text(OTHERS)
    files.write(OLD)
    files.write(NEW)
    assert files.grains.read_text().startswith(OTHERS)
    assert yaml.safe_load(files.grains.read_text()) == {"roles": ["web"], "rack": 7, **NEW.grains}


@pytest.mark.parametrize("gone", [EMPTY, SCRIPT], ids=["empty", "a script"])
@pytest.mark.parametrize("before", [OTHERS, "# nothing yet\n", None], ids=["others", "a comment", "no file"])
def test_userdata_that_went_away_takes_ours_away(files, before, gone):
    if before:
        files.grains.write_text(before)
    files.write(OLD)
    assert files.write(gone)
    assert files.read() == (before, None)
    assert not files.write(gone)


def test_without_userdata_grains_that_somebody_wrote_by_hand_stay(files):
    files.grains.write_text("ami: {name: by hand}\n")
    assert not files.write(EMPTY)
    assert files.read() == ("ami: {name: by hand}\n", None)


def test_settings_without_secrets_take_old_secrets_away_and_are_remembered_as_ours(files):
    files.write(OLD)
    files.write(Sorted({"ami": {"name": "x"}}, {}, "settings"))
    assert yaml.safe_load(files.secrets.read_text()) is None
    assert files.after(EMPTY) == (None, None)


@pytest.mark.parametrize(
    "text",
    [
        "{roles: [web], rack: 7}",
        "ami: {name: by hand}\nroles: [web]\nrack: 7\n",
        "roles: [web]\nami:\n  name: |\n    x\n    # y\n\n# the rack\nrack: 7",
        "--- \nroles: [web]\r\nami: null\r\nrack: 7\r\n",
        "roles: [web]\nrack: 7\n...\n",
        '"ami": &a {roles: [web]}\n<<: *a\nrack: 7\n',
    ],
    ids=["in braces", "ours first", "ours in between", "carriage returns", "an end", "a reference to ours"],
)
def test_however_the_grains_are_written_only_ami_changes(files, text):
    files.grains.write_bytes(text.encode())
    files.write(NEW)
    assert yaml.safe_load(files.grains.read_text()) == {"roles": ["web"], "rack": 7, **NEW.grains}
    assert "# the rack" in files.grains.read_text() or "# the rack" not in text
    files.write(EMPTY)
    assert yaml.safe_load(files.grains.read_text()) == {"roles": ["web"], "rack": 7}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "not YAML near line"),
        ("a: 2013-99-99", "not YAML"),
        ("- a", "contains no grains"),
        ("a: \xff", "not UTF-8"),
        ("ami.name: other", "ami.name stands in"),
    ],
)
def test_grains_that_cannot_be_kept_are_an_error_and_stay(files, text, words):
    files.grains.write_bytes(text.encode("latin-1"))
    with pytest.raises(SettingsWrong, match=words):
        files.write(NEW)
    assert files.grains.read_bytes() == text.encode("latin-1") and not files.secrets.exists()


def test_a_flat_grain_that_says_the_same_is_no_contradiction(files):
    files.grains.write_text("ami.name: new\n")
    assert files.write(NEW)


def test_the_grains_keep_their_mode_and_the_link_to_them(files):
    real = files.grains.with_name("real")
    real.write_text(OTHERS)
    real.chmod(0o640)
    files.grains.symlink_to("real")
    files.write(NEW)
    assert files.grains.is_symlink() and stat.S_IMODE(real.stat().st_mode) == 0o640 and "new" in real.read_text()


def test_secrets_that_others_could_read_are_shut(files):
    files.write(NEW)
    files.secrets.chmod(0o644)
    assert files.write(NEW)
    assert stat.S_IMODE(files.secrets.stat().st_mode) == 0o600


def test_secrets_are_never_written_through_a_link(files, tmp_path):
    files.secrets.parent.mkdir()
    (tmp_path / "elsewhere").write_text("x")
    for name in ("vm_create-userdata.conf", "vm_create-userdata.conf.partial", "vm_create-userdata.conf.previous"):
        (files.secrets.parent / name).symlink_to(tmp_path / "elsewhere")
    files.write(NEW)
    assert (tmp_path / "elsewhere").read_text() == "x" and not files.secrets.is_symlink()


def test_secrets_are_at_no_time_readable_by_others(files, monkeypatch):
    modes = []

    def look(descriptor, real=os.fsync):
        modes.extend(stat.S_IMODE(path.stat().st_mode) for path in files.secrets.parent.glob("*"))
        return real(descriptor)

    monkeypatch.setattr(os, "fsync", look)
    monkeypatch.setattr(os, "fchmod", lambda descriptor, mode, real=os.fchmod: (look(descriptor), real(descriptor, mode)))
    before = os.umask(0)
    try:
        files.write(OLD)
        files.write(NEW)
    finally:
        os.umask(before)
    assert set(modes) == {0o600}


# what fails in between

OPERATIONS = ("open", "fchmod", "fsync", "link", "unlink", "replace", "rename", "fchown")


class Crash(BaseException):
    """The machine lost its power."""


class Failing:
    """File operations, a single one of which fails: once, as of a full disk, or for good, as after a crash.

    :ivar int left: how many may still succeed
    """

    def __init__(self, monkeypatch, left, error, for_good):
        self.left, self.error, self.for_good, self.count = left, error, for_good, 0
        for name in OPERATIONS:
            monkeypatch.setattr(os, name, self.failing(getattr(os, name)))

    def failing(self, real):
        def call(*words, **more):
            self.count += 1
            self.left -= 1
            if self.left == -1 or self.for_good and self.left < 0:
                raise self.error
            return real(*words, **more)

        return call


def operations(tmp_path, userdata):
    """How many operations it takes."""
    with pytest.MonkeyPatch.context() as patch:
        files = prepared(tmp_path / "counted")
        failing = Failing(patch, 10**6, Crash(), True)
        files.write(userdata)
        return failing.count


def prepared(top):
    top.mkdir()
    files = Files(top)
    files.grains.write_text(OTHERS)
    files.write(OLD)
    return files


CHANGES = pytest.mark.parametrize("userdata", [NEW, EMPTY], ids=["new", "empty"])


@CHANGES
def test_after_a_crash_each_file_is_the_old_or_the_new_file_and_the_next_run_ends_right(tmp_path, userdata):
    old, new = prepared(tmp_path / "old").read(), prepared(tmp_path / "new").after(userdata)
    count = operations(tmp_path, userdata)
    assert count > 10
    seen = set()
    for left in range(count):
        files = prepared(tmp_path / f"crash{left}")
        with pytest.MonkeyPatch.context() as patch:
            Failing(patch, left, Crash(), True)
            with pytest.raises(Crash):
                files.write(userdata)
        now = files.read()
        assert all(text in both for text, both in zip(now, zip(old, new, strict=True), strict=True)), left
        assert now[0] == old[0] or now[1] == new[1] or userdata is EMPTY, "grains without their secrets"
        assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in files.secrets.parent.iterdir()), left
        seen.add(now)
        files.write(userdata)
        assert files.read() == new and not [name for name in files.names() if "partial" in name or "previous" in name]
    assert {old, new} <= seen


@CHANGES
def test_a_crash_and_userdata_that_changes_its_mind_leave_nothing_behind(tmp_path, userdata):
    for left in range(operations(tmp_path, userdata)):
        files = prepared(tmp_path / f"crash{left}")
        with pytest.MonkeyPatch.context() as patch:
            Failing(patch, left, Crash(), True)
            with suppress(Crash):
                files.write(userdata)
        files.write(EMPTY)
        assert files.read() == (OTHERS, None) and files.names() == ["grains"]


@CHANGES
def test_if_one_operation_fails_both_files_are_as_before_or_both_are_new(tmp_path, userdata):
    old, new = prepared(tmp_path / "old").read(), prepared(tmp_path / "new").after(userdata)
    for left in range(operations(tmp_path, userdata)):
        files = prepared(tmp_path / f"full{left}")
        with pytest.MonkeyPatch.context() as patch:
            Failing(patch, left, OSError(28, "No space left on device", "x"), False)
            with pytest.raises(UserdataWrong, match="No space left on device") as caught:
                files.write(userdata)
        assert files.read() in (old, new), left
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize("which", [0, 1], ids=["the first", "the second"])
def test_if_a_replacement_fails_both_files_are_as_before(tmp_path, monkeypatch, which):
    files = prepared(tmp_path / "x")
    old, calls = files.read(), []

    def replace(source, target, real=os.replace):
        calls.append(target)
        if len(calls) == which + 1:
            raise OSError(5, "Input/output error", target)
        real(source, target)

    monkeypatch.setattr(salt_files.os, "replace", replace)
    with pytest.raises(UserdataWrong, match="Input/output error"):
        files.write(NEW)
    assert files.read() == old and files.names() == ["grains", "vm_create-userdata.conf"]


def test_if_the_first_writing_ever_fails_there_is_nothing(files, monkeypatch):
    calls = []

    def replace(source, target, real=os.replace):
        calls.append(Path(target))
        if len(calls) == 2:
            raise OSError(28, "No space left on device", target)
        real(source, target)

    monkeypatch.setattr(salt_files.os, "replace", replace)
    with pytest.raises(UserdataWrong, match="as before"):
        files.write(NEW)
    assert files.read() == (None, None) and calls == [files.secrets, files.grains]
