"""Userdata that a server hands out: OpenStack's and EC2's.

A server has seconds and 64 KiB, is not followed elsewhere, and is asked directly, whatever proxies the environment names.
"""

import http.client
import re
import socket
import time
from urllib.parse import urlsplit

from vmimage.instance.metadata_source import Found, Trouble, check_size
from vmimage.settings.strict_yaml import LIMIT_BYTES

_TOKEN_SECONDS = 300


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
    except Trouble:
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
        raise Trouble(f"{url}: the server says {status}, {why}")
    check_size(data, url)
    if not whole:
        raise Trouble(f"{url}: the answer broke off")
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
            raise Trouble(f"{url}: no whole answer in time") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Trouble(f"{url}: {getattr(error, 'strerror', None) or f'a broken answer ({type(error).__name__})'}") from None
        return answer.status, data, not answer.length
