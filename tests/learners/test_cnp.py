import math

import pytest
import torch
from neural_processes import X, Y, coding_targets, process
from scipy.stats import norm

from metaskl.backbones import MLP
from metaskl.errors import ParameterError
from metaskl.learners.attentive_cnp import AttentiveCNP
from metaskl.learners.cnp import CNP
from metaskl.tasks import Episode

BOTH = pytest.mark.parametrize("cls", [CNP, AttentiveCNP])
PRIVATE = {"kind": "classification", "private_labels": True}


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
    ],
)
def test_parameters_are_checked(cls, arguments, message):
    with pytest.raises(ParameterError, match=message):
        cls(MLP(()).build((1,)), 1, **arguments)


def test_a_class_of_its_own_has_the_code_of_its_rows():
    learner, alone = process(CNP, 2, **PRIVATE), process(CNP)
    alone.load_state_dict({**learner.state_dict(), **alone.decoder.state_dict(prefix="decoder.")})
    first = torch.tensor([1.0, 0.0, 1.0])
    with torch.no_grad():
        learner.prior_code.copy_(torch.arange(4.0))
        alone.prior_code.copy_(learner.prior_code)
        codes = learner.adapt(X, torch.stack([first, 1 - first], dim=1))["code"]
        for code, rows in zip(codes, (X[[0, 2]], X[[1]]), strict=True):
            expected = alone.adapt(rows, torch.ones(len(rows), 1))["code"]
            torch.testing.assert_close(code, expected)


@BOTH
def test_a_logit_is_decoded_from_the_row_and_what_it_read_of_the_class(cls):
    learner = process(cls, 3, **PRIVATE)
    with torch.no_grad():
        adapted = {n: v[None] for n, v in learner.adapt(X, torch.eye(3)).items()}
        found = learner.read(adapted, X[None])  # φ(x) is x itself
        logits = learner.predict_tasks(adapted, X[None])
        for row, number in ((0, 2), (2, 1)):
            both = torch.cat([X[row], found[0].expand(3, -1, -1)[row, number]])
            torch.testing.assert_close(logits[0, row, number], learner.decoder(both)[0])
    assert not learner.fixed_ways
