"""What the fleet remembers of forges' calls and of notifications."""

import pytest
from vmimage.fleet.deliveries import Deliveries
from vmimage.fleet.notify import Notify
from vmimage.fleet.records import Ending, Result

WANTED = Notify(returner="slack")


class Cache:
    """Salt's cache, in memory."""

    def __init__(self):
        self.data = {}

    def store(self, bank, key, data):
        self.data[bank, key] = data

    def fetch(self, bank, key):
        return self.data.get((bank, key), {})


@pytest.fixture
def ours(tmp_path):
    return Deliveries(Cache(), "main", tmp_path)


def build(number, ending, name="web-amd64"):
    return Result(number, name, f"d{number}", "0" * 40, "b1", Ending(ending), "", 3.0, 1.8e9)


def notified(ours, *results):
    """What is notified of these results, given in any order."""
    newest_first = sorted(results, key=lambda result: -result.number)
    return ours.notify(WANTED, newest_first, lambda name, job: None)


def test_a_call_is_taken_once_also_by_a_fleet_that_begins_again(ours, tmp_path):
    assert ours.take("a") and not ours.take("a") and ours.take("b")
    again = Deliveries(ours._cache, "main", tmp_path)
    assert not again.take("a")
    other = Deliveries(ours._cache, "other", tmp_path)
    assert other.take("a")


def test_who_begins_to_be_notified_hears_of_nothing_past(ours):
    assert notified(ours, build(1, "failed"), build(2, "failed", "db")) == []
    assert notified(ours, build(1, "failed"), build(2, "failed", "db"), build(3, "failed", "db")) == ["failed db"]


def test_each_result_is_notified_of_once(ours):
    notified(ours)
    assert notified(ours, build(1, "failed")) == ["failed web-amd64"]
    assert notified(ours, build(1, "failed")) == []
    assert notified(ours, build(1, "failed"), build(2, "published")) == ["recovered web-amd64"]
    assert notified(ours, build(1, "failed"), build(2, "published")) == []


def test_what_became_of_another_image_says_nothing_of_this_one(ours):
    notified(ours)
    assert notified(ours, build(1, "failed", "db"), build(2, "published")) == ["failed db"]


def test_a_build_that_ends_after_a_later_one_is_notified_of_too(ours):
    notified(ours)
    assert notified(ours, build(7, "published", "db")) == []
    assert notified(ours, build(7, "published", "db"), build(5, "failed")) == ["failed web-amd64"]


def test_what_is_no_longer_kept_is_forgotten(ours):
    notified(ours)
    for number in range(1, 40):
        notified(ours, build(number, "published"), build(number + 1, "published"))
    assert ours._cache.fetch("vm_fleet/main/deliveries", "notified") == {"numbers": [39, 40]}


def test_a_crash_before_the_memory_is_written_notifies_once_more(ours):
    notified(ours)
    store = ours._cache.store

    def torn(*_):
        raise OSError("no space")

    ours._cache.store = torn
    with pytest.raises(OSError):
        notified(ours, build(1, "failed"))
    ours._cache.store = store
    assert notified(ours, build(1, "failed")) == ["failed web-amd64"]
