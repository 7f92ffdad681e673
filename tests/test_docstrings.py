"""What docstrings say of parameters is as in the code, and in numpydoc's order."""

import importlib
import inspect
import pkgutil
from pathlib import Path
from types import FunctionType

import pytest
from numpydoc.validate import validate

import metaskl

ROOT = Path(__file__).parent.parent
PACKAGES = ["metaskl", *(path.name for path in ROOT.glob("plugins/*/metaskl_*") if path.is_dir())]
KINDS = (FunctionType, classmethod, staticmethod, property)
# Sections in order; no parameter unknown, missing, out of order or without a type's colon; what
# a function does is said in the imperative.
CHECKS = {"GL05", "GL06", "GL07", "PR01", "PR02", "PR03", "PR10", "SS05"}


def modules_of(package):
    root = importlib.import_module(package)
    names = [m.name for m in pkgutil.walk_packages(root.__path__, f"{package}.")]
    return [root, *(importlib.import_module(name) for name in names if "__main__" not in name)]


def members_of(module):
    """Yield the path of each class, function and method that the module defines."""
    for name, value in vars(module).items():
        if name.startswith("_") or getattr(value, "__module__", "") != module.__name__:
            continue
        if inspect.isclass(value) or inspect.isfunction(value):
            yield f"{module.__name__}.{name}"
        if inspect.isclass(value):
            own = (key for key, item in vars(value).items() if isinstance(item, KINDS))
            yield from (
                f"{module.__name__}.{name}.{k}" for k in own if not k.startswith(("_", "test_"))
            )


@pytest.mark.parametrize("package", PACKAGES)
def test_docstrings_are_in_order_and_true_to_the_signature(package):
    paths = [path for module in modules_of(package) for path in members_of(module)]
    assert paths
    found = {}
    for path in paths:
        result = validate(path)
        # Where one sentence is all there is, parameters speak for themselves.
        brief = "Parameters\n" not in (result["docstring"] or "")
        wanted = CHECKS - {"PR01"} if brief else CHECKS
        if hasattr(pkgutil.resolve_name(path), "get_params"):  # its own first, then the shared
            wanted = wanted - {"PR03"}
        if wrong := [f"{code} {text}" for code, text in result["errors"] if code in wanted]:
            found[path] = wrong
    assert found == {}


def test_every_public_function_describes_its_parameters():
    for name in metaskl.__all__:
        value = getattr(metaskl, name)
        if callable(value) and inspect.signature(value).parameters:
            assert "Parameters\n" in inspect.getdoc(value), name
