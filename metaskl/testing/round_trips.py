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


def _pickled(estimator: Any, path: Path) -> Path:
    path.write_bytes(pickle.dumps(estimator))
    return path


def _unpickled(path: Path) -> Any:
    return pickle.loads(path.read_bytes())


WAYS: dict[str, tuple[Callable[[Any, Path], Any], Callable[[Path], Any]]] = {
    "pickle": (_pickled, _unpickled),
    "joblib": (joblib.dump, joblib.load),
    "metaskl.save": (save, load),
}


def round_trip(estimator: Any, way: str, folder: Path) -> Any:
    """Store an estimator and load it again."""
    store, restore = WAYS[way]
    path = folder / way
    store(estimator, path)
    return restore(path)


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
    return _another_process().submit(_load_and_predict, folder, X).result()


def _load_and_predict(folder: Path, X: Array) -> dict[str, Array]:
    return {way: np.asarray(restore(folder / way).predict(X)) for way, (_, restore) in WAYS.items()}
