"""Other packages, where they are installed or unpacked."""

import importlib.util
import sys
import types
from pathlib import Path


def bare_package(name: str, folder: Path) -> None:
    """Let modules of a package be imported without its `__init__`.

    Those of learn2learn and easyfsl import image libraries that none of what is timed needs.
    """
    if name not in sys.modules:
        module = types.ModuleType(name)
        module.__path__ = [str(folder)]
        sys.modules[name] = module


def use_learn2learn(folder: Path) -> None:
    """Take learn2learn from its unpacked source archive.

    Its release has compiled parts that do not build on a current Python; its algorithms are
    plain Python.
    """
    found = [path.parent.parent for path in Path(folder).glob("**/learn2learn/algorithms/maml.py")]
    if not found:
        raise SystemExit(f"{folder} holds no learn2learn/algorithms/maml.py.")
    package = found[0].parent / "learn2learn" if found[0].name != "learn2learn" else found[0]
    for name in ("", ".algorithms", ".nn"):
        bare_package(f"learn2learn{name}", package / name[1:])


def use_easyfsl() -> None:
    """Take the methods of easyfsl alone: the rest of it wants torchvision."""
    spec = importlib.util.find_spec("easyfsl")
    if spec is None or not spec.submodule_search_locations:
        raise ImportError("easyfsl is not installed")
    bare_package("easyfsl.methods", Path(spec.submodule_search_locations[0]) / "methods")


def versions() -> str:
    """Return the versions of what is compared, for the head of a report."""
    from importlib import metadata

    found = []
    for name in ("torch", "numpy", "scikit-learn", "jax", "optax", "higher", "torchopt", "easyfsl"):
        try:
            found.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            found.append(f"{name} not installed")
    there = "learn2learn" in sys.modules
    return ", ".join([*found, f"learn2learn {'from its archive' if there else 'not given'}"])
