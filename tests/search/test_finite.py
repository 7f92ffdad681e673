import optuna
import pytest
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from sklearn.linear_model import LinearRegression, Ridge
from sklearn.neighbors import KNeighborsRegressor

from metaskl import PerTask, TaskSearchCV, run_study
from metaskl.errors import MetasklWarning
from metaskl.search import Candidate
from metaskl.search.finite import n_configurations, n_values
from metaskl.tasks import LinearTasks

LINES = LinearTasks().sample(8, 16, random_state=0)
ALPHAS = {"estimator__alpha": CategoricalDistribution([0.1, 1.0, 10.0])}


def search(learners, space=None, **settings):
    settings = {"n_shot": 5, "cv": 2, "n_trials": 20} | settings
    return run_study(LINES.X, LINES.y, LINES.groups, learners=learners, space=space, **settings)


def test_sizes():
    assert n_values(CategoricalDistribution(["a", "b"])) == 2
    assert n_values(IntDistribution(1, 7, step=3)) == 3  # 1, 4, 7
    assert n_values(IntDistribution(1, 8, log=True)) == 8
    assert n_values(FloatDistribution(0.0, 0.3, step=0.1)) == 4
    assert n_values(FloatDistribution(1.0, 1.0)) == 1
    assert n_values(FloatDistribution(0.0, 1.0)) == float("inf")
    six = {"a": CategoricalDistribution(["a", "b"]), "b": IntDistribution(1, 3)}
    assert n_configurations([Candidate("six", None, six), Candidate("one", None)]) == 7


def test_ends_when_each_configuration_was_tried():
    with pytest.warns(MetasklWarning, match=r"after 3 trials.* 3 configurations, and each was"):
        result = search({"ridge": PerTask(Ridge())}, ALPHAS)
    assert sorted(result.trials["estimator__alpha"]) == [0.1, 1.0, 10.0]


def test_ends_without_a_warning_where_the_trials_suffice():
    result = search({"ridge": PerTask(Ridge())}, ALPHAS, n_trials=3)
    assert result.trials["estimator__alpha"].nunique() == 3


def test_steps_and_learners_together():
    learners = {"ridge": PerTask(Ridge()), "near": PerTask(KNeighborsRegressor())}
    space = {
        "ridge": {"estimator__alpha": FloatDistribution(0.1, 0.7, step=0.2)},
        "near": {
            "estimator__n_neighbors": IntDistribution(1, 3),
            "estimator__weights": CategoricalDistribution(["uniform", "distance"]),
        },
    }
    with pytest.warns(MetasklWarning, match="10 configurations"):
        trials = search(learners, space, pruning=None).trials
    # The defaults of both are outside of their space: four of one and six of the other are left.
    named = trials.columns[trials.columns.str.contains("__")].tolist()
    assert len(trials.drop_duplicates(named)) == len(trials) == 10


def test_finite_learner_beside_another_is_not_tried_twice():
    learners = {"ridge": PerTask(Ridge()), "plain": PerTask(LinearRegression())}
    space = {"ridge": {"estimator__alpha": FloatDistribution(0.1, 10.0)}}
    trials = search(learners, space, n_trials=15).trials
    assert (trials["learner"] == "plain").sum() == 1


def test_nothing_to_search():
    plain = {"plain": PerTask(LinearRegression())}
    with pytest.warns(MetasklWarning, match=r"after 1 trial, .* there is nothing to search"):
        assert len(search(plain).trials) == 1
    with pytest.warns(MetasklWarning, match=r"after 1 trial, .* there is nothing to search"):
        assert len(search(plain, n_trials=None, time_budget=600).trials) == 1


def test_grid_of_the_users_own_ends():
    grid = optuna.samplers.GridSampler({"estimator__alpha": [0.5, 2.0]}, seed=0)
    space = {"estimator__alpha": FloatDistribution(0.1, 10.0)}
    trials = search({"ridge": PerTask(Ridge())}, space, sampler=grid).trials
    assert sorted(trials["estimator__alpha"]) == [0.5, 1.0, 2.0]  # and the defaults


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_task_search_ends(n_jobs):
    search = TaskSearchCV(PerTask(Ridge()), {"estimator__alpha": [0.1, 1.0, 10.0]}, cv=2)
    with pytest.warns(MetasklWarning, match="3 configurations, and each was tried"):
        search.set_params(n_jobs=n_jobs).fit(LINES.X, LINES.y, groups=LINES.groups)
    assert sorted(search.cv_results_["param_estimator__alpha"]) == [0.1, 1.0, 10.0]


def test_task_search_of_nothing():
    search = TaskSearchCV(PerTask(Ridge()), {}, cv=2)
    with pytest.warns(MetasklWarning, match="there is nothing to search"):
        search.fit(LINES.X, LINES.y, groups=LINES.groups)
    assert search.best_params_ == {}


def test_choices_with_rounding_errors_are_each_tried_once():
    values = [0.1 + 0.2, 0.7 + 0.1 + 0.1]  # neither is the float that its digits say
    space = {"estimator__alpha": CategoricalDistribution([*values, 3.0, 4.0])}
    trials = search({"one": PerTask(Ridge())}, space, n_trials=4).trials
    assert sorted(trials["estimator__alpha"]) == sorted([*values, 3.0, 4.0])
