"""Each case is built and looked at; see :mod:`cases` for what a case is, and its case.md for what is right."""

from pathlib import Path

import pytest
from cases import Run, own_cases, shared_cases

HERE = Path(__file__).parent


def pytest_generate_tests(metafunc):
    shared = metafunc.config.getoption("--shared", None)
    cases = own_cases(HERE) + (shared_cases(shared, HERE / "shared.yaml", HERE / "shared") if shared else [])
    metafunc.parametrize("case", [pytest.param(case, id=case.id, marks=_marks(case)) for case in cases])


def _marks(case):
    return [pytest.mark.xfail(reason=case.known, strict=True, raises=pytest.fail.Exception)] if case.known else []


def test_what_is_right_is_in_the_image(case, salt, bootstrapped, light):
    wrong = Run(case, salt, bootstrapped, light).wrong()
    if wrong:
        pytest.fail(wrong, pytrace=False)
