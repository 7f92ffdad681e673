"""The laws of storing an estimator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sklearn import config_context
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from metaskl.estimators.adapt import adapt
from metaskl.testing.comparing import alike
from metaskl.testing.fitting import (
    fit,
    predictions,
    seeded,
)
from metaskl.testing.round_trips import WAYS, copies, predict_elsewhere, round_trip
from metaskl.testing.tables import TaskTable


class EstimatorStoringLaws:
    """What is stored comes back as it was, here and elsewhere."""

    @pytest.mark.parametrize("way", WAYS)
    def test_round_trips(self, estimator: Any, table: TaskTable, way: str, tmp_path: Path) -> None:
        """Fitted, adapted, and in a Pipeline: the predictions come back bit by bit."""
        with config_context(enable_metadata_routing=True):
            pipe = make_pipeline(StandardScaler(), seeded(estimator))
            pipe.fit(table.X, table.y, groups=table.groups)
        fitted = pipe[-1]
        in_pipe = adapt(pipe, *table.support(0))
        for kept in (fitted, fitted.adapt(*table.support(0)), pipe, in_pipe):
            loaded = round_trip(kept, way, tmp_path)
            assert alike(predictions(loaded, table), predictions(kept, table)), type(kept)
            again = adapt(loaded, *table.support(1)).predict(table.X_query)
            assert alike(again, adapt(kept, *table.support(1)).predict(table.X_query))

    def test_copies(self, estimator: Any, table: TaskTable) -> None:
        """`copy.copy` and `copy.deepcopy` predict alike."""
        adapted = fit(estimator, table).adapt(*table.support(0))
        for name, other in copies(adapted).items():
            assert alike(other.predict(table.X_query), adapted.predict(table.X_query)), name

    def test_loading_in_another_process(
        self, estimator: Any, table: TaskTable, tmp_path: Path
    ) -> None:
        """What is stored predicts the same where nothing else is known of it."""
        adapted = fit(estimator, table).adapt(*table.support(0))
        expected = adapted.predict(table.X_query)
        for way, found in predict_elsewhere(adapted, table.X_query, tmp_path).items():
            assert alike(found, expected), way
