import pickle
import subprocess
import sys
from unittest.mock import Mock

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import metaskl
from metaskl.errors import (
    GroupsError,
    MetasklWarning,
    OneTaskWarning,
    ParameterError,
    StudyError,
    TaskError,
)
from metaskl.estimators.adapt import adapt
from metaskl.estimators.generic import MetaRegressor
from metaskl.estimators.per_task import PerTask
from metaskl.estimators.protonet import ProtoNetClassifier
from metaskl.estimators.ridge_head import RidgeHeadRegressor
from metaskl.evaluation import FewShotScorer, cross_validate_tasks
from metaskl.search import TaskSearchCV, search_space_of
from metaskl.search.storage import Ownership
from metaskl.tasks import BlobTasks, LinearTasks

optuna = pytest.importorskip("optuna")
LINES = LinearTasks().sample(10, 20, random_state=0)
ALPHAS = {"estimator__alpha": [1e-3, 1.0, 1e3]}


def small_learner(**parameters):
    return RidgeHeadRegressor(max_epochs=1, steps_per_epoch=2, random_state=0, **parameters)


def search_alpha(**settings):
    grid = optuna.samplers.GridSampler(ALPHAS, seed=0)
    # An alpha that the grid lacks: else the search would begin with it, beside the grid.
    return TaskSearchCV(PerTask(Ridge(alpha=0.5)), ALPHAS, n_trials=3, sampler=grid, **settings)


def test_a_meta_learner_without_groups_is_told_once():
    meta = RidgeHeadRegressor(max_epochs=1, steps_per_epoch=1, random_state=0)
    with pytest.warns(OneTaskWarning, match="groups must name the task of each row") as told:
        TaskSearchCV(meta, n_trials=1, cv=2).fit(LINES.X, LINES.y)
    assert [(w.category, w.filename) for w in told] == [(OneTaskWarning, __file__)]


def test_it_finds_what_a_loop_over_the_values_finds():
    search = search_alpha(cv=2, n_repeats=2).fit(LINES.X, LINES.y, groups=LINES.groups)
    cv = GroupKFold(2, shuffle=True, random_state=0)
    found = {}
    for alpha in ALPHAS["estimator__alpha"]:
        with config_context(enable_metadata_routing=True):
            scores = cross_val_score(
                PerTask(Ridge(alpha=alpha)),
                LINES.X,
                LINES.y,
                cv=cv,
                params={"groups": LINES.groups},
                scoring=FewShotScorer(n_repeats=2),
            )
        found[alpha] = scores.mean()
    results = search.cv_results_
    assert len(results["params"]) == 3
    for params, score in zip(results["params"], results["mean_test_score"], strict=True):
        assert score == pytest.approx(found[params["estimator__alpha"]])
    assert search.best_params_["estimator__alpha"] == max(found, key=found.get)
    assert search.best_score_ == pytest.approx(max(found.values()))
    assert search.study_.best_value == pytest.approx(search.best_score_)


def test_saving_a_search_says_what_to_save(tmp_path):
    search = TaskSearchCV(small_learner(), n_trials=1, cv=2)
    search.fit(LINES.X, LINES.y, groups=LINES.groups)
    with pytest.warns(MetasklWarning, match="TaskSearchCV holds its Optuna study.*best_estimator_"):
        metaskl.save(search, tmp_path / "search")
    best = metaskl.load(metaskl.save(search.best_estimator_, tmp_path / "best"))
    X, y = LINES.X[:5], LINES.y[:5]
    assert (best.adapt(X, y).predict(X) == search.adapt(X, y).predict(X)).all()


def test_values_may_come_as_an_array():
    space = {"outer_lr": np.array([1e-3, 1e-2]), "standardize": np.array([True, False])}
    search = TaskSearchCV(small_learner(), space, n_trials=2, cv=2)
    search.fit(LINES.X, LINES.y, groups=LINES.groups)
    assert {type(value) for value in search.best_params_.values()} == {float, bool}


def test_the_default_space_is_the_learners_own_and_starts_at_the_estimator():
    search = TaskSearchCV(small_learner(outer_lr=2e-3), n_trials=2, cv=2)
    search.fit(LINES.X, LINES.y, groups=LINES.groups)
    assert set(search.best_params_) == set(search_space_of(small_learner()))
    assert set(RidgeHeadRegressor.search_space()) < set(search.best_params_)
    first, second = search.cv_results_["params"]
    assert first["outer_lr"] == 2e-3
    assert second["outer_lr"] != 2e-3
    # One trial is the estimator itself: no worse than what the search started from.
    assert search.best_score_ >= search.cv_results_["mean_test_score"][0]


def test_same_seed_same_search_whatever_the_jobs():
    one = TaskSearchCV(small_learner(), n_trials=3, cv=2)
    one.fit(LINES.X, LINES.y, groups=LINES.groups)
    again = clone(one).set_params(n_jobs=2).fit(LINES.X, LINES.y, groups=LINES.groups)
    assert one.cv_results_["params"] == again.cv_results_["params"]
    np.testing.assert_array_equal(
        one.cv_results_["mean_test_score"], again.cv_results_["mean_test_score"]
    )


def test_pipelines_nested_validation_and_adapting():
    pipe = make_pipeline(StandardScaler(), small_learner())
    search = TaskSearchCV(pipe, n_trials=2, cv=2)
    outer = cross_validate_tasks(search, LINES.X, LINES.y, LINES.groups, n_shot=5, cv=2)
    assert outer["task"].nunique() == 10
    with config_context(enable_metadata_routing=True):
        scores = cross_val_score(
            search,
            LINES.X,
            LINES.y,
            cv=GroupKFold(2),
            params={"groups": LINES.groups},
            scoring=FewShotScorer(n_repeats=1),
            error_score="raise",
        )
    assert np.isfinite(scores).all()
    fitted = search.fit(LINES.X, LINES.y, groups=LINES.groups)
    support, query = (LINES.X[:5], LINES.y[:5]), LINES.X[5:8]
    prediction = fitted.adapt(*support).predict(query)
    np.testing.assert_array_equal(prediction, adapt(fitted, *support).predict(query))
    np.testing.assert_array_equal(
        prediction, adapt(fitted.best_estimator_, *support).predict(query)
    )
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(prediction, again.adapt(*support).predict(query))


def test_score_adapts_to_each_task():
    search = search_alpha(cv=2).fit(LINES.X, LINES.y, groups=LINES.groups)
    expected = FewShotScorer(n_repeats=1)(
        search.best_estimator_, LINES.X, LINES.y, groups=LINES.groups
    )
    assert search.score(LINES.X, LINES.y, groups=LINES.groups) == pytest.approx(expected)


def test_several_shot_counts_are_scored_by_their_mean():
    def best(**settings):
        search = search_alpha(cv=2, **settings).fit(LINES.X, LINES.y, groups=LINES.groups)
        return search.best_score_

    scorer = FewShotScorer(n_shot=(2, 10), n_repeats=1)
    assert best(n_shot=(2, 10)) == best(scoring=scorer)
    assert best(n_shot=2) < best(n_shot=(2, 10)) < best(n_shot=10)


def test_groups_may_name_a_column():
    frame = pd.DataFrame(LINES.X, columns=["a", "b", "c"]).assign(line=LINES.groups)
    by_name = search_alpha(cv=2).fit(frame, LINES.y, groups="line")
    by_array = search_alpha(cv=2).fit(frame[["a", "b", "c"]], LINES.y, groups=LINES.groups)
    assert by_name.best_score_ == by_array.best_score_
    np.testing.assert_array_equal(by_name.predict(frame), by_array.predict(frame[["a", "b", "c"]]))
    assert by_name.adapt(frame[:5], LINES.y[:5]).predict(frame[["a", "b", "c"]]).shape == (200,)
    assert by_name.score(frame, LINES.y, groups="line") == by_array.score(
        frame[["a", "b", "c"]], LINES.y, groups=LINES.groups
    )


def test_without_groups_it_is_an_ordinary_search():
    search = TaskSearchCV(Ridge(), {"alpha": [0.1, 10.0]}, n_trials=2, cv=3)
    search.fit(LINES.X, LINES.y)
    alpha = search.best_params_["alpha"]
    expected = cross_val_score(Ridge(alpha=alpha), LINES.X, LINES.y, cv=3).mean()
    assert search.best_score_ == pytest.approx(expected)
    assert not hasattr(search, "adapt")
    assert search.score(LINES.X, LINES.y) == search.best_estimator_.score(LINES.X, LINES.y)


def test_classes_of_each_tasks_own():
    blobs = BlobTasks().sample(8, 30, random_state=0)
    meta = ProtoNetClassifier(
        label_space="task", n_way=2, max_epochs=1, steps_per_epoch=2, random_state=0
    )
    search = TaskSearchCV(meta, n_trials=2, n_shot=2, cv=2)
    search.fit(blobs.X, blobs.y, groups=blobs.groups)
    assert 0.5 < search.best_score_ <= 1


def test_a_study_in_a_storage_goes_on(tmp_path):
    place = {"storage": f"sqlite:///{tmp_path / 'study.db'}", "study_name": "lines"}
    first = TaskSearchCV(small_learner(), n_trials=3, cv=2, **place)
    first.fit(LINES.X, LINES.y, groups=LINES.groups)
    more = clone(first).set_params(n_trials=2).fit(LINES.X, LINES.y, groups=LINES.groups)
    assert len(more.study_.trials) == 5
    # The best so far is evaluated again first, on the same folds and draws.
    assert more.cv_results_["params"][0] == first.best_params_
    assert more.cv_results_["mean_test_score"][0] == pytest.approx(first.best_score_)
    assert more.best_score_ >= first.best_score_


def test_a_grid_ends_when_it_is_done():
    search = search_alpha(cv=2).set_params(n_trials=10)
    search.fit(LINES.X, LINES.y, groups=LINES.groups)
    assert len(search.cv_results_["params"]) == 3


def test_one_trial_is_made_in_any_case():
    search = search_alpha(cv=2, time_budget=1e-9).fit(LINES.X, LINES.y, groups=LINES.groups)
    assert len(search.cv_results_["params"]) == 1


class FailsAbove(Ridge):
    """Cannot be fitted with an alpha above 10."""

    def fit(self, X, y):
        if self.alpha > 10:
            raise ValueError("too stiff")
        return super().fit(X, y)


def test_a_trial_that_fails_is_left_out():
    grid = optuna.samplers.GridSampler(ALPHAS, seed=0)
    search = TaskSearchCV(PerTask(FailsAbove(alpha=0.5)), ALPHAS, n_trials=3, sampler=grid, cv=2)
    search.fit(LINES.X, LINES.y, groups=LINES.groups)
    assert sorted(p["estimator__alpha"] for p in search.cv_results_["params"]) == [1e-3, 1.0]
    states = [trial.state.name for trial in search.study_.trials]
    assert sorted(states) == ["COMPLETE", "COMPLETE", "FAIL"]


def test_when_every_trial_fails_it_says_why():
    search = TaskSearchCV(
        PerTask(FailsAbove()), {"estimator__alpha": [100.0]}, n_trials=2, cv=KFold(2)
    )
    with pytest.raises(ValueError, match="too stiff") as caught:
        search.fit(LINES.X, LINES.y)
    (note,) = caught.value.__notes__
    assert note.endswith(": estimator__alpha=100.0")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"n_trials": 0}, TaskError, r"n_trials must be a whole number, at least 1, got 0"),
        ({"time_budget": -1}, ParameterError, r"time_budget must be a number of seconds above 0"),
        ({"estimator": Ridge}, ParameterError, r"estimator must be an estimator, got <class"),
        ({"space": {"estimator__alfa": [1.0]}}, ValueError, r"alfa"),
        ({"space": {"alpha": [1.0]}}, ParameterError, r"space must name hyper-param.*got 'alpha'"),
        (
            {"estimator": MetaRegressor(learner="ridge_head"), "space": {"noise": [0.1]}},
            ParameterError,
            r"got 'noise'\. Did you mean 'learner_params__noise'\?",
        ),
        (
            {"scoring": ["r2", "max_error"]},
            ParameterError,
            r"scoring must be one metric, got \['r2'",
        ),
        ({"cv": 99}, TaskError, r"cv must be from 2 to the number of tasks"),
        ({"cv": KFold(3)}, TaskError, r"cv must keep each task whole"),
    ],
)
def test_messages(change, error, message):
    search = search_alpha(cv=2).set_params(**change)
    with pytest.raises(error, match=message):
        search.fit(LINES.X, LINES.y, groups=LINES.groups)


def test_a_few_shot_scorer_needs_groups():
    with pytest.raises(GroupsError, match="FewShotScorer must be given groups"):
        search_alpha(scoring=FewShotScorer(), error_score="raise").fit(LINES.X, LINES.y)


def test_what_would_score_nan_in_every_trial_is_refused_beforehand():
    with pytest.raises(TaskError, match=r"n_shot=20 leaves no query in any of these tasks"):
        search_alpha(cv=2, n_shot=20).fit(LINES.X, LINES.y, groups=LINES.groups)
    with pytest.raises(ParameterError, match=r"estimator must predict, got StandardScaler"):
        TaskSearchCV(StandardScaler()).fit(LINES.X, LINES.y, groups=LINES.groups)
    with pytest.raises(ParameterError, match="estimator must be able to adapt, got a Ridge"):
        TaskSearchCV(Ridge()).fit(LINES.X, LINES.y, groups=LINES.groups)


def test_the_user_is_told_what_to_install_without_optuna():
    code = "import sys; sys.modules['optuna'] = None; from metaskl import TaskSearchCV"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "MissingExtraError" in done.stderr
    assert "metaskl[search]" in done.stderr


def test_nested_validation_with_a_storage_tells_no_fold_of_another(tmp_path):
    # A study shared by the outer folds would begin with what did well on the tasks held out.
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    search = TaskSearchCV(PerTask(Ridge()), n_trials=2, cv=2, storage=storage)
    cross_validate_tasks(search, LINES.X, LINES.y, LINES.groups, n_shot=5, cv=2)
    studies = optuna.get_all_study_summaries(storage)
    assert [study.n_trials for study in studies] == [2, 2]


def test_a_study_of_other_data_or_settings_is_refused(tmp_path):
    place = {"storage": f"sqlite:///{tmp_path / 'study.db'}", "study_name": "lines"}
    search = TaskSearchCV(PerTask(Ridge()), n_trials=1, cv=2, **place)
    search.fit(LINES.X, LINES.y, groups=LINES.groups)
    with pytest.raises(StudyError, match=r"'lines', which has other data\."):
        search.fit(LINES.X, 2 * LINES.y, groups=LINES.groups)
    with pytest.raises(StudyError, match=r"'lines', which has other folds or scoring\."):
        clone(search).set_params(n_shot=3).fit(LINES.X, LINES.y, groups=LINES.groups)
    with pytest.raises(StudyError, match=r"'lines', which has other candidates\."):
        clone(search).set_params(estimator__estimator__alpha=9.0).fit(
            LINES.X, LINES.y, groups=LINES.groups
        )


class InterruptedAbove(Ridge):
    """Gets Ctrl-C with an alpha above 10."""

    def fit(self, X, y):
        if self.alpha > 10:
            raise KeyboardInterrupt
        return super().fit(X, y)


def test_a_trial_that_was_cut_off_is_made_first_the_next_time(tmp_path, monkeypatch):
    grid = {"estimator__alpha": [1.0, 100.0]}
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    model = PerTask(InterruptedAbove(alpha=100.0))
    search = TaskSearchCV(model, grid, n_trials=1, cv=2, storage=storage)
    with pytest.raises(KeyboardInterrupt):
        search.fit(LINES.X, LINES.y, groups=LINES.groups)
    monkeypatch.setattr(InterruptedAbove, "fit", Ridge.fit)
    search.fit(LINES.X, LINES.y, groups=LINES.groups)
    assert search.cv_results_["params"] == [{"estimator__alpha": 100.0}]
    # Interrupted while the trial is named.
    search.set_params(n_trials=2)
    with monkeypatch.context() as patched:
        patched.setattr(Ownership, "take", Mock(side_effect=KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            search.fit(LINES.X, LINES.y, groups=LINES.groups)
    assert search.study_.trials[-1].state.name == "WAITING"
    # A killed process leaves its trial running.
    search.study_.ask(
        {"estimator__alpha": optuna.distributions.CategoricalDistribution([1.0, 100.0])}
    )
    search.fit(LINES.X, LINES.y, groups=LINES.groups)
    assert "RUNNING" not in [trial.state.name for trial in search.study_.trials]
