"""How Sphinx builds the documentation; it needs no network."""

import re
from typing import Any

import metaskl

project = "metaskl"
author = "The metaskl developers"
copyright = "The metaskl developers"
version = release = metaskl.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_copybutton",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "_templates", "changes"]

html_theme = "furo"
html_title = f"metaskl {release}"
html_show_sourcelink = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
copybutton_exclude = ".linenos, .gp, .go"

# Docstrings that searches inherit from scikit-learn refer to its glossary, which is not ours.
suppress_warnings = ["ref.term"]
autosummary_generate = True
autodoc_typehints = "none"
# autosummary's class pages list the members already.
numpydoc_show_class_members = False


def skip_made_members(app: Any, what: str, name: str, obj: Any, skip: bool, options: Any) -> bool:
    """Leave out what others make and document: torch's methods, metadata routing."""
    if (getattr(obj, "__module__", None) or "").startswith("torch"):
        return True
    made = re.fullmatch(r"set_\w+_request|set_output|get_metadata_routing", name)
    return skip or made is not None


def setup(app: Any) -> None:
    """Register what this file adds to Sphinx."""
    app.connect("autodoc-skip-member", skip_made_members)
