"""A machine that can build and boot the reference; what a test leaves behind is a failure of that test."""

from root_fixtures import bootstrapped, machine, nothing_is_left, own_directories  # noqa: F401  fixtures
