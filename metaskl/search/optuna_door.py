"""Optuna, when it is there: imported late, kept quiet, its studies opened."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from metaskl.errors import MissingExtraError


def optuna() -> Any:
    """Return the optuna module.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    try:
        return importlib.import_module("optuna")
    except ImportError as error:
        raise MissingExtraError(
            "a search needs optuna, which cannot be imported. Install it with "
            'pip install "metaskl[search]".'
        ) from error


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Keep Optuna's log to warnings for a while, and its notes on experimental parts out."""
    logging = optuna().logging
    before = logging.get_verbosity()
    logging.set_verbosity(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna().exceptions.ExperimentalWarning)
            yield
    finally:
        logging.set_verbosity(before)


def open_study(*, storage: str | None, study_name: str | None, sampler: Any) -> Any:
    """Return a study that maximises: a new one, or that of the name in the storage."""
    return optuna().create_study(
        storage=storage,
        study_name=study_name,
        sampler=sampler,
        direction="maximize",
        load_if_exists=study_name is not None,
    )
