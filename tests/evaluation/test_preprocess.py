import numpy as np
from scipy.sparse import csr_matrix
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from metaskl import PerTask, Pooled, compare, cross_validate_tasks
from metaskl.tasks import LinearTasks


class Counted(StandardScaler):
    """Counts how often it transforms."""

    calls = 0

    def transform(self, X, copy=None):
        type(self).calls += 1
        return super().transform(X, copy)


def test_a_pipeline_scores_as_its_last_step_on_transformed_rows():
    lines = LinearTasks(n_features=2).sample(9, 20, random_state=0)
    # With this factor standardising in each fold or not at all is the same to least squares.
    for model in (Pooled(Ridge(1e-9)), PerTask(Ridge(1e-9))):
        bare = cross_validate_tasks(model, lines.X, lines.y, lines.groups, cv=3, n_shot=8)
        piped = make_pipeline(StandardScaler(), model)
        scores = cross_validate_tasks(piped, lines.X, lines.y, lines.groups, cv=3, n_shot=8)
        np.testing.assert_allclose(scores["score"], bare["score"], rtol=1e-4)


def test_the_preprocessing_is_put_before_every_candidate_and_runs_once_a_fold():
    lines = LinearTasks(n_features=2).sample(9, 20, random_state=0)
    Counted.calls = 0
    compare(
        lines.X,
        lines.y,
        lines.groups,
        learners=[],
        baselines=["pooled ridge", "per-task ridge"],
        n_shot=(3, 6),
        cv=3,
        preprocess=Counted(),
    )
    # Two candidates and three folds, each once for fitting and once for all that is scored.
    assert Counted.calls == 2 * 3 * 2


def test_linear_baselines_take_sparse_features_as_they_are():
    lines = LinearTasks(n_features=2).sample(9, 20, random_state=0)
    given = {"learners": [], "n_shot": 6, "cv": 3, "preprocess": FunctionTransformer(csr_matrix)}
    baselines = {"bare": PerTask(RidgeCV(np.logspace(-2, 4, 13)))}
    bare = compare(lines.X, lines.y, lines.groups, baselines=baselines, **given)
    named = compare(lines.X, lines.y, lines.groups, baselines=["per-task ridge"], **given)
    np.testing.assert_array_equal(named.scores["score"], bare.scores["score"])
