"""The base of the meta-learning estimators: fit, partial_fit, adapt, and their state."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from torch import Tensor

from metaskl.backbones import Backbone
from metaskl.errors import TaskError
from metaskl.estimators.adapting import Adapting
from metaskl.estimators.checks import (
    check_parameters,
    warn_of_annealing,
    warn_of_few_rows,
    warn_of_odd_rows,
    warn_of_one_task,
)
from metaskl.estimators.inputs import (
    Array,
    check_rows,
    fit_scaling,
    kept_as_is,
    resolve_device,
    scale,
)
from metaskl.estimators.showing import Showing
from metaskl.estimators.state import (
    build_learner,
    learner_arguments,
    plain_history,
    spec_of,
)
from metaskl.estimators.storing import StoredNet, Storing
from metaskl.estimators.training import make_plan, outer_space, split_validation, training_sampler
from metaskl.estimators.viewing import check_views
from metaskl.learners import MetaLearner
from metaskl.learners.space import Dimension
from metaskl.tasks import EpisodeSampler, TaskSet, resolve_groups
from metaskl.training import TrainingPlan, meta_train, seeded

# Rows of all tasks that stand in for a support where a learner knows nothing before one.
_POOLED_ROWS = 4096


@dataclass(kw_only=True, eq=False, repr=False)
class BaseMetaEstimator(Showing, Storing, Adapting, BaseEstimator):  # type: ignore[misc]
    """Fit on the rows of many tasks, adapt to the support of a new one."""

    backbone: Backbone | None = None
    n_shot: int | tuple[int, int] = 5
    n_query: int = 10
    meta_batch_size: int = 16
    outer_lr: float = 1e-3
    optimizer: str | type[torch.optim.Optimizer] = "adam"
    weight_decay: float = 0.0
    lr_schedule: str = "cosine"
    max_epochs: int = 10
    steps_per_epoch: int = 100
    validation_fraction: float = 0.0
    patience: int | None = None
    augment: Any = "auto"
    test_views: int = 0
    standardize: bool = True
    device: str = "auto"
    precision: str = "auto"
    n_threads: int | None = 1
    checkpoint: Any = None
    callbacks: list[Any] | None = None
    net_params: dict[str, Any] | None = None
    random_state: Any = None
    verbose: int = 0

    # Task ids are requested by default, so that routing needs no set_fit_request by the user.
    __metadata_request__fit: ClassVar = {"groups": True}
    __metadata_request__partial_fit: ClassVar = {"groups": True}
    kind: ClassVar[str]
    _private: ClassVar[bool] = False

    # What a family and a kind of target give: see families and kinds.py.

    @classmethod
    def _learner_class(cls) -> type[MetaLearner]:
        raise NotImplementedError  # pragma: no cover

    def _learner(self) -> type[MetaLearner]:
        """Return the learner's class for these hyper-parameters."""
        return self._learner_class()

    def _learner_parameters(self) -> dict[str, Any]:
        """Return the learner's hyper-parameters, held under the learner's own names."""
        return learner_arguments(self._learner(), self.get_params(deep=False))

    def _encode_fit(self, y: Any, *, reset: bool, classes: Any = None) -> Array:
        raise NotImplementedError  # pragma: no cover

    def _task_set(self, X: Tensor, encoded: Tensor, y: Any, ids: Array | None) -> TaskSet:
        del y
        ids = np.zeros(len(X), np.int64) if ids is None else ids
        return TaskSet.from_arrays(X, encoded, ids)

    def _make_sampler(self, tasks: TaskSet, **draw: Any) -> EpisodeSampler:
        raise NotImplementedError  # pragma: no cover

    def _held_out_together(self, tasks: TaskSet, y: Any, ids: Any) -> tuple[Array, int]:
        """Return the name of each task's unit of meta-validation, and how many a side needs."""
        del y, ids
        return tasks.task_ids.astype(str), 1

    # Fit

    def fit(self, X: Any, y: Any, groups: Any = None) -> Self:
        """Meta-train over tasks.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_rows, ...)
            Features: a table, or images ``(n, C, H, W)``.
        y : array-like of shape (n_rows,) or (n_rows, n_outputs)
            Targets.
        groups : array-like of shape (n_rows,), or str, optional
            Task ids, or the name of the column of the data frame `X` that holds them.
            Without it the data are one task and the estimator an ordinary one.

        Returns
        -------
        self
            The estimator, meta-trained.

        Raises
        ------
        ValueError
            If the rows, the targets or the task ids cannot be used; the message says why.
        DivergenceError
            If the loss becomes infinite or not a number.
        """
        warn_of_annealing(self)
        with as_before_on_failure(self):
            return self._train(X, y, groups, reset=True)

    def partial_fit(self, X: Any, y: Any, groups: Any = None) -> Self:
        """Meta-train further, on these rows, from where training stands.

        Parameters
        ----------
        X, y, groups
            As in :meth:`fit`; features and classes must be those of the first call.
            The optimiser goes on where it stood; of a loaded estimator it starts afresh.

        Returns
        -------
        self
            The estimator.
        """
        with as_before_on_failure(self):
            return self._train(X, y, groups, reset=not hasattr(self, "net_"))

    def _train(self, X: Any, y: Any, groups: Any, *, reset: bool, classes: Any = None) -> Self:
        check_parameters(self)
        X, ids, column = resolve_groups(
            X, groups, column=None if reset else self.groups_column_, fitting=reset
        )
        X, y = check_rows(self, X, y, reset=reset, numeric=self.kind == "regression")
        _check_tasks(ids, len(X))
        if reset:
            # Drawn once: further training keeps its meta-validation tasks apart from the rest.
            self.seed_ = int(check_random_state(self.random_state).randint(2**31 - 1))
            self.groups_column_ = column
            self.in_shape_ = tuple(X.shape[1:])
            self.x_scaling_ = fit_scaling(X, on=self.standardize, **kept_as_is(self.backbone))
            self.device_ = resolve_device(self.device)
            check_views(self)
            warn_of_odd_rows(self, X)
        encoded = torch.from_numpy(self._encode_fit(y, reset=reset, classes=classes))
        tasks = self._task_set(torch.from_numpy(scale(X, self.x_scaling_)), encoded, y, ids)
        tasks = tasks.to(self.device_)
        self._check_pool(tasks, reset=reset)
        below = None if reset else getattr(self, "validation_below_", None)
        train, validation, self.validation_below_ = split_validation(
            tasks,
            *self._held_out_together(tasks, y, ids),
            self.validation_fraction,
            self.seed_,
            below,
        )
        random = np.random.RandomState([self.seed_, 0 if reset else len(self.net_.history)])
        draw = {name: getattr(self, name) for name in ("n_shot", "n_query", "meta_batch_size")}
        sampler = training_sampler(self, train, **draw, random_state=random.randint(2**31 - 1))
        self.augment_ = list(copy.deepcopy(getattr(sampler, "augmentations", [])))
        plan = make_plan(self, tasks, validation, draw, random)
        if reset:
            self.build_ = self._build_record(tasks, encoded.shape[1])
            with seeded(plan.seed):
                learner = build_learner(self.build_, self._learner())
            # Its weights are in the learner: a file that they came from is not needed again.
            self.build_["backbone"] = self.build_["backbone"].untrained
            self._prepare(learner, train, plan)
        else:
            # A copy is trained: what was adapted from the network before goes on predicting alike.
            learner = copy.deepcopy(self.net_.module_)
            plan.checkpoint = None  # the file is fit's: from it a later fit would resume too far
        if ids is None and not self._private:
            warn_of_one_task(self)
        warn_of_few_rows(train, self.n_shot, of_classes=self._private)
        with self._steps_asked():  # of meta-validation
            self.net_ = meta_train(learner, sampler, plan, net=None if reset else self.net_)
        self._stored = StoredNet(self.net_)
        self._record(tasks, ids)
        self._set_initial_state(tasks, one_task=ids is None)
        return self

    def _record(self, tasks: TaskSet, ids: Array | None) -> None:
        """Set what training leaves behind beside the network."""
        self.history_ = plain_history(self.net_)
        self.n_iter_, self.n_tasks_, self.n_support_ = len(self.history_), len(tasks), 0
        self._fitted_on = Counter([] if ids is None else ids.tolist())

    def _check_pool(self, tasks: TaskSet, *, reset: bool) -> None:
        """Raise if further training brings other classes than a learner's head was built for."""

    def _prepare(self, learner: MetaLearner, tasks: TaskSet, plan: TrainingPlan) -> None:
        """Train a new learner on something else before its tasks, where a family does so."""

    def _build_record(self, tasks: TaskSet, n_outputs: int) -> dict[str, Any]:
        """Return all that the learner is built with, so that a loaded model can build it."""
        return {
            "backbone": spec_of(self.backbone, self.in_shape_),
            "in_shape": self.in_shape_,
            "n_outputs": int(self._n_outputs(n_outputs)),
            "kind": self.kind,
            "private_labels": self._private,
            "n_pool_classes": len(tasks) if self._private else 0,
            "arguments": self._learner_parameters(),
        }

    def _n_outputs(self, width: int) -> int:
        return width

    def _set_initial_state(self, tasks: TaskSet, *, one_task: bool) -> None:
        """Set what predictions use before (or, for one task, instead of) adapting."""
        self.__dict__.pop("state_", None)
        if self._private:
            return
        initial = None if one_task else self.net_.module_.initial()
        if initial is not None:
            self.state_ = initial
            return
        rows = np.arange(len(tasks.X))
        if not one_task and len(rows) > _POOLED_ROWS:
            rows = np.random.default_rng(0).choice(rows, _POOLED_ROWS, replace=False)
        weight = torch.ones(1, len(rows), device=self.device_)
        stack = self._adapt_stack(tasks.X[rows][None], tasks.y[rows][None], weight)
        self.state_ = {name: value[0] for name, value in stack.items()}

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.input_tags.sparse = True
        tags.non_deterministic = self.random_state is None
        return tags

    @classmethod
    def search_space(cls) -> dict[str, Dimension]:
        """Return the hyper-parameters worth searching: the outer rate and the learner's own."""
        return {**outer_space(), **cls._learner_class().search_space()}


@contextmanager
def as_before_on_failure(estimator: Any) -> Iterator[None]:
    """Undo what training set, if it fails: bad input, divergence, Ctrl-C lose no earlier fit."""
    before = dict(estimator.__dict__)
    try:
        yield
    except BaseException:
        estimator.__dict__.clear()
        estimator.__dict__.update(before)
        raise


def _check_tasks(ids: Array | None, n_rows: int) -> None:
    """Raise unless there are tasks to learn across, or one with rows to split."""
    if ids is None and n_rows < 2:
        raise TaskError(
            "X must have at least 2 rows, one for the support and one for the query, got "
            f"n_samples={n_rows}. Bring more rows."
        )
    if ids is not None and (ids == ids[0]).all():
        raise TaskError(
            f"groups must name at least 2 tasks, got only {ids.tolist()[0]!r}. Leave groups out to "
            "fit one task as an ordinary estimator."
        )
