"""Adapt a candidate to many draws, predict their queries, score the answers."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin, is_classifier
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing

from metaskl.estimators.adapt import adapt_groups, transform
from metaskl.evaluation.draws import Draw
from metaskl.evaluation.scoring import needed

Array = npt.NDArray[Any]


class _Answers(BaseEstimator):  # type: ignore[misc]
    """Predictions that were made already, in the form that scikit-learn's scorers ask for."""

    def __init__(self, prediction: Array | None) -> None:
        self.prediction = prediction

    def predict(self, X: Any) -> Array | None:
        del X
        return self.prediction

    def __sklearn_is_fitted__(self) -> bool:
        return True


class _Numbers(RegressorMixin, _Answers):  # type: ignore[misc]
    """Answers of a regressor."""


class _Labels(ClassifierMixin, _Answers):  # type: ignore[misc]
    """Answers of a classifier: labels, probabilities, or both, as the scorer asks for."""

    def __init__(self, prediction: Array | None, probability: Array | None, classes: Array) -> None:
        super().__init__(prediction)
        self.probability = probability
        self.classes_ = classes

    def predict_proba(self, X: Any) -> Array | None:
        del X
        return self.probability


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
    answers = answer_draws(estimator, X, y, draws, needed(scorer), seen=seen)
    for draw, answer in zip(draws, answers, strict=True):
        rows.append(
            {
                "task": draw.task,
                "repeat": draw.repeat,
                "n_shot": draw.n_shot,
                "n_support": len(draw.support),
                "n_query": len(draw.query),
                "score": score_answer(scorer, answer, _safe_indexing(X, draw.query), y[draw.query]),
            }
        )
    return rows


def is_transductive(estimator: Any) -> bool:
    """Say whether a fitted candidate's prediction of a row depends on the other query rows."""
    if isinstance(estimator, Pipeline):
        return is_transductive(estimator.steps[-1][1])
    for name in ("shared_", "regressor_", "best_estimator_"):  # what holds a meta-learner
        if hasattr(estimator, name):
            return is_transductive(getattr(estimator, name))
    return bool(getattr(estimator, "transductive_", False))


def answer_draws(
    estimator: Any, X: Any, y: Array, draws: list[Draw], need: tuple[bool, bool], *, seen: bool
) -> list[_Answers]:
    """Return the answers to every draw's query: labels, probabilities, or both, as needed."""
    if isinstance(estimator, Pipeline):  # its fitted steps transform every row once
        X, estimator = transform(estimator, X), estimator.steps[-1][1]
    if getattr(estimator, "ignores_support", False):  # one call serves all draws
        every = np.unique(np.concatenate([draw.query for draw in draws]))
        whole = _answer(estimator, _safe_indexing(X, every), need)
        return [_part(whole, np.searchsorted(every, draw.query)) for draw in draws]
    # What was fitted on these very rows may know how to set its own memory of them aside; of a
    # single task it knows nothing, and adapts.
    of_task = estimator.adapted_tasks() if seen and hasattr(estimator, "adapted_tasks") else {}
    answers: dict[int, _Answers] = {}
    for shots in dict.fromkeys(draw.n_shot for draw in draws):
        numbers = [i for i, draw in enumerate(draws) if draw.n_shot == shots]
        support = np.concatenate([draws[i].support for i in numbers])
        ids = np.repeat(numbers, [len(draws[i].support) for i in numbers])
        if of_task:
            copies = {i: of_task[draws[i].task] for i in numbers}
        else:
            copies = adapt_groups(estimator, _safe_indexing(X, support), y[support], ids)
        for i in numbers:
            answers[i] = _answer(copies[i], _safe_indexing(X, draws[i].query), need)
    return [answers[i] for i in range(len(draws))]


def _answer(estimator: Any, X: Any, need: tuple[bool, bool]) -> _Answers:
    """Predict the query rows, in one pass of the kind that the scorer asks for.

    Labels are what ``predict`` says: that may differ from the likeliest class, as in ``SVC``.
    """
    if not is_classifier(estimator):
        return _Numbers(np.asarray(estimator.predict(X)))
    labels, shares = need
    classes = estimator.classes_
    certain = shares and not hasattr(estimator, "predict_proba")
    prediction = np.asarray(estimator.predict(X)) if labels or certain else None
    probability = None
    if certain:  # a model without probabilities is taken to be sure of what it says
        probability = (np.asarray(prediction)[:, None] == classes).astype(float)
    elif shares:
        probability = np.asarray(estimator.predict_proba(X))
    return _Labels(prediction, probability, classes)


def mix_answers(several: list[_Answers], weights: Array) -> _Answers:
    """Return the weighted mean of several candidates' answers to the same query.

    Of classifiers it is that of the probabilities, which must be there.
    """
    first = several[0]
    if not isinstance(first, _Labels):
        return _Numbers(np.average([each.prediction for each in several], 0, weights))
    classes = np.unique(np.concatenate([each.classes_ for each in several]))
    shares = [np.asarray(each.probability) for each in several]
    probability = np.zeros((len(shares[0]), len(classes)))
    parts = np.asarray(weights) / np.sum(weights)
    for each, share, weight in zip(several, shares, parts, strict=True):
        probability[:, np.searchsorted(classes, each.classes_)] += weight * share
    return _Labels(classes[probability.argmax(axis=1)], probability, classes)


def _part(answers: _Answers, index: Array) -> _Answers:
    def rows(values: Array | None) -> Array | None:
        return None if values is None else values[index]

    if isinstance(answers, _Labels):
        return _Labels(rows(answers.prediction), rows(answers.probability), answers.classes_)
    return _Numbers(rows(answers.prediction))


def score_answer(scorer: Any, answer: _Answers, X: Any, y: Array) -> float:
    """Return the score of the answers to a query, NaN where it is not defined."""
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
