"""Programs that a command names by their paths: which words are taken for one."""

import pytest
from vmimage.variation.in_root.offline_paths import replaced

PROGRAMS = {name: f"/own/{name}" for name in ("sysctl", "systemctl", "reboot")}


@pytest.mark.parametrize(
    ("command", "run"),
    [
        ("/sbin/sysctl --system", "/own/sysctl --system"),
        (
            "test -e /x && /usr/bin/systemctl is-active web; /bin/systemctl stop web",
            "test -e /x && /own/systemctl is-active web; /own/systemctl stop web",
        ),
        (
            "if ! /bin/systemctl -q is-enabled web; then /bin/systemctl enable web; fi",
            "if ! /own/systemctl -q is-enabled web; then /own/systemctl enable web; fi",
        ),
        ("true\n/sbin/reboot", "true\n/own/reboot"),
        ("(/sbin/sysctl -p)", "(/own/sysctl -p)"),
        (["/sbin/sysctl", "-p", "/sbin/sysctl"], ["/own/sysctl", "-p", "/sbin/sysctl"]),
    ],
)
def test_a_program_is_found_by_its_path_as_by_its_name(command, run):
    assert replaced(command, PROGRAMS) == run


@pytest.mark.parametrize(
    "command",
    [
        "echo '5 * * * * root /sbin/reboot; /sbin/reboot' >> /etc/crontab",
        'echo "x; /sbin/reboot" > /srv/x',
        "echo /sbin/reboot > /srv/x",
        "ls -l /bin/systemctl",
        "/usr/local/bin/systemctl daemon-reload",
        "/sbin/sysctl-wrapper x; /opt/sbin/sysctl -p",
        "/usr/bin/nginx -t",
        ["/opt/x", "/sbin/sysctl"],
        [],
        7,
    ],
)
def test_other_words_stay(command):
    assert replaced(command, PROGRAMS) == command
    assert replaced("/sbin/sysctl -p", {}) == "/sbin/sysctl -p"
