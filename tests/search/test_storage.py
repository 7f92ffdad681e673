import os
import resource
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import optuna
import pytest
from sklearn.linear_model import Ridge
from sqlalchemy.exc import OperationalError

from metaskl import PerTask
from metaskl.errors import StudyError
from metaskl.search import run_study
from metaskl.search.storage import Ownership, open_storage
from metaskl.tasks import LinearTasks

LINES = LinearTasks().sample(10, 12, random_state=0)


def search(**settings):
    settings = {"learners": {"ridge": PerTask(Ridge())}, "n_shot": 5, "cv": 2} | settings
    return run_study(LINES.X, LINES.y, LINES.groups, **settings)


def test_locked_database(tmp_path):
    url = f"sqlite:///{tmp_path}/study.db"
    search(storage=url, n_trials=2)
    holder = sqlite3.connect(tmp_path / "study.db")
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StudyError, match=r"says: database is locked\. Close the program that"):
        search(storage=f"{url}?timeout=0.2", n_trials=4)
    holder.rollback()
    holder.close()
    result = search(storage=url, n_trials=4)
    assert result.trials["state"].isin(["complete", "pruned"]).all()
    assert len(result.trials) == 4


FULL = """
import resource, sys
from tests.search.test_storage import search
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
search(storage=sys.argv[1], n_trials=400)
"""


def test_full_disk(tmp_path):
    # Files may not grow beyond a limit of the system's: what a write says is what it says when
    # the disk is full.
    url = f"sqlite:///{tmp_path}/study.db"
    search(storage=url, n_trials=2)
    limit = os.path.getsize(tmp_path / "study.db") + 16_384
    command = [sys.executable, "-c", FULL, url, str(limit)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "StudyError" in run.stderr
    assert "Make room on the disk. What the study holds is kept" in run.stderr
    done = len(search(storage=url, n_trials=3).trials)
    result = search(storage=url, n_trials=done + 1)
    assert len(result.trials) == done + 1
    assert result.trials["state"].isin(["complete", "pruned"]).all()
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def test_unknown_database_and_password():
    with pytest.raises(StudyError, match=r"'postgresql\+psycopg://me@localhost:9/none'"):
        search(storage="postgresql+psycopg://me:secret@localhost:9/none", n_trials=1)


def test_folder_that_is_not_there(tmp_path):
    with pytest.raises(StudyError, match=r"unable to open database file\. Look at the URL"):
        search(storage=f"sqlite:///{tmp_path}/none/study.db", n_trials=1)


def test_programs_that_make_a_database_at_the_same_time(tmp_path):
    n_programs = 4
    together = threading.Barrier(n_programs)

    def open_at_once(url):
        together.wait()
        return open_storage(url).get_all_studies()

    with ThreadPoolExecutor(n_programs) as pool:
        for number in range(5):
            urls = [f"sqlite:///{tmp_path}/study{number}.db"] * n_programs
            assert list(pool.map(open_at_once, urls)) == [[]] * n_programs


def test_study_of_other_data(tmp_path):
    url = f"sqlite:///{tmp_path}/study.db"
    search(storage=url, study_name="mine", n_trials=1)
    with pytest.raises(StudyError, match=r"'mine', which has other draws or scoring\."):
        search(storage=url, study_name="mine", n_trials=1, n_shot=3)
    with pytest.raises(StudyError, match="other candidates"):
        search(storage=url, study_name="mine", n_trials=1, learners={"r": PerTask(Ridge())})
    optuna.create_study(storage=url, study_name="theirs").ask()
    with pytest.raises(StudyError, match="another program made"):
        search(storage=url, study_name="theirs", n_trials=1)


def test_two_studies_in_one_file(tmp_path):
    url = f"sqlite:///{tmp_path}/study.db"
    search(storage=url, n_trials=2)
    search(storage=url, n_trials=2, n_shot=3)
    search(storage=url, n_trials=3)  # goes on with the first
    counts = [s.n_trials for s in optuna.get_all_study_summaries(url)]
    assert sorted(counts) == [2, 3]


def study_with_running_trial(owner=None):
    study = optuna.create_study()
    trial = study.ask()
    trial.suggest_float("x", 0, 1)
    if owner is not None:
        trial.set_user_attr("driver", owner)
    return study


def test_driver_of_another_machine_lives_while_it_gives_signs_of_life():
    study = study_with_running_trial("driver:there")
    with Ownership(study) as owner:
        entry = {"place": "there", "pid": 1, "born": ""}
        study.set_user_attr("driver:there", {**entry, "alive": 4e9})
        assert owner.reap(set()) == []
        study.set_user_attr("driver:there", {**entry, "alive": 1e9})
        assert owner.reap(set()) == [0]
    assert study.trials[0].state.name == "WAITING"
    again = study.ask()
    assert again.suggest_float("x", 0, 1) == study.trials[0].params["x"]


def test_trial_without_owner_waits_only_while_another_driver_may_be_about_to_name_itself():
    study = study_with_running_trial()
    study.set_user_attr("driver:there", {"place": "there", "pid": 1, "born": "", "alive": 4e9})
    with Ownership(study) as owner:
        assert owner.reap(set()) == []
        study.set_user_attr("driver:there", {})
        assert owner.reap({0}) == []
        assert owner.reap(set()) == [0]


def test_process_number_used_again_is_another_driver():
    study = study_with_running_trial("driver:here")
    with Ownership(study) as owner:
        # The parent of this process lives, but it was not born when this driver was.
        entry = {"place": owner.place, "pid": os.getppid(), "born": "1", "alive": 4e9}
        study.set_user_attr("driver:here", entry)
        assert owner.reap(set()) == [0]


def test_live_trials_of_this_process_are_left_alone():
    study = optuna.create_study()
    with Ownership(study) as first, Ownership(study) as second:
        trial = study.ask()
        first.take(trial)
        assert second.reap(set()) == []
        assert first.reap({0}) == []
    with Ownership(study) as third:
        assert third.reap(set()) == [0]


@pytest.mark.parametrize("named", [True, False])
def test_a_driver_that_begins_while_another_looks_for_dead_ones_keeps_its_trial(named, monkeypatch):
    study = optuna.create_study()
    listed = study.get_trials
    with Ownership(study) as first, Ownership(study) as second:
        study.set_user_attr(second.key, {})  # not begun

        def begins(*args, **kwargs):
            second._sign()
            trial = study.ask()
            if named:
                second.take(trial)
            return listed(*args, **kwargs)

        monkeypatch.setattr(study, "get_trials", begins)
        assert first.reap(set()) == []


def test_two_drivers_do_not_take_the_same_waiting_trial(tmp_path):
    # Who reads of a waiting trial holds the file until it has taken the trial.
    url = f"sqlite:///{tmp_path}/study.db?timeout=0.1"
    first, second = open_storage(url), open_storage(url)
    with first.engine.begin(), pytest.raises(OperationalError, match="locked"):
        second.engine.connect().begin()
    with second.engine.begin():
        pass


def test_trial_that_waits_again_is_nobodys_until_it_is_taken():
    study = study_with_running_trial("driver:dead")
    with Ownership(study) as first, Ownership(study) as second:
        assert first.reap(set()) == [0]
        study.ask()  # first asks for it, but has not named itself yet
        assert second.reap(set()) == []


def test_trial_that_another_has_taken_meanwhile_is_left_to_it(monkeypatch):
    study = study_with_running_trial("driver:dead")
    listed = study.get_trials()
    with Ownership(study) as first, Ownership(study) as second:
        assert first.reap(set()) == [0]
        first.take(study.ask())
        monkeypatch.setattr(study, "get_trials", lambda **_: listed)  # of a moment ago
        assert second.reap(set()) == []


def test_second_driver_does_not_propose_what_the_first_does(tmp_path):
    def alphas(name, entry):
        url = f"sqlite:///{tmp_path}/{name}.db"
        study = search(storage=url, n_trials=1, pruning=None).study
        study.set_user_attr("driver:there", entry)
        trials = search(storage=url, n_trials=3, pruning=None).trials
        return trials["estimator__alpha"].tolist()[1:]

    alone = alphas("alone", {})
    assert alone == alphas("again", {})
    living = {"place": "there", "pid": 1, "born": "", "alive": 4e9}
    assert set(alone).isdisjoint(alphas("two", living))


class Stiff(Ridge):
    pass


def test_models_of_other_classes_are_other_candidates(tmp_path):
    url = f"sqlite:///{tmp_path}/study.db"
    search(storage=url, n_trials=1)
    other = search(storage=url, n_trials=1, learners={"ridge": PerTask(Stiff())})
    assert len(other.trials) == 1
    assert len(optuna.get_all_study_summaries(url)) == 2


def test_study_of_other_objectives(tmp_path):
    url = f"sqlite:///{tmp_path}/study.db"
    search(storage=url, study_name="mine", n_trials=1)
    with pytest.raises(StudyError, match="'mine', which has other objectives"):
        search(storage=url, study_name="mine", n_trials=1, objectives=("score", "adapt_time"))
