"""The laws of what goes wrong: bad input, and a fit that is stopped half way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone, is_classifier

from metaskl.testing.comparing import alike
from metaskl.testing.fitting import fit, predictions, seeded
from metaskl.testing.tables import TaskTable
from metaskl.training import Callback

_Calls = dict[str, Callable[[], Any]]
# In epochs: training that is stopped when so many are done, and its whole.
_DONE, _WHOLE = 2, 4


class _PowerCutError(Exception):
    """What ends a fit in the law of resuming."""


class _StopWhenDone(Callback):  # type: ignore[misc]
    """Ends training when the next epoch begins."""

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        if len(net.history) > _DONE:
            raise _PowerCutError


class _Counting(Callback):  # type: ignore[misc]
    """Counts the epochs that are trained."""

    n_epochs = 0

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        self.n_epochs += 1


class EstimatorFailingLaws:
    """A failure is said in words, and nothing is lost by it."""

    def test_a_stopped_fit_resumes_bit_by_bit(
        self, estimator: Any, table: TaskTable, tmp_path: Path
    ) -> None:
        """Where there is a `checkpoint`: stopped and taken up, a fit ends as one in a piece.

        What a learner counts or gathers in training must be in its parameters or buffers, or
        follow from the epoch that `begin_epoch` is given.
        """
        if "checkpoint" not in estimator.get_params():
            return
        own = seeded(estimator).set_params(max_epochs=_WHOLE)
        expected = fit(own, table)
        kept = tmp_path / "fit.checkpoint"
        stopped = clone(own).set_params(checkpoint=kept, callbacks=[_StopWhenDone()])
        with pytest.raises(_PowerCutError):
            fit(stopped, table)
        count = _Counting()
        resumed = clone(own).set_params(checkpoint=kept, callbacks=[count])
        resumed.fit(table.X, table.y, groups=table.groups)
        assert count.n_epochs == _WHOLE - _DONE, "a fit was not taken up where it was stopped"
        assert len(resumed.history_) == _WHOLE
        losses = [[row["train_loss"] for row in each.history_] for each in (resumed, expected)]
        assert alike(*losses), f"the losses of a resumed fit are others: {losses}"
        assert alike(predictions(resumed, table), predictions(expected, table))
        ends = [
            each.adapt(*table.support(0)).predict(table.X_query) for each in (resumed, expected)
        ]
        assert alike(*ends), "a resumed fit predicts otherwise after adapting"

    def test_bad_input_to_fit_is_refused(self, estimator: Any, table: TaskTable) -> None:
        """By a ValueError that says something; an earlier fit goes on predicting as before."""
        fitted = fit(estimator, table)
        _require_refused(fitted, table, _bad_fits(fitted, table))

    def test_bad_supports_are_refused(self, estimator: Any, table: TaskTable) -> None:
        """When adapting, in the same way."""
        fitted = fit(estimator, table)
        _require_refused(fitted, table, _bad_adaptations(fitted, table))

    def test_bad_queries_are_refused(self, estimator: Any, table: TaskTable) -> None:
        """When predicting, in the same way."""
        adapted = fit(estimator, table).adapt(*table.support(0))
        calls: _Calls = {
            "predict missing values": lambda: adapted.predict(_with(table.X_query, np.nan)),
            "predict infinite values": lambda: adapted.predict(_with(table.X_query, np.inf)),
            "predict other features": lambda: adapted.predict(table.X_query[:, :2]),
        }
        _require_refused(adapted, table, calls)


def _require_refused(estimator: Any, table: TaskTable, calls: _Calls) -> None:
    """Raise unless each call raises a ValueError with words, and changes nothing."""
    before = predictions(estimator, table)
    for what, call in calls.items():
        error = _raised(call)
        assert error is not None, f"{what} was not refused"
        assert isinstance(error, ValueError), f"{what}: {type(error).__name__} is no message"
        assert str(error), f"{what}: the error says nothing"
        assert alike(predictions(estimator, table), before), f"{what} changed the estimator"


def _raised(call: Callable[[], Any]) -> Exception | None:
    """Return what a call raises."""
    try:
        call()
    except Exception as error:  # noqa: BLE001 - which it is, is what is asked
        return error
    return None


def _bad_fits(fitted: Any, table: TaskTable) -> _Calls:
    """Return calls of fit that must be refused, by what is wrong with them."""
    X, y, groups = table.X, table.y, table.groups
    calls: _Calls = {
        "fit on missing values": lambda: fitted.fit(_with(X, np.nan), y, groups),
        "fit on infinite values": lambda: fitted.fit(_with(X, np.inf), y, groups),
        "fit on too few targets": lambda: fitted.fit(X, y[:-1], groups),
        "fit on too few task ids": lambda: fitted.fit(X, y, groups[:-1]),
        "fit on missing task ids": lambda: fitted.fit(X, y, _with(groups, np.nan)),
        "fit on no rows": lambda: fitted.fit(X[:0], y[:0], groups[:0]),
    }
    if not is_classifier(fitted):
        calls["fit on missing targets"] = lambda: fitted.fit(X, _with(y, np.nan), groups)
    return calls


def _bad_adaptations(fitted: Any, table: TaskTable) -> _Calls:
    """Return calls of adapt that must be refused, by what is wrong with them."""
    X, y = table.support(0)
    calls: _Calls = {
        "adapt to missing values": lambda: fitted.adapt(_with(X, np.nan), y),
        "adapt to infinite values": lambda: fitted.adapt(_with(X, np.inf), y),
        "adapt to too few targets": lambda: fitted.adapt(X, y[:-1]),
        "adapt to other features": lambda: fitted.adapt(X[:, :2], y),
        "adapt to no rows": lambda: fitted.adapt(X[:0], y[:0]),
    }
    if not is_classifier(fitted):
        calls["adapt to missing targets"] = lambda: fitted.adapt(X, _with(y, np.nan))
    elif "allow_single_class" in fitted.get_params(deep=False):
        calls["adapt to a single class"] = lambda: fitted.adapt(X, np.repeat(y[:1], len(y)))
    return calls


def _with(values: Any, wrong: float) -> Any:
    """Return a copy in which the first number is a wrong one."""
    changed = np.array(values, dtype=float)
    changed.flat[0] = wrong
    return changed
