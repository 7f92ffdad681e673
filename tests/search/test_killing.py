"""Whatever is killed: every trial ends exactly once, with the values that it began with."""

import os
import signal
import time

import optuna
import pytest

from tests.search.scripts import DASK, finish, start

pytestmark = pytest.mark.slow


def study_of(url):
    (name,) = optuna.get_all_study_names(url)
    return optuna.load_study(study_name=name, storage=url)


def states(study):
    return [trial.state.name for trial in study.trials]


def test_killed_loky_worker(tmp_path):
    url = f"sqlite:///{tmp_path}/study.db"
    (tmp_path / "kill once").touch()
    finish(start(tmp_path, seconds=0.2, storage=url, n_trials=6, n_jobs=2))
    study = study_of(url)
    assert not (tmp_path / "kill once").exists()
    assert states(study) == ["COMPLETE"] * 6
    lost = [trial.number for trial in study.trials if trial.user_attrs.get("runs") == 2]
    assert 1 <= len(lost) <= 2  # the one that was killed, and what ran beside it


def test_trial_that_always_kills_its_worker(tmp_path):
    url = f"sqlite:///{tmp_path}/study.db"
    (tmp_path / "kill large").touch()
    finish(start(tmp_path, storage=url, n_trials=5, n_jobs=2))
    for trial in study_of(url).trials:
        large = trial.params["estimator__alpha"] > 1.0
        assert trial.state.name == ("FAIL" if large else "COMPLETE")
        error = trial.user_attrs["outcome"].get("error", "")
        assert ("killed twice" in error) == large


def test_killed_dask_worker(tmp_path):
    url = f"sqlite:///{tmp_path}/study.db"
    (tmp_path / "kill once").touch()
    finish(start(tmp_path, seconds=0.2, setup=DASK, storage=url, n_trials=6, n_jobs=None))
    assert not (tmp_path / "kill once").exists()
    assert states(study_of(url)) == ["COMPLETE"] * 6


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_killed_driver(tmp_path, n_jobs):
    url = f"sqlite:///{tmp_path}/study.db"
    settings = {"seconds": 0.5, "storage": url, "n_trials": 6, "n_jobs": n_jobs}
    first = start(tmp_path, **settings)
    while "COMPLETE" not in running_states(url):
        assert first.poll() is None, first.communicate()
        time.sleep(0.1)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    before = study_of(url).trials
    left = [trial for trial in before if trial.state.name == "RUNNING"]
    assert 1 <= len(left) <= n_jobs
    finish(start(tmp_path, **settings))
    after = study_of(url).trials
    assert [trial.state.name for trial in after] == ["COMPLETE"] * 6
    for trial in before:
        values = after[trial.number].params
        assert trial.params == {name: values[name] for name in trial.params}
        if trial.state.name == "COMPLETE":  # it was not run again
            assert after[trial.number].datetime_complete == trial.datetime_complete


def running_states(url):
    try:
        return states(study_of(url))
    except (ValueError, Exception):  # noqa: BLE001 - the study is not there yet
        return []


def test_interrupted_driver_leaves_trials_waiting_and_goes_on(tmp_path):
    url = f"sqlite:///{tmp_path}/study.db"
    settings = {"seconds": 0.5, "storage": url, "n_trials": 5}
    first = start(tmp_path, **settings)
    while "COMPLETE" not in running_states(url):
        assert first.poll() is None, first.communicate()
        time.sleep(0.1)
    first.send_signal(signal.SIGINT)
    assert "complete" in finish(first)  # what was found is returned
    found = states(study_of(url))
    assert "RUNNING" not in found
    assert "WAITING" in found
    finish(start(tmp_path, **settings))
    assert states(study_of(url)) == ["COMPLETE"] * 5
