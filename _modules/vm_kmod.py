"""
Kernel modules inside the root of an image
==========================================

The ``kmod`` module of the Salt that applies a variation. The kernel that runs is the builder's and loads nothing: what a state wants
persistent is written to the image's configuration, by which each boot loads it, and anything else is refused.

Never loaded by itself: the root's configuration names it as the provider of ``kmod``.
"""

import glob
import os
import types

import salt.modules.kmod as _of_a_running_machine
from salt.utils.functools import namespaced_function

__virtualname__ = "vm_kmod"
_FOR_BOOTS = "the kernel that runs is the builder's: persist: True lets each boot of the image {} it"


def __virtual__():
    if not os.path.exists("/run/vm_create/etc/minion"):
        return False, "vm_kmod is for the inside of a root that is being built"
    return __virtualname__


# Salt's own, with what follows here in place of what asks or changes the running kernel
for _name, _value in list(vars(_of_a_running_machine).items()):
    if not _name.startswith("__"):
        globals()[_name] = namespaced_function(_value, globals()) if isinstance(_value, types.FunctionType) else _value
_persistent = namespaced_function(_of_a_running_machine.mod_list, globals())


def available():
    """
    The modules of the image's kernels.

    CLI Example:

    .. code-block:: bash

        salt-call kmod.available
    """
    found = set()
    for directory in glob.glob("/lib/modules/*"):
        for name in ("modules.builtin", "modules.dep"):
            try:
                with open(f"{directory}/{name}", encoding="utf-8") as file:
                    found |= {os.path.basename(line.partition(":")[0].strip()).partition(".ko")[0] for line in file}
            except FileNotFoundError:
                continue
    return sorted(name.replace("-", "_") for name in found)


def mod_list(only_persist=False):
    """
    The modules that each boot of the image loads.

    CLI Example:

    .. code-block:: bash

        salt-call kmod.mod_list
    """
    return _persistent(True)


def lsmod():
    """
    The modules that each boot of the image loads, as programs list those of a kernel that runs.

    CLI Example:

    .. code-block:: bash

        salt-call kmod.lsmod
    """
    return [{"module": name, "size": "0", "depcount": "0", "deps": []} for name in mod_list()]


def load(mod, persist=False):
    """
    Let each boot of the image load a module.

    CLI Example:

    .. code-block:: bash

        salt-call kmod.load br_netfilter persist=True
    """
    if not persist:
        return f"Error loading module {mod}: {_FOR_BOOTS.format('load')}"
    return sorted(_set_persistent_module(mod))


def remove(mod, persist=False, comment=True):
    """
    Let no boot of the image load a module.

    CLI Example:

    .. code-block:: bash

        salt-call kmod.remove pcspkr persist=True
    """
    if not persist:
        return f"Error removing module {mod}: {_FOR_BOOTS.format('leave out')}"
    return sorted(_remove_persistent_module(mod, comment))
