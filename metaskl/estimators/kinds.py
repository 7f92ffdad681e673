"""Regressors and classifiers: how targets are encoded and outputs decoded."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from torch import Tensor

from metaskl.errors import ParameterError, SupportError, named
from metaskl.estimators.base import BaseMetaEstimator, as_before_on_failure
from metaskl.estimators.checks import warn_of_private_classes
from metaskl.estimators.inputs import Array, fit_scaling, scale
from metaskl.estimators.uncertain import refuse_std
from metaskl.learners.private_head import PrivateHead
from metaskl.tasks import ClassEpisodes, EpisodeSampler, TaskEpisodes, TaskSet


@dataclass(kw_only=True, eq=False, repr=False)
class BaseMetaRegressor(RegressorMixin, BaseMetaEstimator):  # type: ignore[misc]
    """A meta-learner of numbers."""

    kind: ClassVar[str] = "regression"
    # So that a Pipeline hands it on with routing too, and what refuses it is its own message.
    __metadata_request__predict: ClassVar = {"return_std": True}

    def predict(self, X: Any, return_std: bool = False) -> Array:
        """Predict targets.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_rows, ...)
            Features.
        return_std : bool, default=False
            Must be False: this learner gives no standard deviations.

        Returns
        -------
        ndarray of shape (n_rows,) or (n_rows, n_outputs)
            The targets: of the adapted task, or before adapting what the tasks have in common.
        """
        if return_std:
            refuse_std(named(self))
        y = self._outputs(X) * self.y_scaling_["scale"] + self.y_scaling_["mean"]
        return y[:, 0] if self.y_is_1d_ else y

    def _encode_fit(self, y: Any, *, reset: bool, classes: Any = None) -> Array:
        del classes
        y = np.asarray(y, dtype=np.float64)
        if reset:
            self.y_is_1d_ = y.ndim == 1
            self.y_scaling_ = fit_scaling(y.reshape(len(y), -1), on=self.standardize)
        return self._encode_support(y, strict=False)[0]

    def _encode_support(self, y: Any, *, strict: bool) -> tuple[Array, dict[str, Any]]:
        del strict
        y = np.asarray(y, dtype=np.float64)
        y = y.reshape(len(y), -1)
        expected = self.y_scaling_["mean"].shape[0]
        if y.shape[1] != expected:
            raise SupportError(
                f"y must have {expected} target(s) a row as in fit, got {y.shape[1]}. Bring the "
                "same target columns."
            )
        return scale(y, self.y_scaling_), {}

    def _make_sampler(self, tasks: TaskSet, **draw: Any) -> EpisodeSampler:
        return TaskEpisodes(tasks, **draw)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


@dataclass(kw_only=True, eq=False, repr=False)
class BaseMetaClassifier(ClassifierMixin, BaseMetaEstimator):  # type: ignore[misc]
    """A meta-learner of classes."""

    label_space: str = "shared"
    n_way: int = 5
    within_groups: bool = True
    allow_single_class: bool = False

    kind: ClassVar[str] = "classification"
    __metadata_request__predict: ClassVar = {"return_std": True}

    def partial_fit(self, X: Any, y: Any, groups: Any = None, classes: Any = None) -> Self:
        """Meta-train further, on these rows, from where training stands.

        Parameters
        ----------
        X, y, groups
            As in :meth:`fit`.
        classes : array-like of shape (n_classes,), optional
            All the classes there will be, for a first call whose rows lack some.

        Returns
        -------
        self
            The estimator.
        """
        first = not hasattr(self, "net_")
        with as_before_on_failure(self):
            return self._train(X, y, groups, reset=first, classes=classes if first else None)

    def predict(self, X: Any, return_std: bool = False) -> Array:
        """Predict classes.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_rows, ...)
            Features.
        return_std : bool, default=False
            Must be False: how sure a classifier is says ``predict_proba``.

        Returns
        -------
        ndarray of shape (n_rows,)
            The most probable class of each row.
        """
        if return_std:
            raise ParameterError(
                f"return_std must be False for {named(self)}, got True: classes have no "
                "standard deviations. Use predict_proba, which says how sure it is."
            )
        best = self._logits(X).argmax(axis=1)
        labels: Array = self.classes_[best]
        return labels

    def predict_proba(self, X: Any) -> Array:
        """Predict probabilities.

        Parameters
        ----------
        X : array-like, sparse matrix or data frame of shape (n_rows, ...)
            Features.

        Returns
        -------
        ndarray of shape (n_rows, n_classes)
            Probabilities in the order of ``classes_``.
        """
        logits = self._logits(X)
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities: Array = odds / odds.sum(axis=1, keepdims=True)
        return probabilities

    def _logits(self, X: Any) -> Array:
        outputs = self._outputs(X)  # before classes_: says first that fit or adapt is missing
        return outputs[:, : len(self.classes_)]  # a head for n_way classes may have seen fewer

    @property
    def _private(self) -> bool:  # type: ignore[override]
        if self.label_space not in ("shared", "task"):
            raise ParameterError(
                f"label_space must be 'shared' (the same classes in every task) or 'task' (classes "
                f"private to each task), got {self.label_space!r}."
            )
        return self.label_space == "task"

    def _encode_fit(self, y: Any, *, reset: bool, classes: Any = None) -> Array:
        check_classification_targets(y)
        if self._private:  # the episode says which class is which: no targets of their own
            pool = np.unique(y)
            if reset:
                self.__dict__.pop("classes_", None)
                self.pool_classes_ = pool
            elif self._learner().uses_pool and not np.array_equal(pool, self.pool_classes_):
                raise SupportError(
                    f"y must hold the classes of fit in further training of "
                    f"{named(self)}, which tells them apart, got "
                    f"{np.setxor1d(pool, self.pool_classes_)[:5].tolist()} more or less. Fit anew "
                    "on all rows."
                )
            return np.zeros((len(y), 1), np.float32)
        if reset:
            self.classes_ = np.unique(y if classes is None else classes)
            if len(self.classes_) < 2:
                raise SupportError(
                    "y must hold at least 2 classes, got one class only "
                    f"({self.classes_.tolist()[0]!r}). There is nothing to tell apart."
                )
        return self._one_hot(y)

    def _encode_support(self, y: Any, *, strict: bool) -> tuple[Array, dict[str, Any]]:
        with warnings.catch_warnings():  # a support of many classes has few rows of each
            warnings.filterwarnings("ignore", message="The number of unique classes is greater")
            check_classification_targets(y)
        seen = np.unique(y)
        if len(seen) < 2 and (self._private or (strict and not self.allow_single_class)):
            hint = (
                "Add a row of another class."
                if self._private
                else "Add a row of another class, or set the estimator's parameter "
                "allow_single_class=True, in its constructor or by set_params of the fitted one, "
                "to adapt on what there is."
            )
            raise SupportError(
                "y must hold at least 2 classes in the support, got one class only "
                f"({seen.tolist()[0]!r}). {hint}"
            )
        if not self._private:
            return self._one_hot(y), {}
        width = len(seen)
        if self.net_.module_.fixed_ways:
            width = self.build_["n_outputs"]
            if len(seen) > width:
                raise SupportError(
                    f"the support must hold at most n_way={width} classes for "
                    f"{named(self)}, got {len(seen)}. Fit with n_way={len(seen)}, or use a "
                    "ProtoNetClassifier, which takes any number (as do MAML, implicit MAML and "
                    "Reptile that were fitted with zero_head=True)."
                )
        one_hot = np.eye(width, dtype=np.float32)[np.searchsorted(seen, y)]
        return one_hot, {"classes_": seen}

    def _one_hot(self, y: Any) -> Array:
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise SupportError(
                f"y must hold classes seen in fit, {self.classes_.tolist()}, got also "
                f"{unknown.tolist()}. Fit with those classes, or use label_space='task' where "
                "each task has classes of its own."
            )
        one_hot: Array = np.eye(len(self.classes_), dtype=np.float32)[
            np.searchsorted(self.classes_, y)
        ]
        return one_hot

    def _check_pool(self, tasks: TaskSet, *, reset: bool) -> None:
        if reset or not self._private:
            return
        learner = self.net_.module_
        has_head = learner.fixed_ways or isinstance(learner, PrivateHead)
        if has_head and self.n_way != learner.n_outputs:
            raise ParameterError(
                f"n_way must stay {learner.n_outputs} in further training of "
                f"{named(self)}, which goes on with the head that it was built with, got "
                f"{self.n_way}. Set it back, or fit anew."
            )
        if not self._learner().uses_pool:
            return
        if len(tasks) != self.build_["n_pool_classes"]:
            raise SupportError(
                f"y must hold the {self.build_['n_pool_classes']} classes of fit (those of each "
                f"group) in further training of {named(self)}, which tells them apart, "
                f"got {len(tasks)}. Fit anew on all rows."
            )

    def _n_outputs(self, width: int) -> int:
        return self.n_way if self._private else width

    def _task_set(self, X: Tensor, encoded: Tensor, y: Any, ids: Array | None) -> TaskSet:
        if not self._private:
            if ids is not None:
                warn_of_private_classes(y, ids)
            return super()._task_set(X, encoded, y, ids)
        # A class of one task has nothing to do with the class of that name of another.
        name = np.unique(y, return_inverse=True)[1]
        parent = np.zeros(len(y), int) if ids is None else np.unique(ids, return_inverse=True)[1]
        return TaskSet.from_arrays(X, encoded, parent * (name.max() + 1) + name, parents=ids)

    def _make_sampler(self, tasks: TaskSet, **draw: Any) -> EpisodeSampler:
        if not self._private:
            return TaskEpisodes(tasks, **draw)
        return ClassEpisodes(
            tasks,
            n_way=self.n_way,
            within_parent=self.within_groups,
            shuffle=self._learner().support_order_matters is not None,
            **draw,
        )

    def _held_out_together(self, tasks: TaskSet, y: Any, ids: Any) -> tuple[Array, int]:
        """Hold out whole parents where episodes stay within one; else single classes."""
        if not self._private:
            return super()._held_out_together(tasks, y, ids)
        labels = np.unique(y).astype(str)
        parents = np.array([""]) if ids is None else np.unique(ids).astype(str)
        parent, label = np.divmod(tasks.task_ids, len(labels))  # as _task_set numbers them
        if self.within_groups and len(parents) > 1:
            return parents[parent], 1
        names = [f"{parents[p]} {labels[k]}" for p, k in zip(parent, label, strict=True)]
        return np.array(names), self.n_way

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = True
        return tags
