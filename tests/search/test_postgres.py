"""A study in a PostgreSQL database, with two workers at it."""

import os
import signal
import time

import optuna
import pytest
from sqlalchemy.pool import NullPool

from tests.search.postgres import postgres_server
from tests.search.scripts import finish, start

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def url():
    with postgres_server() as found:
        yield found


@pytest.fixture(scope="module")
def storage(url):
    # Without a pool, so that no connection is left open behind the tests.
    return optuna.storages.RDBStorage(url, engine_kwargs={"poolclass": NullPool})


def trials_of(storage, name):
    return optuna.load_study(study_name=name, storage=storage).trials


def wait_for_trials(process, storage, name):
    """Wait until a study has a complete trial and one that is running."""
    found = set()
    while not found >= {"COMPLETE", "RUNNING"}:
        assert process.poll() is None, process.communicate()
        time.sleep(0.2)
        if name in optuna.get_all_study_names(storage):
            found = {trial.state.name for trial in trials_of(storage, name)}


def test_two_drivers_of_which_one_is_killed(tmp_path, url, storage):
    settings = {"seconds": 0.1, "storage": url, "study_name": "two", "n_trials": 10}
    first = start(tmp_path, **settings)
    wait_for_trials(first, storage, "two")
    second = start(tmp_path, **settings | {"n_trials": 14})
    time.sleep(1)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    left = [t for t in trials_of(storage, "two") if t.state.name == "RUNNING"]
    finish(second)
    finish(start(tmp_path, **settings | {"n_trials": 15}))
    after = trials_of(storage, "two")
    assert [trial.state.name for trial in after] == ["COMPLETE"] * 15
    assert all(after[t.number].params == t.params for t in left if t.params)


def test_two_drivers_share_the_trials(tmp_path, url, storage):
    settings = {"seconds": 0.1, "storage": url, "study_name": "shared", "n_trials": 12}
    first = start(tmp_path, **settings)
    wait_for_trials(first, storage, "shared")
    finish(start(tmp_path, **settings))
    finish(first)
    trials = trials_of(storage, "shared")
    assert {trial.state.name for trial in trials} == {"COMPLETE"}
    assert 12 <= len(trials) <= 13  # both may ask for the last one at once
