"""Which study a call means: made from the data, the draws and the candidates."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from metaskl.errors import StudyError
from metaskl.evaluation.protocol import Protocol
from metaskl.search.spaces import Candidate, distribution_of

# The user attribute of a study that says what it is of.
ABOUT = "metaskl"
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


def study_name_of(protocol: Protocol, candidates: list[Candidate], directions: list[str]) -> str:
    """Return the name of the study of these data and settings."""
    return name_of(_marks(protocol, candidates, directions))


def name_of(marks: dict[str, str]) -> str:
    """Return a study's name: another one where any of its marks is another."""
    return f"metaskl-{_digest(*marks.values())[:12]}"


def claim_study(
    study: Any,
    protocol: Protocol,
    candidates: list[Candidate],
    draws: pd.DataFrame,
    directions: list[str],
) -> None:
    """Note what a new study is of; refuse one that is of something else.

    Raises
    ------
    StudyError
        If the study holds trials of other data, draws or candidates: their scores could not be
        compared.
    """
    more = {
        "metric": protocol.metric,
        "lower_is_better": protocol.lower_is_better,
        "kind": protocol.kind,
        "families": {c.name: c.family for c in candidates},
        "draws": [[_plain(v) for v in row] for row in draws.to_numpy(object).tolist()],
    }
    claim(study, _marks(protocol, candidates, directions), more)


def claim(study: Any, marks: dict[str, str], more: dict[str, Any]) -> None:
    """Note in a new study what it is of, by marks and in words; refuse one of something else.

    Raises
    ------
    StudyError
        If the study holds trials of something else.
    """
    about = study.user_attrs.get(ABOUT)
    if about is None and study.get_trials(deepcopy=False):
        raise StudyError(
            f"study_name must be a study of metaskl's, got {study.study_name!r}, which another "
            "program made. Give another name."
        )
    if about is None:
        study.set_user_attr(ABOUT, {"marks": marks} | more)
        return
    other = [name for name, mark in marks.items() if about["marks"].get(name) != mark]
    if other:
        raise StudyError(
            f"study_name must be the study of these data and settings, got {study.study_name!r}, "
            f"which has other {' and '.join(other)}. Give another study_name, or leave it out."
        )


def _marks(
    protocol: Protocol, candidates: list[Candidate], directions: list[str]
) -> dict[str, str]:
    folds = [
        (fold.number, d.task, d.repeat, d.n_shot, _bytes(d.support), _bytes(d.query))
        for fold in protocol.folds
        for d in fold.draws
    ]
    pool = () if protocol.grouped else ("pool",)  # of which fits are not told the tasks
    return {
        "data": mark_of_arrays(protocol.X, protocol.y, protocol.ids),
        "draws or scoring": _digest(protocol.metric, protocol.n_way, folds, *pool),
        "candidates": mark_of_candidates(candidates),
        "objectives": _digest(*directions),
    }


def mark_of_arrays(*arrays: Any) -> str:
    """Return a mark of features, targets, task ids."""
    return _digest(*(_bytes(array) for array in arrays))


def mark_of_settings(*settings: Any) -> str:
    """Return a mark of a splitter, a scorer and their like: of what they are set to."""
    return _digest(*(_text(s) if hasattr(s, "get_params") else _word(s) for s in settings))


def mark_of_candidates(candidates: list[Candidate]) -> str:
    """Return a mark of what is searched: estimators with their settings and spaces."""
    return _digest(*((c.name, _text(c.estimator), _space_text(c)) for c in candidates))


def _space_text(candidate: Candidate) -> str:
    return repr({name: repr(distribution_of(d)) for name, d in sorted(candidate.space.items())})


def _text(estimator: Any) -> str:
    """Return an estimator's hyper-parameters in words that are the same in every process."""
    parts = {"": estimator} | estimator.get_params()
    return repr({name: _word(parts[name]) for name in sorted(parts)})


def _word(value: Any) -> str:
    """Return a value's text without its address; an estimator's is its class."""
    if hasattr(value, "get_params") and not isinstance(value, type):
        return f"{type(value).__module__}.{type(value).__qualname__}"
    if isinstance(value, Mapping) and any(hasattr(each, "dtype") for each in value.values()):
        # Weights, of whose numbers a repr leaves out most.
        return _digest(*((name, _bytes(each)) for name, each in value.items()))
    return _ADDRESS.sub("", repr(value))


def _bytes(values: Any) -> bytes:
    if hasattr(values, "tocsr"):
        matrix = values.tocsr()
        return b"".join(_bytes(part) for part in (matrix.indptr, matrix.indices, matrix.data))
    if isinstance(values, pd.DataFrame | pd.Series):
        return np.asarray(pd.util.hash_pandas_object(values, index=False)).tobytes()
    array = np.asarray(values)
    text = array.astype(str) if array.dtype == object else np.ascontiguousarray(array)
    return str((text.shape, text.dtype.str)).encode() + text.tobytes()


def _digest(*parts: Any) -> str:
    state = hashlib.sha256()
    for part in parts:
        state.update(part if isinstance(part, bytes) else repr(part).encode())
        state.update(b"\0")
    return state.hexdigest()


def _plain(value: Any) -> Any:
    value = value.item() if isinstance(value, np.generic) else value
    return value if isinstance(value, str | int | float | bool) else str(value)
