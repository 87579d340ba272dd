"""The cloud of :mod:`cloud_fixtures`, emptied after each test."""

import pytest
from cloud_fixtures import cloud, lane, no_proxy  # noqa: F401  fixtures
from root_fixtures import bootstrapped, light, salt  # noqa: F401  fixtures


@pytest.fixture(autouse=True)
def no_image_is_left(cloud):  # noqa: F811
    """The next test finds a Glance that runs, with no image."""
    yield
    cloud.remove_images()
