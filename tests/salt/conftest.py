"""A minion for each test."""

import pytest
from minions import Minion


@pytest.fixture
def minion(tmp_path):
    """A function that makes a minion with some options."""
    return lambda **config: Minion(tmp_path, **config)
