"""Tests of this group run the real programs on files of their own; none needs root."""

import pytest
from vmimage.system.shell import run


@pytest.fixture
def debugfs():
    """``debugfs(image, "stat /etc")``: what is in a file system, seen by a program that is not ours."""

    def ask(image, request):
        return run(["debugfs", "-R", request, image]).output

    return ask
