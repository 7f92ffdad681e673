"""What a process does once, before the clock of any candidate starts."""

from __future__ import annotations

from functools import cache

import numpy as np

from metaskl.backbones import MLP
from metaskl.estimators.ridge_head import RidgeHeadRegressor


@cache
def warm_up() -> None:
    """Run a tiny fit, so that imports and torch's start are charged to no candidate.

    A process, such as a worker of joblib, imports seconds' worth of modules at the first outer
    step and connects to a GPU, if there is one; whoever is fitted first would seem slow.
    """
    rows = np.arange(12.0)
    meta = RidgeHeadRegressor(
        backbone=MLP((2,)),
        n_shot=2,
        n_query=2,
        meta_batch_size=2,
        max_epochs=1,
        steps_per_epoch=1,
        random_state=0,
    )
    meta.fit(rows[:, None], np.sin(rows), groups=rows // 4).adapt([[0.0]], [1.0]).predict([[1.0]])
