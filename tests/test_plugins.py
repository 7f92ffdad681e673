"""What every package in plugins/ has, so that it can be installed, tested and found."""

import ast
import importlib.metadata
import inspect
import re
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from metaskl.registry import list_learners

ROOT = Path(__file__).resolve().parents[1]
PLUGINS = sorted((ROOT / "plugins").glob("*/pyproject.toml"))


@pytest.fixture(params=PLUGINS, ids=[path.parent.name for path in PLUGINS])
def plugin(request):
    """Give the folder of a plugin, and its project table."""
    return request.param.parent, tomllib.loads(request.param.read_text())["project"]


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def test_it_has_what_a_package_needs(plugin):
    folder, project = plugin
    assert project["name"] == folder.name
    assert folder.name.startswith("metaskl-")
    missing = [n for n in ("README.md", "example.py", "tests") if not (folder / n).exists()]
    assert missing == []
    # Only these are collected; see testpaths.
    assert list(folder.glob("metaskl_*"))
    assert list((folder / "tests").glob("test_*.py"))


def test_its_requirements_have_a_lower_bound_and_an_exact_version_to_test_with(plugin):
    _, project = plugin
    pins = {
        normal(line.partition("==")[0])
        for line in (ROOT / "constraints.txt").read_text().splitlines()
    }
    for requirement in project["dependencies"]:
        assert re.fullmatch(r"[\w.-]+(\[[\w,-]+\])?>=[\d.]+", requirement)
        name = normal(re.match(r"[\w.-]+", requirement).group())
        assert name in pins | {"metaskl"}


def test_it_is_installed_and_its_learners_are_found(plugin):
    _, project = plugin
    assert importlib.metadata.version(project["name"])
    offered = project.get("entry-points", {}).get("metaskl.learners", {})
    listed = {
        info.name: info.value
        for info in list_learners()
        if normal(info.distribution) == normal(project["name"])
    }
    assert listed == offered


def calls(code, namespace):
    """Give the calls of what a namespace holds: the callable, arguments without name, and names."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id in namespace, f"{node.func.id} is not imported"
            names = [keyword.arg for keyword in node.keywords]
            yield namespace[node.func.id], len(node.args), names


def test_what_its_readme_imports_is_there_and_takes_these_arguments(plugin):
    # Its examples stand for data of the reader's own, so that they cannot be run as they are.
    folder, _ = plugin
    blocks = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    namespace, tried = {}, []
    for block in blocks:
        lines = [n for n in ast.parse(block).body if isinstance(n, ast.Import | ast.ImportFrom)]
        exec(compile(ast.Module(lines, []), folder.name, "exec"), namespace)
        for called, n_args, names in calls(block, namespace):
            inspect.signature(called).bind_partial(*[None] * n_args, **dict.fromkeys(names))
            tried.append(called)
    assert len(tried) > 2


def test_modules_of_the_tests_of_plugins_have_names_of_their_own():
    # They are imported by their bare names, as those of tests/ are, conftest.py among them.
    folders = [ROOT / "tests", *(path.parent / "tests" for path in PLUGINS)]
    names = Counter(path.name for folder in folders for path in folder.rglob("*.py"))
    of_plugins = {path.name for folder in folders[1:] for path in folder.rglob("*.py")}
    assert [name for name in sorted(of_plugins) if names[name] > 1] == []
