"""The kinds of builders that a configuration names, made in this place alone."""

from collections.abc import Callable
from dataclasses import dataclass

from vmimage.fleet.builders import Builders
from vmimage.fleet.configuration import MINIONS, Configuration
from vmimage.fleet.minions import Client, Minions
from vmimage.glance.credentials import Credentials


@dataclass(frozen=True)
class Means:
    """What builders are reached by.

    :ivar client: of Salt's jobs
    :ivar credentials: of a cloud, by its name in clouds.yaml, or an empty string
    """

    client: Client
    credentials: Callable[[str], Credentials]


def builders_of(configuration: Configuration, means: Means) -> dict[str, Builders]:
    """``{kind: builders}`` of a fleet."""
    found: dict[str, Builders] = {}
    if configuration.builders.target:
        found[MINIONS] = Minions(means.client, configuration.name, configuration.builders)
    return found
