import subprocess
import sys

import metaskl
from metaskl import testing
from metaskl.learners import MetaLearner
from metaskl.learners.space import Choice, Integer, Real
from metaskl.testing.spaces import samples


def test_every_name_is_there_and_documented():
    for name in testing.__all__:
        assert getattr(testing, name).__doc__


def test_pytest_is_asked_for_where_it_is_missing():
    code = "import sys; sys.modules['pytest'] = None; import metaskl.testing"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "MissingExtraError: the laws need pytest" in done.stderr


def test_what_there_is_to_cover():
    learners = testing.registered_learners()
    assert {"maml", "protonet", "ridge_head", "transfer"} < set(learners)
    assert all(issubclass(learner, MetaLearner) for learner in learners.values())
    estimators = testing.public_estimators()
    assert {"MAMLRegressor", "AdaptedClassifier", "PerTask"} <= set(estimators)
    assert set(estimators) <= set(metaskl.__all__)
    assert not {"FewShotScorer", "adapt", "save"} & set(estimators)


def test_samples_hold_every_limit_and_stay_within():
    space = {"rate": Real(1e-3, 1.0, log=True), "steps": Integer(1, 3), "part": Choice(("a", "b"))}
    drawn = samples(space, n_draws=20)
    assert drawn[:6] == [
        {"rate": 1e-3},
        {"rate": 1.0},
        {"steps": 1},
        {"steps": 3},
        {"part": "a"},
        {"part": "b"},
    ]
    assert all(set(values) == set(space) for values in drawn[6:])
    assert all(1e-3 <= values["rate"] <= 1 for values in drawn[6:])
    assert {values["steps"] for values in drawn[6:]} == {1, 2, 3}
    # On a logarithmic scale about a third lies in each factor of ten.
    assert sum(values["rate"] < 1e-2 for values in drawn[6:]) >= 3
    assert samples(space) == samples(space)
    assert samples({}) == []
