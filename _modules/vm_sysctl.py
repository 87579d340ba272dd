"""
Kernel parameters inside the root of an image
=============================================

The ``sysctl`` module of the Salt that applies a variation. The kernel that runs is the builder's and is not touched: what a state
sets is written to the image's configuration, and remembered until the end of the run for who asks.

Never loaded by itself: the root's configuration names it as the provider of ``sysctl``.
"""

import json
import os
import types

import salt.modules.linux_sysctl as _of_a_running_machine
from salt.utils.functools import namespaced_function

__virtualname__ = "vm_sysctl"
_ASSIGNED = "/run/vm_create/sysctl.json"


def __virtual__():
    if not os.path.exists("/run/vm_create/etc/minion"):
        return False, "vm_sysctl is for the inside of a root that is being built"
    return __virtualname__


# Salt's own, with what follows here in place of what asks or changes the running kernel
for _name, _value in list(vars(_of_a_running_machine).items()):
    if not _name.startswith("__"):
        globals()[_name] = namespaced_function(_value, globals()) if isinstance(_value, types.FunctionType) else _value


def _assigned():
    try:
        with open(_ASSIGNED, encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return {}


def default_config():
    """
    The file that systemd reads when the image boots.

    CLI Example:

    .. code-block:: bash

        salt-call sysctl.default_config
    """
    return "/etc/sysctl.d/99-salt.conf"


def get(name):
    """
    The value that a state of this run has set, or the builder's own.

    CLI Example:

    .. code-block:: bash

        salt-call sysctl.get vm.swappiness
    """
    if name in _assigned():
        return _assigned()[name]
    try:
        with open(f"/proc/sys/{name.translate(str.maketrans('./', '/.'))}", encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""


def assign(name, value):
    """
    Remember a value. It will be in force when the image boots, if it is persisted.

    CLI Example:

    .. code-block:: bash

        salt-call sysctl.assign vm.swappiness 10
    """
    with open(f"{_ASSIGNED}.partial", "w", encoding="utf-8") as file:
        json.dump({**_assigned(), name: str(value)}, file)
    os.replace(f"{_ASSIGNED}.partial", _ASSIGNED)
    return {name: str(value)}


def show(config_file=False):
    """
    The values of a configuration file, or those that states of this run have set.

    CLI Example:

    .. code-block:: bash

        salt-call sysctl.show config_file=/etc/sysctl.d/99-salt.conf
    """
    return _of_a_running_machine.show(config_file) if config_file else _assigned()
