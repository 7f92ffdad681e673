import ast
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import metaskl

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "metaskl"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SOURCES = sorted([*PACKAGE.rglob("*.py"), *(ROOT / "plugins").rglob("*.py")])
TOP_LEVEL = {"pyproject.toml", "metaskl", "plugins", "tests", "docs", "examples"} | {
    "README.md",
    "LICENSE",
    "Makefile",
    "constraints.txt",
}
FRAGMENT = re.compile(r"[\w-]+\.(added|changed|fixed|deprecated|removed)(\.\d+)?\.md")
# Written so that this line does not match itself.
MACHINE_PATH = re.compile(r"(?<![\w.:~])/(?:home|Users|root|work|mnt|scratch)/\w")


def files_of_the_project():
    """What git tracks or would track; in an unpacked release, what lies there."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        names = subprocess.run(listing, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        names = "\n".join(str(p.relative_to(ROOT)) for p in ROOT.rglob("*") if p.is_file())
    return [Path(name) for name in names.splitlines() if (ROOT / name).is_file()]


def relative(paths):
    return [str(path.relative_to(ROOT)) for path in paths]


def lint_imports(folder):
    code = "from importlinter.cli import lint_imports_command as run; run()"
    command = [sys.executable, "-c", code, "--no-logo", "--no-cache"]
    # A wide line, so that no name is broken in two.
    env = {**os.environ, "COLUMNS": "300"}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def run_python(code):
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()


def statements(function):
    """Count the statements below a function's head, its docstring left out."""
    has_docstring = ast.get_docstring(function) is not None
    return sum(isinstance(node, ast.stmt) for node in ast.walk(function)) - 1 - has_docstring


def requirements():
    named = [*PROJECT["project"]["dependencies"]]
    for extra in PROJECT["project"]["optional-dependencies"].values():
        named += extra
    return [name for name in named if not name.startswith("metaskl[")]


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def test_rooms_import_downwards_and_libraries_enter_by_their_door():
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_import_contracts_catch_what_they_should(tmp_path):
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(PACKAGE, tmp_path / "metaskl", ignore=shutil.ignore_patterns("__pycache__"))
    planted = {
        "learners/planted.py": "from metaskl.estimators import base\nimport sklearn\n",
        "report/planted.py": "import torch\n",
        "estimators/planted.py": "import optuna\nimport rich.table\nfrom skorch import NeuralNet\n",
        "newroom/__init__.py": "",
    }
    for name, source in planted.items():
        (tmp_path / "metaskl" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "metaskl" / name).write_text(source)
    report = lint_imports(tmp_path).stdout
    for caught in [
        "metaskl.learners is not allowed to import metaskl.estimators",
        "metaskl.learners is not allowed to import sklearn",
        "metaskl.report is not allowed to import torch",
        "metaskl.estimators.planted -> optuna",
        "metaskl.estimators.planted -> rich",
        "metaskl.estimators.planted -> skorch",
        "- metaskl.newroom",
    ]:
        assert caught in report


@pytest.mark.parametrize("path", SOURCES, ids=relative(SOURCES))
def test_modules_and_functions_are_small(path):
    source = path.read_text()
    assert len(source.splitlines()) <= 300, "split it along a concept"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert statements(node) <= 40, f"{node.name} has {statements(node)} statements"


def test_no_module_is_a_drawer_for_everything():
    drawers = {"utils", "util", "common", "core", "helpers", "misc"}
    assert [
        path for path in relative(SOURCES) if drawers & set(Path(path).with_suffix("").parts)
    ] == []


def test_importing_the_package_is_light():
    loaded = set(run_python("import metaskl, sys; print(*sys.modules)"))
    heavy = {"torch", "skorch", "sklearn", "optuna", "dask", "matplotlib", "pandas", "numpy"}
    assert heavy & loaded == set()


def test_the_tables_of_public_names_agree():
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    (checking,) = [node for node in tree.body if isinstance(node, ast.If)]
    for_checkers = {node.names[0].name: node.module for node in checking.body}
    assert for_checkers == metaskl._HOMES
    assert sorted([*metaskl._HOMES, "__version__"]) == sorted(metaskl.__all__)
    assert set(metaskl.__all__) <= set(dir(metaskl))


@pytest.mark.parametrize("name", metaskl.__all__)
def test_every_public_name_is_there(name):
    assert getattr(metaskl, name) is getattr(metaskl, name)


def test_no_room_below_the_top_takes_public_names_from_the_package():
    """By them it would reach a room above it, which the contracts cannot see."""
    found = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).parts[0] not in {"cli", "testing"}
        for node in ast.walk(ast.parse(path.read_text()))
        if (
            isinstance(node, ast.ImportFrom)
            and node.module == "metaskl"
            and {alias.name for alias in node.names} & set(metaskl._HOMES)
        )
        or (isinstance(node, ast.Import) and any(a.name == "metaskl" for a in node.names))
    ]
    assert found == []


def test_every_room_can_be_reached_from_the_package():
    rooms = {
        path.stem
        for path in PACKAGE.iterdir()
        if (path / "__init__.py").exists() or path.suffix == ".py"
    }
    rooms = {room for room in rooms if not room.startswith("_")} - {"cli"}
    assert rooms == metaskl._ROOMS
    names = run_python("import metaskl; print(metaskl.errors.__name__, metaskl.tasks.__name__)")
    assert names == ["metaskl.errors", "metaskl.tasks"]


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'metaskl' has no attribute 'nothing'"):
        metaskl.nothing  # noqa: B018


def test_the_version_has_one_source():
    assert importlib.metadata.version("metaskl") == metaskl.__version__


def test_the_top_level_holds_only_what_the_design_allows():
    top = {path.parts[0] for path in files_of_the_project()}
    assert {name for name in top if not name.startswith(".")} - TOP_LEVEL == set()


def test_no_file_names_a_path_of_somebodys_machine():
    found = []
    for path in files_of_the_project():
        try:
            text = (ROOT / path).read_text()
        except UnicodeDecodeError:
            continue
        found += [f"{path}: {match.group()}" for match in MACHINE_PATH.finditer(text)]
    assert found == []


def test_no_data_file_lies_in_the_package():
    data = {".csv", ".db", ".gz", ".joblib", ".npy", ".npz", ".parquet", ".pkl", ".pt", ".zip"}
    package = [path for path in files_of_the_project() if path.parts[0] == "metaskl"]
    assert [path for path in package if path.suffix in data] == []


@pytest.mark.parametrize("requirement", requirements())
def test_requirements_have_a_lower_bound_and_no_upper_one(requirement):
    assert re.fullmatch(r"[\w.-]+(\[[\w,-]+\])?>=[\d.]+", requirement)


def test_constraints_cover_every_requirement_with_one_exact_version():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    odd = [pin for pin in pins if not re.fullmatch(r"[\w.-]+==[\w.]+", pin)]
    assert odd == [], "no URL, no local tag, nothing but name==version"
    pinned = [normal(pin.partition("==")[0]) for pin in pins]
    assert len(pinned) == len(set(pinned))
    named = {normal(re.match(r"[\w.-]+", text).group()) for text in requirements()}
    assert named - set(pinned) == set()


def test_every_learner_has_a_test_of_its_own():
    for value in PROJECT["project"]["entry-points"]["metaskl.learners"].values():
        module = value.partition(":")[0].rpartition(".")[2]
        assert (ROOT / "tests" / "learners" / f"test_{module}.py").exists()


def test_change_notes_are_named_so_that_towncrier_finds_them():
    notes = [path for path in (ROOT / "docs" / "changes").iterdir() if path.suffix == ".md"]
    assert [path.name for path in notes if not FRAGMENT.fullmatch(path.name)] == []
    assert [path.name for path in notes if not path.read_text().strip().endswith(".")] == []


def test_every_public_name_is_in_the_reference():
    reference = (ROOT / "docs" / "reference.md").read_text()
    listed = re.findall(r"^   (\w+)$", reference, flags=re.MULTILINE)
    assert set(metaskl.__all__) - {"__version__"} - set(listed) == set()
