"""What all groups of tests share: the checkout on the path, and how a test says what it needs of the machine.

    @pytest.mark.needs("qemu-img", "sfdisk")     these programs
    def test_...(lacking): lacking("no Keystone; start one with ...")    anything else

Where something lacks the test is skipped and says how to get it; with CI=true it fails, for there nothing may lack.
"""

import os
import sys
from pathlib import Path

import pytest
from hostile_table import MARK, note_inputs, print_table

TOP = Path(__file__).resolve().parents[1]
sys.path.insert(0, os.fspath(TOP / "_utils"))

from vmimage.system.shell import PACKAGE_OF, find_program  # noqa: E402

_PACKAGE_OF = {**PACKAGE_OF, "gpg": "gnupg", "gpgconf": "gpgconf", "sfdisk": "fdisk", "sgdisk": "gdisk"}
_PACKAGE_OF |= {"sshd": "openssh-server", "ssh-keygen": "openssh-client"}


def lacks(what):
    """Skip a test, or fail it in CI."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"{what} (CI=true: a skip is a failure)", pytrace=False)
    pytest.skip(what)


@pytest.fixture(scope="session")
def lacking():
    """:func:`lacks`, for tests and fixtures that probe for more than programs."""
    return lacks


def pytest_configure(config):
    config.addinivalue_line("markers", "needs(*programs): host programs that the test runs")
    config.addinivalue_line("markers", MARK)
    config.addinivalue_line("markers", "light: builds start from the light base, for what is looked at is the same on any base")


def pytest_collection_modifyitems(items):
    note_inputs(items)


def pytest_terminal_summary(terminalreporter):
    print_table(terminalreporter)


def pytest_runtest_setup(item):
    programs = [program for mark in item.iter_markers("needs") for program in mark.args]
    for program in programs:
        if find_program(program) is None:
            lacks(f"the program {program} is not installed: apt-get install {_PACKAGE_OF.get(program, program)}")


@pytest.fixture(scope="session")
def tree():
    """A maker of files below a directory: ``tree(root, {"etc/a": "text", "bin/b": b"bytes", "lib": "-> usr/lib", "empty/": None})``."""

    def make(top, entries):
        top = Path(top)
        top.mkdir(parents=True, exist_ok=True)
        for name, content in entries.items():
            path = top / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                path.mkdir(exist_ok=True)
            elif isinstance(content, bytes):
                path.write_bytes(content)
            elif content.startswith("-> "):
                path.symlink_to(content[3:])
            else:
                path.write_text(content, encoding="utf-8")
        return top

    return make


@pytest.fixture
def root(tmp_path, tree):
    """A directory that stands for the root of an image; beside it ``outside``, which nothing may touch or read."""
    tree(tmp_path / "outside", {"secret": "of the host"})
    return tree(tmp_path / "root", {"etc/": None, "boot/": None, "run/": None})
