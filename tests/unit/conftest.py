"""No test of this group starts a program: whatever tries fails its test."""

import os
import subprocess

import hypothesis
import pytest
from vmimage.root import files

#: of a busy machine, not of a test
SLOW = [hypothesis.HealthCheck.too_slow]
hypothesis.settings.register_profile("unit", deadline=None, database=None, max_examples=100, suppress_health_check=SLOW)
hypothesis.settings.load_profile("unit")


@pytest.fixture(autouse=True, scope="module")
def _no_programs():
    def refuse(*arguments, **_):
        pytest.fail(f"a unit test started a program: {arguments[:1]}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess, "Popen", refuse)
        for name in ("fork", "forkpty", "system", "popen", "posix_spawn", "posix_spawnp", "execv", "execve", "execvp", "execvpe"):
            patch.setattr(os, name, refuse)
        yield


@pytest.fixture(scope="session")
def confining_kernel(lacking, tmp_path_factory):
    """For tests of vmimage.root.files: a kernel that resolves paths inside a directory."""
    try:
        files.exists(tmp_path_factory.mktemp("probe"), "/x")
    except OSError as error:
        lacking(f"openat2 does not work here: {error}; it needs Linux 5.6, and in a container a seccomp profile that knows it")
