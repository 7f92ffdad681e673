"""Storing an estimator in every way there is, and loading it here or in another process."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import numpy.typing as npt

from metaskl.persistence import load, save

Array = npt.NDArray[Any]


def _pickled(estimator: Any, path: Path) -> None:
    path.write_bytes(pickle.dumps(estimator))


def _unpickled(path: Path, trusted: list[str]) -> Any:
    del trusted
    return pickle.loads(path.read_bytes())


def _joblib_loaded(path: Path, trusted: list[str]) -> Any:
    del trusted
    return joblib.load(path)


def _loaded(path: Path, trusted: list[str]) -> Any:
    return load(path, trusted=trusted)


WAYS: dict[str, tuple[Callable[[Any, Path], Any], Callable[[Path, list[str]], Any]]] = {
    "pickle": (_pickled, _unpickled),
    "joblib": (joblib.dump, _joblib_loaded),
    "metaskl.save": (save, _loaded),
}


def round_trip(estimator: Any, way: str, folder: Path) -> Any:
    """Store an estimator and load it again."""
    store, restore = WAYS[way]
    path = folder / way
    store(estimator, path)
    return restore(path, _types_of(estimator))


def copies(estimator: Any) -> dict[str, Any]:
    """Return copies by the standard library."""
    return {"copy.copy": copy.copy(estimator), "copy.deepcopy": copy.deepcopy(estimator)}


@cache
def _another_process() -> ProcessPoolExecutor:
    """Start another process, once: importing torch there takes seconds."""
    return ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn"))


def predict_elsewhere(estimator: Any, X: Array, folder: Path) -> dict[str, Array]:
    """Store an estimator in every way and predict with it in a process that never saw it."""
    for way, (store, _) in WAYS.items():
        store(estimator, folder / way)
    work = _another_process().submit(_load_and_predict, folder, X, _types_of(estimator))
    return work.result()


def _load_and_predict(folder: Path, X: Array, trusted: list[str]) -> dict[str, Array]:
    return {
        way: np.asarray(restore(folder / way, trusted).predict(X))
        for way, (_, restore) in WAYS.items()
    }


def _types_of(estimator: Any) -> list[str]:
    """Name the estimator's own types: a plugin's are not metaskl's, and must be trusted by name."""
    parts = [estimator, *estimator.get_params().values()]
    return sorted({f"{type(part).__module__}.{type(part).__qualname__}" for part in parts})
