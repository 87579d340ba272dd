"""The fleet as OpenMetrics text, as a parser of it reads it."""

import builtins

import pytest
from fleet_status import NOW, image, status
from vmimage.errors import NotReady
from vmimage.fleet.metrics import make_metrics

parser = pytest.importorskip("prometheus_client.openmetrics.parser", reason="Salt before 3008 does not bring prometheus_client")

TOTALS = {"published": {"builds": 7, "seconds": 210.5}, "failed": {"builds": 2, "seconds": 31.0}}


def samples(text):
    """``{(name, further labels): value}``; the label of the fleet is seen and taken away."""
    found = {}
    for family in parser.text_string_to_metric_families(text):
        for sample in family.samples:
            labels = dict(sample.labels)
            assert labels.pop("fleet") == "main"
            found[(sample.name, *labels.values())] = sample.value
    return found


def test_builds_by_their_ending_and_their_seconds_are_counted():
    found = samples(make_metrics("main", status(), TOTALS, NOW))
    assert found[("vm_fleet_builds_total", "published")] == 7 and found[("vm_fleet_builds_total", "failed")] == 2
    assert found[("vm_fleet_builds_total", "lost")] == 0
    assert found[("vm_fleet_build_seconds_total", "published")] == 210.5


def test_images_by_state_builds_under_way_and_problems():
    found = samples(make_metrics("main", status(problems={"x": "wrong"}), {}, NOW))
    assert {key[1]: value for key, value in found.items() if key[0] == "vm_fleet_images"} == {
        "fine": 1, "waiting": 1, "parked": 1, "building": 1, "missing": 0, "stale": 0, "paused": 0, "unknown": 0,
    }  # fmt: skip
    assert found[("vm_fleet_running",)] == 1 and found[("vm_fleet_problems",)] == 1


def test_a_published_image_has_an_age():
    found = samples(
        make_metrics(
            "main",
            status(
                plan={"cache-amd64": image(published_at=NOW - 7200), "new": image(published_at=NOW + 9), "none": image("missing")}
            ),
            {},
            NOW,
        )
    )
    ages = {key[1]: value for key, value in found.items() if key[0] == "vm_fleet_published_age_seconds"}
    assert ages == {"cache-amd64": 7200, "new": 0}


def test_strange_names_stay_within_their_label():
    name = 'a"} 1\n# EOF\\'
    found = samples(make_metrics("main", status(plan={name: image(name, published_at=NOW - 1)}), {}, NOW))
    assert found[("vm_fleet_published_age_seconds", name)] == 1 and found[("vm_fleet_images", name)] == 1


def test_the_text_is_whole():
    assert make_metrics("main", status(), TOTALS, NOW).endswith("\n# EOF\n")


def test_without_prometheus_client_the_package_is_named(monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name.startswith("prometheus_client"):
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(NotReady, match="prometheus_client"):
        make_metrics("main", status(), TOTALS, NOW)
