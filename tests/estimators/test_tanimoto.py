"""What does not suit the Tanimoto kernel is said in fit."""

import numpy as np
import pytest

from metaskl import ADKFClassifier, DKTRegressor, MetaRegressor
from metaskl.backbones import MLP
from metaskl.errors import MetasklWarning

RNG = np.random.default_rng(0)
BITS = RNG.integers(0, 2, (60, 16), dtype=np.uint8)
GROUPS = np.repeat(np.arange(6), 10)
Y = BITS[:, 0] + 0.1 * GROUPS
QUICK = {"kernel": "tanimoto", "max_epochs": 1, "steps_per_epoch": 1, "random_state": 0}
PLAIN = {"backbone": MLP(()), "standardize": False}


@pytest.mark.parametrize("backbone", [None, MLP(()), MLP((8,), skip=True)])
def test_standardised_features_are_said(backbone):
    meta = DKTRegressor(backbone=backbone, **QUICK)
    said = "standardize should be False with kernel='tanimoto', got True.*standardize=False"
    with pytest.warns(MetasklWarning, match=said) as caught:
        meta.fit(BITS, Y, groups=GROUPS)
    assert caught[0].filename == __file__


def test_negative_features_are_said():
    said = r"bits or counts with kernel='tanimoto', got values below 0, such as -1\."
    with pytest.warns(MetasklWarning, match=said):
        ADKFClassifier(**PLAIN, **QUICK).fit(-1.0 * BITS, BITS[:, 0], groups=GROUPS)


def test_packed_bits_are_said():
    said = r"whole numbers up to 2\d\d, as bits packed into bytes are.*np\.unpackbits\(X, axis=1\)"
    with pytest.warns(MetasklWarning, match=said):
        DKTRegressor(**PLAIN, **QUICK).fit(np.packbits(BITS, axis=1), Y, groups=GROUPS)


def test_a_learner_by_its_name_is_looked_at():
    own = {**QUICK}
    meta = MetaRegressor(learner="dkt", learner_params={"kernel": own.pop("kernel")}, **own)
    with pytest.warns(MetasklWarning, match="standardize should be False"):
        meta.fit(BITS, Y, groups=GROUPS)


def test_bits_counts_and_learned_features_are_not_said():
    DKTRegressor(**PLAIN, **QUICK).fit(BITS, Y, groups=GROUPS)
    DKTRegressor(**PLAIN, **QUICK).fit(7 * BITS, Y, groups=GROUPS)
    DKTRegressor(backbone=MLP((8,)), **QUICK).fit(BITS, Y, groups=GROUPS)
