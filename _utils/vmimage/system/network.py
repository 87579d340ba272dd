"""The network of a root: private behind a user-mode NAT, the builder's own, or none.

In a private network the programs of a root reach the world as any machine behind a router does, and nothing reaches them: what they
listen on is no port of the builder, and neither the builder's loopback nor the cloud's metadata server answers.
slirp4netns does the NAT; it ends with its caller.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from vmimage.errors import NotReady, ProgramMissing
from vmimage.system.shell import find_program, host_environment, run, tied_to_caller

PRIVATE, HOST, NONE = "private", "host", "none"
_PROGRAM, _DEVICE = "slirp4netns", "tap0"
_RANGE = "198.18.255.0/24"  # of those set aside for tests of networks: a cloud's own are unlikely to be there
NAME_SERVER = "198.18.255.3"
#: what an address of such a network begins with
PREFIX = "198.18.255."
#: link-local addresses, where clouds have their metadata servers
_UNREACHABLE = "169.254.0.0/16"


def kind_of_network(wanted: str) -> str:
    """Which network a root gets.

    :param wanted: the setting; empty: private where this machine can make a private network, else the builder's own
    :raises ProgramMissing: if a private network is wanted and cannot be made
    """
    if wanted not in ("", PRIVATE):
        return wanted
    missing = next((program for program in (_PROGRAM, "ip") if find_program(program) is None), None)
    if missing and wanted:
        package = {"ip": "iproute2"}.get(missing, missing)
        raise ProgramMissing(
            f"the program {missing} is not installed: no private network",
            hint=f"apt-get install {package}, or set ami.network: host",
        )
    return HOST if missing else PRIVATE


@contextmanager
def connected(pid: int) -> Iterator[None]:
    """Connect the network namespace of a process to the world, for the time of the block.

    :param pid: of a process whose network namespace is new
    :raises NotReady: with what slirp4netns says
    """
    ready, signal_ready = os.pipe()
    argv = [
        _PROGRAM,
        "--configure",
        "--mtu=65520",
        "--disable-host-loopback",
        f"--cidr={_RANGE}",
        f"--ready-fd={signal_ready}",
        str(pid),
        _DEVICE,
    ]
    child = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        pass_fds=[signal_ready],
        env=host_environment(),
        preexec_fn=tied_to_caller(),
    )
    os.close(signal_ready)
    try:
        with os.fdopen(ready, "rb") as pipe:
            is_ready = pipe.read(1) == b"1"  # or its end, where the program has ended
        if not is_ready:
            said = child.communicate()[1].decode(errors="replace").strip().splitlines()
            raise NotReady(
                f"no private network for the root: {said[-1] if said else 'slirp4netns ended'}",
                hint="modprobe tun, if /dev/net/tun is missing; or set ami.network: host",
            )
        yield
    finally:
        child.kill()
        if child.stderr:
            with suppress(OSError):
                child.stderr.close()
        child.wait()


def close_ways(kind: str) -> None:
    """In a new network namespace: let its own loopback work, and nothing link-local be reached.

    :param kind: private or none
    """
    run(["ip", "link", "set", "lo", "up"])
    if kind == PRIVATE:
        run(["ip", "route", "add", "unreachable", _UNREACHABLE])
