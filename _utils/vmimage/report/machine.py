"""What a machine of the image starts, who its users are, and which ports its sockets have."""

from collections.abc import Mapping, Sequence
from typing import Any

from vmimage.report.html import Markup, element, folded, table

_OPEN = 24  # more units are folded


def machine(described: Mapping[str, Any] | None) -> Markup | None:
    """The section, or None where nothing is known.

    :param described: of :func:`vmimage.image.machine.describe_machine`
    """
    if not described:
        return None
    users = [(user["name"], user["uid"], user["home"], user["shell"]) for user in described["users"]]
    ports = [(port["port"], port["protocol"], port["unit"]) for port in described["listens"]]
    return element(
        "section",
        element("h2", "What a machine of it starts"),
        _units("enabled", described["enabled"]),
        _units("masked", described["masked"]) if described["masked"] else None,
        element("h3", "Users that the base does not have"),
        table(["User", "#Id", "Home", "Shell"], users) if users else element("p", "None."),
        element("h3", "Ports"),
        table(["#Port", "Protocol", "Socket"], ports) if ports else None,
        element(
            "p", "Ports that services open by themselves are in no file: ", element("code", "vm_create.boot"), " probes them."
        ),
        id="machine",
    )


def _units(word: str, names: Sequence[str]) -> Markup:
    return folded(f"{len(names)} units are {word}", element("pre", "\n".join(names), class_="log"), open_=len(names) <= _OPEN)
