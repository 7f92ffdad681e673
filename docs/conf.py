"""How Sphinx builds the documentation; it needs no network."""

import os
import re
from pathlib import Path
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
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "_templates", "changes", "gallery/**/*.ipynb", "gallery/**/*.py"]

html_theme = "furo"
html_title = f"metaskl {release}"
html_show_sourcelink = False

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
copybutton_exclude = ".linenos, .gp, .go"

# The gallery runs where the data are; without them its scripts are shown unrun.
_DATA = os.environ.get("METASKL_DATA")
sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"/plot_",
    "plot_gallery": bool(_DATA and Path(_DATA).is_dir()),
    "abort_on_example_error": True,
    # A script that is as it was may fail by what it uses.
    "run_stale_examples": True,
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "nested_sections": False,
    "capture_repr": (),
    "write_computation_times": False,
    "ignore_pattern": "school_report",
}

# Docstrings that searches inherit from scikit-learn refer to its glossary, which is not ours.
suppress_warnings = ["ref.term"]
# A reference that resolves to nothing is an error; Bunch has no page of its own in scikit-learn's.
nitpicky = True
nitpick_ignore = [("py:class", "sklearn.utils.Bunch")]
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
