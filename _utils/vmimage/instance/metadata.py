"""The userdata of an instance: read from the first of these sources that has any, asked again until the deadline.

config drive       a disk labelled config-2: openstack/latest/user_data, ec2/latest/user-data
NoCloud            a disk labelled cidata, or /var/lib/cloud/seed/nocloud: user-data
cloud-init's copy  /var/lib/cloud/instance/user-data.txt, if cloud-init ran since the machine was started
OpenStack          http://169.254.169.254/openstack/latest/user_data
EC2                http://169.254.169.254/latest/user-data, with a session token where the server gives one

No source is trusted: see :mod:`vmimage.instance.metadata_drives` and :mod:`vmimage.instance.metadata_servers`.
"""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from vmimage.errors import UserdataWrong
from vmimage.instance.metadata_drives import read_cloud_init, read_config_drive, read_nocloud
from vmimage.instance.metadata_servers import read_ec2, read_openstack
from vmimage.instance.metadata_source import METADATA_URL, Found, Machine, Trouble
from vmimage.system.aliases import Say, Sleep
from vmimage.system.retry import retried

#: by their names, in the order in which they are asked; None: the source does not exist on this machine
Sources = Mapping[str, Callable[[Machine], Found | None]]
SOURCES: Sources = {
    "config drive": read_config_drive,
    "NoCloud": read_nocloud,
    "cloud-init's copy": read_cloud_init,
    "OpenStack": read_openstack,
    "EC2": read_ec2,
}


def read_userdata(
    sources: Sources | None = None,
    *,
    deadline_seconds: float = 300,
    request_seconds: float = 10,
    base_url: str = METADATA_URL,
    top: str = "/",
    say: Say = lambda line: None,
    sleep: Sleep = time.sleep,
) -> tuple[bytes, str]:
    """Read the userdata of this instance.

    :param sources: default :data:`SOURCES`
    :param deadline_seconds: to wait for an answer, all tries together
    :param say: takes a line about each source: what it answered
    :returns: ``(data, where)``; data is empty where there is a source, and no userdata in it
    :raises UserdataWrong: if nothing answers by the deadline, with what was tried; at once, if there are more than 64 KiB
    """
    sources = SOURCES if sources is None else sources
    machine = Machine(Path(top), base_url, request_seconds, time.monotonic() + deadline_seconds)
    said: dict[str, str] = {}
    last_round_seconds = min(request_seconds, deadline_seconds / 2)

    def pause(seconds: float) -> None:
        left = machine.end - time.monotonic() - last_round_seconds
        if left <= 0:
            raise Trouble("the time is over")
        sleep(min(seconds, left))

    say(f"userdata: looking in {', '.join(sources)}")
    try:
        tries = _tries_within(deadline_seconds)
        found = retried(lambda: _look(sources, machine, said, say), Trouble, tries=tries, say=say, sleep=pause)
    except Trouble:
        tried = "".join(f"\n    {name}: {what}" for name, what in said.items())
        raise UserdataWrong(
            f"no userdata within {deadline_seconds:g} seconds; tried{tried}",
            hint="is the network up, and does the cloud offer a config drive or a metadata server? an instance needs either of them",
        ) from None
    say(f"userdata: {len(found.data)} bytes in {found.where}" if found.data else f"userdata: none in {found.where}")
    return found.data, found.where


def _tries_within(seconds: float) -> int:
    """How many tries it takes until their pauses are longer than this."""
    tries, pauses = 2, 1
    while pauses < seconds:
        pauses += min(2 ** (tries - 1), 60)
        tries += 1
    return tries


def _look(sources: Sources, machine: Machine, said: dict[str, str], say: Say) -> Found:
    """Ask every source once.

    :param said: the last answer of each source; of an answer that is new a line is said
    :raises Trouble: if another try can help
    """
    troubled, empty = False, None
    for name, read in sources.items():
        try:
            found = read(machine)
            what = "not there" if found is None else f"none in {found.where}"
        except Trouble as trouble:
            found, what, troubled = None, trouble.message, True
        if found and (found.data or found.sure):
            return found
        empty = empty or found
        if said.get(name) != what:
            said[name] = what
            say(f"userdata, {name}: {what}")
    if empty and not troubled:
        return empty
    raise Trouble("no userdata yet")
