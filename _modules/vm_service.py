"""
Services inside the root of an image
====================================

The ``service`` module of the Salt that applies a variation. Nothing runs in an image that is being made: enabling, disabling and
masking change the image, starting and stopping are only remembered until the end of the run, so that states which start a service
and then ask for its status go on as on a running machine.

Never loaded by itself: the root's configuration names it as the provider of ``service``.
"""

import json
import os

__virtualname__ = "vm_service"
_STARTED = "/run/vm_create/services.json"
_UNIT_DIRECTORIES = ("/etc/systemd/system", "/run/systemd/system", "/lib/systemd/system", "/usr/lib/systemd/system")


def __virtual__():
    if not os.path.exists("/run/vm_create/etc/minion"):
        return False, "vm_service is for the inside of a root that is being built"
    return __virtualname__


def _unit(name):
    return (
        name
        if "." in name and name.rsplit(".", 1)[1] in ("service", "socket", "timer", "path", "mount", "target")
        else f"{name}.service"
    )


def _unit_file(name):
    unit = _unit(name)
    template = unit.split("@", 1)[0] + "@." + unit.rsplit(".", 1)[1] if "@" in unit else unit
    found = (f"{directory}/{one}" for directory in _UNIT_DIRECTORIES for one in (unit, template))
    return next((path for path in found if os.path.lexists(path)), None)


def _systemctl(verb, name, **options):
    return __salt__["cmd.run_all"](
        ["systemctl", "--root=/", verb, _unit(name)], python_shell=False, ignore_retcode=True, **options
    )


def _remembered():
    try:
        with open(_STARTED, encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return {}


def _remember(name, runs):
    with open(f"{_STARTED}.partial", "w", encoding="utf-8") as file:
        json.dump({**_remembered(), _unit(name): runs}, file)
    os.replace(f"{_STARTED}.partial", _STARTED)
    return True


def available(name):
    """
    Whether the image has a service of this name.

    CLI Example:

    .. code-block:: bash

        salt-call service.available nginx
    """
    return _unit_file(name) is not None or os.path.exists(f"/etc/init.d/{name}")


def missing(name):
    """
    Whether the image has no service of this name.

    CLI Example:

    .. code-block:: bash

        salt-call service.missing nginx
    """
    return not available(name)


def get_all():
    """
    The names of all services of the image.

    CLI Example:

    .. code-block:: bash

        salt-call service.get_all
    """
    found = {
        entry.removesuffix(".service")
        for directory in _UNIT_DIRECTORIES
        if os.path.isdir(directory)
        for entry in os.listdir(directory)
        if entry.endswith(".service")
    }
    return sorted(found | set(os.listdir("/etc/init.d") if os.path.isdir("/etc/init.d") else ()))


def status(name, sig=None):
    """
    Whether a state of this run has started the service.

    CLI Example:

    .. code-block:: bash

        salt-call service.status nginx
    """
    return _remembered().get(_unit(name), False)


def start(name, no_block=False, unmask=False, unmask_runtime=False):
    """
    Remember that the service was started. It will run when the image boots, if it is enabled.

    CLI Example:

    .. code-block:: bash

        salt-call service.start nginx
    """
    if unmask:
        unmask_(name)
    return _remember(name, True)


def stop(name, no_block=False):
    """
    Remember that the service was stopped.

    CLI Example:

    .. code-block:: bash

        salt-call service.stop nginx
    """
    return _remember(name, False)


def restart(name, no_block=False, unmask=False, unmask_runtime=False):
    """
    Remember that the service was started.

    CLI Example:

    .. code-block:: bash

        salt-call service.restart nginx
    """
    return start(name, unmask=unmask)


def reload_(name, no_block=False, unmask=False, unmask_runtime=False):
    """
    Nothing to reload in an image.

    CLI Example:

    .. code-block:: bash

        salt-call service.reload nginx
    """
    return True


def force_reload(name, no_block=True, unmask=False, unmask_runtime=False):
    """
    Nothing to reload in an image.

    CLI Example:

    .. code-block:: bash

        salt-call service.force_reload nginx
    """
    return True


def enable(name, no_block=False, unmask=False, unmask_runtime=False, root=None, **kwargs):
    """
    Let the service start when the image boots.

    CLI Example:

    .. code-block:: bash

        salt-call service.enable nginx
    """
    if unmask:
        unmask_(name)
    return _systemctl("enable", name)["retcode"] == 0


def disable(name, no_block=False, root=None, **kwargs):
    """
    Let the service not start when the image boots.

    CLI Example:

    .. code-block:: bash

        salt-call service.disable nginx
    """
    return _systemctl("disable", name)["retcode"] == 0


def enabled(name, root=None, **kwargs):
    """
    Whether the service starts when the image boots.

    CLI Example:

    .. code-block:: bash

        salt-call service.enabled nginx
    """
    return _systemctl("is-enabled", name)["stdout"].strip() in ("enabled", "static", "alias", "indirect", "generated")


def disabled(name, root=None):
    """
    Whether the service does not start when the image boots.

    CLI Example:

    .. code-block:: bash

        salt-call service.disabled nginx
    """
    return not enabled(name)


def mask(name, runtime=False, root=None):
    """
    Make it impossible to start the service in the image.

    CLI Example:

    .. code-block:: bash

        salt-call service.mask nginx
    """
    return _systemctl("mask", name)["retcode"] == 0


def unmask_(name, runtime=False, root=None):
    """
    Make it possible again to start the service.

    CLI Example:

    .. code-block:: bash

        salt-call service.unmask nginx
    """
    return _systemctl("unmask", name)["retcode"] == 0


def masked(name, runtime=False, root=None):
    """
    Whether the service is masked.

    CLI Example:

    .. code-block:: bash

        salt-call service.masked nginx
    """
    return _systemctl("is-enabled", name)["stdout"].strip().startswith("masked")


def show(name, root=None):
    """
    Properties of the service's unit, as far as an image can tell them.

    CLI Example:

    .. code-block:: bash

        salt-call service.show nginx
    """
    path = _unit_file(name)
    return {"Id": _unit(name), "FragmentPath": path or "", "LoadState": "loaded" if path else "not-found"}


def systemctl_reload():
    """
    Nothing to reload: no systemd runs in an image.

    CLI Example:

    .. code-block:: bash

        salt-call service.systemctl_reload
    """
    return True


def execs(root=None):
    """
    Nothing runs, so nothing is executed.

    CLI Example:

    .. code-block:: bash

        salt-call service.execs
    """
    return {}


__func_alias__ = {"reload_": "reload", "unmask_": "unmask"}
