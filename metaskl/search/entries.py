"""What enters the contest, on which folds, scored by what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import KFold

from metaskl.errors import ParameterError
from metaskl.evaluation.candidates import (
    choose_baselines,
    join_candidates,
    make_learners,
    with_preprocess,
)
from metaskl.evaluation.compare import learner_defaults
from metaskl.evaluation.draws import Draw, check_count, check_n_shot
from metaskl.evaluation.folds import Fold, make_folds
from metaskl.evaluation.scoring import metric_name, resolve_scorer
from metaskl.registry import get_learner
from metaskl.search.asking import check_budget
from metaskl.search.contest import Contest

Array = npt.NDArray[Any]
# Learners that train in seconds and were near the top on many task sets, of each kind.
_CHEAP = {
    "regression": ("ridge_head", "attentive_cnp", "cavia", "maml"),
    "classification": ("ridge_head", "logistic_head", "protonet", "maml"),
    "private": ("protonet", "ridge_head", "simpleshot"),
}
_FOLDS_OF_ROWS = 3


@dataclass(frozen=True)
class Settings:
    """The settings of an automatic estimator, checked, with what follows from them."""

    given: Any
    kind: str
    n_way: int | None
    shots: tuple[int | float, ...]
    scorer: Any
    metric: str
    lower_is_better: bool

    @classmethod
    def of(cls, estimator: Any) -> Self:
        """Check an estimator's settings before any time is spent.

        Raises
        ------
        ValueError
            It names the setting.
        """
        check_budget(estimator.time_budget)
        if estimator.n_trials is not None:
            check_count("n_trials", estimator.n_trials, 0)
        elif estimator.time_budget is None:
            raise ParameterError(
                "time_budget and n_trials must not both be None: the search would never end. Set "
                "one, for example time_budget=600."
            )
        check_count("n_repeats", estimator.n_repeats)
        check_count("random_state", estimator.random_state, 0)
        if estimator.label_space not in ("shared", "task"):
            raise ParameterError(
                "label_space must be 'shared' (the same classes in every task) or 'task' (classes "
                f"private to each task), got {estimator.label_space!r}."
            )
        private = estimator.label_space == "task"
        classification = estimator.kind == "classification"
        scorer = resolve_scorer(estimator.scoring, classification=classification)
        return cls(
            given=estimator,
            kind=estimator.kind,
            n_way=check_count("n_way", estimator.n_way, 2) if private else None,
            shots=check_n_shot(estimator.n_shot, fractions=False),
            scorer=scorer,
            metric=metric_name(estimator.scoring, classification=classification),
            lower_is_better=getattr(scorer, "_sign", 1) < 0,
        )

    def protocol(self, contest: Contest, *, one_task: bool) -> dict[str, Any]:
        """Return how it was measured, as in a comparison."""
        given = self.given
        return {
            "holdout": "rows" if one_task else "tasks",
            "folds": len(contest.folds),
            "repeats": 1 if one_task else given.n_repeats,
            "n_shot": sorted({draw.n_shot for fold in contest.folds for draw in fold.draws}),
            "n_tasks": len(np.unique(contest.ids)),
            "n_rows": len(contest.y),
            "kind": self.kind,
            "random_state": given.random_state,
            "candidates tried": len(contest.scores),
        }


def choose_folds(settings: Settings, y: Array, ids: Array) -> list[Fold]:
    """Return the folds over tasks: fewer than asked for where there are fewer tasks."""
    given = settings.given
    number = isinstance(given.cv, int) and not isinstance(given.cv, bool)
    n_tasks = len(np.unique(ids))
    return make_folds(
        y,
        ids,
        n_way=settings.n_way,
        n_shot=settings.shots,
        n_repeats=given.n_repeats,
        cv=min(given.cv, max(2, n_tasks)) if number else given.cv,
        holdout="tasks",
        random_state=given.random_state,
    )


def folds_of_one_task(settings: Settings, n_rows: int) -> list[Fold]:
    """Return folds over the rows of one task, as those of a comparison with rows held out."""
    n_folds = max(2, min(_FOLDS_OF_ROWS, n_rows // 2))
    splitter = KFold(n_folds, shuffle=True, random_state=settings.given.random_state)
    part = 1 - 1 / n_folds
    return [
        Fold(number, train, [Draw(0, number, part, train, test)], seen=True)
        for number, (train, test) in enumerate(splitter.split(np.zeros(n_rows)))
    ]


def baselines_of(settings: Settings) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the baselines and their families, the quick ones first."""
    given = settings.given
    chosen = choose_baselines(
        given.baselines,
        settings.kind,
        private_labels=settings.n_way is not None,
        seed=given.random_state,
    )
    if not chosen:
        raise ParameterError(
            f"baselines must name at least one, got {given.baselines!r}: what is found shall not "
            "be worse than they are. Leave it out for all."
        )
    quick = sorted(chosen, key=lambda name: not name.endswith(("ridge", "logistic")))
    every, families = join_candidates({}, {name: chosen[name] for name in quick})
    return with_preprocess(every, given.preprocess), families


def one_task_candidates(baselines: dict[str, Any], families: dict[str, str]) -> dict[str, Any]:
    """Return one of each model: of one task its per-task, pooled and shrunk forms are the same."""
    alone = {name: model for name, model in baselines.items() if families[name] == "per-task"}
    return alone or baselines


def cheap_learners(settings: Settings, ids: Array) -> dict[str, Any]:
    """Return the learners to begin with, as they are by default."""
    given = settings.given
    private = settings.n_way is not None
    wanted = given.learners
    if isinstance(wanted, str) and wanted == "auto":
        names = _CHEAP["private" if private else settings.kind]
        wanted = [name for name in names if settings.kind in get_learner(name).kinds]
    if not isinstance(wanted, str | Mapping) and not list(wanted):
        return {}
    parameters = learner_defaults(settings.shots, ids, given.random_state)
    if private:
        parameters |= {"label_space": "task", "n_way": given.n_way}
    if given.learner_params and isinstance(wanted, Mapping):
        raise ParameterError(
            "learner_params must be left out where learners are estimators of your own, got "
            f"{sorted(given.learner_params)}. Set them on the estimators."
        )
    found = make_learners(wanted, kind=settings.kind, **parameters | (given.learner_params or {}))
    join_candidates(found, {})
    return with_preprocess(found, given.preprocess)
