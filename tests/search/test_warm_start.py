import pytest
from sklearn.linear_model import Ridge

from metaskl.estimators.per_task import PerTask
from metaskl.estimators.pooled import Pooled
from metaskl.learners.space import Real
from metaskl.search import Candidate, run_study
from metaskl.search.result import NOTES
from metaskl.search.warm_start import best_of_nearest, nearest_studies, remember
from metaskl.tasks import LinearTasks

optuna = pytest.importorskip("optuna")
SETTING = {"kind": "regression"}


@pytest.fixture
def storage(tmp_path):
    return optuna.storages.RDBStorage(f"sqlite:///{tmp_path / 'studies.db'}")


def past_study(storage, name, features, values, setting=SETTING, direction="maximize"):
    study = optuna.create_study(storage=storage, study_name=name, direction=direction)
    remember(study, features, setting)
    space = {"estimator__alpha": optuna.distributions.FloatDistribution(0.0, 1.0)}
    for alpha, value in values.items():
        study.add_trial(
            optuna.trial.create_trial(
                params={"estimator__alpha": alpha},
                distributions=space,
                value=value,
                user_attrs={NOTES: {"learner": "ridge"}},
            )
        )
    return study


def new_study(storage):
    study = optuna.create_study(storage=storage, study_name="new", direction="maximize")
    remember(study, {"a": 0.0}, SETTING)
    return study


def ridge(low=0.0, high=1.0):
    return Candidate("ridge", PerTask(Ridge()), {"estimator__alpha": Real(low, high)})


def alphas(configurations):
    return [params["estimator__alpha"] for params in configurations]


def test_the_nearest_of_the_same_setting_in_order(storage):
    past_study(storage, "far", {"a": 9.0}, {0.1: 1.0})
    past_study(storage, "near", {"a": 1.0}, {0.2: 1.0})
    past_study(storage, "other kind", {"a": 0.0}, {0.3: 1.0}, {"kind": "classification"})
    optuna.create_study(storage=storage, study_name="of something else")
    new = new_study(storage)
    assert nearest_studies(new, {"a": 0.0}, SETTING) == [(1.0, "near"), (9.0, "far")]
    assert nearest_studies(new, {"a": 0.0}, SETTING, n_studies=1) == [(1.0, "near")]


def test_the_best_of_each_comes_before_the_second_best(storage):
    past_study(storage, "near", {"a": 1.0}, {0.1: 1.0, 0.2: 3.0, 0.3: 2.0})
    past_study(storage, "far", {"a": 2.0}, {0.2: 5.0, 0.4: 9.0}, direction="minimize")
    new = new_study(storage)
    found = best_of_nearest(new, {"a": 0.0}, SETTING, [ridge()], n_configurations=3)
    # near: 0.2, 0.3, 0.1; far, where small is good: 0.2 (already there), then 0.4.
    assert alphas(found) == [0.2, 0.3, 0.4]
    # Of a narrower space only what it holds.
    few = best_of_nearest(new, {"a": 0.0}, SETTING, [ridge(high=0.25)])
    assert alphas(few) == [0.2, 0.1]
    assert best_of_nearest(new, {"a": 0.0}, SETTING, [ridge(2.0, 3.0)]) == []


def test_a_study_of_several_takes_up_what_one_of_a_single_learner_found(storage):
    past_study(storage, "near", {"a": 1.0}, {0.2: 1.0})
    other = Candidate("other", Pooled(Ridge()), {"estimator__alpha": Real(0.0, 1.0)})
    found = best_of_nearest(new_study(storage), {"a": 0.0}, SETTING, [other, ridge()])
    assert found == [{"learner": "ridge", "ridge.estimator__alpha": 0.2}]
    assert best_of_nearest(new_study_again(storage), {"a": 0.0}, SETTING, [other]) == []


def new_study_again(storage):
    return optuna.load_study(storage=storage, study_name="new")


def test_unfinished_trials_teach_nothing(storage):
    study = past_study(storage, "near", {"a": 1.0}, {})
    study.ask({"estimator__alpha": optuna.distributions.FloatDistribution(0.0, 1.0)})
    assert best_of_nearest(new_study(storage), {"a": 0.0}, SETTING, [ridge()]) == []


def search(storage, seed, **settings):
    lines = LinearTasks().sample(12, 20, random_state=seed)
    return run_study(
        lines.X,
        lines.y,
        lines.groups,
        learners={"ridge": PerTask(Ridge())},
        n_shot=5,
        cv=2,
        pruning=None,
        storage=storage,
        **settings,
    )


def test_a_second_study_begins_with_what_the_first_found(storage):
    first = search(storage, 0, n_trials=6)
    second = search(storage, 1, n_trials=3)
    assert second.study.study_name != first.study.study_name
    ended = second.trials[second.trials["state"] == "complete"]
    tried = ended["estimator__alpha"].tolist()
    done = first.trials.sort_values("score", ascending=False)["estimator__alpha"]
    best = [alpha for alpha in done.tolist() if alpha != 1.0]
    assert tried == [1.0, *best[:2]]  # the defaults first, then the best of the other
    cold = search(storage, 2, n_trials=3, warm_start=False)
    assert cold.trials["estimator__alpha"].tolist()[1:] != best[:2]
    # The same call goes on with its study, and is not warmed again.
    more = search(storage, 1, n_trials=4)
    assert (more.trials["state"] == "complete").sum() == 4
    assert more.study.study_name == second.study.study_name
