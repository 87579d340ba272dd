"""What to do about states that failed, as far as their names and words tell.  Pure functions."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

#: (states, what programs and clients say, what to do)
Remedy = tuple[str, str, str]

#: of a root in which no service runs: ami.live is a remedy
_SERVICE: Remedy = (
    r"(postgres_|mysql_|mongodb_|docker_|rabbitmq_|influxdb_|elasticsearch_|http\.wait_for|redis_).*",
    r"[Cc]onnection refused|could not connect to server|connection to server .*failed|[Ii]s the server running"
    r"|Can't connect to (local )?(MySQL|MariaDB|server)|Cannot connect to the Docker daemon"
    r"|Failed to connect (to )?(system )?bus|sd_bus_open_system|Failed to connect to socket /run/dbus/|not been booted with systemd as init",
    "no service runs while an image is made: set ami.live: true, and the states are applied on a machine that runs; or let what talks to a"
    " service be done at the first boot, by cloud-init or a unit of the image",
)
#: of a minion, which is not Salt while it makes an image
_MINION: Remedy = (
    r"(schedule|beacon)\..*",
    r"(?!)",
    "a schedule and beacons are kept by a minion that runs, and none does: write them into a file of /etc/salt/minion.d by file.managed",
)
_KERNEL = "the kernel that runs is the builder's, not the image's: "
_OF_A_KERNEL: tuple[Remedy, ...] = (
    (
        r"(iptables|nftables|ipset|firewall|firewalld|ufw)\..*",
        r"Could not fetch rule set generation id|iptables.*(Permission denied|Failed to initialize)|ipset v.*Operation not permitted"
        r"|Could not process rule: Operation not permitted|netlink: Error|ufw-init|firewall-cmd|FirewallD is not running",
        "write rules of a firewall into files that the image loads when it boots: /etc/nftables.conf, and service.running of nftables that watches it in place of nft -f,"
        " /etc/iptables/rules.v4 of the package iptables-persistent, ENABLED=yes in /etc/ufw/ufw.conf; firewall-offline-cmd needs no daemon; leave out a check_cmd by nft or iptables-restore: it asks the kernel",
    ),
    (
        r"kmod\..*",
        r"modprobe: |insmod: |rmmod: ",
        "kmod.present with persist: True lets the image load a module at each boot, as does a file in /etc/modules-load.d",
    ),
    (
        r"sysfs\..*",
        r"(/proc/sys|/sys)/\S*'?: Read-only file system|permission denied on key|setting key \"\S*\"",
        "sysctl.present writes what the image sets when it boots; what is below /sys is set by a file in /etc/tmpfiles.d",
    ),
    (
        r"mount\.(mounted|unmounted|swap|remounted)",
        r"mount: .*(permission denied|must be superuser|failed to setup loop)|swapon: .*failed",
        "mount.fstab_present and mount.fstab_absent say what the image mounts, and the swap that it uses, when it boots",
    ),
    (
        r"(lvm|raid|blockdev|quota)\..*",
        r"device-mapper driver|/dev/mapper/control",
        "other disks than that of / are an instance's: let cloud-init or a unit of the image prepare them at the first boot",
    ),
    (
        r"network\.(routes|managed)",
        r"RTNETLINK answers: Operation not permitted",
        "write network cards and routes into /etc/network/interfaces or /etc/systemd/network: they are set up when the image boots",
    ),
)
_ABSENT = re.compile(r"State '([\w.]+)' was not found in SLS")


def find_remedies(failed: Sequence[Mapping[str, Any]], *, live: bool, near: Sequence[str]) -> list[str]:
    """What to do, each said once.

    :param failed: states as of :class:`vmimage.variation.outcome.StateResult` that failed by themselves, not by what they require
    :param live: whether they were applied on a machine that runs
    :param near: names of functions that are like those that were not found
    """
    found = [f"did you mean {' or '.join(dict.fromkeys(near))}?"] if near else []
    absent = {_module(state): _said(state) for state in failed if _ABSENT.search(_said(state))}
    there = [state for state in failed if _module(state) not in absent]
    gone = sorted(module for module, said in absent.items() if "is not available" in said)
    if gone and not near:
        found.append(
            f"this Salt has no {', '.join(gone)}: many of its modules have become packages of their own (saltext-NAME on PyPI): install"
            " those into the Python of the builder's Salt, or build by an older Salt"
        )
    lacking = sorted(module for module, said in absent.items() if "__virtual__ returned" in said)
    if lacking:
        found.append(
            f"{', '.join(lacking)} lacks what its reason says: let a state before install it, with reload_modules: True, as on a machine"
        )
    if not live and any(_fits(_SERVICE, state) for state in there):
        found.append(_SERVICE[2])
    if any(_fits(_MINION, state) for state in there):
        found.append(_MINION[2])
    kernel = [remedy[2] for remedy in _OF_A_KERNEL if any(_fits(remedy, state) for state in there)]
    return found + ([_KERNEL + "; ".join(kernel)] if kernel else [])


def _fits(remedy: Remedy, state: Mapping[str, Any]) -> bool:
    states, words, _ = remedy
    return re.fullmatch(states, state["state"]) is not None or re.search(words, _said(state)) is not None


def _module(state: Mapping[str, Any]) -> str:
    return str(state["state"]).partition(".")[0]


def _said(state: Mapping[str, Any]) -> str:
    return "\n".join(state.get(key) or "" for key in ("comment", "stdout", "stderr"))
