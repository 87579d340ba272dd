"""The rooms of the machinery and the arrows between them, as the imports draw them."""

import ast
from graphlib import TopologicalSorter

from building import PROJECT

MACHINERY = PROJECT / "_utils/vmimage"
#: from the ground up: a room imports from its own and from those before it
FLOORS = (
    ("errors", "delivery"),
    ("system",),
    ("repository",),
    ("settings",),
    ("root",),
    ("apt",),
    ("image",),
    ("base", "variation", "glance"),
    ("ec2", "nova"),
    ("instance", "build"),
    ("report",),
    ("fleet",),
    ("host",),
    ("builder",),
    ("faces",),
)
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
#: run by a Python in the root, where there is nothing else of this project
ALONE = "vmimage.variation.in_root."


def imports():
    """``{module: modules that it imports}``, of this project alone, by whole names; a face's room is ``faces``."""
    files = {f"vmimage.{path.relative_to(MACHINERY).with_suffix('')}".replace("/", "."): path for path in MACHINERY.rglob("*.py")}
    files |= {f"faces.{path.stem}": path for folder in ("_modules", "_states") for path in (PROJECT / folder).glob("*.py")}
    found = {}
    for name, path in files.items():
        asked = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module:
                asked |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
            elif isinstance(node, ast.Import):
                asked |= {alias.name for alias in node.names}
        found[name] = (asked & files.keys()) - {name}
    return found


def room(module):
    words = module.split(".")
    return words[0] if words[0] == "faces" else words[1]


def test_each_module_lies_in_a_room_that_is_known():
    assert {room(module) for module in imports() if not module.endswith("__init__")} == set(FLOOR)


def test_no_arrow_leads_upwards_or_to_a_neighbour():
    wrong = [
        f"{module} imports {asked}"
        for module, all_asked in imports().items()
        for asked in all_asked
        if not module.endswith("__init__") and room(asked) != room(module) and FLOOR[room(asked)] >= FLOOR[room(module)]
    ]
    assert wrong == []


def test_no_circle():
    TopologicalSorter(imports()).prepare()


def test_what_runs_in_a_root_imports_nothing_of_this_project():
    assert {module: asked for module, asked in imports().items() if module.startswith(ALONE) and asked} == {}


def test_a_module_is_short_enough_to_be_read():
    lines = {path: path.read_text(encoding="utf-8").count("\n") for path in MACHINERY.rglob("*.py")}
    assert {path.name: count for path, count in lines.items() if count > 420} == {}
