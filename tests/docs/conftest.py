"""The pages as HTML, built once in a run, and a minion for each test."""

import importlib.util
import subprocess
import sys

import pytest
from minions import Minion
from once import made_once
from pages import PROJECT


@pytest.fixture
def minion(tmp_path):
    """A function that makes a minion with some options."""
    return lambda **config: Minion(tmp_path, **config)


@pytest.fixture(scope="session")
def build_pages(lacking):
    """A function that builds the pages of a source directory: ``(exit code, what Sphinx said)``."""
    if not all(map(importlib.util.find_spec, ("sphinx", "furo", "myst_parser"))):
        lacking("Sphinx is not installed: ./run-tests docs, as root, installs it")

    def build(source, target, *options):
        argv = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-n", *options, source, target]
        done = subprocess.run(argv, cwd=PROJECT, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    return build


@pytest.fixture(scope="session")
def built(tmp_path_factory, build_pages):
    """``(exit code, what Sphinx said, directory of the HTML)`` of all pages."""

    def make(directory):
        return *build_pages(PROJECT / "docs", directory / "html"), directory / "html"

    return made_once(tmp_path_factory, "pages", make)
