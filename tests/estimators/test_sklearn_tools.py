import threading
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import config_context
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.ensemble import VotingClassifier, VotingRegressor
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    HalvingGridSearchCV,
    KFold,
    RandomizedSearchCV,
    cross_val_predict,
    cross_val_score,
    cross_validate,
    learning_curve,
    permutation_test_score,
    validation_curve,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from metaskl import (
    AdaptedClassifier,
    AdaptedRegressor,
    MAMLRegressor,
    PerTask,
    Pooled,
    ProtoNetClassifier,
    RidgeHeadClassifier,
    RidgeHeadRegressor,
    ShrunkRegressor,
    adapt,
)
from metaskl.backbones import MLP
from metaskl.errors import OneTaskWarning
from metaskl.estimators.adapt import adapt_groups
from metaskl.tasks import BlobTasks, LinearTasks

QUICK = {"max_epochs": 1, "steps_per_epoch": 2, "random_state": 0}
DRAWN = LinearTasks(n_features=3).sample(10, 12, random_state=0)
OLD, NEW = DRAWN.groups < 9, DRAWN.groups == 9
X, Y, GROUPS = DRAWN.X[OLD], DRAWN.y[OLD], DRAWN.groups[OLD]
X_NEW, Y_NEW = DRAWN.X[NEW], DRAWN.y[NEW]
BLOBS = BlobTasks(n_features=3, n_way=2).sample(10, 12, random_state=0)
FOLDS = GroupKFold(3)


def ridge_head(**parameters):
    return RidgeHeadRegressor(backbone=MLP((8,)), **{**QUICK, **parameters})


@pytest.fixture
def _routing():
    with config_context(enable_metadata_routing=True):
        yield


@pytest.mark.usefixtures("_routing")
class TestWithRouting:
    @pytest.mark.parametrize("wrap", [clone, lambda meta: make_pipeline(StandardScaler(), meta)])
    def test_cross_validation(self, wrap):
        scores = cross_val_score(
            wrap(ridge_head()), X, Y, cv=FOLDS, params={"groups": GROUPS}, error_score="raise"
        )
        assert scores.shape == (3,)
        by_hand = []
        for train, test in FOLDS.split(X, Y, GROUPS):
            fitted = wrap(ridge_head()).fit(X[train], Y[train], groups=GROUPS[train])
            by_hand.append(fitted.score(X[test], Y[test]))
        np.testing.assert_array_equal(scores, by_hand)

    def test_results_are_equal_in_other_processes(self):
        options = {"cv": FOLDS, "params": {"groups": GROUPS}, "error_score": "raise"}
        here = cross_val_score(ridge_head(), X, Y, **options)
        there = cross_val_score(ridge_head(), X, Y, n_jobs=2, **options)
        assert np.array_equal(here, there)

    def test_results_are_equal_in_other_threads(self):
        options = {"cv": FOLDS, "params": {"groups": GROUPS}, "error_score": "raise"}
        here = cross_val_score(ridge_head(), X, Y, **options)
        state = torch.get_rng_state()
        with joblib.parallel_config(backend="threading"):
            there = cross_val_score(ridge_head(), X, Y, n_jobs=3, **options)
        assert np.array_equal(here, there)
        assert torch.equal(torch.get_rng_state(), state)

    def test_a_grid_over_the_network_and_the_learner(self):
        pipe = Pipeline([("scale", StandardScaler()), ("meta", MAMLRegressor(**QUICK))])
        pipe.set_params(meta__backbone=MLP((4,)), meta__adaptation_steps=1)
        grid = {
            "meta__backbone__hidden_layer_sizes": [(4,), (3, 3)],
            "meta__inner_lr": [0.01, 0.1],
        }
        search = GridSearchCV(pipe, grid, cv=FOLDS, error_score="raise").fit(X, Y, groups=GROUPS)
        assert len(search.cv_results_["params"]) == 4
        assert np.isfinite(search.cv_results_["mean_test_score"]).all()
        best = search.best_estimator_["meta"]
        sizes = search.best_params_["meta__backbone__hidden_layer_sizes"]
        assert best.backbone.hidden_layer_sizes == sizes
        assert [layer.out_features for layer in best.net_.module_.network.body.layers] == [*sizes]
        adapted = adapt(search, X_NEW[:5], Y_NEW[:5])
        assert isinstance(adapted, Pipeline)
        expected = adapt(search.best_estimator_, X_NEW[:5], Y_NEW[:5]).predict(X_NEW)
        assert np.array_equal(adapted.predict(X_NEW), expected)

    @pytest.mark.parametrize("search_class", [HalvingGridSearchCV, RandomizedSearchCV])
    def test_other_searches(self, search_class):
        options = {"n_iter": 2} if search_class is RandomizedSearchCV else {"min_resources": 60}
        search = search_class(
            ridge_head(), {"noise": [0.1, 0.5]}, cv=GroupKFold(2), random_state=0, **options
        ).fit(X, Y, groups=GROUPS)
        adapted = adapt(search, X_NEW[:5], Y_NEW[:5])
        assert type(adapted) is RidgeHeadRegressor
        assert adapted.predict(X_NEW).shape == (12,)

    def test_a_search_within_a_cross_validation(self):
        search = GridSearchCV(ridge_head(), {"noise": [0.1, 0.5]}, cv=GroupKFold(2))
        scores = cross_val_score(
            search, X, Y, cv=FOLDS, params={"groups": GROUPS}, error_score="raise"
        )
        assert np.isfinite(scores).all()

    def test_curves_and_permutations(self):
        options = {"cv": FOLDS, "error_score": "raise", "params": {"groups": GROUPS}}
        train, _ = validation_curve(
            ridge_head(), X, Y, param_name="noise", param_range=[0.1, 0.5], **options
        )
        assert train.shape == (2, 3)
        sizes, *_ = learning_curve(ridge_head(), X, Y, train_sizes=[40, 60], **options)
        assert sizes.tolist() == [40, 60]
        del options["error_score"]
        score, others, _ = permutation_test_score(ridge_head(), X, Y, n_permutations=2, **options)
        assert np.isfinite([score, *others]).all()

    def test_a_table_with_texts_and_holes(self):
        frame = pd.DataFrame(X, columns=["age", "dose", "size"]).mask(X > 1.8)
        frame["sex"] = np.where(X[:, 0] > 0, "f", "m")
        prepare = make_column_transformer(
            (SimpleImputer(), ["age", "dose", "size"]), (OneHotEncoder(), ["sex"])
        )
        pipe = make_pipeline(prepare, ridge_head()).fit(frame, Y, groups=GROUPS)
        adapted = adapt(pipe, frame.iloc[:5], Y[:5])
        assert np.isfinite(adapted.predict(frame)).all()

    def test_transformed_targets(self):
        y = np.exp(Y / 5)
        model = TransformedTargetRegressor(ridge_head(), func=np.log, inverse_func=np.exp)
        model.fit(X, y, groups=GROUPS)
        adapted = adapt(model, X_NEW[:5], np.exp(Y_NEW[:5] / 5))
        assert (adapted.predict(X_NEW) > 0).all()
        plain = ridge_head().fit(X, Y / 5, groups=GROUPS).adapt(X_NEW[:5], Y_NEW[:5] / 5)
        np.testing.assert_allclose(np.log(adapted.predict(X_NEW)), plain.predict(X_NEW), rtol=1e-3)
        assert model.predict(X_NEW).shape == (12,)

    def test_transformed_targets_in_a_pipeline_and_of_two_columns(self):
        y = np.stack([Y, 2 * Y], axis=1)
        model = TransformedTargetRegressor(
            make_pipeline(StandardScaler(), ridge_head()), transformer=StandardScaler()
        )
        model.fit(X, y, groups=GROUPS)
        adapted = adapt(model, X_NEW[:5], np.stack([Y_NEW[:5], 2 * Y_NEW[:5]], axis=1))
        assert adapted.predict(X_NEW).shape == (12, 2)

    def test_groups_need_no_request_and_can_be_declined(self):
        meta = ridge_head().set_fit_request(groups=False)
        fitted = make_pipeline(StandardScaler(), ridge_head()).fit(X, Y, groups=GROUPS)
        assert fitted[-1].n_tasks_ == 9
        result = cross_validate(
            meta, X, Y, cv=FOLDS, params={"groups": GROUPS}, return_estimator=True
        )
        assert np.isfinite(result["test_score"]).all()
        assert {fitted.n_tasks_ for fitted in result["estimator"]} == {1}


class TestWithoutRouting:
    def test_a_bare_estimator_takes_groups(self):
        assert ridge_head().fit(X, Y, groups=GROUPS).n_tasks_ == 9

    def test_a_pipeline_takes_them_for_its_step(self):
        pipe = Pipeline([("scale", StandardScaler()), ("meta", ridge_head())])
        assert pipe.fit(X, Y, meta__groups=GROUPS)["meta"].n_tasks_ == 9

    def test_routing_is_of_the_thread_that_set_it(self):
        # Groups reach the estimator in the thread with routing; elsewhere only the splitter.
        found = {}

        def search(name):
            warnings.simplefilter("ignore", OneTaskWarning)  # pytest puts the filters back
            grid = GridSearchCV(ridge_head(), {"noise": [0.3]}, cv=GroupKFold(2))
            found[name] = grid.fit(X, Y, groups=GROUPS).best_estimator_.n_tasks_

        with config_context(enable_metadata_routing=True):
            search("here")
            thread = threading.Thread(target=search, args=("there",))
            thread.start()
            thread.join()
        assert found == {"here": 9, "there": 1}


class TestAdapt:
    def test_steps_that_pass_or_only_transform(self):
        pipe = Pipeline(
            [
                ("nothing", "passthrough"),
                ("none", None),
                ("log", FunctionTransformer(np.tanh)),
                ("meta", ridge_head()),
            ]
        ).fit(X, Y, meta__groups=GROUPS)
        adapted = adapt(pipe, X_NEW[:5], Y_NEW[:5])
        expected = pipe["meta"].adapt(np.tanh(X_NEW[:5]), Y_NEW[:5]).predict(np.tanh(X_NEW))
        assert np.array_equal(adapted.predict(X_NEW), expected)
        assert adapted["log"] is pipe["log"]
        assert not np.array_equal(pipe.predict(X_NEW), expected)

    def test_a_frozen_one(self):
        meta = ridge_head().fit(X, Y, groups=GROUPS)
        adapted = adapt(FrozenEstimator(meta), X_NEW[:5], Y_NEW[:5])
        expected = meta.adapt(X_NEW[:5], Y_NEW[:5])
        assert np.array_equal(adapted.predict(X_NEW), expected.predict(X_NEW))

    def test_a_frozen_step_of_a_pipeline(self):
        meta = ridge_head().fit(X, Y, groups=GROUPS)
        pipe = make_pipeline(FunctionTransformer(), FrozenEstimator(meta)).fit(X, Y)
        assert adapt(pipe, X_NEW[:5], Y_NEW[:5]).predict(X_NEW).shape == (12,)

    @pytest.mark.parametrize(
        "wrapper", [PerTask(Ridge()), Pooled(Ridge()), ShrunkRegressor(), PerTask(ridge_head())]
    )
    def test_the_baselines(self, wrapper):
        fitted = clone(wrapper).fit(X, Y, groups=GROUPS)
        assert adapt(fitted, X_NEW[:5], Y_NEW[:5]).predict(X_NEW).shape == (12,)

    @pytest.mark.parametrize(
        "wrap",
        [
            clone,
            lambda meta: make_pipeline(StandardScaler(), meta),
            lambda meta: TransformedTargetRegressor(meta, transformer=StandardScaler()),
            lambda meta: GridSearchCV(meta, {"noise": [0.3]}, cv=GroupKFold(2)),
        ],
    )
    @pytest.mark.usefixtures("_routing")
    def test_many_tasks_equal_one_by_one(self, wrap):
        fitted = wrap(ridge_head()).fit(X, Y, groups=GROUPS)
        tasks = adapt_groups(fitted, X, Y, GROUPS)
        assert list(tasks) == list(range(9))
        rows = GROUPS == 4
        expected = adapt(fitted, X[rows], Y[rows]).predict(X_NEW)
        np.testing.assert_allclose(tasks[4].predict(X_NEW), expected, rtol=1e-4, atol=1e-4)


class TestAdapted:
    def frozen(self):
        return FrozenEstimator(ridge_head().fit(X, Y, groups=GROUPS))

    def test_fitting_is_adapting(self):
        frozen = self.frozen()
        model = AdaptedRegressor(frozen).fit(X_NEW[:5], Y_NEW[:5])
        expected = frozen.estimator.adapt(X_NEW[:5], Y_NEW[:5]).predict(X_NEW)
        assert np.array_equal(model.predict(X_NEW), expected)
        assert model.n_features_in_ == 3
        assert clone(model).estimator is frozen

    def test_it_is_cross_validated_within_a_task(self):
        model = AdaptedRegressor(self.frozen())
        scores = cross_val_score(model, X_NEW, Y_NEW, cv=KFold(3), error_score="raise")
        assert np.isfinite(scores).all()
        assert cross_val_predict(model, X_NEW, Y_NEW, cv=3).shape == (12,)

    def test_it_votes_beside_ordinary_models(self):
        vote = VotingRegressor([("adapted", AdaptedRegressor(self.frozen())), ("ridge", Ridge())])
        vote.fit(X_NEW[:6], Y_NEW[:6])
        parts = [model.predict(X_NEW) for model in vote.estimators_]
        np.testing.assert_allclose(vote.predict(X_NEW), np.mean(parts, axis=0))

    def test_a_frozen_pipeline(self):
        pipe = Pipeline([("scale", StandardScaler()), ("meta", ridge_head())])
        pipe.fit(X, Y, meta__groups=GROUPS)
        model = AdaptedRegressor(FrozenEstimator(pipe)).fit(X_NEW[:5], Y_NEW[:5])
        expected = adapt(pipe, X_NEW[:5], Y_NEW[:5]).predict(X_NEW)
        assert np.array_equal(model.predict(X_NEW), expected)

    def test_one_that_is_not_fitted_is_fitted_on_the_task_alone(self):
        model = AdaptedRegressor(ridge_head()).fit(X_NEW, Y_NEW)
        with pytest.warns(OneTaskWarning):
            expected = ridge_head().fit(X_NEW, Y_NEW).predict(X_NEW)
        assert np.array_equal(model.predict(X_NEW), expected)

    def test_a_classifier_votes_and_is_calibrated(self):
        meta = RidgeHeadClassifier(**QUICK).fit(BLOBS.X, BLOBS.y, groups=BLOBS.groups)
        model = AdaptedClassifier(FrozenEstimator(meta))
        rows = slice(0, 12)
        vote = VotingClassifier(
            [("adapted", model), ("logistic", LogisticRegression())], voting="soft"
        ).fit(BLOBS.X[rows], BLOBS.y[rows])
        assert vote.predict_proba(BLOBS.X).shape == (120, 2)
        calibrated = CalibratedClassifierCV(model, cv=2).fit(BLOBS.X[rows], BLOBS.y[rows])
        assert calibrated.predict(BLOBS.X).shape == (120,)

    def test_private_classes_come_from_the_task(self):
        pool = BlobTasks(n_features=3).sample_classes(8, 6, random_state=0)
        y = np.repeat(pool.task_ids, pool.sizes)
        meta = ProtoNetClassifier(label_space="task", n_way=3, **QUICK).fit(pool.X, y)
        model = AdaptedClassifier(FrozenEstimator(meta)).fit(pool.X[:12], np.repeat(["u", "v"], 6))
        assert model.classes_.tolist() == ["u", "v"]
        assert set(model.predict(pool.X)) == {"u", "v"}
