"""Real input: what users write, applied by real builds."""

from pathlib import Path

from root_fixtures import bootstrapped, light, machine, nothing_is_left, own_directories, salt  # noqa: F401  fixtures


def pytest_addoption(parser):
    parser.addoption("--shared", type=Path, metavar="DIRECTORY", help="build the cases of this directory, too")
