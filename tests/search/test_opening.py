import multiprocessing
import threading

import optuna
from sklearn.linear_model import Ridge

from metaskl.search import Candidate
from metaskl.search.opening import begin, enqueue_defaults
from metaskl.search.storage import create_study, open_storage, sign_of_life

CANDIDATES = [Candidate(name, Ridge(alpha=k)) for k, name in enumerate("abc", 1)]


def open_study(folder):
    return create_study(open_storage(f"sqlite:///{folder}/study.db"), "one", ["maximize"], None)


def make_in(study):
    return lambda: enqueue_defaults(study, CANDIDATES, 3)


def test_drivers_that_start_together_make_the_defaults_once(tmp_path):
    (first, created), (second, again) = open_study(tmp_path), open_study(tmp_path)
    assert created
    assert not again
    at_work, may_go_on = threading.Event(), threading.Event()

    def slowly():
        at_work.set()
        assert may_go_on.wait(60)
        enqueue_defaults(first, CANDIDATES, 3)

    one = threading.Thread(target=begin, args=(first, 3, slowly), kwargs={"created": True})
    other = threading.Thread(
        target=begin, args=(second, 3, make_in(second)), kwargs={"created": False}
    )
    one.start()
    assert at_work.wait(60)
    other.start()
    other.join(0.5)
    assert other.is_alive()  # it waits
    may_go_on.set()
    one.join()
    other.join()
    assert [t.system_attrs["fixed_params"]["learner"] for t in first.trials] == ["a", "b", "c"]


def _signed(queue):
    queue.put(sign_of_life())


def test_first_trials_of_a_driver_that_died_are_made_by_the_next(tmp_path):
    study, _ = open_study(tmp_path)
    queue = multiprocessing.get_context("spawn").SimpleQueue()
    dead = multiprocessing.get_context("spawn").Process(target=_signed, args=(queue,))
    dead.start()
    study.set_user_attr("metaskl:first", queue.get())
    dead.join()
    begin(study, 3, make_in(study), created=False)
    assert len(study.trials) == 3


def test_study_that_goes_on_with_more_learners_gets_their_defaults(tmp_path):
    study, created = open_study(tmp_path)
    begin(study, 2, lambda: enqueue_defaults(study, CANDIDATES, 2), created=created)
    begin(study, 3, make_in(study), created=False)
    assert len(study.trials) == 3


def test_study_of_before_goes_on_at_once(tmp_path):
    storage = open_storage(f"sqlite:///{tmp_path}/study.db")
    study = optuna.create_study(storage=storage, study_name="one", direction="maximize")
    study.enqueue_trial({"learner": "a"})
    begin(study, 3, make_in(study), created=False)
    assert len(study.trials) == 3


def test_fewer_first_trials_than_learners_are_the_first_learners_own(tmp_path):
    study, _ = open_study(tmp_path)
    enqueue_defaults(study, CANDIDATES, 1)
    (trial,) = study.trials
    assert trial.system_attrs["fixed_params"]["learner"] == "a"
