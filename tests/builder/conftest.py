"""Builders: runs from userdata to the published triplet, on this machine and in instances in QEMU, against real servers."""

import pytest
from builder_machine import Builder
from cloud_fixtures import cloud, no_proxy  # noqa: F401  fixtures
from creation import creation  # noqa: F401
from repository_fixtures import served  # noqa: F401
from repository_server import Server
from root_fixtures import bootstrapped, light, machine, nothing_is_left, own_directories  # noqa: F401


@pytest.fixture(scope="session")
def repositories(served):  # noqa: F811
    """A :class:`repository_server.Server` for all repositories below its ``top``."""
    with Server(*served).running() as server:
        yield server


@pytest.fixture
def builder(tmp_path, light):  # noqa: F811
    builder = Builder(tmp_path / "builder", light)
    yield builder
    builder.stop()


@pytest.fixture
def emptied(cloud):  # noqa: F811
    """The cloud, with no image after the test."""
    yield cloud
    cloud.remove_images()
