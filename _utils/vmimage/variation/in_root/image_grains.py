"""Grains as an instance of the image has them, for states that look into them: its name, its kernel, and that it is a virtual machine.

This file is copied into the root's ``/run``, where the Salt in there loads it; it imports nothing of this project.  The kernel's own name
is what a boot of the root would give it: programs and packages ask for that, and the root resolves it.
"""

import socket
from typing import Any

__opts__: dict[str, Any]  # Salt's loader gives it
VIRTUAL = "kvm"


def names() -> dict[str, str]:
    """What Salt would find on a machine whose name is its minion id; nothing once a state has given the machine a name."""
    if socket.gethostname() != __opts__["vm_create_name"]:
        return {}
    host, _, domain = __opts__["id"].partition(".")
    whole = {"fqdn": __opts__["id"], "localhost": __opts__["id"], "nodename": __opts__["id"]}
    return {**whole, "host": host, "domain": domain}


def kernel() -> dict[str, str]:
    """The image's own kernel: the one that runs is the builder's."""
    return {"kernelrelease": __opts__["vm_create_kernel"]} if __opts__["vm_create_kernel"] else {}


def machine(grains: dict[str, Any]) -> dict[str, str]:
    """What Salt would find in a virtual machine of KVM, as clouds run images; in a root it finds a chroot or a container.

    A module in the variation's ``_grains`` overrides it.

    :param grains: those found before; they lose what a cloud's machine does not have
    """
    grains.pop("virtual_subtype", None)
    return {"virtual": VIRTUAL}
