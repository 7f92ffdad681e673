"""What torch.func.vmap cannot do in a learner of one's own is told in the learner's words."""

import pytest
import torch
from torch import nn

from metaskl.backbones import MLP
from metaskl.learners import MetaLearner


class Branching(MetaLearner):
    def __init__(self, backbone, n_outputs, *, kind="regression", **labels):
        super().__init__(backbone, n_outputs, kind=kind, **labels)
        self.head = nn.Linear(1, n_outputs)

    def adapt(self, X_support, y_support, weight=None):
        return {"sign": y_support.sum(0).sign() if y_support.sum() > 0 else y_support.sum(0)}

    def predict(self, adapted, X_query):
        return self.head(X_query[torch.randn(len(X_query)).abs() >= 0]) * adapted["sign"]


@pytest.mark.parametrize("name", ["adapt", "predict"])
def test_an_error_under_vmap_says_what_runs_all_tasks_at_once(name):
    learner = Branching(MLP(()).build((1,)), 1)
    arguments = {
        "adapt": (torch.ones(2, 3, 1), torch.ones(2, 3, 1)),
        "predict": ({"sign": torch.ones(2, 1)}, torch.ones(2, 3, 1)),
    }
    with pytest.raises(RuntimeError, match="vmap") as caught:
        getattr(learner, f"{name}_tasks")(*arguments[name])
    (note,) = caught.value.__notes__
    assert note.startswith(f"Branching.{name} was run on all tasks at once by torch.func.vmap")
    assert f"or override {name}_tasks: see 'Write a learner'" in note
