"""The laws of adapting an estimator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from metaskl.errors import NotAdaptedError
from metaskl.estimators.adapt import adapt
from metaskl.testing.comparing import alike
from metaskl.testing.fitting import (
    agree,
    fit,
    has_private_labels,
    methods,
    predictions,
    seeded,
)
from metaskl.testing.tables import TaskTable


class EstimatorAdaptingLaws:
    """Adapting returns a copy that depends on the fit and on its own support alone."""

    def test_adapting_returns_a_copy(self, estimator: Any, table: TaskTable) -> None:
        """The estimator is untouched, and the copy shares the network."""
        fitted = fit(estimator, table)
        before, attributes = predictions(fitted, table), set(vars(fitted))
        adapted = fitted.adapt(*table.support(0))
        assert adapted is not fitted
        assert type(adapted) is type(fitted)
        assert set(vars(fitted)) == attributes
        assert alike(predictions(fitted, table), before), "adapting changed the original"
        assert getattr(adapted, "net_", None) is getattr(fitted, "net_", None)

    def test_adapting_a_copy_starts_from_the_shared_network(
        self, estimator: Any, table: TaskTable
    ) -> None:
        """An adapted copy adapted again is the original adapted."""
        fitted = fit(estimator, table)
        once = fitted.adapt(*table.support(1))
        twice = fitted.adapt(*table.support(0)).adapt(*table.support(1))
        assert alike(twice.predict(table.X_query), once.predict(table.X_query))

    def test_a_clone_of_an_adapted_copy_is_unfitted(self, estimator: Any, table: TaskTable) -> None:
        """It has the hyper-parameters and nothing else."""
        adapted = fit(estimator, table).adapt(*table.support(0))
        blank = clone(adapted)
        assert repr(blank.get_params()) == repr(clone(estimator).get_params()).replace(
            "'random_state': None", "'random_state': 0"
        )
        with pytest.raises(NotFittedError):
            blank.predict(table.X_query)
        with pytest.raises(NotFittedError):
            blank.adapt(*table.support(0))

    def test_further_training_leaves_adapted_copies_alone(
        self, estimator: Any, table: TaskTable
    ) -> None:
        """What was adapted before predicts as before."""
        fitted = fit(estimator, table)
        adapted = fitted.adapt(*table.support(0))
        before = adapted.predict(table.X_query)
        if hasattr(fitted, "partial_fit"):
            fitted.partial_fit(table.X, table.y, groups=table.groups)
            assert alike(adapted.predict(table.X_query), before), "partial_fit changed a copy"
        fitted.fit(table.X, table.y, groups=table.groups)
        assert alike(adapted.predict(table.X_query), before), "fit changed a copy"

    def test_adapting_to_many_tasks_equals_one_by_one(
        self, estimator: Any, table: TaskTable
    ) -> None:
        """Where there is `adapt_groups`."""
        fitted = fit(estimator, table)
        if not hasattr(fitted, "adapt_groups"):
            return
        tasks = fitted.adapt_groups(table.X_support, table.y_support, table.groups_support)
        assert list(tasks) == np.unique(table.groups_support).tolist()
        for number, adapted in enumerate(tasks.values()):
            alone = fitted.adapt(*table.support(number))
            name = methods(adapted)[-1]
            expected = getattr(alone, name)(table.X_query)
            found = getattr(adapted, name)(table.X_query)
            np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)

    def test_predicting_needs_a_fit_or_an_adaptation(
        self, estimator: Any, table: TaskTable
    ) -> None:
        """An unfitted estimator says so; one with private classes asks to be adapted."""
        with pytest.raises(NotFittedError):
            clone(estimator).adapt(*table.support(0))
        with pytest.raises(NotFittedError):
            clone(estimator).predict(table.X_query)
        if has_private_labels(estimator):
            with pytest.raises(NotAdaptedError, match="must be adapted before it predicts"):
                fit(estimator, table).predict(table.X_query)

    def test_predictions_are_equal_for_any_split(self, estimator: Any, table: TaskTable) -> None:
        """Bit by bit: row by row, in two parts, in another order."""
        adapted = fit(estimator, table).adapt(*table.support(0))
        X = np.concatenate([table.X_query, table.X])
        order = np.random.default_rng(0).permutation(len(X))
        for name in methods(adapted):
            predict = getattr(adapted, name)
            whole = predict(X)
            few = len(table.X_query)
            single = np.concatenate([predict(X[i : i + 1]) for i in range(few)])
            parts = np.concatenate([predict(X[:7]), predict(X[7:])])
            assert agree(single, whole[:few], adapted), f"{name}, row by row"
            assert agree(parts, whole, adapted), f"{name}, in two parts"
            assert agree(predict(X[order]), whole[order], adapted), f"{name}, in another order"

    def test_pipelines_adapt(self, estimator: Any, table: TaskTable) -> None:
        """The fitted steps transform the support, the last one is adapted; the pipe is kept."""
        with config_context(enable_metadata_routing=True):
            pipe = make_pipeline(StandardScaler(), seeded(estimator))
            pipe.fit(table.X, table.y, groups=table.groups)
        X, y = table.support(0)
        adapted = adapt(pipe, X, y)
        assert adapted is not pipe
        expected = pipe[-1].adapt(pipe[0].transform(X), y).predict(pipe[0].transform(table.X_query))
        assert alike(adapted.predict(table.X_query), expected)
