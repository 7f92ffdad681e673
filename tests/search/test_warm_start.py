import pytest

from metaskl.search.warm_start import best_of_nearest, nearest_studies, remember

optuna = pytest.importorskip("optuna")
SETTING = {"kind": "regression"}


@pytest.fixture
def storage(tmp_path):
    return optuna.storages.RDBStorage(f"sqlite:///{tmp_path / 'studies.db'}")


def past_study(storage, name, features, values, setting=SETTING, direction="maximize"):
    study = optuna.create_study(storage=storage, study_name=name, direction=direction)
    remember(study, features, setting)
    space = {"lr": optuna.distributions.FloatDistribution(0.0, 1.0)}
    for lr, value in values.items():
        study.add_trial(
            optuna.trial.create_trial(params={"lr": lr}, distributions=space, value=value)
        )
    return study


def new_study(storage, setting=SETTING):
    study = optuna.create_study(storage=storage, study_name="new", direction="maximize")
    remember(study, {"a": 0.0}, setting)
    return study


def test_the_nearest_of_the_same_setting_in_order(storage):
    past_study(storage, "far", {"a": 9.0}, {0.1: 1.0})
    past_study(storage, "near", {"a": 1.0}, {0.2: 1.0})
    past_study(storage, "other kind", {"a": 0.0}, {0.3: 1.0}, {"kind": "classification"})
    optuna.create_study(storage=storage, study_name="of something else")
    found = nearest_studies(new_study(storage), {"a": 0.0}, SETTING)
    assert found == [(1.0, "near"), (9.0, "far")]
    assert len(nearest_studies(new_study_again(storage), {"a": 0.0}, SETTING, n_studies=1)) == 1


def new_study_again(storage):
    return optuna.load_study(storage=storage, study_name="new")


def test_the_best_of_each_comes_before_the_second_best(storage):
    past_study(storage, "near", {"a": 1.0}, {0.1: 1.0, 0.2: 3.0, 0.3: 2.0})
    past_study(storage, "far", {"a": 2.0}, {0.2: 5.0, 0.4: 9.0}, direction="minimize")
    new = new_study(storage)
    found = best_of_nearest(new, {"a": 0.0}, SETTING, n_configurations=3)
    # near: 0.2, 0.3, 0.1; far, where small is good: 0.2 (already there), then 0.4.
    assert [params["lr"] for params in found] == [0.2, 0.3, 0.4]
    few = best_of_nearest(new, {"a": 0.0}, SETTING, usable=lambda params: params["lr"] < 0.25)
    assert [params["lr"] for params in few] == [0.2, 0.1]


def test_unfinished_trials_teach_nothing(storage):
    study = past_study(storage, "near", {"a": 1.0}, {})
    study.ask({"lr": optuna.distributions.FloatDistribution(0.0, 1.0)})
    assert best_of_nearest(new_study(storage), {"a": 0.0}, SETTING) == []
