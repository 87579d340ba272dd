"""What a machine of an image starts and who its users are: read from a directory that stands for a root."""

import os
from pathlib import Path

import pytest
from vmimage.image.machine import describe_machine
from vmimage.report.machine import machine

PASSWD = """root:x:0:0:root:/root:/bin/bash
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
alice:x:1000:1000:Alice,,,:/home/alice:/bin/bash
+::::::
broken
huge:x:99999999999999999999:1::/:/bin/sh
"""
SSH = "[Socket]\nListenStream=22\nAccept=no\n"


@pytest.fixture
def root(tmp_path):
    """A root with users."""
    write(tmp_path, "/etc/passwd", PASSWD)
    return tmp_path


def write(root, path, text=""):
    target = Path(f"{root}{path}")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")


def link(root, path, target):
    Path(f"{root}{path}").parent.mkdir(parents=True, exist_ok=True)
    os.symlink(target, f"{root}{path}")


def enable(root, unit, kind="multi-user.target.wants"):
    link(root, f"/etc/systemd/system/{kind}/{unit}", f"/usr/lib/systemd/system/{unit}")


def test_units_that_a_target_wants_or_requires_are_enabled_and_links_to_dev_null_are_masked(root):
    enable(root, "nginx.service")
    enable(root, "cron.service", "default.target.requires")
    enable(root, "apt-daily.timer", "timers.target.wants")
    link(root, "/etc/systemd/system/apt-daily.timer", "/dev/null")
    link(root, "/etc/systemd/system/dbus.service", "/usr/lib/systemd/system/dbus-broker.service")
    found = describe_machine(root)
    assert found["enabled"] == ["cron.service", "nginx.service"]
    assert found["masked"] == ["apt-daily.timer"]


def test_users_that_the_base_does_not_have_are_listed_and_lines_that_are_no_users_are_not(root):
    users = describe_machine(root, ["root", "www-data"])["users"]
    assert users == [{"name": "alice", "uid": 1000, "home": "/home/alice", "shell": "/bin/bash"}]
    assert [user["name"] for user in describe_machine(root)["users"]] == ["root", "www-data", "alice"]


@pytest.mark.parametrize(
    ("more", "ports"),
    [
        ({}, [(22, "tcp")]),
        ({"/etc/systemd/system/ssh.socket.d/port.conf": "[Socket]\nListenStream=2222\n"}, [(22, "tcp"), (2222, "tcp")]),
        ({"/etc/systemd/system/ssh.socket.d/port.conf": "[Socket]\nListenStream=\nListenStream=[::1]:2222\n"}, [(2222, "tcp")]),
        ({"/etc/systemd/system/ssh.socket": "[Socket]\nListenDatagram = 0.0.0.0:53\nListenStream=/run/x\n"}, [(53, "udp")]),
        ({"/etc/systemd/system/ssh.socket": "# ListenStream=80\n"}, []),
    ],
    ids=["a package's", "one more", "another instead", "a file of the user's own", "a comment"],
)
def test_ports_of_enabled_sockets_are_those_of_the_unit_and_of_what_adds_to_it(root, more, ports):
    write(root, "/usr/lib/systemd/system/ssh.socket", SSH)
    write(root, "/usr/lib/systemd/system/other.socket", SSH)
    enable(root, "ssh.socket", "sockets.target.wants")
    for path, text in more.items():
        write(root, path, text)
    found = describe_machine(root)["listens"]
    assert [(port["port"], port["protocol"]) for port in found] == ports
    assert {port["unit"] for port in found} <= {"ssh.socket"}


@pytest.mark.hostile("traps in a root")
def test_a_trap_in_place_of_a_unit_is_no_failed_build_and_no_way_out(root, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "secret.socket"
    outside.write_text("[Socket]\nListenStream=4711\n", encoding="utf-8")
    os.makedirs(f"{root}/usr/lib/systemd/system")
    os.mkfifo(f"{root}/usr/lib/systemd/system/fifo.socket")
    link(root, "/etc/systemd/system/out.socket", str(outside))
    enable(root, "fifo.socket")
    enable(root, "out.socket")
    enable(root, "x\x1b[31m.service")
    found = describe_machine(root)
    assert found["listens"] == [] and "\x1b" not in "".join(found["enabled"])


@pytest.mark.hostile("giants")
def test_of_more_than_any_machine_has_some_are_listed(root):
    write(root, "/etc/passwd", "".join(f"u{number}:x:{number}:1::/:/bin/sh\n" for number in range(3000)))
    assert len(describe_machine(root)["users"]) == 1000


def test_the_report_shows_them_and_says_what_it_cannot_know(root):
    write(root, "/usr/lib/systemd/system/ssh.socket", SSH)
    enable(root, "ssh.socket")
    page = machine(describe_machine(root, ["root"]))
    for words in ("1 units are enabled", "ssh.socket", "alice", "/home/alice", '<td class="figure">22</td>', "vm_create.boot"):
        assert words in page
    assert "masked" not in page and machine({}) is None
