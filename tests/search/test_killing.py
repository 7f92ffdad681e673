"""Whatever is killed: every trial ends exactly once, with the values that it began with."""

import os
import signal
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

import optuna
import pytest

from tests.search.scripts import DASK, finish, start

pytestmark = pytest.mark.slow


def study_of(url):
    (name,) = optuna.get_all_study_names(url)
    return optuna.load_study(study_name=name, storage=url)


def states(study):
    return [trial.state.name for trial in study.trials]


def wait_until_in_the_midst(process, url):
    """Wait until a trial is complete and the next is running, with its values."""
    while True:
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
        if not (names := try_names(url)):
            continue
        trials = optuna.load_study(study_name=names[0], storage=url).trials
        ended = any(trial.state.name == "COMPLETE" for trial in trials)
        if ended and any(trial.state.name == "RUNNING" and trial.params for trial in trials):
            return


def try_names(url):
    """Names of the studies, read without making the tables that the driver is about to make."""
    path = Path(url.removeprefix("sqlite:///"))
    if not path.exists():
        return []
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        try:
            return [name for (name,) in connection.execute("SELECT study_name FROM studies")]
        except sqlite3.OperationalError:  # its tables are being made
            return []


def test_killed_loky_worker(tmp_path):
    url = f"sqlite:///{tmp_path}/study.db"
    (tmp_path / "kill once").touch()
    finish(start(tmp_path, seconds=0.05, storage=url, n_trials=6, n_jobs=2))
    study = study_of(url)
    assert not (tmp_path / "kill once").exists()
    assert states(study) == ["COMPLETE"] * 6
    lost = [trial.number for trial in study.trials if trial.user_attrs.get("runs") == 2]
    assert 1 <= len(lost) <= 2  # the one that was killed, and what ran beside it


def test_trial_that_always_kills_its_worker(tmp_path):
    url = f"sqlite:///{tmp_path}/study.db"
    (tmp_path / "kill large").touch()
    finish(start(tmp_path, storage=url, n_trials=3, n_jobs=2))
    trials = study_of(url).trials
    for trial in trials:
        large = trial.params["estimator__alpha"] > 1.0
        assert trial.state.name == ("FAIL" if large else "COMPLETE")
        error = trial.user_attrs["outcome"].get("error", "")
        assert ("killed twice" in error) == large
    assert {trial.state.name for trial in trials} == {"FAIL", "COMPLETE"}


def test_killed_dask_worker(tmp_path):
    url = f"sqlite:///{tmp_path}/study.db"
    (tmp_path / "kill once").touch()
    finish(start(tmp_path, seconds=0.05, setup=DASK, storage=url, n_trials=6, n_jobs=None))
    assert not (tmp_path / "kill once").exists()
    assert states(study_of(url)) == ["COMPLETE"] * 6


def test_killed_driver(tmp_path):
    n_jobs = 2
    url = f"sqlite:///{tmp_path}/study.db"
    settings = {"seconds": 0.15, "storage": url, "n_trials": 6, "n_jobs": n_jobs}
    first = start(tmp_path, **settings)
    wait_until_in_the_midst(first, url)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    before = study_of(url).trials
    left = [trial for trial in before if trial.state.name == "RUNNING"]
    assert 1 <= len(left) <= n_jobs + 1  # one more may have ended without its end being told
    finish(start(tmp_path, **settings))
    after = study_of(url).trials
    assert [trial.state.name for trial in after] == ["COMPLETE"] * 6
    for trial in before:
        values = after[trial.number].params
        assert trial.params == {name: values[name] for name in trial.params}
        if trial.state.name == "COMPLETE":  # it was not run again
            assert after[trial.number].datetime_complete == trial.datetime_complete
    with suppress(ProcessLookupError):  # workers that outlive their driver do so for minutes
        os.killpg(first.pid, signal.SIGKILL)
    first.communicate()


def test_interrupted_driver_leaves_trials_waiting_and_goes_on(tmp_path):
    url = f"sqlite:///{tmp_path}/study.db"
    settings = {"seconds": 0.15, "storage": url, "n_trials": 5}
    first = start(tmp_path, **settings)
    wait_until_in_the_midst(first, url)
    first.send_signal(signal.SIGINT)
    assert "complete" in finish(first)  # what was found is returned
    found = states(study_of(url))
    assert "RUNNING" not in found
    assert "WAITING" in found
    finish(start(tmp_path, **settings))
    assert states(study_of(url)) == ["COMPLETE"] * 5
