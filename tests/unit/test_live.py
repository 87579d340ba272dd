"""What a root needs to run as a machine, and what of the run stays out of it."""

from pathlib import Path

import pytest
from vmimage.build import preflight
from vmimage.errors import NotReady
from vmimage.root import live
from vmimage.root.live import check_base
from vmimage.settings.gather import gather_settings
from vmimage.system import groups, shell

PLACES = {
    "systemd": "usr/lib/systemd/systemd",
    "systemd-run": "usr/bin/systemd-run",
    "D-Bus": "usr/lib/systemd/system/dbus.socket",
}


@pytest.fixture
def root(tmp_path):
    for place in PLACES.values():
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).touch()
    (tmp_path / "etc").mkdir()
    return tmp_path


def test_a_base_with_systemd_and_dbus_can_run(root):
    check_base(root)


@pytest.mark.parametrize("lacking", PLACES)
def test_a_base_that_cannot_run_is_refused_by_what_it_lacks(root, lacking):
    (root / PLACES[lacking]).unlink()
    with pytest.raises(NotReady, match=rf"the base has no {lacking}: .*\(ami.live\)"):
        check_base(root)


@pytest.mark.parametrize("wanted", [True, False])
def test_a_builder_without_systemd_nspawn_is_refused_where_a_machine_is_wanted(wanted, monkeypatch):
    monkeypatch.setattr(preflight, "check_basics", lambda: None)
    monkeypatch.setattr(shell, "find_program", lambda name: None if name == "systemd-nspawn" else f"/bin/{name}")
    monkeypatch.setattr(preflight, "check_space", lambda needs: None)
    settings = gather_settings([], {"live": wanted})
    if wanted:
        with pytest.raises(NotReady, match="systemd-nspawn is not installed") as caught:
            preflight.check_machine(settings, "raw", None)
        assert "apt-get install systemd-container" in str(caught.value)
    else:
        preflight.check_machine(settings, "raw", None)


DRAWN = "0123456789abcdef0123456789abcdef\n"


def run(root, make):
    with live._traces_removed(root):
        make()


@pytest.mark.parametrize("before", [None, "", "uninitialized\n"], ids=["missing", "empty", "uninitialized"])
def test_an_id_that_the_boot_drew_is_taken_back(root, before):
    path = root / "etc/machine-id"
    if before is not None:
        path.write_text(before)

    def boot():
        assert path.read_text() == "", "systemd would take this for the first boot"
        path.chmod(0o644)
        path.write_text(DRAWN)

    run(root, boot)
    assert (path.read_text() if path.exists() else None) == before


def test_an_id_of_the_base_and_an_id_that_a_state_wrote_stay(root):
    path = root / "etc/machine-id"
    path.write_text(DRAWN)
    run(root, lambda: None)
    assert path.read_text() == DRAWN
    run(root, lambda: path.write_text(""))
    assert path.read_text() == ""


def test_what_a_machine_leaves_because_it_ran_is_removed_and_what_was_there_stays(root):
    timers, linger = root / "var/lib/systemd/timers", root / "var/lib/systemd/linger"
    timers.mkdir(parents=True)
    (timers / "stamp-of-the-base.timer").touch()

    def boot():
        (timers / "stamp-of-the-run.timer").touch()
        (root / "etc/.updated").touch()
        linger.mkdir()

    run(root, boot)
    assert [path.name for path in timers.iterdir()] == ["stamp-of-the-base.timer"]
    assert not (root / "etc/.updated").exists() and not linger.exists()
    run(root, lambda: (linger.mkdir(), (linger / "alice").touch()))
    assert (linger / "alice").exists()


def test_directories_that_only_held_traces_go_too(root):
    timers = root / "var/lib/systemd/timers"
    run(root, lambda: (timers.mkdir(parents=True), (timers / "stamp-a.timer").touch()))
    assert not timers.exists()


def test_what_a_boot_wants_is_hidden_but_for_the_journal_and_runtime_directories(root, tmp_path, monkeypatch):
    top = tmp_path / "top"
    (top / "system.control").mkdir(parents=True)
    monkeypatch.setattr(live, "_TOP", str(top))
    for place, names in {
        "etc/systemd/system/sysinit.target.wants": ["systemd-resolved.service"],
        "usr/lib/systemd/system/sysinit.target.wants": ["systemd-journald.service", "systemd-firstboot.service"],
    }.items():
        (root / place).mkdir(parents=True)
        for name in names:
            (root / place / name).touch()
    live._want_little(root)
    hidden = {str(link.relative_to(top / "system.control")) for link in top.rglob("*.service")}
    assert hidden == {f"sysinit.target.wants/systemd-{name}.service" for name in ("resolved", "firstboot")}
    live._want_as_ever()
    assert not list((top / "system.control").iterdir())


GENERATORS = "lib/systemd/system-generators"


@pytest.fixture
def generators(root, tmp_path, monkeypatch):
    """The directory of generators that a machine of the root is shown, of a root with some of its own."""
    monkeypatch.setattr(live, "_TOP", str(tmp_path / "top"))
    (tmp_path / "top").mkdir()
    (root / "usr" / GENERATORS).mkdir(parents=True)
    for name in ("systemd-run", "systemd-cryptsetup", "systemd-getty", "systemd-sysv", "postgresql"):
        (root / f"usr/{GENERATORS}/{name}-generator").touch(0o755)
    (root / "etc/systemd/system-generators").mkdir(parents=True)
    (root / "etc/systemd/system-generators/systemd-getty-generator").touch(0o755)  # of the root's own
    live._generate_little(root)
    return tmp_path / "top/system-generators"


def test_generators_that_find_nothing_do_not_run_and_those_of_packages_and_of_the_root_s_own_do(generators):
    assert {path.name for path in generators.iterdir()} == {f"systemd-{word}-generator" for word in ("run", "cryptsetup")}
    assert (generators / "systemd-run-generator").readlink() == Path("/dev/null")
    assert f"exec /usr/{GENERATORS}/systemd-cryptsetup-generator" in (generators / "systemd-cryptsetup-generator").read_text()


def test_a_machine_has_groups_only_where_systemd_works_with_them(monkeypatch):
    hierarchies = [
        groups._Hierarchy("/", f"/groups/{name}", kind, frozenset(options))
        for name, kind, options in (
            ("unified", "cgroup2", ["rw"]),
            ("systemd", "cgroup", ["rw", "name=systemd"]),
            ("cpu", "cgroup", ["rw", "cpu"]),
            ("memory", "cgroup", ["rw", "memory"]),
        )
    ]
    monkeypatch.setattr(groups, "_hierarchies", lambda: iter(hierarchies))
    monkeypatch.setattr(groups.Path, "read_text", lambda *_, **__: "3:memory:/\n2:cpu:/\n1:name=systemd:/\n0::/\n")
    assert {path.name for path in groups._own_places(shares=False)} == {"unified", "systemd"}
    assert {path.name for path in groups._own_places()} == {"unified", "systemd", "cpu", "memory"}


def test_the_groups_of_a_build_have_a_name_of_its_own():
    names = {
        groups.group_name(gather_settings([], {"name": name, "workspace": at})) for name in "ab" for at in ("/var/x", "/var/y")
    }
    assert len(names) == 4 and all(name.startswith("vm_create-") for name in names)
