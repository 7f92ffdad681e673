import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import BayesianRidge, LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from metaskl import (
    AdaptedRegressor,
    MAMLRegressor,
    PerTask,
    ProtoNetClassifier,
    RidgeHeadRegressor,
    adapt,
)
from metaskl.errors import OneTaskWarning, ParameterError
from metaskl.tasks import LinearTasks

LINES = LinearTasks(n_features=3).sample(10, 12, random_state=0)


class TestThroughOthers:
    meta = RidgeHeadRegressor(max_epochs=1, steps_per_epoch=2, random_state=0)

    def test_they_pass_through(self):
        fitted = clone(self.meta).fit(LINES.X, LINES.y, groups=LINES.groups)
        support, query = (LINES.X[:5], LINES.y[:5]), LINES.X[5:9]
        expected = fitted.adapt(*support).predict(query, return_std=True)
        single = AdaptedRegressor(FrozenEstimator(fitted)).fit(*support)
        np.testing.assert_array_equal(single.predict(query, return_std=True), expected)
        pipe = make_pipeline(FunctionTransformer(), fitted)
        adapted = AdaptedRegressor(FrozenEstimator(pipe)).fit(*support)
        np.testing.assert_array_equal(adapted.predict(query, return_std=True), expected)
        with config_context(enable_metadata_routing=True):
            found = adapt(pipe, *support).predict(query, return_std=True)
        np.testing.assert_array_equal(found, expected)

    def test_each_task_has_its_own(self):
        per_task = PerTask(clone(self.meta)).fit(LINES.X, LINES.y, groups=LINES.groups)
        mean, std = per_task.predict(LINES.X, groups=LINES.groups, return_std=True)
        rows = LINES.groups == 1
        own = per_task.estimators_[1].predict(LINES.X[rows], return_std=True)
        np.testing.assert_allclose((mean[rows], std[rows]), own, rtol=1e-5)

    def test_a_model_without_them_says_so_and_a_constant_has_none(self):
        per_task = PerTask(LinearRegression()).fit([[0.0], [1.0]], [0.0, 1.0])
        with pytest.raises(ParameterError, match="return_std must be False for a LinearRegression"):
            per_task.predict([[0.0]], return_std=True)
        X = [[0.0], [1.0], [2.0], [5.0]]
        per_task = PerTask(BayesianRidge()).fit(X, [0.0, 1.0, 2.0, 7.0], groups=[0, 0, 0, 1])
        mean, std = per_task.predict([[5.0]], groups=[1], return_std=True)
        assert mean.tolist() == [7.0]
        assert np.isnan(std).all()

    @pytest.mark.parametrize("routing", [False, True])
    @pytest.mark.parametrize(
        ("last", "message"),
        [
            (
                ProtoNetClassifier,
                "return_std must be False for a ProtoNetClassifier.*predict_proba",
            ),
            (
                MAMLRegressor,
                "return_std must be False for a MAMLRegressor, which gives no standard",
            ),
        ],
    )
    def test_a_pipeline_that_ends_in_what_knows_none_says_so(self, last, message, routing):
        pipe = make_pipeline(FunctionTransformer(), last(max_epochs=1, steps_per_epoch=1))
        with config_context(enable_metadata_routing=routing):
            with pytest.warns(OneTaskWarning):
                pipe.fit(LINES.X, LINES.X[:, 0] > 0)
            with pytest.raises(ParameterError, match=message):
                pipe.predict(LINES.X, return_std=True)
