"""The fleet as OpenMetrics text, for a Prometheus that reads it from a file or through a program."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from vmimage.delivery import EXTRAS
from vmimage.errors import NotReady
from vmimage.fleet.plan import State
from vmimage.fleet.records import Ending
from vmimage.fleet.table import count_states, images_of

if TYPE_CHECKING:
    from prometheus_client import Metric


def make_metrics(name: str, status: Mapping[str, Any], totals: Mapping[str, Mapping[str, float]], at: float) -> str:
    """The text, whole: its last line is ``# EOF``.

    :param name: of the fleet
    :param status: of ``vm_fleet.status``: plain data
    :param totals: ``{ending: {"builds": how many, "seconds": all of them together}}`` since the fleet began
    :param at: now, seconds since 1970
    :raises NotReady: if prometheus_client is not installed; Salt 3008 brings it, older ones do not
    """
    try:
        from prometheus_client import CollectorRegistry
        from prometheus_client.openmetrics.exposition import generate_latest
    except ImportError:
        raise NotReady(
            "the Python package prometheus_client is not installed",
            hint=f"salt-pip install '{EXTRAS['metrics'][0]}'",
        ) from None
    registry = CollectorRegistry()
    registry.register(_Fleet(name, status, totals, at))
    return generate_latest(registry).decode()


class _Fleet:
    """What a registry collects."""

    def __init__(self, name: str, status: Mapping[str, Any], totals: Mapping[str, Mapping[str, float]], at: float) -> None:
        self._name, self._status, self._totals, self._at = name, status, totals, at

    def collect(self) -> Iterator["Metric"]:
        """Every series, each with the name of its fleet."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        status, fleet = self._status, self._name
        builds = CounterMetricFamily("vm_fleet_builds", "Builds that ended, by how", labels=["fleet", "ending"])
        seconds = CounterMetricFamily(
            "vm_fleet_build_seconds", "Time from claim to end, by how it ended", labels=["fleet", "ending"], unit="seconds"
        )
        for ending in Ending:
            total = self._totals.get(ending.value) or {}
            builds.add_metric([fleet, ending.value], total.get("builds", 0))
            seconds.add_metric([fleet, ending.value], total.get("seconds", 0.0))
        yield from (builds, seconds)

        images = GaugeMetricFamily(
            "vm_fleet_images", "Images that the configuration asks for, by state", labels=["fleet", "state"]
        )
        # each state, so that a series is there before the first image is in its state
        counted = {**dict.fromkeys(map(str, State), 0), **count_states(status)}
        for state, count in counted.items():
            images.add_metric([fleet, state], count)
        yield images

        running = GaugeMetricFamily("vm_fleet_running", "Builds under way", labels=["fleet"])
        running.add_metric([fleet], len(status["running"]))
        yield running
        problems = GaugeMetricFamily(
            "vm_fleet_problems", "Repositories that are left out or could not be asked", labels=["fleet"]
        )
        problems.add_metric([fleet], len(status["problems"]))
        yield problems

        age = GaugeMetricFamily(
            "vm_fleet_published_age_seconds", "Age of the published image", labels=["fleet", "image"], unit="seconds"
        )
        for image, facts in images_of(status).items():
            if facts["published_at"]:
                age.add_metric([fleet, image], max(0.0, self._at - facts["published_at"]))
        yield age
