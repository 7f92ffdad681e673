import pandas as pd
import pytest

from metaskl.evaluation import Comparison, Difference, Verdict

FAMILIES = {"maml": "learner", "pooled ridge": "pooled", "per-task ridge": "per-task"}
# Errors of three tasks at 5 and 20 rows, by candidate.
ERRORS = {
    "maml": {5: (1.0, 2.0, 3.0), 20: (1.0, 1.0, 1.0)},
    "pooled ridge": {5: (2.0, 3.0, 4.0), 20: (2.0, 3.0, 4.0)},
    "per-task ridge": {5: (5.0, 6.0, 10.0), 20: (1.0, 2.0, 3.0)},
}


def _scores(errors=ERRORS):
    rows = [
        {"fold": 0, "task": task, "repeat": repeat, "n_shot": n_shot, "score": -error + shift}
        | {"candidate": name, "fit_time": 0.5}
        for name, by_shot in errors.items()
        for n_shot, values in by_shot.items()
        for task, error in zip("abc", values, strict=True)
        for repeat, shift in enumerate((-0.5, 0.5))
    ]
    return pd.DataFrame(rows)


def _comparison(signs=(1, 0), failures=None, **protocol):
    bounds = {1: (0.1, 0.9), 0: (-0.4, 0.6), -1: (-0.9, -0.1)}
    gains = tuple(
        Difference(k, "maml", "pooled ridge", sum(bounds[sign]) / 2, *bounds[sign], 3)
        for k, sign in zip((5, 20), signs, strict=True)
    )
    return Comparison(
        scores=_scores(),
        families=FAMILIES,
        verdict=Verdict(gains, gains, "root mean squared error", lower_is_better=True),
        metric="root mean squared error",
        lower_is_better=True,
        protocol={
            "holdout": "tasks",
            "folds": 3,
            "repeats": 2,
            "n_shot": [5, 20],
            "n_tasks": 3,
            "n_rows": 1234,
            "kind": "regression",
            "transductive": False,
            "transductive_candidates": [],
            "random_state": 7,
        }
        | protocol,
        failures=failures or {},
    )


@pytest.fixture
def errors():
    return ERRORS


@pytest.fixture
def make_scores():
    """Make scores of three tasks from errors by candidate and shot count."""
    return _scores


@pytest.fixture
def make_comparison():
    """Make a comparison whose verdict has the given signs at 5 and 20 rows."""
    return _comparison


@pytest.fixture
def comparison():
    return _comparison()
