"""How candidates are measured: the rows, the folds with their draws, and the score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.utils.multiclass import check_classification_targets

from metaskl.errors import ParameterError, TaskError
from metaskl.evaluation.candidates import (
    choose_baselines,
    join_candidates,
    make_learners,
    target_kind,
    with_preprocess,
)
from metaskl.evaluation.class_sets import tasks_to_score
from metaskl.evaluation.draws import Ways, check_n_shot
from metaskl.evaluation.flatten import n_axes
from metaskl.evaluation.folds import Array, Fold, make_folds, shots_left_out, units
from metaskl.evaluation.scoring import metric_name, resolve_scorer
from metaskl.tasks.groups import are_private
from metaskl.tasks.targets import require_values

# Classes of a training episode, where those of the evaluation are all of a task.
_WAYS = 5


@dataclass(frozen=True)
class Protocol:
    """What every candidate is trained, adapted and scored on.

    Attributes
    ----------
    X, y, ids
        Rows, targets and task ids.
    kind : {"regression", "classification"}
        What the targets are.
    n_way : int, "all" or None
        Classes of an episode, where classes are private to a task.
    shots : tuple of int or float
        The shot counts that were asked for.
    left_out : dict
        Those that no task is large enough for, with the reason.
    folds : list of Fold
        Training rows and draws.
    scorer : callable
        A scikit-learn scorer, greater is better.
    metric : str
        What it measures, in words.
    lower_is_better : bool
        Whether that is an error.
    random_state : int
        Seed.
    grouped : bool
        Whether the tasks were given; otherwise they are sets of classes, of which fits know
        nothing.
    """

    X: Any
    y: Array
    ids: Array
    kind: str
    n_way: Ways | None
    shots: tuple[int | float, ...]
    left_out: dict[int | float, str]
    folds: list[Fold]
    scorer: Any
    metric: str
    lower_is_better: bool
    random_state: int
    grouped: bool = True

    @property
    def held_out(self) -> str:
        """What is held out, in words."""
        return units(grouped=self.grouped)

    def candidates(
        self, learners: Any, baselines: Any, learner_params: dict[str, Any] | None, preprocess: Any
    ) -> tuple[dict[str, Any], dict[str, str]]:
        """Return the candidates by name, set up for these tasks, and the family of each."""
        if learner_params and isinstance(learners, Mapping):
            raise ParameterError(
                "learner_params must be left out where learners are estimators of your own, got "
                f"{sorted(learner_params)}. Set them on the estimators."
            )
        private = self.n_way is not None
        if self.kind == "classification" and not private and not isinstance(learners, Mapping):
            self._refuse_private_classes()
        parameters = self._learner_defaults()
        if private:
            parameters["label_space"] = "task"
            parameters["n_way"] = self._ways_of_training() if self.n_way == "all" else self.n_way
        found, families = join_candidates(
            make_learners(learners, kind=self.kind, **parameters | (learner_params or {})),
            choose_baselines(
                baselines,
                self.kind,
                private_labels=private,
                pictures=n_axes(self.X) > 2,
                seed=self.random_state,
            ),
        )
        if not found:
            raise ParameterError(
                f"learners and baselines must name at least one candidate, got {learners!r} and "
                f"{baselines!r}. Leave them out to compare all."
            )
        return with_preprocess(found, preprocess), families

    def without_scorer(self) -> Protocol:
        """Return the same without the scorer, which may be a function that no file can hold."""
        return replace(self, scorer=None)

    def _refuse_private_classes(self) -> None:
        """Refuse shared classes where a held-out task has none that were seen."""
        if not self.folds[0].seen and are_private(self.y, self.ids):
            raise TaskError(
                "label_space must be 'task' where each class lies in one task only, got 'shared': "
                "a held-out task would have none of the classes seen in training. Set "
                "label_space='task' (with n_way)."
            )

    def _ways_of_training(self) -> int:
        """Return the classes of a training episode: some task of each fold must have so many."""
        tasks, classes = (np.unique(v, return_inverse=True)[1] for v in (self.ids, self.y))
        pairs = tasks.astype(np.int64) * (classes.max() + 1) + classes
        most = []
        for fold in self.folds:
            found, n_rows = np.unique(pairs[fold.train], return_counts=True)
            most.append(np.bincount(found[n_rows >= 2] // (classes.max() + 1), minlength=1).max())
        return max(2, min(_WAYS, *map(int, most)))

    def _learner_defaults(self) -> dict[str, Any]:
        """Return the training of learners that will meet these support sizes."""
        typical = float(np.median(np.unique(self.ids, return_counts=True)[1]))
        rows = [k if isinstance(k, int) else max(1, round(k * typical)) for k in self.shots]
        span = (min(rows), max(rows))
        n_shot = span if span[0] < span[1] else span[0]
        return {"n_shot": n_shot, "random_state": self.random_state}


def make_protocol(
    X: Any,
    y: Any,
    groups: Any,
    *,
    n_shot: Any,
    n_repeats: int,
    cv: Any,
    holdout: str,
    scoring: Any,
    kind: str,
    label_space: str,
    n_way: Ways,
    random_state: int,
) -> Protocol:
    """Check the data and settings, and draw the folds with their supports and queries."""
    private = label_space == "task"
    ways = n_way if private else None
    require_values(y)
    y = np.asarray(y)
    _check_settings(kind, label_space)
    if private or kind == "classification":
        check_classification_targets(y)
    X, ids, grouped = tasks_to_score(
        X, y, groups, n_way=ways, n_shot=n_shot, random_state=random_state
    )
    if kind == "auto":
        kind = "classification" if private else target_kind(y)
    classification = kind == "classification"
    scorer = resolve_scorer(scoring, classification=classification)
    folds = make_folds(
        y,
        ids,
        n_way=ways,
        n_shot=n_shot,
        n_repeats=n_repeats,
        cv=cv,
        holdout=holdout,
        random_state=random_state,
        grouped=grouped,
    )
    return Protocol(
        X=X,
        y=y,
        ids=ids,
        kind=kind,
        n_way=ways,
        shots=check_n_shot(n_shot, fractions=True),
        left_out=shots_left_out(folds, y, ids, n_shot, ways),
        folds=folds,
        scorer=scorer,
        metric=metric_name(scoring, classification=classification),
        lower_is_better=getattr(scorer, "_sign", 1) < 0,
        random_state=random_state,
        grouped=grouped,
    )


def _check_settings(kind: str, label_space: str) -> None:
    """Refuse settings that would be taken for others, or silently have no effect."""
    for name, value, known in (
        ("kind", kind, ("auto", "regression", "classification")),
        ("label_space", label_space, ("shared", "task")),
    ):
        if value not in known:
            raise ParameterError(f"{name} must be one of {known}, got {value!r}.")
    if kind == "regression" and label_space == "task":
        raise ParameterError(
            "label_space must be 'shared' for regression, got 'task': numbers are no classes. "
            "Leave it out, or set kind='classification'."
        )
