"""Real builds: salt-call as a user runs it, real loops, chroots and boots.  What a test leaves behind is a failure of that test."""

import pytest
from building import Salt
from once import made_once
from root_fixtures import bootstrapped, light, machine, nothing_is_left, own_directories, salt  # noqa: F401  fixtures


@pytest.fixture(scope="session")
def sample(bootstrapped, tmp_path_factory):  # noqa: F811
    """The triplet of the sample variation, built once by create_variation, to be looked at."""
    return made_once(tmp_path_factory, "sample", build_sample)


def build_sample(directory):
    salt = Salt(directory / "minion")  # noqa: F811
    salt.pillar("web: {title: Seen in a test, pinned: {lsb-release: '12.*'}}\n")
    salt.returned = salt.good("vm_create.create_variation")
    return salt
