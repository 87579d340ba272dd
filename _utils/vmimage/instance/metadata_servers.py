"""Userdata from a metadata server: OpenStack's and EC2's.

A server has seconds and 64 KiB, no redirection is followed, and the request is direct, whatever proxies the environment names.
"""

import http.client
import re
import socket
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from vmimage.instance.metadata_source import Found, Machine, Trouble, check_size
from vmimage.settings.strict_yaml import LIMIT_BYTES

_TOKEN_SECONDS = 300


def read_openstack(machine: Machine) -> Found | None:
    """OpenStack's metadata server."""
    return _fetch(machine, "/openstack/latest/user_data")


def read_ec2(machine: Machine) -> Found | None:
    """EC2's metadata server: with a session token, or where it gives none, without."""
    return _fetch(machine, "/latest/user-data", _session(machine))


def _session(machine: Machine) -> dict[str, str]:
    """The header of a session, or none: whether the server needs it shows when it is asked for the userdata."""
    try:
        headers = {"X-aws-ec2-metadata-token-ttl-seconds": f"{_TOKEN_SECONDS}"}
        status, token, _ = _ask(machine, "PUT", f"{machine.base_url}/latest/api/token", headers)
    except Trouble:
        return {}
    good = status == 200 and re.fullmatch(rb"[!-~]{1,1024}", token)
    return {"X-aws-ec2-metadata-token": token.decode()} if good else {}


def _fetch(machine: Machine, path: str, headers: Mapping[str, str] | None = None) -> Found:
    url = f"{machine.base_url}{path}"
    status, data, whole = _ask(machine, "GET", url, headers or {})
    if status in (204, 404):
        return Found(b"", f"{url} ({status})", sure=False)
    if status != 200:
        why = {401: "it wants a session token"}.get(status, "it redirects" if 300 <= status < 400 else "it is in trouble")
        raise Trouble(f"{url}: the server says {status}, {why}")
    check_size(data, url)
    if not whole:
        raise Trouble(f"{url}: the answer broke off")
    return Found(data, url)


class _Socket(socket.socket):
    """A socket with a deadline for everything together: a server may send a byte a second for hours."""

    end = float("inf")

    def set_time_left(self) -> None:
        """:raises TimeoutError:"""
        left = self.end - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self.settimeout(left)

    def recv_into(self, *arguments: Any) -> int:  # those of the method that it replaces
        self.set_time_left()
        return super().recv_into(*arguments)


def _ask(machine: Machine, method: str, url: str, headers: Mapping[str, str]) -> tuple[int, bytes, bool]:
    """``(status, the first bytes of the answer, whether these are all that was announced)``"""
    address = urlsplit(url)
    host = address.hostname or ""
    connection = http.client.HTTPConnection(host, address.port)  # knows no proxies, follows nothing
    with _Socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as line:
        line.end = min(machine.end, time.monotonic() + machine.request_seconds)
        try:
            line.set_time_left()
            line.connect((host, address.port or 80))
            connection.sock = line
            connection.request(method, address.path, headers=headers)
            answer = connection.getresponse()
            data = answer.read(LIMIT_BYTES + 1)
        except TimeoutError:
            raise Trouble(f"{url}: no complete answer in time") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Trouble(f"{url}: {getattr(error, 'strerror', None) or f'a broken answer ({type(error).__name__})'}") from None
        return answer.status, data, not answer.length
