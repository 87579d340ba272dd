"""The kinds of builders that a configuration names, made in this place alone."""

from collections.abc import Callable
from dataclasses import dataclass

from vmimage.fleet.builders import Builders
from vmimage.fleet.configuration import MINIONS, Configuration
from vmimage.fleet.instances import Instances, read_kind
from vmimage.fleet.minions import Client, Minions
from vmimage.glance.credentials import Credentials
from vmimage.nova.client import Cloud
from vmimage.system.aliases import Say


@dataclass(frozen=True)
class Means:
    """What builders are reached by.

    :ivar client: of Salt's jobs
    :ivar credentials: of a cloud, by its name in clouds.yaml, or an empty string
    """

    client: Client
    credentials: Callable[[str], Credentials]


def builders_of(configuration: Configuration, means: Means, say: Say = lambda text: None) -> dict[str, Builders]:
    """``{kind: builders}`` of a fleet.

    :raises SettingsWrong: naming the key of an instance that cannot be meant
    """
    found: dict[str, Builders] = {}
    if configuration.builders.target:
        found[MINIONS] = Minions(means.client, configuration.name, configuration.builders)
    cloud = str(configuration.defaults.get("cloud") or "")
    for kind, facts in configuration.instances.items():
        found[kind] = Instances(
            configuration.name, kind, read_kind(kind, facts), cloud, lambda: Cloud(means.credentials(cloud), say=say)
        )
    return found
