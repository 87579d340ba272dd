"""Grains of the name that the variation's minion has, for states that look into them; until a state gives the machine a name.

This file is copied into the root's ``/run``, where the Salt in there loads it; it imports nothing of this project.  The kernel's own name
is what a boot of the root would give it: programs and packages ask for that, and the root resolves it.
"""

import socket
from typing import Any

__opts__: dict[str, Any]  # Salt's loader gives it


def names() -> dict[str, str]:
    """What Salt would find on a machine whose name is its minion id."""
    if socket.gethostname() != __opts__["vm_create_name"]:
        return {}
    host, _, domain = __opts__["id"].partition(".")
    whole = {"fqdn": __opts__["id"], "localhost": __opts__["id"], "nodename": __opts__["id"]}
    return {**whole, "host": host, "domain": domain}
