"""A machine that can build and boot the reference; what a test leaves behind is a failure of that test."""

import pytest
from root_fixtures import bootstrapped, machine, nothing_is_left, own_directories  # noqa: F401  fixtures


def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker(pytest.mark.root)
