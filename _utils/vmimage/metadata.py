"""Where the userdata of an instance is read from: the first of these that holds any, asked again until the deadline.

config drive       a disk labelled config-2: openstack/latest/user_data, ec2/latest/user-data
NoCloud            a disk labelled cidata, or /var/lib/cloud/seed/nocloud: user-data
cloud-init's copy  /var/lib/cloud/instance/user-data.txt, if cloud-init ran since the machine was started
OpenStack          http://169.254.169.254/openstack/latest/user_data
EC2                http://169.254.169.254/latest/user-data, with a session token where one is to be had

Whoever answers is not trusted further than its bytes: a disk is read in a mount namespace of its own and never followed out of it;
a server has seconds and 64 KiB, is not followed elsewhere, and is asked directly, whatever proxies the environment names.
"""

import http.client
import os
import re
import socket
import stat
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from vmimage import inside
from vmimage.errors import BuildDied, CommandFailed, ProgramMissing, RootHostile, UserdataWrong
from vmimage.namespace import run_privately
from vmimage.retry import retried
from vmimage.shell import run
from vmimage.userdata import LIMIT_BYTES

METADATA_URL = "http://169.254.169.254"

_BLKID_FOUND_NONE = 2
_TOKEN_SECONDS = 300


@dataclass(frozen=True)
class Machine:
    """What sources look at.

    :ivar Path top: the root directory
    :ivar str base_url: of the metadata server
    :ivar float request_seconds: for a request to it, from beginning to end
    :ivar float end: when all has to be done, by the monotonic clock
    """

    top: Path = Path("/")
    base_url: str = METADATA_URL
    request_seconds: float = 10
    end: float = float("inf")


@dataclass(frozen=True)
class Found:
    """What a source holds.

    :ivar bytes data: the userdata; empty for none
    :ivar str where: for messages
    :ivar bool sure: whether, if there is none, no other source need be asked
    """

    data: bytes
    where: str
    sure: bool = True


class _Trouble(UserdataWrong):
    """A source that is there, or should be, could not be read; another try can help."""


def read_userdata(
    sources=None,
    *,
    deadline_seconds=300,
    request_seconds=10,
    base_url=METADATA_URL,
    top="/",
    say=lambda line: None,
    sleep=time.sleep,
):
    """Read the userdata of this instance.

    :param dict sources: ``{name: callable}`` in the order in which they are asked, default :data:`SOURCES`; each takes a
        :class:`Machine` and returns :class:`Found`, or None where it is not there
    :param float deadline_seconds: to wait for an answer, all tries together
    :param say: takes a line for who watches: what was asked, and what it said
    :returns: ``(data, where)``; data is empty where there is a source, and no userdata in it
    :raises UserdataWrong: if nothing answers by the deadline, telling what was tried; at once, if there are more than 64 KiB
    """
    sources = SOURCES if sources is None else sources
    machine = Machine(Path(top), base_url, request_seconds, time.monotonic() + deadline_seconds)
    said, last_round_seconds = {}, min(request_seconds, deadline_seconds / 2)

    def pause(seconds):
        left = machine.end - time.monotonic() - last_round_seconds
        if left <= 0:
            raise _Trouble("the time is over")
        sleep(min(seconds, left))

    say(f"userdata: looking in {', '.join(sources)}")
    try:
        tries = _tries_within(deadline_seconds)
        found = retried(lambda: _look(sources, machine, said, say), _Trouble, tries=tries, say=say, sleep=pause)
    except _Trouble:
        tried = "".join(f"\n    {name}: {what}" for name, what in said.items())
        raise UserdataWrong(
            f"no userdata within {deadline_seconds:g} seconds; tried{tried}",
            hint="is the network up, and does the cloud offer a config drive or a metadata server? an instance needs one of them",
        ) from None
    say(f"userdata: {len(found.data)} bytes in {found.where}" if found.data else f"userdata: none in {found.where}")
    return found.data, found.where


def _tries_within(seconds):
    """How many tries it takes until their pauses are longer than this."""
    tries, pauses = 2, 1
    while pauses < seconds:
        pauses += min(2 ** (tries - 1), 60)
        tries += 1
    return tries


def _look(sources, machine, said, say):
    """Ask every source once.

    :param dict said: takes what each said last; who watches is told what is new
    """
    troubled, none = False, None
    for name, read in sources.items():
        try:
            found = read(machine)
            what = "not there" if found is None else f"none in {found.where}"
        except _Trouble as trouble:
            found, what, troubled = None, trouble.message, True
        if found and (found.data or found.sure):
            return found
        none = none or found
        if said.get(name) != what:
            said[name] = what
            say(f"userdata, {name}: {what}")
    if none and not troubled:
        return none
    raise _Trouble("no userdata yet")


# disks


@dataclass(frozen=True)
class _Drive:
    """A kind of disk that holds userdata.

    :ivar tuple labels: of its file system
    :ivar tuple files: where the userdata may be, the first that there is
    :ivar tuple marks: what else tells that it is such a disk
    """

    labels: tuple
    files: tuple
    marks: tuple


_CONFIG_DRIVE = _Drive(("config-2", "CONFIG-2"), ("openstack/latest/user_data", "ec2/latest/user-data"), ("openstack", "ec2"))
_NOCLOUD = _Drive(("cidata", "CIDATA"), ("user-data",), ("meta-data",))


def read_config_drive(machine):
    """OpenStack's config drive."""
    return _read_drive(_CONFIG_DRIVE, machine)


def read_nocloud(machine):
    """The disk of NoCloud, or its directory."""
    for directory in ("var/lib/cloud/seed/nocloud", "var/lib/cloud/seed/nocloud-net"):
        data = _read_file(machine.top, f"{directory}/user-data", f"/{directory}/user-data")
        if data is not None:
            return Found(data, f"/{directory}/user-data")
    return _read_drive(_NOCLOUD, machine)


def _read_drive(drive, machine):
    """What the first disk of this kind holds."""
    for device in _find_devices(drive.labels, machine.top):
        found = _read_privately(drive, device)
        if found:
            return found
    return None


def _find_devices(labels, top):
    """The block devices with one of these labels: by udev's links, or where it made none, by a look at every disk."""
    links = [os.path.join(top, "dev/disk/by-label", label) for label in labels]
    linked = [os.path.realpath(link) for link in links if os.path.exists(link)]
    return list(dict.fromkeys(linked or [device for label in labels for device in _ask_blkid(label)]))


def _ask_blkid(label):
    argv = ["blkid", "-c", "/dev/null", "-o", "device", "-t", f"LABEL={label}"]
    try:
        return run(argv, ok=(0, _BLKID_FOUND_NONE)).output.split()
    except (CommandFailed, ProgramMissing) as error:
        raise _Trouble(f"the disks cannot be looked at: {_reason(error)}") from None


def _read_privately(drive, device):
    if os.geteuid() != 0:
        raise _Trouble(f"{device} can be mounted by root alone")
    try:
        with tempfile.TemporaryDirectory(prefix="vm_create-userdata-") as point:
            return run_privately(lambda: _read_device(drive, device, point))
    except (CommandFailed, ProgramMissing, BuildDied, OSError) as error:
        raise _Trouble(f"{device} cannot be read: {_reason(error)}") from None


def _reason(error):
    """The first line that a program printed, or what an error says."""
    return (getattr(error, "output", "").strip() or getattr(error, "message", "") or str(error)).splitlines()[0]


def _read_device(drive, device, point):
    """In a mount namespace of its own: whatever ends it takes the mount away."""
    run(["mount", "-o", "ro,nosuid,nodev,noexec", device, point])
    for path in drive.files:
        data = _read_file(point, path, f"{path} of {device}")
        if data is not None:
            return Found(data, f"{path} of {device}")
    return Found(b"", device) if any(inside.exists(point, mark) for mark in drive.marks) else None


def _read_file(top, path, where):
    """The content of a regular file, or None where there is none."""
    try:
        with inside.opened(top, path, os.O_RDONLY | os.O_NONBLOCK) as descriptor:  # of a fifo, that waits for nobody
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise _Trouble(f"{where} is no regular file")
            with os.fdopen(os.dup(descriptor), "rb") as file:
                return _small(file.read(LIMIT_BYTES + 1), where)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, RootHostile) as error:
        raise _Trouble(f"{where} cannot be read: {_reason(error)}") from None


def _small(data, where):
    if len(data) > LIMIT_BYTES:
        raise UserdataWrong(
            f"the userdata in {where} has more than {LIMIT_BYTES // 1024} KiB", hint="give settings, a few lines of YAML"
        )
    return data


# cloud-init


def read_cloud_init(machine):
    """What cloud-init found; only if it ran since the machine was started, for an image may carry what another instance found."""
    directory = "var/lib/cloud/instance"
    if not inside.exists(machine.top, "run/cloud-init/instance-data.json"):
        return None
    data = _read_file(machine.top, f"{directory}/user-data.txt", f"/{directory}/user-data.txt")
    if data is None:
        return None
    datasource = _read_file(machine.top, f"{directory}/datasource", f"/{directory}/datasource") or b"DataSourceNone"
    return Found(data, f"/{directory}/user-data.txt", sure=b"DataSourceNone" not in datasource)


# servers


def read_openstack(machine):
    """OpenStack's metadata server."""
    return _fetch(machine, "/openstack/latest/user_data")


def read_ec2(machine):
    """EC2's metadata server: with a session token, or where none is to be had without."""
    return _fetch(machine, "/latest/user-data", _session(machine))


def _session(machine):
    """The header of a session, or none: whether the server wants one, it tells when asked for the userdata."""
    try:
        headers = {"X-aws-ec2-metadata-token-ttl-seconds": f"{_TOKEN_SECONDS}"}
        status, token, _ = _ask(machine, "PUT", f"{machine.base_url}/latest/api/token", headers)
    except _Trouble:
        return {}
    good = status == 200 and re.fullmatch(rb"[!-~]{1,1024}", token)
    return {"X-aws-ec2-metadata-token": token.decode()} if good else {}


def _fetch(machine, path, headers=None):
    url = f"{machine.base_url}{path}"
    status, data, whole = _ask(machine, "GET", url, headers or {})
    if status in (204, 404):
        return Found(b"", f"{url} ({status})", sure=False)
    if status != 200:
        why = {401: "it wants a session token"}.get(status, "it leads elsewhere" if 300 <= status < 400 else "it is in trouble")
        raise _Trouble(f"{url}: the server says {status}, {why}")
    _small(data, url)
    if not whole:
        raise _Trouble(f"{url}: the answer broke off")
    return Found(data, url)


class _Socket(socket.socket):
    """A socket on which everything together is done by a point in time: a server may send a byte a second for hours."""

    end = float("inf")

    def hurry(self):
        left = self.end - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self.settimeout(left)

    def recv_into(self, *arguments):
        self.hurry()
        return super().recv_into(*arguments)


def _ask(machine, method, url, headers):
    """``(status, the first bytes of the answer, whether these are all that was announced)``"""
    address = urlsplit(url)
    connection = http.client.HTTPConnection(address.hostname, address.port)  # knows no proxies, follows nothing
    with _Socket(socket.AF_INET6 if ":" in address.hostname else socket.AF_INET) as line:
        line.end = min(machine.end, time.monotonic() + machine.request_seconds)
        try:
            line.hurry()
            line.connect((address.hostname, address.port or 80))
            connection.sock = line
            connection.request(method, address.path, headers=headers)
            answer = connection.getresponse()
            data = answer.read(LIMIT_BYTES + 1)
        except TimeoutError:
            raise _Trouble(f"{url}: no whole answer in time") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _Trouble(f"{url}: {getattr(error, 'strerror', None) or f'a broken answer ({type(error).__name__})'}") from None
        return answer.status, data, not answer.length


SOURCES = {
    "config drive": read_config_drive,
    "NoCloud": read_nocloud,
    "cloud-init's copy": read_cloud_init,
    "OpenStack": read_openstack,
    "EC2": read_ec2,
}
