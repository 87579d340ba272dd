"""A real Keystone and a real Glance for all tests, and a wire of its own for each test that wants to disturb them."""

import itertools
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from cloud import Cloud, make_template
from once import made_once
from wire import Wire

SERVERS = Path(__file__).resolve().parents[2] / ".venv-openstack"
NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Lane:
    """A region of the catalog whose image service is RegionOne's, behind a wire."""

    region: str
    wire: Wire


@pytest.fixture(scope="session", autouse=True)
def no_proxy():
    """The cloud is on the loopback."""
    with pytest.MonkeyPatch.context() as environment:
        for name in ("no_proxy", "NO_PROXY"):
            environment.setenv(name, "127.0.0.1,localhost")
        yield


@contextmanager
def opened_cloud(lacking, tmp_path_factory):
    """A :class:`cloud.Cloud` with a Glance in RegionOne, for the time of the block."""
    if not (SERVERS / "installed").exists():
        lacking("no Keystone and no Glance: ./run-tests openstack installs them")
    template = made_once(tmp_path_factory, "cloud", lambda directory: make_template(directory, SERVERS), by_all_groups=True)
    with Cloud(tmp_path_factory.mktemp("cloud"), SERVERS, template=template) as cloud:
        cloud.glance("RegionOne")
        yield cloud
    assert not cloud.processes(), "servers are left"


@pytest.fixture(scope="session")
def cloud(lacking, tmp_path_factory):
    """The cloud of all tests that want no other."""
    with opened_cloud(lacking, tmp_path_factory) as cloud:
        yield cloud


@pytest.fixture
def lane(cloud):
    """A :class:`Lane` of the test's own."""
    with Wire(cloud.glances["RegionOne"].port) as wire, cloud.registered(f"Lane{next(NUMBERS)}", wire.url) as region:
        yield Lane(region, wire)
