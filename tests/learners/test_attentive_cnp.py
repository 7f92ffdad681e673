import math

import numpy as np
import pytest
import torch
from neural_processes import X, Y, coding_targets, process

from metaskl.backbones import MLP
from metaskl.errors import ParameterError
from metaskl.learners.attentive_cnp import AttentiveCNP


def test_attention_is_a_softmax_of_products():
    learner = coding_targets(AttentiveCNP, n_heads=1)
    with torch.no_grad():
        learner.look.weight.copy_(torch.tensor([[1.0], [0.0], [0.0], [0.0]]))
        learner.value.weight.copy_(torch.eye(4))
        learner.value.bias.zero_()
        learner.prior_value.copy_(torch.tensor([10.0, 0.0, 0.0, 0.0]))
        learner.log_sharpness.fill_(math.log(4.0))
        adapted = learner.adapt(X[:2], Y[:2])
        stack = {name: value[None] for name, value in adapted.items()}
        found = learner.read(stack, torch.tensor([[[0.5]]]))[0, 0, 0]
    # Keys 0 (the prior), 0 and 1, query 0.5, width 4: scores 4 · (0, 0, 0.5) / √4 = (0, 0, 1).
    weights = np.exp([0.0, 0.0, 1.0]) / np.exp([0.0, 0.0, 1.0]).sum()
    assert found.item() == pytest.approx(weights @ [10.0, 2.0, -4.0], rel=1e-6)


def test_rows_of_weight_zero_are_not_looked_up():
    learner = process(AttentiveCNP)
    with torch.no_grad():
        masked = learner.adapt(X, Y, torch.tensor([1.0, 0.0, 1.0]))
        alone = learner.adapt(X[[0, 2]], Y[[0, 2]])
        torch.testing.assert_close(learner.predict(masked, X), learner.predict(alone, X))


@pytest.mark.parametrize("arguments", [{"hidden_size": 10}, {"hidden_size": 4, "n_heads": 0}])
def test_the_heads_share_the_width(arguments):
    with pytest.raises(ParameterError, match="hidden_size must be a multiple of n_heads"):
        AttentiveCNP(MLP(()).build((1,)), 1, **arguments)


def test_a_large_query_is_read_in_parts_and_each_row_as_alone():
    # 3 heads × 40,001 keys are more scores than are held for 2,000 rows at once.
    torch.manual_seed(0)
    learner = AttentiveCNP(MLP(()).build((2,)), 1, hidden_size=6, n_heads=3).eval()
    with torch.no_grad():
        adapted = learner.adapt(torch.randn(40_000, 2), torch.randn(40_000, 1))
        X = torch.randn(300, 2)
        whole, alone = learner.predict(adapted, X), learner.predict(adapted, X[290:])
    torch.testing.assert_close(whole[290:], alone)


def test_a_class_of_its_own_is_read_as_targets_of_one_and_zero():
    private = {"kind": "classification", "private_labels": True}
    learner, alone = (
        process(AttentiveCNP, 3, n_heads=2, **private),
        process(AttentiveCNP, n_heads=2),
    )
    alone.load_state_dict({**learner.state_dict(), **alone.decoder.state_dict(prefix="decoder.")})
    y = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
    query = torch.tensor([[[0.5], [3.0]]])
    with torch.no_grad():
        found = learner.read({n: v[None] for n, v in learner.adapt(X, y).items()}, query)
        for number in range(3):
            known = alone.adapt(X, y[:, [number]])
            expected = alone.read({n: v[None] for n, v in known.items()}, query)
            torch.testing.assert_close(found[:, :, number], expected)
