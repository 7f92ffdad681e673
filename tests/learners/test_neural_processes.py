import math

import numpy as np
import pytest
import torch
from scipy.stats import norm

from metaskl.backbones import MLP
from metaskl.errors import ParameterError
from metaskl.learners.attentive_cnp import AttentiveCNP
from metaskl.learners.cnp import CNP
from metaskl.tasks import Episode

BOTH = pytest.mark.parametrize("cls", [CNP, AttentiveCNP])
X = torch.tensor([[0.0], [1.0], [5.0]])
Y = torch.tensor([[2.0], [-4.0], [6.0]])


def process(cls, n_outputs=1, **arguments):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return cls(MLP(()).build((1,)), n_outputs, hidden_size=4, **arguments).eval()


def coding_targets(cls, **arguments):
    """Build a learner that encodes a row as (y, −y) split by sign, so that codes are known."""
    learner = process(cls, **arguments)
    first, second = learner.encoder[0], learner.encoder[2]
    with torch.no_grad():
        for layer in (first, second):
            layer.weight.zero_()
            layer.bias.zero_()
        first.weight[0, 1], first.weight[1, 1] = 1.0, -1.0  # columns: φ(x), y
        second.weight[0, 0], second.weight[0, 1] = 1.0, -1.0  # back to y itself
    return learner


def test_the_code_is_the_mean_of_the_rows_and_of_the_prior():
    learner = coding_targets(CNP)
    with torch.no_grad():
        learner.prior_code.copy_(torch.tensor([8.0, 1.0, 0.0, 0.0]))
        learner.log_prior_count.fill_(math.log(2.0))
        code = learner.adapt(X, Y)["code"]
        # (2 · 8 + 2 − 4 + 6) / (2 + 3) and 2 · 1 / (2 + 3).
        torch.testing.assert_close(code, torch.tensor([4.0, 0.4, 0.0, 0.0]))
        masked = learner.adapt(X, Y, torch.tensor([1.0, 0.0, 0.0]))["code"]
        # (2 · 8 + 2) / (2 + 1) and 2 · 1 / (2 + 1).
        torch.testing.assert_close(masked, torch.tensor([6.0, 2 / 3, 0.0, 0.0]))
    assert torch.equal(learner.initial()["code"], learner.prior_code)


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


@BOTH
def test_the_loss_is_the_predictive_density(cls):
    learner = process(cls)
    query, y_query = torch.tensor([[0.5], [2.0]]), torch.tensor([[1.0], [0.0]])
    with torch.no_grad():
        adapted = learner.adapt(X, Y)
        mean, std = learner.predict(adapted, query), learner.predict_std(adapted, query)
        ones = torch.ones(1, 3)
        both = Episode(X[None], Y[None], ones, query[None], y_query[None], ones[:, :2])
        loss = learner.episode_loss(both)
    expected = -norm.logpdf(y_query, mean, std).mean()
    assert loss.item() == pytest.approx(expected, rel=1e-5)


@BOTH
def test_the_standard_deviation_has_a_floor(cls):
    learner = process(cls, min_std=0.2)
    with torch.no_grad():
        last = learner.decoder[-1]
        last.weight.zero_()
        for raw, expected in ((-50.0, 0.2), (0.0, 0.2 + 0.8 * math.log(2.0))):
            last.bias.copy_(torch.tensor([3.0, raw]))
            adapted = learner.adapt(X, Y)
            assert learner.predict(adapted, X).tolist() == [[3.0]] * 3
            std = learner.predict_std(adapted, X)
            torch.testing.assert_close(std, torch.full((3, 1), expected))


@BOTH
def test_a_support_without_rows_is_what_is_known_before(cls):
    learner = process(cls)
    with torch.no_grad():
        for parameter in learner.parameters():
            parameter.add_(0.1)
        nothing = learner.adapt(X, Y, torch.zeros(3))
        expected = learner.predict(learner.initial(), X)
        torch.testing.assert_close(learner.predict(nothing, X), expected)
    assert process(cls, 2, kind="classification", private_labels=True).initial() is None


@pytest.mark.parametrize(
    ("cls", "arguments", "message"),
    [
        (CNP, {"hidden_size": 0}, "hidden_size must be at least 1, got 0"),
        (CNP, {"min_std": 0.0}, "min_std must be above 0 and below 1, got 0.0"),
        (AttentiveCNP, {"min_std": 1.0}, "min_std must be above 0 and below 1, got 1.0"),
        (AttentiveCNP, {"hidden_size": 10}, "hidden_size must be a multiple of n_heads"),
        (AttentiveCNP, {"n_heads": 0}, "hidden_size must be a multiple of n_heads"),
    ],
)
def test_parameters_are_checked(cls, arguments, message):
    with pytest.raises(ParameterError, match=message):
        cls(MLP(()).build((1,)), 1, **arguments)
