"""Every candidate fitted and scored on every fold."""

from __future__ import annotations

from typing import Any

import pandas as pd
from sklearn.base import clone
from sklearn.utils import _safe_indexing
from sklearn.utils.parallel import Parallel, delayed

from metaskl.errors import CandidateError
from metaskl.evaluation.cross_validate import score_fold
from metaskl.evaluation.folds import Array, Fold
from metaskl.evaluation.verdict import failure_lines
from metaskl.progress import Progress

_GAPS = (
    "Input X contains NaN. Fill the gaps for every candidate alike with "
    "preprocess=SimpleImputer(strategy='median')."
)


def run_candidates(
    candidates: dict[str, Any],
    X: Any,
    y: Array,
    ids: Array,
    folds: list[Fold],
    scorer: Any,
    *,
    n_jobs: int | None,
    verbose: int,
) -> tuple[pd.DataFrame, dict[str, float], dict[str, str]]:
    """Fit and score every candidate on every fold; one that fails is left out and named.

    Returns
    -------
    scores : DataFrame
        Of the candidates that did not fail, possibly without a row; ``attrs["transductive"]``
        names those whose predictions depend on the other query rows.
    seconds : dict of str to float
        What each of them took: fitting, adapting and predicting, over all folds.
    failures : dict of str to str
        The first reason of each that failed.
    """
    jobs = [(name, fold) for name in candidates for fold in folds]
    results = Parallel(n_jobs=n_jobs, return_as="generator")(
        delayed(_try)(candidates[name], X, y, ids, fold, scorer) for name, fold in jobs
    )
    parts: dict[str, list[pd.DataFrame]] = {name: [] for name in candidates}
    failures: dict[str, str] = {}
    progress = Progress(len(jobs), "compare", "fit", shown=bool(verbose))
    for (name, fold), result in zip(jobs, results, strict=True):
        progress.advance(name)
        if isinstance(result, str):
            failures.setdefault(name, result)
        else:
            parts[name].append(result.assign(candidate=name))
        if fold is folds[-1]:
            done = "failed" if name in failures else f"took {_seconds(parts[name]):.1f} s"
            progress.say(f"{name} {done}")
    progress.close()
    whole = {name: tables for name, tables in parts.items() if tables and name not in failures}
    tables = [table for found in whole.values() for table in found]
    columns = ["candidate", "fold", "task", "repeat", "n_shot", "score"]
    scores = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)
    scores.attrs["transductive"] = [
        name for name, found in whole.items() if any(part.attrs["transductive"] for part in found)
    ]
    return scores, {name: _seconds(found) for name, found in whole.items()}, failures


def no_candidate(
    failures: dict[str, str], preprocess: Any, X: Any, y: Array, folds: list[Fold]
) -> CandidateError:
    """Return the one error that says why no candidate could be fitted."""
    if preprocess is not None:
        try:
            for fold in folds:
                rows = _safe_indexing(X, fold.train)
                clone(preprocess).fit(rows, y[fold.train]).transform(X)
        except Exception as error:  # noqa: BLE001 - told to the user, whatever it is
            return CandidateError(
                f"preprocess must fit the training rows and transform all rows, but "
                f"{type(preprocess).__name__} raised {type(error).__name__}: {error} Mend it, or "
                "the columns that it is given; every candidate needs it."
            )
    reasons = "\n".join(failure_lines(failures))
    return CandidateError(f"No candidate could be fitted, {len(failures)} were tried:\n{reasons}")


def _seconds(parts: list[pd.DataFrame]) -> float:
    return float(sum(part[["fit_time", "score_time"]].iloc[0].sum() for part in parts))


def _try(estimator: Any, X: Any, y: Array, ids: Array, fold: Fold, scorer: Any) -> Any:
    """Return a fold's scores, or the reason why there are none."""
    try:
        return score_fold(estimator, X, y, ids, fold, scorer)
    except Exception as error:  # noqa: BLE001 - a candidate's fault is no reason to lose the rest
        if "Input X contains NaN" in str(error):
            return f"{type(error).__name__}: {_GAPS}"
        return f"{type(error).__name__}: {error}"
