"""Adapting and predicting: one task, or many in a few stacked calls."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from metaskl._compat import limit_threads
from metaskl.errors import GroupsError, NotAdaptedError
from metaskl.estimators.inputs import Array, check_features, check_rows, scale
from metaskl.estimators.state import in_blocks, row_cost, stacks_of_tasks
from metaskl.estimators.viewing import Viewing, check_views
from metaskl.learners import Adapted
from metaskl.learners.base import mixes_rows
from metaskl.learners.steps import with_test_steps
from metaskl.tasks import pad_tasks, resolve_groups
from metaskl.tasks.groups import warn_of_several_tasks


class Adapting(Viewing):
    """What a fitted meta-learner does with new tasks."""

    kind: ClassVar[str]
    n_threads: int | None
    net_: Any
    state_: Adapted
    device_: str
    in_shape_: tuple[int, ...]
    x_scaling_: dict[str, Array]
    groups_column_: str | None

    @property
    def transductive_(self) -> bool:
        """Whether the prediction of a row depends on the other rows in the call."""
        return mixes_rows(self.net_.module_)

    def _encode_support(self, y: Any, *, strict: bool) -> tuple[Array, dict[str, Any]]:
        """Return targets for the learner, and attributes of the adapted copy."""
        raise NotImplementedError  # pragma: no cover

    def _steps_asked(self) -> AbstractContextManager[None]:
        """Have the learner take the steps on new tasks that are set now, maybe since fit."""
        if not hasattr(self, "test_adaptation_steps"):
            return nullcontext()
        return with_test_steps(self.test_adaptation_steps)

    def adapt(self, X: Any, y: Any) -> Self:
        """Adapt to one new task.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_support, ...)
            The support's features.
        y : array-like of shape (n_support,) or (n_support, n_outputs)
            The support's targets.

        Returns
        -------
        adapted
            A copy that predicts the new task. It shares the meta-trained network; this
            estimator is unchanged. Adapting a copy again starts over from the shared network and
            knows nothing of the copy's support: give all labelled rows at once.

        Raises
        ------
        ValueError
            If the support cannot be used; the message says why.
        """
        check_is_fitted(self, "net_")
        warn_of_several_tasks(X, self.groups_column_)
        X, _, _ = resolve_groups(X, None, column=self.groups_column_)
        X, y = check_rows(self, X, y, reset=False, numeric=self.kind == "regression")
        encoded, attributes = self._encode_support(y, strict=True)
        weight = torch.ones(1, len(X), device=self.device_)
        rows, targets = self._to_tensor(X)[None], self._tensor(encoded)[None]
        stack = self._adapt_stack(*self._support_views(rows, targets, weight))
        state = {name: value[0] for name, value in stack.items()}
        return self._copy(state, {"n_support_": len(X), **attributes})

    def adapt_groups(self, X: Any, y: Any, groups: Any) -> dict[Any, Self]:
        """Adapt to many tasks at once, in a few stacked calls.

        Parameters
        ----------
        X, y, groups
            The supports of all tasks, as in :meth:`fit`.

        Returns
        -------
        dict
            An adapted copy for each task id. Where tasks share their classes, a support with one
            class only is adapted on, as with ``allow_single_class=True``.
        """
        check_is_fitted(self, "net_")
        X, ids, _ = resolve_groups(X, groups, column=self.groups_column_, fitting=False)
        if ids is None:
            raise GroupsError(
                "groups must name the task of each row, got None. Pass the task ids, or call "
                "adapt for a single task."
            )
        X, y = check_rows(self, X, y, reset=False, numeric=self.kind == "regression")
        check_views(self)
        names, number = np.unique(ids, return_inverse=True)
        sizes = np.bincount(number)
        rows_of = np.split(np.argsort(number, kind="stable"), np.cumsum(sizes)[:-1])
        encodings = [self._encode_support(y[rows], strict=False) for rows in rows_of]
        widths = np.array([encoded.shape[1] for encoded, _ in encodings])
        copies: dict[int, Self] = {}
        X_tensor = self._to_tensor(X)
        for stack in stacks_of_tasks(
            sizes * (1 + self.test_views),
            widths,
            row_cost(self.in_shape_),
            self.device_,
            equal_sizes=self.transductive_,
        ):
            rows = np.concatenate([rows_of[task] for task in stack])
            targets = self._tensor(np.concatenate([encodings[task][0] for task in stack]))
            offsets = np.concatenate([[0], np.cumsum(sizes[stack])])
            padded = pad_tasks(X_tensor[rows], targets, offsets, np.arange(len(stack)))
            adapted = self._adapt_stack(*self._support_views(*padded))
            # Copies: a view would keep the whole stack.
            own = {name: [v.clone() for v in value.unbind()] for name, value in adapted.items()}
            for position, task in enumerate(stack):
                state = {name: values[position] for name, values in own.items()}
                attributes = {"n_support_": int(sizes[task]), **encodings[task][1]}
                copies[int(task)] = self._copy(state, attributes)
        return {name: copies[task] for task, name in enumerate(names.tolist())}

    def _adapt_stack(self, X: Tensor, y: Tensor, weight: Tensor) -> Adapted:
        """Adapt a stack of tasks without keeping a graph."""
        learner = self.net_.module_.eval()
        with self._steps_asked(), torch.no_grad(), limit_threads(self.n_threads):
            adapted: Adapted = learner.adapt_tasks(X, y, weight)
        return {name: value.detach() for name, value in adapted.items()}

    def _copy(self, state: Adapted, attributes: dict[str, Any]) -> Self:
        # Not copy.copy: that goes through __getstate__, which would build another network.
        adapted: Self = object.__new__(type(self))
        adapted.__dict__.update(self.__dict__)
        adapted.state_ = state
        for name, value in attributes.items():
            setattr(adapted, name, value)
        return adapted

    def _outputs(self, X: Any, *, std: bool = False) -> Array:
        """Return the learner's outputs (n_rows, n_outputs) as float64."""
        check_is_fitted(self, "net_")
        if not hasattr(self, "state_"):
            raise NotAdaptedError(
                f"this {type(self).__name__} must be adapted before it predicts: with "
                "label_space='task' the classes are those of the support. Call "
                "adapt(X_support, y_support) and predict with what it returns."
            )
        learner = self.net_.module_
        return self._by_rows(X, learner.predict_std if std else learner.predict)

    def _by_rows(self, X: Any, function: Callable[[Adapted, Tensor], Any]) -> Array:
        """Return what a function of the learner says of the adapted task's rows, as float64."""
        X, _, _ = resolve_groups(X, None, column=self.groups_column_)
        rows = self._to_tensor(check_features(self, X))
        learner = self.net_.module_.eval()
        with torch.no_grad(), limit_threads(self.n_threads):
            blocks = [(rows, len(rows))] if mixes_rows(learner) else in_blocks(rows)
            of_task = partial(function, self.state_)
            chunks = [self._mean_over_views(of_task, block)[:n] for block, n in blocks]
        outputs: Array = torch.cat(chunks).cpu().double().numpy()
        return outputs

    def _to_tensor(self, X: Array) -> Tensor:
        return self._tensor(scale(X, self.x_scaling_))

    def _tensor(self, values: Array) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)).to(self.device_)
