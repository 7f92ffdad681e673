"""Annealing (MAML++) that a fit is too short for is said; nothing else is."""

import re

import pytest

from metaskl import MAMLClassifier, MAMLRegressor, MetaRegressor
from metaskl.errors import MetasklWarning
from metaskl.tasks import BlobTasks, LinearTasks

LINES = LinearTasks(n_features=3).sample(8, 10, random_state=0)
BLOBS = BlobTasks(n_way=2).sample(8, 10, random_state=0)
QUICK = {"max_epochs": 2, "steps_per_epoch": 1, "random_state": 0}
NO_END = {"multi_step_loss": True, "multi_step_epochs": 2}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"first_order_epochs": 2},
            "above first_order_epochs for second order ever to begin, got max_epochs=2 and "
            "first_order_epochs=2. Raise max_epochs or lower first_order_epochs; for first order "
            "throughout set first_order=True.",
        ),
        (
            NO_END,
            "above multi_step_epochs for the loss to reach the last step alone, got max_epochs=2 "
            "and multi_step_epochs=2. Raise max_epochs or lower multi_step_epochs; for all steps "
            "throughout set multi_step_epochs=None.",
        ),
    ],
)
def test_annealing_without_an_end_is_said(given, said):
    meta = MAMLRegressor(**QUICK, **given)
    with pytest.warns(MetasklWarning, match=re.escape(f"max_epochs must be {said}")) as caught:
        meta.fit(LINES.X, LINES.y, groups=LINES.groups)
    assert caught[0].filename == __file__
    meta.partial_fit(LINES.X, LINES.y, groups=LINES.groups)


def test_annealing_of_other_estimators_is_said():
    with pytest.warns(MetasklWarning, match="max_epochs must be above multi_step_epochs"):
        MAMLClassifier(**QUICK, **NO_END).fit(BLOBS.X, BLOBS.y, groups=BLOBS.groups)
    by_name = MetaRegressor(learner="maml", learner_params={"first_order_epochs": 9}, **QUICK)
    with pytest.warns(MetasklWarning, match="max_epochs must be above first_order_epochs"):
        by_name.fit(LINES.X, LINES.y, groups=LINES.groups)


@pytest.mark.parametrize(
    "given",
    [
        {"first_order_epochs": 1, "multi_step_loss": True, "multi_step_epochs": 1},
        {"first_order": True, "first_order_epochs": 2},
        {"multi_step_epochs": 2},
    ],
)
def test_annealing_that_ends_or_does_not_count_is_not_said(given):
    MAMLRegressor(**QUICK, **given).fit(LINES.X, LINES.y, groups=LINES.groups)
