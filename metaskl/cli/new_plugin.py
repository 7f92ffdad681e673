"""``metaskl new-plugin``: a package with a learner of one's own, to start from."""

from __future__ import annotations

import keyword
import re
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Annotated

import typer

from metaskl import __version__
from metaskl.errors import ParameterError
from metaskl.registry import list_learners

_NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")
# What the module imports, so that the class may not be called so.
_TAKEN = {"MetaLearner", "Real"}


def new_plugin(
    name: Annotated[
        str, typer.Argument(help="The learner's name, such as my-learner.", show_default=False)
    ],
    into: Annotated[Path, typer.Option(help="Folder in which the package's is made.")] = Path(),
) -> None:
    """Write a package that offers a learner: a working one, to be changed into yours."""
    words = _words(name)
    folder = into / "-".join(["metaskl", *words])
    values = {
        "package": folder.name,
        "module": "_".join(["metaskl", *words]),
        "learner": "_".join(words),
        "class_name": _class_name(name, words),
        "version": __version__,
    }
    _check_free(values["learner"])
    if folder.exists():
        raise ParameterError(
            f"NAME must be that of a new package, got {name!r}, but {str(folder)!r} is there "
            "already. Choose another name, or another folder with --into."
        )
    folder.mkdir(parents=True)
    templates = files("metaskl.cli") / "plugin_files"
    for template, file in {
        "pyproject.toml": "pyproject.toml",
        "README.md": "README.md",
        "module.py": f"{values['module']}.py",
        "test.py": f"test_{values['module']}.py",
    }.items():
        text = (templates / f"{template}.template").read_text(encoding="utf-8")
        (folder / file).write_text(Template(text).substitute(values), encoding="utf-8")
    typer.echo(
        f"{folder} holds the learner {values['learner']!r}: ridge regression, to be changed into "
        f"yours in {values['module']}.py. To install and to test it:\n"
        f"  cd {folder}\n  pip install -e . pytest\n  pytest"
    )


def _words(name: str) -> list[str]:
    """Return the parts of a name, without the metaskl in front."""
    plain = name.removeprefix("metaskl-").removeprefix("metaskl_")
    if not _NAME.fullmatch(plain):
        raise ParameterError(
            "NAME must be words of small letters and digits with - between them, got "
            f"{name!r}. Give for example my-learner."
        )
    return re.split("[-_]", plain)


def _class_name(name: str, words: list[str]) -> str:
    """Return the words as the name of a class."""
    found = "".join(word.capitalize() for word in words)
    if keyword.iskeyword(found) or found in _TAKEN:
        raise ParameterError(
            f"NAME must make a name for a class, got {name!r}, and {found} has a meaning already. "
            "Choose another."
        )
    return found


def _check_free(learner: str) -> None:
    """Raise if an installed package offers the learner's name."""
    for info in list_learners():
        if info.name == learner:
            raise ParameterError(
                f"NAME must be free, got {learner!r}, which {info.distribution} offers. Choose "
                "another: of two learners with one name neither is found by it."
            )
