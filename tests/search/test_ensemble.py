import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.linear_model import Ridge

from metaskl import RidgeHeadRegressor, TaskSearchCV
from metaskl.errors import GroupsWarning
from metaskl.estimators.per_task import PerTask
from metaskl.estimators.pooled import Pooled
from metaskl.evaluation.folds import make_folds
from metaskl.evaluation.scoring import resolve_scorer
from metaskl.search.ensemble import TaskEnsemble, choose_ensemble
from metaskl.tasks import BlobTasks, LinearTasks

LINES = LinearTasks().sample(6, 20, random_state=0)
QUICK = {"max_epochs": 1, "steps_per_epoch": 2, "random_state": 0}


class Says(RegressorMixin, BaseEstimator):
    """Predicts the target's truth (its first column) and an error of its own."""

    def __init__(self, error=0.0):
        self.error = error

    def fit(self, X, y):
        self.n_features_in_ = X.shape[1]
        return self

    def predict(self, X):
        return X[:, 0] + self.error


def folds_of(y, groups):
    return make_folds(
        y, groups, n_way=None, n_shot=5, n_repeats=1, cv=2, holdout="tasks", random_state=0
    )


def test_greedy_choice_by_hand():
    # Errors of 3, -1 and -2: the best alone is -1. Then the mean with 3 is 1, with -1 again -1,
    # with -2 it is -1.5; of the equals the first is taken, 3, so the mean is +1. Next -2 makes
    # it 0, which nothing can beat.
    X = LINES.X.copy()
    X[:, 0] = LINES.y
    models = {"up": Pooled(Says(3.0)), "down": Pooled(Says(-1.0)), "far": Pooled(Says(-2.0))}
    scorer = resolve_scorer(None, classification=False)
    weights, score = choose_ensemble(
        models, X, LINES.y, LINES.groups, folds_of(LINES.y, LINES.groups), scorer, n_rounds=3
    )
    assert weights == {"down": 1, "up": 1, "far": 1}
    assert score == pytest.approx(0.0, abs=1e-9)
    alone, best = choose_ensemble(
        models, X, LINES.y, LINES.groups, folds_of(LINES.y, LINES.groups), scorer, n_rounds=1
    )
    assert alone == {"down": 1}
    assert best == pytest.approx(-1.0)


def test_weighted_mean_of_the_members():
    both = TaskEnsemble([PerTask(Ridge()), Pooled(Ridge())], [3, 1])
    both.fit(LINES.X, LINES.y, groups=LINES.groups)
    support, query = (LINES.X[:5], LINES.y[:5]), LINES.X[5:8]
    one = PerTask(Ridge()).fit(LINES.X, LINES.y, groups=LINES.groups).adapt(*support)
    two = Pooled(Ridge()).fit(LINES.X, LINES.y, groups=LINES.groups)
    expected = 0.75 * one.predict(query) + 0.25 * two.predict(query)
    np.testing.assert_allclose(both.adapt(*support).predict(query), expected)
    groups = np.repeat(["a", "b"], 5)
    several = both.adapt_groups(LINES.X[:10], LINES.y[:10], groups)
    np.testing.assert_allclose(several["a"].predict(query), expected)


class Sure(ClassifierMixin, BaseEstimator):
    """Gives one class a probability, and the rest to the others."""

    def __init__(self, share=(0.5, 0.5)):
        self.share = share

    def fit(self, X, y):
        self.classes_, self.n_features_in_ = np.unique(y), X.shape[1]
        return self

    def predict_proba(self, X):
        return np.tile(self.share, (len(X), 1))

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


def test_probabilities_are_averaged():
    blobs = BlobTasks(n_way=2).sample(6, 20, random_state=0)
    both = TaskEnsemble([Pooled(Sure((0.9, 0.1))), Pooled(Sure((0.2, 0.8)))], [1, 3])
    both.fit(blobs.X, blobs.y, groups=blobs.groups)
    np.testing.assert_allclose(both.predict_proba(blobs.X[:1]), [[0.375, 0.625]])
    assert both.predict(blobs.X[:1]) == both.classes_[1]


@pytest.mark.parametrize(
    "outer",
    [
        TaskEnsemble([RidgeHeadRegressor(**QUICK)]),
        TaskSearchCV(RidgeHeadRegressor(**QUICK), {"noise": [0.3]}, n_trials=1, cv=2),
        PerTask(RidgeHeadRegressor(**QUICK)),
    ],
    ids=lambda outer: type(outer).__name__,
)
def test_a_support_of_several_tasks_is_told_by_what_holds_a_learner(outer):
    frame = pd.DataFrame(LINES.X, columns=[*"abc"]).assign(line=LINES.groups)
    outer.fit(frame, LINES.y, groups="line")
    with pytest.warns(GroupsWarning, match="got 6 values of 'line'") as told:
        outer.adapt(frame, LINES.y)
    assert [each.filename for each in told] == [__file__]  # once, and shown at the call
    outer.adapt(frame[:5], LINES.y[:5])
