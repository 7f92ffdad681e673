"""Adapt a candidate to many draws, predict their queries, score the answers."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, is_classifier
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import get_scorer
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing

from metaskl.estimators.adapt import adapt_groups, transform
from metaskl.evaluation.draws import Draw

Array = npt.NDArray[Any]


class _Answers(BaseEstimator):  # type: ignore[misc]
    """Predictions that were made already, in the form that scikit-learn's scorers ask for."""

    def __init__(self, prediction: Array) -> None:
        self.prediction = prediction

    def predict(self, X: Any) -> Array:
        del X
        return self.prediction

    def __sklearn_is_fitted__(self) -> bool:
        return True


class _Numbers(RegressorMixin, _Answers):  # type: ignore[misc]
    """Answers of a regressor."""


class _Labels(ClassifierMixin, _Answers):  # type: ignore[misc]
    """Answers of a classifier, with probabilities."""

    def __init__(self, prediction: Array, probability: Array, classes: Array) -> None:
        super().__init__(prediction)
        self.probability = probability
        self.classes_ = classes

    def predict_proba(self, X: Any) -> Array:
        del X
        return self.probability


def resolve_scorer(scoring: Any, *, classification: bool) -> Any:
    """Return a scorer: the one asked for, or accuracy, or minus the root mean squared error."""
    if scoring is None:
        scoring = "accuracy" if classification else "neg_root_mean_squared_error"
    return get_scorer(scoring)


def metric_name(scoring: Any, *, classification: bool) -> str:
    """Return what a scorer measures, in words."""
    if scoring is None:
        return "accuracy" if classification else "root mean squared error"
    if isinstance(scoring, str):
        return scoring.removeprefix("neg_").replace("_", " ")
    return str(getattr(scoring, "__name__", scoring))


def score_draws(
    estimator: Any, X: Any, y: Array, draws: list[Draw], scorer: Any, *, seen: bool = False
) -> list[dict[str, Any]]:
    """Adapt a fitted candidate to each draw's support and score it on the draw's query.

    With `seen` the supports are the rows that the candidate was fitted on. A score that is not
    defined on a query (an area under the curve with one class) is NaN.

    Returns
    -------
    list of dict
        One row a draw: task, repeat, n_shot, n_support, n_query, score.
    """
    rows = []
    answers = _answers(estimator, X, y, draws, seen=seen)
    for draw, answer in zip(draws, answers, strict=True):
        rows.append(
            {
                "task": draw.task,
                "repeat": draw.repeat,
                "n_shot": draw.n_shot,
                "n_support": len(draw.support),
                "n_query": len(draw.query),
                "score": _score(scorer, answer, _safe_indexing(X, draw.query), y[draw.query]),
            }
        )
    return rows


def _answers(estimator: Any, X: Any, y: Array, draws: list[Draw], *, seen: bool) -> list[_Answers]:
    """Return the answers to every draw's query."""
    if isinstance(estimator, Pipeline):  # its fitted steps transform every row once
        X, estimator = transform(estimator, X), estimator.steps[-1][1]
    if getattr(estimator, "ignores_support", False):  # one call serves all draws
        every = np.unique(np.concatenate([draw.query for draw in draws]))
        whole = _answer(estimator, _safe_indexing(X, every))
        return [_part(whole, np.searchsorted(every, draw.query)) for draw in draws]
    answers: dict[int, _Answers] = {}
    for shots in dict.fromkeys(draw.n_shot for draw in draws):
        numbers = [i for i, draw in enumerate(draws) if draw.n_shot == shots]
        support = np.concatenate([draws[i].support for i in numbers])
        ids = np.repeat(numbers, [len(draws[i].support) for i in numbers])
        if seen and hasattr(estimator, "adapted_tasks"):
            # It was fitted on these very rows, and knows how to set its own memory of them aside.
            of_task = estimator.adapted_tasks()
            copies = {i: of_task[draws[i].task] for i in numbers}
        else:
            copies = adapt_groups(estimator, _safe_indexing(X, support), y[support], ids)
        for i in numbers:
            answers[i] = _answer(copies[i], _safe_indexing(X, draws[i].query))
    return [answers[i] for i in range(len(draws))]


def _answer(estimator: Any, X: Any) -> _Answers:
    if not is_classifier(estimator):
        return _Numbers(np.asarray(estimator.predict(X)))
    if not hasattr(estimator, "predict_proba"):
        prediction = np.asarray(estimator.predict(X))
        probability = (prediction[:, None] == estimator.classes_).astype(float)
        return _Labels(prediction, probability, estimator.classes_)
    probability = np.asarray(estimator.predict_proba(X))
    prediction = estimator.classes_[probability.argmax(axis=1)]
    return _Labels(prediction, probability, estimator.classes_)


def _part(answers: _Answers, index: Array) -> _Answers:
    if isinstance(answers, _Labels):
        return _Labels(answers.prediction[index], answers.probability[index], answers.classes_)
    return _Numbers(answers.prediction[index])


def _score(scorer: Any, answer: _Answers, X: Any, y: Array) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        present = np.unique(y)
        if isinstance(answer, _Labels) and len(present) < 2 and _needs_classes(scorer):
            return float("nan")
        try:
            return float(scorer(answer, X, y))
        except ValueError:  # some scores are not defined where the query lacks a class
            if isinstance(answer, _Labels) and len(present) < len(answer.classes_):
                return float("nan")
            raise


def _needs_classes(scorer: Any) -> bool:
    """Say whether a scorer is undefined on rows of one class."""
    name = getattr(getattr(scorer, "_score_func", None), "__name__", "")
    return name in ("roc_auc_score", "average_precision_score", "log_loss", "matthews_corrcoef")
