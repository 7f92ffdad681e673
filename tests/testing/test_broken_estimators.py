import copy
import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from metaskl import ProtoNetClassifier, RidgeHeadRegressor
from metaskl.learners.ridge_head import RidgeHead
from metaskl.learners.space import Choice
from metaskl.testing import EstimatorLaws, check_meta_estimator, laws_of, table_for

QUICK = {"max_epochs": 1, "steps_per_epoch": 5}
CALLS = []


class ChangesAParameter(RidgeHeadRegressor):
    def fit(self, X, y, groups=None):
        self.n_query = 3
        return super().fit(X, y, groups)


class AdaptsInPlace(RidgeHeadRegressor):
    def adapt(self, X, y):
        self.state_ = super().adapt(X, y).state_
        return self


class BuildsAnotherNetwork(RidgeHeadRegressor):
    def adapt(self, X, y):
        return copy.deepcopy(super().adapt(X, y))


class WearsOut(ProtoNetClassifier):
    def adapt(self, X, y):
        with torch.no_grad():
            for parameter in self.net_.module_.parameters():
                parameter.mul_(0.5)
        return super().adapt(X, y)


class StaysAdapted(RidgeHeadRegressor):
    def adapt(self, X, y):
        if hasattr(self, "adapted_"):
            return self
        adapted = super().adapt(X, y)
        adapted.adapted_ = True
        return adapted


class ClonesFitted(RidgeHeadRegressor):
    def __sklearn_clone__(self):
        return copy.copy(self)


class TrainsTheSharedNetwork(RidgeHeadRegressor):
    def partial_fit(self, X, y, groups=None):
        with torch.no_grad():
            for parameter in self.net_.module_.parameters():
                parameter.mul_(0.9)
        return self


class AdaptsAllAlike(RidgeHeadRegressor):
    def adapt_groups(self, X, y, groups):
        tasks = super().adapt_groups(X, y, groups)
        return dict.fromkeys(tasks, tasks[min(tasks)])


class PredictsUnfitted(RidgeHeadRegressor):
    def predict(self, X, return_std=False):
        return super().predict(X) if hasattr(self, "net_") else np.zeros(len(X))


class CentresPredictions(RidgeHeadRegressor):
    def predict(self, X, return_std=False):
        y = super().predict(X)
        return y - y.mean()


class CountsItsCalls(RidgeHeadRegressor):
    def adapt(self, X, y):
        adapted = super().adapt(X, y)
        CALLS.append(1)
        adapted.state_ = {**adapted.state_, "weight": adapted.state_["weight"] + len(CALLS)}
        return adapted


class ForgetsWhatItAdapted(RidgeHeadRegressor):
    def __getstate__(self):
        state = super().__getstate__()
        if "state_" in state:
            state["state_"] = {n: np.zeros_like(a) for n, a in state["state_"].items()}
        return state


class KnowsItsProcess(RidgeHeadRegressor):
    def __setstate__(self, state):
        if state.setdefault("process_", os.getpid()) != os.getpid():
            state["y_scaling_"]["scale"] = 2 * state["y_scaling_"]["scale"]
        super().__setstate__(state)

    def __getstate__(self):
        state = super().__getstate__()
        return {**state, "process_": os.getpid()} if "_stored" in state else state


class WantsArrays(RidgeHeadRegressor):
    def fit(self, X, y, groups=None):
        other = np.arange(len(X)) % 3
        return super().fit(X, y, groups if isinstance(groups, np.ndarray) else other)


class ForgetsTheColumn(RidgeHeadRegressor):
    def fit(self, X, y, groups=None):
        super().fit(X, y, groups)
        self.groups_column_ = None
        return self


class IgnoresNames(RidgeHeadRegressor):
    def adapt(self, X, y):
        X = X.set_axis(self.feature_names_in_, axis=1) if hasattr(X, "columns") else X
        return super().adapt(X, y)


class SeedsTheProcess(RidgeHeadRegressor):
    def fit(self, X, y, groups=None):
        torch.manual_seed(0)
        return super().fit(X, y, groups)


class SetsTheThreads(RidgeHeadRegressor):
    def predict(self, X, return_std=False):
        torch.set_num_threads(1)
        return super().predict(X)


class IsRandom(RidgeHeadRegressor):
    def predict(self, X, return_std=False):
        return super().predict(X) + np.random.default_rng().random()


class AsksForNoGroups(RidgeHeadRegressor):
    __metadata_request__fit = {"groups": None}  # noqa: RUF012


class SaysNothing(RidgeHeadRegressor):
    """An estimator."""


class CountsInALearner(RidgeHead):
    """A learner that counts epochs where no checkpoint looks."""

    n_begun = 0

    def begin_epoch(self, epoch):
        self.n_begun += 1

    def episode_loss(self, episode):
        return super().episode_loss(episode) * self.n_begun


class CountsEpochs(RidgeHeadRegressor):
    @classmethod
    def _learner_class(cls):
        return CountsInALearner


class StartsOver(RidgeHeadRegressor):
    def fit(self, X, y, groups=None):
        if self.checkpoint is not None:
            Path(self.checkpoint).unlink(missing_ok=True)
        return super().fit(X, y, groups)


class FitsAnything(RidgeHeadRegressor):
    def fit(self, X, y, groups=None):
        return super().fit(np.nan_to_num(X), y, groups)


class ForgetsItsFit(RidgeHeadRegressor):
    def fit(self, X, y, groups=None):
        self.y_scaling_ = {"mean": np.zeros(1), "scale": np.ones(1)}
        return super().fit(X, y, groups)


class PredictsAnything(RidgeHeadRegressor):
    def predict(self, X, return_std=False):
        return super().predict(np.nan_to_num(X))


class ReadsAnything(RidgeHeadRegressor):
    def adapt(self, X, y):
        return super().adapt(np.nan_to_num(X), y)


class FailsInside(RidgeHeadRegressor):
    def adapt(self, X, y):
        if np.isnan(X).any():
            raise IndexError("list index out of range")
        return super().adapt(X, y)


class SearchesTooFar(RidgeHeadRegressor):
    def predict(self, X, return_std=False):
        return super().predict(X) * (np.inf if self.noise == 0.5 else 1.0)

    @classmethod
    def search_space(cls):
        return {"noise": Choice((0.8, 0.5))}


class SearchesWhatItLacks(RidgeHeadRegressor):
    @classmethod
    def search_space(cls):
        return {"depth": Choice((1, 2))}


# Before it is adapted nothing can be predicted: what changes must show in an adapted copy.
OF_PRIVATE_CLASSES = partial(WearsOut, label_space="task", n_way=2, n_shot=2)

OFFENDERS = {
    "scikit_learns_checks": {ChangesAParameter: "check_estimators_overwrite_params"},
    "adapting_returns_a_copy": {
        AdaptsInPlace: "is not",
        BuildsAnotherNetwork: "net_",
        OF_PRIVATE_CLASSES: "alike",
    },
    "adapting_a_copy_starts_from_the_shared_network": {StaysAdapted: "alike"},
    "a_clone_of_an_adapted_copy_is_unfitted": {ClonesFitted: "DID NOT RAISE"},
    "further_training_leaves_adapted_copies_alone": {
        TrainsTheSharedNetwork: "partial_fit changed a copy"
    },
    "adapting_to_many_tasks_equals_one_by_one": {AdaptsAllAlike: "Not equal to tolerance"},
    "predicting_needs_a_fit_or_an_adaptation": {PredictsUnfitted: "DID NOT RAISE"},
    "predictions_are_equal_for_any_split": {CentresPredictions: "predict, row by row"},
    "pipelines_adapt": {CountsItsCalls: "alike"},
    "round_trips": {ForgetsWhatItAdapted: "alike"},
    "copies": {ForgetsWhatItAdapted: "copy.copy"},
    "loading_in_another_process": {KnowsItsProcess: "pickle"},
    "task_ids_may_come_in_any_form": {WantsArrays: "a list"},
    "a_column_of_the_frame_names_the_task": {ForgetsTheColumn: "feature names should match"},
    "other_feature_names_are_refused": {IgnoresNames: "DID NOT RAISE"},
    "the_process_is_left_as_it_was": {
        SeedsTheProcess: r"fit changed \[\"torch's random state\"\]",
        SetsTheThreads: r"predict changed \[\"torch's threads\"\]",
    },
    "the_same_random_state_gives_the_same_result": {IsRandom: "alike"},
    "task_ids_are_requested_by_default": {AsksForNoGroups: "None is True"},
    "parameters_are_explicit_and_documented": {SaysNothing: "documentation of SaysNothing"},
    "samples_of_the_search_space_can_be_set_and_fitted": {
        SearchesWhatItLacks: "depth",
        SearchesTooFar: "predict, {'noise': 0.5}",
    },
    "a_stopped_fit_resumes_bit_by_bit": {
        CountsEpochs: "the losses of a resumed fit are others",
        StartsOver: "a fit was not taken up where it was stopped",
    },
    "bad_input_to_fit_is_refused": {
        FitsAnything: "fit on missing values was not refused",
        ForgetsItsFit: "fit on missing values changed the estimator",
    },
    "bad_supports_are_refused": {
        ReadsAnything: "adapt to missing values was not refused",
        FailsInside: "adapt to missing values: IndexError is no message",
    },
    "bad_queries_are_refused": {PredictsAnything: "predict missing values was not refused"},
}
LAWS = {name.removeprefix("test_"): law for name, law in laws_of(EstimatorLaws).items()}


def call(law, estimator, folder):
    given = {
        "estimator": estimator,
        "longer_trained": estimator,
        "table": table_for(estimator),
        "tmp_path": folder,
    }
    given["way"] = "pickle"
    wanted = LAWS[law].__code__.co_varnames[1 : LAWS[law].__code__.co_argcount]
    LAWS[law](**{name: given[name] for name in wanted})


@pytest.mark.parametrize(
    ("law", "offender"), [(law, one) for law, some in OFFENDERS.items() for one in some]
)
def test_each_law_catches_its_offenders(law, offender, tmp_path):
    found = torch.get_rng_state()
    with pytest.raises((Exception, pytest.fail.Exception), match=OFFENDERS[law][offender]):
        call(law, offender(**QUICK), tmp_path)
    torch.set_rng_state(found)


def test_every_law_has_an_offender():
    assert set(LAWS) == set(OFFENDERS)


def test_one_call_checks_all_laws_and_names_the_broken_one():
    check_meta_estimator(RidgeHeadRegressor(**QUICK))
    with pytest.raises(AssertionError, match="predictions are equal for any split: predict, row"):
        check_meta_estimator(CentresPredictions(**QUICK))
