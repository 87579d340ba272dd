"""How Sphinx builds these pages: ./run-tests docs, or .venv/bin/sphinx-build docs build/docs."""

import runpy
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TOP / name) for name in ("docs/_ext", "_utils", "_modules", "_states", "_runners")]

project = "salt-ami-cloud-builder"
version = release = runpy.run_path(str(TOP / "_utils/vmimage/delivery.py"))["VERSION"]
copyright = "the authors of salt-ami-cloud-builder. Apache License 2.0"  # noqa: A001  (Sphinx reads this name)

extensions = ["myst_parser", "sphinx.ext.autodoc", "vmimage_docs"]
exclude_patterns = ["_build"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4
highlight_language = "text"
autodoc_member_order = "bysource"
autodoc_typehints = "none"

nitpicky = True
# Python's and Salt's own names: their documentation is elsewhere
nitpick_ignore_regex = [
    ("py:class", r"str|bool|int|float|dict|list|tuple|Path"),
    ("py:exc", r"CommandExecutionError|OSError"),
]

html_theme = "furo"
html_title = project
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_show_sphinx = False
html_copy_source = False
