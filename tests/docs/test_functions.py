"""Each function of vm_create says what it takes, what it returns, what it raises, and how it is called."""

import ast
import re

import pytest
from pages import PROJECT

MODULE = ast.parse((PROJECT / "_modules/vm_create.py").read_text(encoding="utf-8"))
FUNCTIONS = {
    node.name.rstrip("_"): node for node in MODULE.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
}


def parameters_of(function):
    rest = [argument.arg for argument in (function.args.vararg, function.args.kwarg) if argument]
    return [argument.arg for argument in function.args.args] + rest


@pytest.mark.parametrize("name", FUNCTIONS)
def test_its_docstring_has_each_parameter_in_order_the_return_the_errors_and_an_example(name):
    text = ast.get_docstring(FUNCTIONS[name])
    assert re.findall(r"^:param (?:\w+ )?(\w+):", text, re.MULTILINE) == parameters_of(FUNCTIONS[name])
    order = [
        re.search(pattern, text, re.MULTILINE)
        for pattern in (r"^:return: ", r"^:raises CommandExecutionError: ", r"^CLI Example:$")
    ]
    assert all(order), [found and found[0] for found in order]
    assert [found.start() for found in order] == sorted(found.start() for found in order)
    assert f"salt-call vm_create.{name}" in text


def test_functions_are_found():
    assert {"create_variation", "shell", "boot", "report"} <= FUNCTIONS.keys()
