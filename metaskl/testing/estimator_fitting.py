"""The laws of fitting an estimator."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.utils.estimator_checks import check_estimator, estimator_checks_generator

from metaskl.errors import EpisodeWarning, OneTaskWarning
from metaskl.estimators.docs import documented_parameters
from metaskl.testing.comparing import alike
from metaskl.testing.fitting import (
    adapted_prediction,
    agree,
    fit,
    frame_of,
    has_private_labels,
    methods,
    seeded,
    untouched_process,
)
from metaskl.testing.round_trips import copies
from metaskl.testing.spaces import samples
from metaskl.testing.tables import TaskTable

# Scikit-learn's checks of how well the training data were learned.
_JUDGING = {"check_classifiers_train", "check_regressors_train"}


class EstimatorFittingLaws:
    """An estimator is one as scikit-learn means it, with task ids."""

    def test_scikit_learns_checks(self, estimator: Any, longer_trained: Any) -> None:
        """All of them pass, none is expected to fail, and none is skipped but for a setting.

        Those that judge what was learned may need longer training.
        """
        if has_private_labels(estimator):
            return  # it predicts nothing before it is adapted, which no ordinary estimator does
        with warnings.catch_warnings():
            # The checks know nothing of groups, and some bring a handful of rows.
            for category in (OneTaskWarning, EpisodeWarning):
                warnings.simplefilter("ignore", category)
            results = check_estimator(seeded(estimator), on_skip=None, on_fail=None)
            failed = [(r["check_name"], r["exception"]) for r in results if _failed(r)]
            if longer_trained is not estimator and {name for name, _ in failed} & _JUDGING:
                failed = [(name, error) for name, error in failed if name not in _JUDGING]
                failed += _misjudged(seeded(longer_trained))
        assert not failed, "\n".join(f"{name}: {error!r}" for name, error in failed)

    def test_task_ids_may_come_in_any_form(self, estimator: Any, table: TaskTable) -> None:
        """Array, list, strings, categories, Series, a column vector, a column of the frame."""
        ids, names = table.groups, [f"task {number}" for number in table.groups]
        forms = {
            "a list": ids.tolist(),
            "texts": names,
            "an array of texts": np.array(names),
            "objects": np.array(names, dtype=object),
            "categories": pd.Categorical(names),
            "a Series": pd.Series(names, index=np.arange(len(ids))[::-1]),
            "a column vector": ids[:, None],
        }
        expected = adapted_prediction(estimator, table, ids)
        for form, groups in forms.items():
            assert alike(adapted_prediction(estimator, table, groups), expected), form

    def test_a_column_of_the_frame_names_the_task(self, estimator: Any, table: TaskTable) -> None:
        """It is no feature, and it may be there or not when adapting and predicting."""
        expected = adapted_prediction(estimator, table, table.groups)
        frame, support, query = (frame_of(X) for X in (table.X, table.support(0)[0], table.X_query))
        fitted = seeded(estimator).fit(frame.assign(shop=table.groups), table.y, groups="shop")
        assert fitted.feature_names_in_.tolist() == frame.columns.tolist()
        assert fitted.n_features_in_ == frame.shape[1]
        with_column = support.assign(shop=99)
        for given in (support, with_column):
            adapted = fitted.adapt(given, table.support(0)[1])
            assert adapted.feature_names_in_.tolist() == frame.columns.tolist()
            assert agree(adapted.predict(query), expected, adapted)
            assert agree(adapted.predict(query.assign(shop=99)), expected, adapted)

    def test_other_feature_names_are_refused(self, estimator: Any, table: TaskTable) -> None:
        """As in scikit-learn, when adapting and when predicting."""
        frame = frame_of(table.X)
        fitted = seeded(estimator).fit(frame, table.y, groups=table.groups)
        X, y = table.support(0)
        renamed = frame_of(X).rename(columns={"x0": "other"})
        with pytest.raises(ValueError, match="feature names should match"):
            fitted.adapt(renamed, y)
        with pytest.raises(ValueError, match="feature names should match"):
            fitted.adapt(frame_of(X), y).predict(renamed)

    def test_the_process_is_left_as_it_was(self, estimator: Any, table: TaskTable) -> None:
        """Random states of torch, NumPy and Python, and the number of threads."""
        own = seeded(estimator)
        found = torch.get_num_threads()
        torch.set_num_threads(found + 1)  # not the number that n_threads asks for
        try:
            with untouched_process("fit"):
                own.fit(table.X, table.y, groups=table.groups)
            with untouched_process("adapt"):
                adapted = own.adapt(*table.support(0))
            with untouched_process("predict"):
                adapted.predict(table.X_query)
            with untouched_process("copying"):
                copies(adapted)
            if hasattr(own, "partial_fit"):
                with untouched_process("partial_fit"):
                    own.partial_fit(table.X, table.y, groups=table.groups)
        finally:
            torch.set_num_threads(found)

    def test_the_same_random_state_gives_the_same_result(
        self, estimator: Any, table: TaskTable
    ) -> None:
        """Bit by bit, also when torch's own random state differs."""
        first = adapted_prediction(estimator, table, table.groups)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            second = adapted_prediction(estimator, table, table.groups)
        assert alike(first, second)

    def test_task_ids_are_requested_by_default(self, estimator: Any) -> None:
        """So that routing needs no `set_fit_request`."""
        assert clone(estimator).get_metadata_routing().fit.requests["groups"] is True

    def test_parameters_are_explicit_and_documented(self, estimator: Any) -> None:
        """Each has an entry in the documentation, and a keyword in `__init__`."""
        cls = type(estimator)
        parameters = inspect.signature(cls).parameters.values()
        assert not [p for p in parameters if p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
        names = {p.name for p in parameters}
        assert set(estimator.get_params(deep=False)) == names
        assert names - documented_parameters(cls) == set(), f"documentation of {cls.__name__}"

    def test_samples_of_the_search_space_can_be_set_and_fitted(
        self, estimator: Any, table: TaskTable
    ) -> None:
        """Each can be set, nested ones too, and ends in predictions that are finite."""
        space = estimator.search_space() if hasattr(estimator, "search_space") else {}
        for chosen in samples(space, n_draws=2):
            own = seeded(estimator).set_params(**chosen)
            assert chosen.items() <= own.get_params().items()
            adapted = fit(own, table).adapt(*table.support(0))
            for name in methods(adapted):
                found = getattr(adapted, name)(table.X_query)
                assert found.dtype.kind != "f" or np.isfinite(found).all(), f"{name}, {chosen}"


def _misjudged(estimator: Any) -> list[tuple[str, Exception]]:
    """Return which of scikit-learn's checks of what was learned fail, and by what."""
    failed = []
    for own, check in estimator_checks_generator(estimator):
        name = check.func.__name__
        if name in _JUDGING:
            try:
                check(own)
            except Exception as error:  # noqa: BLE001 - whatever a check raises
                failed.append((name, error))
    return failed


def _failed(result: dict[str, Any]) -> bool:
    """Say whether a check failed, or was skipped for another reason than a setting."""
    needs_setting = "SCIPY_ARRAY_API" in str(result["exception"])
    return result["status"] != "passed" and not (result["status"] == "skipped" and needs_setting)
