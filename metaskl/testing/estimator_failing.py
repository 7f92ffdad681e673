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

# In epochs: training that is stopped when so many are done, and its whole.
_DONE, _WHOLE = 2, 4


class _PowerCutError(Exception):
    """What ends a fit in the law of resuming."""


class _StopWhenDone(Callback):  # type: ignore[misc]
    """Ends training when the next epoch begins."""

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        if len(net.history) > _DONE:
            raise _PowerCutError


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
        resumed = fit(clone(own).set_params(checkpoint=kept), table)
        assert len(resumed.history_) == _WHOLE
        losses = [[row["train_loss"] for row in each.history_] for each in (resumed, expected)]
        assert alike(*losses), f"the losses of a resumed fit are others: {losses}"
        assert alike(predictions(resumed, table), predictions(expected, table))
        ends = [
            each.adapt(*table.support(0)).predict(table.X_query) for each in (resumed, expected)
        ]
        assert alike(*ends), "a resumed fit predicts otherwise after adapting"

    def test_bad_input_is_refused(self, estimator: Any, table: TaskTable) -> None:
        """By a ValueError that says something; an earlier fit goes on predicting as before."""
        fitted = fit(estimator, table)
        before = predictions(fitted, table)
        for what, call in _bad_calls(fitted, table).items():
            error = _raised(call)
            assert error is not None, f"{what} was not refused"
            assert isinstance(error, ValueError), f"{what}: a {type(error).__name__} is no message"
            assert str(error), f"{what}: the error says nothing"
            assert alike(predictions(fitted, table), before), f"{what} changed the estimator"


def _raised(call: Callable[[], Any]) -> Exception | None:
    """Return what a call raises."""
    try:
        call()
    except Exception as error:  # noqa: BLE001 - which it is, is what is asked
        return error
    return None


def _bad_calls(fitted: Any, table: TaskTable) -> dict[str, Callable[[], Any]]:
    """Return calls that must be refused, by what is wrong with them."""
    X, y = table.support(0)
    query = table.X_query
    own = seeded(fitted)
    adapted = fitted.adapt(X, y)
    calls = {
        "fit on missing values": lambda: own.fit(_with(table.X, np.nan), table.y, table.groups),
        "fit on infinite values": lambda: own.fit(_with(table.X, np.inf), table.y, table.groups),
        "fit on targets too few": lambda: own.fit(table.X, table.y[:-1], table.groups),
        "fit on task ids too few": lambda: own.fit(table.X, table.y, table.groups[:-1]),
        "fit on missing task ids": lambda: own.fit(table.X, table.y, _with(table.groups, np.nan)),
        "fit on no rows": lambda: own.fit(table.X[:0], table.y[:0], table.groups[:0]),
        "adapt to missing values": lambda: fitted.adapt(_with(X, np.nan), y),
        "adapt to targets too few": lambda: fitted.adapt(X, y[:-1]),
        "adapt to other features": lambda: fitted.adapt(X[:, :2], y),
        "adapt to no rows": lambda: fitted.adapt(X[:0], y[:0]),
        "predict missing values": lambda: adapted.predict(_with(query, np.nan)),
        "predict other features": lambda: adapted.predict(query[:, :2]),
    }
    if not is_classifier(fitted):
        holes = _with(y, np.nan)
        calls["fit on missing targets"] = lambda: own.fit(
            table.X, _with(table.y, np.nan), table.groups
        )
        calls["adapt to missing targets"] = lambda: fitted.adapt(X, holes)
    elif "allow_single_class" in fitted.get_params(deep=False):
        one = np.repeat(y[:1], len(y))
        calls["adapt to a single class"] = lambda: fitted.adapt(X, one)
    return calls


def _with(values: Any, wrong: float) -> Any:
    """Return a copy in which the first number is a wrong one."""
    changed = np.array(values, dtype=float)
    changed.flat[0] = wrong
    return changed
