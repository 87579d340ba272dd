"""What stands in for systemd's programs in a root: names of units, words of commands, files of assignments."""

import os
import sys

import pytest
from vmimage.variation.in_root import (
    offline_chattr,
    offline_hostname,
    offline_run,
    offline_settings,
    offline_swap,
    offline_sysctl,
    offline_systemctl,
)
from vmimage.variation.in_root.offline_settings import quoted, read_pairs, write_pairs
from vmimage.variation.in_root.offline_systemctl import parse, unit_name


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("nginx", "nginx.service"),
        ("nginx.service", "nginx.service"),
        ("fstrim.timer", "fstrim.timer"),
        ("php8.2-fpm", "php8.2-fpm.service"),
        ("getty@tty1", "getty@tty1.service"),
        ("/srv/my-data", "srv-my\\x2ddata.mount"),
    ],
)
def test_a_word_is_completed_to_the_name_of_a_unit(word, name):
    assert unit_name(word) == name


def test_options_may_stand_anywhere_and_take_their_value_along():
    options, verb, units = parse(["--no-pager", "show", "-p", "ActiveState", "nginx", "--value", "--property=Id"])
    assert (verb, units) == ("show", ["nginx"])
    assert options == [("--no-pager", ""), ("-p", "ActiveState"), ("--value", ""), ("--property", "Id")]


@pytest.fixture
def units(tmp_path, monkeypatch):
    """A directory of units in place of the root's, and a file of what runs."""
    for module in (offline_systemctl, sys.modules["offline_units"]):  # the programs of a root import each other by these names
        monkeypatch.setattr(module, "PLACES", (str(tmp_path),))
    monkeypatch.setattr(offline_systemctl, "_REMEMBERED", str(tmp_path / "remembered"))
    monkeypatch.setattr(offline_systemctl, "file_state", lambda name: "disabled")
    return tmp_path


def test_what_is_started_runs_until_it_is_stopped(units, capsys):
    (units / "own.service").write_text("[Unit]\nDescription=Ours\n")
    assert offline_systemctl.main(["is-active", "own"]) == 3
    assert offline_systemctl.main(["start", "own"]) == 0 and offline_systemctl.main(["is-active", "own"]) == 0
    assert offline_systemctl.main(["stop", "own"]) == 0 and offline_systemctl.main(["is-active", "own"]) == 3
    assert capsys.readouterr().out.split() == ["inactive", "active", "inactive"]


def test_a_unit_that_is_not_there_or_masked_is_not_started(units, capsys):
    (units / "masked.service").symlink_to("/dev/null")
    assert offline_systemctl.main(["start", "nothing"]) == 5
    assert offline_systemctl.main(["start", "masked"]) == 1
    said = capsys.readouterr().err
    assert "Unit nothing.service not found" in said and "Unit masked.service is masked" in said


def test_what_a_package_enables_runs_and_another_unit_only_once_it_is_started(units, monkeypatch):
    monkeypatch.setattr(offline_systemctl, "_OF_PACKAGES", (f"{units}/lib/",))
    monkeypatch.setattr(offline_systemctl, "file_state", lambda name: "enabled")
    (units / "lib").mkdir()
    (units / "lib/nginx.service").write_text("[Unit]\n")
    (units / "nginx.service").symlink_to("lib/nginx.service")
    (units / "own.service").write_text("[Unit]\n")
    assert offline_systemctl.is_active("nginx.service") and not offline_systemctl.is_active("own.service")
    offline_systemctl.main(["start", "own"])
    assert offline_systemctl.is_active("own.service")


def test_an_alias_is_the_unit_that_it_leads_to(units):
    (units / "ssh.service").write_text("[Unit]\n")
    (units / "sshd.service").symlink_to("ssh.service")
    offline_systemctl.main(["start", "sshd"])
    assert offline_systemctl.is_active("ssh.service")


def test_where_a_mount_is_started_its_directory_is_made(units):
    (units / "data.mount").write_text(f"[Mount]\nWhat=tmpfs\nWhere={units}/data\n")
    assert offline_systemctl.main(["start", "data.mount"]) == 0 and (units / "data").is_dir()


def test_what_is_linked_to_a_target_is_listed_as_running(units, monkeypatch, capsys):
    monkeypatch.setattr(offline_systemctl, "_OF_PACKAGES", (f"{units}/",))
    monkeypatch.setattr(offline_systemctl, "file_state", lambda name: pytest.fail(f"systemctl was asked about {name}"))
    (units / "multi-user.target.wants").mkdir()
    for name in ("web.service", "clean.timer", "multi-user.target"):
        (units / name).write_text(f"[Unit]\nDescription=The {name}\n")
        (units / "multi-user.target.wants" / name).symlink_to(units / name)
    offline_systemctl.main(["list-units", "--no-legend", "--type=service"])
    assert capsys.readouterr().out == "web.service loaded active running The web.service\n"
    offline_systemctl.main(["list-timers", "--no-legend"])
    assert capsys.readouterr().out == "- - - - clean.timer clean.service\n"
    assert offline_systemctl.main(["is-active", "multi-user.target", "web"]) == 0
    offline_systemctl.main(["stop", "web"])
    capsys.readouterr()
    offline_systemctl.main(["list-units", "-t", "service"])
    assert capsys.readouterr().out == ""


def test_of_a_unit_with_a_link_systemctl_need_not_be_asked(units, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(offline_systemctl, "run_real", lambda words: asked.append(words) or 0)
    (units / "multi-user.target.wants").mkdir()
    (units / "masked.service").symlink_to("/dev/null")
    (units / "web.service").write_text("[Service]\n")
    (units / "other.service").write_text("[Service]\n")
    (units / "alias.service").symlink_to("web.service")
    for name in ("web", "masked", "alias", "gone"):
        (units / f"multi-user.target.wants/{name}.service").symlink_to(units / f"{name}.service")
    assert offline_systemctl.main(["is-enabled", "web"]) == 0 and capsys.readouterr().out == "enabled\n"
    assert offline_systemctl.main(["is-enabled", "--quiet", "web.service"]) == 0 and capsys.readouterr().out == ""
    assert asked == []
    for words in (["other"], ["masked"], ["alias"], ["gone"], ["web", "other"], ["--full", "web"]):
        offline_systemctl.main(["is-enabled", *words])
    assert len(asked) == 6


def test_a_target_that_each_boot_reaches_is_active_and_another_is_not(units):
    for name in ("network.target", "rescue.target"):
        (units / name).write_text("[Unit]\n")
    assert offline_systemctl.main(["is-active", "network.target"]) == 0
    assert offline_systemctl.main(["is-active", "rescue.target"]) == 3
    assert offline_systemctl.main(["is-active", "remote-fs.target"]) == 4


@pytest.mark.parametrize("option", ["--on-active=5m", "--user", "--machine=other"])
def test_systemd_run_refuses_what_would_be_done_later_or_elsewhere(option, tmp_path, capsys):
    assert offline_run.main([option, "touch", str(tmp_path / "done")]) == 1
    assert "no machine runs here" in capsys.readouterr().err and not (tmp_path / "done").exists()


def test_what_needs_a_machine_is_refused_with_what_to_do(units, capsys):
    assert offline_systemctl.main(["reboot"]) == 1 and offline_settings.main("poweroff", []) == 1
    assert capsys.readouterr().err.count("first boot") == 2


def test_assignments_are_replaced_and_other_lines_stay(tmp_path):
    file = tmp_path / "locale"
    file.write_text("# by hand\nLANG=C\nLC_TIME=de_DE.UTF-8\n")
    write_pairs(str(file), {"LANG": "en_GB.UTF-8", "LC_TIME": "", "LC_PAPER": "de_DE.UTF-8"})
    assert file.read_text() == "# by hand\nLANG=en_GB.UTF-8\nLC_PAPER=de_DE.UTF-8\n"
    assert read_pairs(str(file)) == {"LANG": "en_GB.UTF-8", "LC_PAPER": "de_DE.UTF-8"}


@pytest.mark.parametrize(("value", "text"), [("web", "web"), ("here, there", '"here, there"'), ('a "b" $c', '"a \\"b\\" \\$c"')])
def test_a_value_is_quoted_where_a_shell_would_read_it_otherwise(value, text):
    assert quoted(value) == text


def test_the_keyboards_file_is_written_whole_as_systemd_does(tmp_path):
    file = tmp_path / "keyboard"
    file.write_text('# by hand\nXKBMODEL="pc104"\nXKBLAYOUT="us"\nXKBOPTIONS="compose:menu"\n\nBACKSPACE="guess"\n')
    values = {"XKBLAYOUT": "at", "XKBMODEL": "pc105", "XKBVARIANT": "nodeadkeys", "XKBOPTIONS": ""}
    offline_settings.write_keyboard(values, str(file))
    assert file.read_text() == "XKBMODEL=pc105\nXKBLAYOUT=at\nBACKSPACE=guess\nXKBVARIANT=nodeadkeys\n"


def test_a_keymap_that_is_not_installed_is_refused_in_systemds_words(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(offline_settings, "_KEYMAPS", (str(tmp_path),))
    monkeypatch.setattr(offline_settings, "write_keyboard", lambda values: pytest.fail("it was written"))
    assert offline_settings.main("localectl", ["set-keymap", "de"]) == 1
    assert capsys.readouterr().err == "Failed to set keymap: Keymap de is not installed.\n"
    (tmp_path / "i386").mkdir()
    (tmp_path / "i386/de.map.gz").touch()
    assert offline_settings.has_keymap("de")


@pytest.fixture
def written(monkeypatch):
    """``{path: text}`` of what is written, and no file is."""
    found = {}
    monkeypatch.setattr(offline_settings, "write_whole", found.__setitem__)
    return found


def test_the_clock_in_local_time_is_noted_as_systemd_writes_it(written):
    assert offline_settings.main("timedatectl", ["set-local-rtc", "1"]) == 0
    assert written == {"/etc/adjtime": "0.0 0 0\n0\nLOCAL\n"}


def test_a_static_name_is_the_kernels_too_and_a_pretty_name_is_not(written, monkeypatch):
    asked = []
    monkeypatch.setattr(offline_settings, "name_kernel", asked.append)
    monkeypatch.setattr(offline_settings, "read_pairs", lambda path: {})
    assert offline_settings.main("hostnamectl", ["set-hostname", "--pretty", "The Web"]) == 0 and asked == []
    assert offline_settings.main("hostnamectl", ["set-hostname", "web.example.org"]) == 0
    assert asked == ["web.example.org"] and written["/etc/hostname"] == "web.example.org\n"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--system"], 0, ""),
        (["-p", "READ"], 0, "vm.swappiness = 10\nnet.x = 1\n"),
        (["-qp", "READ"], 0, ""),
        (["--load=LINK"], 0, "vm.swappiness = 10"),
        (["-p", "OTHER"], 1, "no boot of the image reads"),
        (["-p", "NONE"], 255, "No such file"),
        (["-w", "vm.swappiness=10"], 1, "vm.swappiness=10: the kernel that runs is the builder's"),
        (["vm.swappiness=10"], 1, "/etc/sysctl.d"),
        (["-pREAD"], 0, "vm.swappiness = 10"),
        (["-qpREAD"], 0, ""),
        (["-pOTHER"], 1, "no boot of the image reads"),
    ],
)
def test_sysctl_loads_what_a_boot_reads_and_refuses_what_only_the_running_kernel_would_have(
    words, code, said, tmp_path, monkeypatch, capsys
):
    (tmp_path / "sysctl.d").mkdir()
    for place in ("sysctl.d/own.conf", "linked", "sysctl.d/without-its-ending"):
        (tmp_path / place).write_text("# a line\nvm.swappiness = 10\n-net.x=1\n")
    (tmp_path / "sysctl.d/99-sysctl.conf").symlink_to("../linked")
    monkeypatch.setattr(offline_sysctl, "_READ_AT_BOOT", (f"{tmp_path}/sysctl.d/*.conf",))
    places = {"READ": "sysctl.d/own.conf", "LINK": "linked", "OTHER": "sysctl.d/without-its-ending", "NONE": "none"}
    for word, place in places.items():
        words = [given.replace(word, f"{tmp_path}/{place}") for given in words]
    assert offline_sysctl.main(words) == code
    heard = "".join(capsys.readouterr())
    assert said in heard if said else not heard


def test_swap_is_used_at_boot_where_fstab_names_it(tmp_path, monkeypatch, capsys):
    (tmp_path / "fstab").write_text("# /swap.old none swap sw 0 0\n/swapfile none swap sw 0 0\nUUID=a / ext4 defaults 0 1\n")
    known = offline_swap.swap_of_fstab(str(tmp_path / "fstab"))
    assert known == {"/swapfile"} and offline_swap.swap_of_fstab(str(tmp_path / "none")) == set()
    monkeypatch.setattr(offline_swap, "swap_of_fstab", lambda: known)
    assert [offline_swap.main("swapon", words) for words in (["-p", "10", "/swapfile"], ["-a"], ["--show"], ["/swap.old"])] == [
        0,
        0,
        0,
        1,
    ]
    assert "/swap.old" in capsys.readouterr().err
    assert offline_swap.main("swapoff", ["/swap.old"]) == 0


def test_hostname_knows_whether_a_name_is_asked_for_or_to_be_set(tmp_path):
    (tmp_path / "name").write_text("# ours\nshop\n")
    wanted = offline_hostname.wanted_name
    assert wanted([]) is wanted(["-f"]) is wanted(["--boot", "--file", "/etc/hostname"]) is None
    assert wanted(["web"]) == "web"
    assert wanted(["-F", f"{tmp_path}/name"]) == wanted([f"--file={tmp_path}/name"]) == wanted([f"-F{tmp_path}/name"]) == "shop"


def test_init_may_be_told_to_look_again_and_a_shutdown_to_be_called_off():
    assert offline_settings.main("telinit", ["q"]) == offline_settings.main("shutdown", ["-c"]) == 0
    assert offline_settings.main("telinit", ["6"]) == offline_settings.main("shutdown", ["-h", "now"]) == 1


def test_what_systemd_cat_reads_is_forgotten(monkeypatch):
    read, write = os.pipe()
    os.write(write, b"line")
    os.close(write)
    monkeypatch.setattr(offline_settings.os, "read", lambda descriptor, size, own=os.read: own(read, size))
    assert offline_settings.main("systemd-cat", ["--identifier=us"]) == 0


def test_chattr_takes_along_what_it_is_told_of_and_changes_nothing_of_it(tmp_path, monkeypatch):
    (tmp_path / "top/below").mkdir(parents=True)
    (tmp_path / "top/below/file").write_text("text")
    (tmp_path / "top/link").symlink_to("/etc/passwd")
    taken, run = [], []
    monkeypatch.setattr(offline_chattr, "take_along", lambda path, own=offline_chattr.take_along: (own(path), taken.append(path)))
    monkeypatch.setattr(offline_chattr.os, "execv", lambda program, words: run.append(words))
    before = (tmp_path / "top/below/file").stat().st_mtime_ns
    offline_chattr.main(["-R", "+i", f"{tmp_path}/top"])
    assert {path.removeprefix(f"{tmp_path}/") for path in taken} == {"top", "top/below", "top/link", "top/below/file"}
    assert run == [["chattr", "-R", "+i", f"{tmp_path}/top"]] and (tmp_path / "top/below/file").stat().st_mtime_ns == before


def test_a_file_in_run_is_gone_when_the_image_boots():
    assert not [pattern for pattern in offline_sysctl._READ_AT_BOOT if pattern.startswith("/run/")]
