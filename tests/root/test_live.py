"""A root that runs as a machine while it is varied: its services run, what its boot makes stays out, and whatever kills it leaves nothing."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest
from building import LEFT_BEHIND_SECONDS, groups_of, processes_inside, what_is_left
from looking import looked_into, tree_of
from waiting import HANG_SECONDS

pytestmark = pytest.mark.needs("systemd-nspawn", "nsenter")

SHOP = """
/etc/systemd/system/shop.service:
  file.managed:
    - contents: |
        [Service]
        Type=notify
        NotifyAccess=all
        ExecStart=/bin/sh -c 'echo started >> /srv/shop; systemd-notify --ready; exec sleep infinity'
        ExecStop=/bin/sh -c 'echo stopped >> /srv/shop'
        [Install]
        WantedBy=multi-user.target
the shop runs:
  service.running:
    - name: shop
    - enable: True
    - require: [{file: /etc/systemd/system/shop.service}]
/etc/shop.conf:
  file.managed:
    - contents: open
    - require: [{service: the shop runs}]
"""
WATCHED = f"""{SHOP}
the shop reads what is new:
  service.running:
    - name: shop
    - watch: [{{file: /etc/shop.conf}}]
it is known:
  cmd.run:
    - name: |
        systemctl is-active shop > /srv/known
        systemctl is-active ssh systemd-networkd systemd-resolved cloud-init getty@tty1 apt-daily.timer >> /srv/known
        command -v systemctl >> /srv/known
        env | cut -d= -f1 > /srv/variables
    - require: [{{service: the shop reads what is new}}]
generators run for what states write:
  cmd.run:
    - name: |
        echo 'shop /dev/null none' > /etc/crypttab
        systemctl daemon-reload
        ls /run/systemd/generator > /srv/generated
        rm /etc/crypttab
    - require: [{{service: the shop reads what is new}}]
a service of the base runs:
  service.running:
    - name: systemd-resolved
    - require: [{{cmd: it is known}}]
it asks the name servers of the network:
  cmd.run:
    - name: resolvectl dns > /srv/servers; cat /etc/resolv.conf >> /srv/servers
    - require: [{{service: a service of the base runs}}]
"""


def descendants(pid):
    """``{(pid, when it began): command line}`` of all that a process has started."""
    children, found = {}, {}
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(FileNotFoundError, ProcessLookupError):
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            words = (process / "cmdline").read_text(errors="replace").replace(chr(0), " ")
            children.setdefault(int(fields[1]), []).append((int(process.name), fields[19], words))
    left = [pid]
    while left:
        for child, began, words in children.get(left.pop(), ()):
            found[child, began] = words
            left.append(child)
    return found


def still(processes):
    """Those of the processes that are there."""
    found = []
    for pid, began in processes:
        with suppress(FileNotFoundError, ProcessLookupError):
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19] == began:
                found.append(pid)
    return found


def test_services_are_started_restarted_when_watched_and_stopped_before_the_image_is_made(salt, bootstrapped):
    variation = salt.variation("shop", variation=WATCHED)
    salt.good("vm_create.create_variation", name="shop", variation=variation, update=False, publish=False, live=True)
    with looked_into(salt.output / "shop.img") as root:
        assert (root / "srv/shop").read_text().split() == ["started", "stopped", "started", "stopped"]
        active, *others, program = (root / "srv/known").read_text().split()
        assert active == "active" and others == ["inactive"] * 6 and program.endswith("/bin/systemctl")
        assert (root / "etc/systemd/system/multi-user.target.wants/shop.service").is_symlink()
        assert not {"INVOCATION_ID", "SYSTEMD_EXEC_PID", "SYSTEMD_OFFLINE"} & {*(root / "srv/variables").read_text().split()}
        generated = (root / "srv/generated").read_text().split()
        assert "systemd-cryptsetup@shop.service" in generated and "getty.target.wants" not in generated
        assert "nameserver 127.0.0.53" in (root / "srv/servers").read_text()
        assert os.readlink(root / "etc/resolv.conf") == "../run/systemd/resolve/stub-resolv.conf"
    assert not groups_of(salt, "shop")


def test_a_machine_leaves_in_the_image_only_what_the_states_do(salt, bootstrapped):
    variation = salt.variation("plain", variation="/etc/plain:\n  file.managed: [{contents: text}]\n")
    trees = []
    for live in (True, False):
        salt.good("vm_create.create_variation", name="plain", variation=variation, update=False, publish=False, live=live)
        with looked_into(salt.output / "plain.img") as root:
            trees.append(tree_of(root))
    assert "/etc/plain" in trees[0]
    assert {path for path in trees[0].keys() | trees[1].keys() if trees[0].get(path) != trees[1].get(path)} == set()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["SIGKILL", "SIGTERM"])
def test_killed_in_the_middle_a_machine_leaves_nothing_and_the_next_build_succeeds(number, salt, bootstrapped):
    text = "it goes on:\n  cmd.run: [{name: 'sleep 300'}, {require: [{file: /etc/shop.conf}]}]\n"
    settings = {"name": "killed", "update": False, "publish": False, "live": True}
    mounts, loops, _ = what_is_left()
    process = salt.start("vm_create.create_variation", variation=salt.variation("killed", variation=SHOP + text), **settings)
    log, deadline = salt.workspace / "killed/build.log", time.monotonic() + HANG_SECONDS
    while not (log.exists() and "sleep 300" in log.read_text(encoding="utf-8")):
        assert time.monotonic() < deadline and process.poll() is None, "the states never ran"
        time.sleep(0.05)
    assert groups_of(salt, "killed"), "the machine has no groups of its own"
    running = descendants(process.pid)
    assert any("/usr/lib/systemd/systemd" in words for words in running.values()), "no machine was running when it was killed"
    os.kill(process.pid, number)
    process.communicate()
    deadline = time.monotonic() + LEFT_BEHIND_SECONDS
    while time.monotonic() < deadline and (still(running) or what_is_left()[:2] != (mounts, loops) or groups_of(salt, "killed")):
        time.sleep(0.05)
    assert not processes_inside() and what_is_left()[:2] == (mounts, loops)
    assert not still(running) and not groups_of(salt, "killed")
    salt.good("vm_create.create_variation", variation=salt.variation("killed", variation=SHOP), **settings)


@pytest.mark.parametrize("how", ["poweroff", "reboot"])
def test_a_state_that_ends_the_machine_fails_the_build(how, salt, bootstrapped):
    text = f"it ends:\n  cmd.run: [{{name: systemctl {how}; sleep 60}}]\n"
    settings = {"name": "powers-off", "update": False, "publish": False, "live": True}
    said = salt.bad("vm_create.create_variation", variation=salt.variation("powers-off", variation=text), **settings)
    assert "the machine ended while the states ran" in said and "Traceback" not in said
    assert not groups_of(salt, "powers-off") and not list(salt.output.glob("*"))


def test_the_journal_of_a_service_that_fails_is_in_the_log_and_the_hint_names_no_setting(salt, bootstrapped):
    text = SHOP.replace("echo started >> /srv/shop", "echo no goods today; exit 3")
    settings = {"name": "closed", "update": False, "publish": False, "live": True}
    said = salt.bad("vm_create.create_variation", variation=salt.variation("closed", variation=text), **settings)
    assert "the shop runs" in said and "ami.live: true" not in said
    assert "no goods today" in (salt.workspace / "closed/build.log").read_text(encoding="utf-8")


REFUSED = """
what is refused:
  cmd.run:
    - name: |
        for call in 321 298 304 246 320 175 313 176 250 248 323 425; do
            perl -e '$! = 0; $found = syscall($ARGV[0], 0, 0, 0, 0, 0); print "$ARGV[0] ", $found < 0 ? $! + 0 : "through", "\\n"' $call
        done > /srv/calls
        if (: < /dev/tty) 2>/dev/null; then echo terminal >> /srv/calls; fi
"""


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers of x86_64")
def test_a_machine_meets_the_filter_of_systemd_nspawn_and_has_no_terminal_of_ours(salt, bootstrapped):
    salt.good(
        "vm_create.create_variation", name="calls", variation=salt.variation("calls", variation=REFUSED), update=False, live=True
    )
    with looked_into(salt.output / "calls.img") as root:
        lines = (root / "srv/calls").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 12 and all(line.endswith(" 1") for line in lines), lines


REPLACED = """
what the builder calls is ours:
  cmd.run:
    - name: |
        mv /usr/bin/systemctl /usr/bin/systemctl.real
        printf '#!/bin/sh\\ngrep -E "CapEff|Seccomp:" /proc/$$/status >> /srv/seen\\nexec /usr/bin/systemctl.real "$@"\\n' > /usr/bin/systemctl
        chmod +x /usr/bin/systemctl
"""


def test_a_program_that_the_builder_calls_in_a_machine_has_no_more_than_the_machine(salt, bootstrapped):
    text = salt.variation("replaced", variation=REPLACED)
    salt.good("vm_create.create_variation", name="replaced", variation=text, update=False, live=True)
    with looked_into(salt.output / "replaced.img") as root:
        seen = (root / "srv/seen").read_text(encoding="utf-8").split()
    held = {int(after, 16) for word, after in zip(seen, seen[1:], strict=False) if word == "CapEff:"}
    filters = [after for word, after in zip(seen, seen[1:], strict=False) if word == "Seccomp:"]
    assert held and set(filters) == {"2"}
    assert not any(mask >> number & 1 for mask in held for number in (2, 12, 16, 17, 22, 25, 27, 34))  # mknod and the like
