"""What the master's reactor does on a poke and on a forge's call: its SLS files, which ``states/ami_fleet.sls`` writes, call these functions.

They run in the reactor's own process. What is refused begins no runner and is a line in the master's log, which repeats nothing of what came.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from vmimage.errors import HookRefused, VmImageError
from vmimage.fleet.configuration import Configuration, read_configuration
from vmimage.fleet.webhook import accept_call, read_secrets

log = logging.getLogger(__name__)

#: of the reactor: a state with a function and its arguments
Reaction = dict[str, Any]


def react_to_poke(options: Mapping[str, Any], data: Mapping[str, Any]) -> Reaction:
    """A poke of a hook, which names a repository, or none for all of them.

    :param options: the master's
    :param data: of the event: of a minion's what it has sent lies below ``data``
    """
    try:
        sent = data.get("data") if isinstance(data.get("data"), Mapping) else data
        name = (sent or {}).get("repository")
        if name is not None and not (isinstance(name, str) and name in read_configuration(options).repositories):
            raise HookRefused("it names no repository of ami_fleet", hint="the name must be that in ami_fleet, letter by letter")
    except VmImageError as error:
        log.warning("a poke of the fleet was refused: %s", error)
        return {}
    return _runner("hook", repositories=[] if name is None else [name])


def react_to_end(options: Mapping[str, Any], data: Mapping[str, Any]) -> Reaction:
    """The return of a build's job: its image can have its name, and its builder another build. No repository is asked.

    :param options: the master's
    :param data: of the event
    """
    return _runner("reconcile", ask=False)


def react_to_hook(options: Mapping[str, Any], data: Mapping[str, Any]) -> Reaction:
    """A forge's call, as Salt's engine ``webhook`` puts it on the bus.

    :param options: the master's
    :param data: of the event
    """
    try:
        configuration = read_configuration(options)
        call = accept_call(data.get("body"), data.get("headers"), read_secrets(configuration.hooks), addresses_of(configuration))
    except VmImageError as error:
        log.warning("a call of the fleet's webhook was refused: %s", error)
        return {}
    return _runner("hook", repositories=list(call.repositories), digest=call.digest)


def addresses_of(configuration: Configuration) -> dict[str, str]:
    """The addresses of the repositories, by their names."""
    return {name: repository.address for name, repository in configuration.repositories.items()}


def _runner(function: str, **arguments: str | bool | Sequence[str]) -> Reaction:
    return {
        "the fleet looks at its repositories": {
            f"runner.vm_fleet.{function}": [{"args": [{key: value} for key, value in arguments.items()]}]
        }
    }
