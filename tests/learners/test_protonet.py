import math

import pytest
import torch

from metaskl.backbones import MLP
from metaskl.errors import ParameterError
from metaskl.learners.protonet import ProtoNet

# Two classes on a line: 0 and 2 of the first, 10 of the second.
X = torch.tensor([[0.0], [10.0], [2.0]])
Y = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])


def rows_themselves(**arguments):
    return ProtoNet(MLP(()).build((1,)), 2, **arguments)


def test_prototypes_are_means_and_logits_minus_squared_distances():
    learner = rows_themselves(private_labels=True)
    adapted = learner.adapt(X, Y)
    assert adapted["prototypes"].tolist() == [[1.0], [10.0]]
    # At 4: −(4 − 1)² and −(4 − 10)².
    assert learner.predict(adapted, torch.tensor([[4.0]])).tolist() == [[-9.0, -36.0]]


def test_scale_of_the_distances():
    embed = MLP((4,)).build((1,))
    learned = ProtoNet(embed, 2, private_labels=True)
    assert learned.log_scale.item() == pytest.approx(math.log(0.5))  # 1/√4
    assert learned.log_scale.requires_grad
    fixed = rows_themselves(private_labels=True, scale=0.25)
    assert not fixed.log_scale.requires_grad
    found = fixed.predict(fixed.adapt(X, Y), torch.tensor([[4.0]]))
    torch.testing.assert_close(found, torch.tensor([[-2.25, -9.0]]))
    half = rows_themselves(private_labels=True, scale=0.5, distance="mahalanobis")
    whole = rows_themselves(private_labels=True, scale=1.0, distance="mahalanobis")
    query = torch.tensor([[4.0]])
    halved = 0.5 * whole.predict(whole.adapt(X, Y), query)
    torch.testing.assert_close(half.predict(half.adapt(X, Y), query), halved)


@pytest.mark.parametrize("scale", ["fixed", 0.0, math.inf])
def test_scale_out_of_range(scale):
    with pytest.raises(ParameterError, match=r"scale must be 'learned' or a finite number"):
        rows_themselves(scale=scale)


def test_a_prior_prototype_counts_as_rows():
    learner = rows_themselves()
    with torch.no_grad():
        learner.prior.copy_(torch.tensor([[-2.0], [4.0]]))
        learner.log_prior_count.copy_(torch.tensor([math.log(2.0), math.log(0.5)]))
    adapted = learner.adapt(X, Y)
    # (2 · (−2) + 0 + 2) / (2 + 2) and (0.5 · 4 + 10) / (0.5 + 1).
    torch.testing.assert_close(adapted["prototypes"], torch.tensor([[-0.5], [8.0]]))
    only_first = learner.adapt(X[[0, 2]], Y[[0, 2]])
    torch.testing.assert_close(only_first["prototypes"], torch.tensor([[-0.5], [4.0]]))
    assert torch.equal(learner.initial()["prototypes"], learner.prior)


def test_rows_of_weight_zero_do_not_count():
    learner = rows_themselves(private_labels=True)
    adapted = learner.adapt(X, Y, weight=torch.tensor([1.0, 1.0, 0.0]))
    assert adapted["prototypes"].tolist() == [[0.0], [10.0]]


def test_private_classes_have_no_prior_and_any_number():
    learner = rows_themselves(private_labels=True)
    assert learner.initial() is None
    learned = [name for name, p in learner.named_parameters() if p.requires_grad]
    assert learned == ["log_scale"]
    adapted = learner.adapt(torch.arange(6.0)[:, None], torch.eye(3).repeat(2, 1))
    assert adapted["prototypes"].tolist() == [[1.5], [2.5], [3.5]]


def test_shared_classes_start_from_prototypes_that_differ():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        prior = ProtoNet(MLP((4,)).build((1,)), 3).prior
    assert len({tuple(row) for row in prior.tolist()}) == 3


def test_numbers_have_no_prototypes():
    with pytest.raises(ParameterError, match="for ProtoNet, got 'regression'"):
        rows_themselves(kind="regression")


def test_mahalanobis_distances_are_those_of_simple_cnaps():
    learner = rows_themselves(private_labels=True, distance="mahalanobis")
    # S_0 = 2 of 0 and 2, S_1 = 0 of one row, S = (16 + 36 + 4) / 2 = 28 around the mean 4;
    # Q_0 = 2/3 · 2 + 1/3 · 28 + 1 = 35/3 and Q_1 = 1/2 · 0 + 1/2 · 28 + 1 = 15.
    logits = learner.predict(learner.adapt(X, Y), torch.tensor([[4.0]]))
    expected = torch.tensor([[-0.5 * 9 / (35 / 3), -0.5 * 36 / 15]])
    torch.testing.assert_close(logits, expected)


def test_mahalanobis_distances_use_the_covariance_of_the_features():
    generator = torch.Generator().manual_seed(0)
    rows, query = (torch.randn(n, 3, generator=generator).double() for n in (9, 4))
    label = torch.arange(9) % 2
    body = MLP(()).build((3,))
    learner = ProtoNet(body, 2, private_labels=True, distance="mahalanobis", scale=1.0)
    logits = learner.predict(learner.adapt(rows, torch.eye(2).double()[label]), query)
    for k, n_rows in ((0, 5), (1, 4)):
        own, share = rows[label == k], n_rows / (n_rows + 1)
        Q = share * own.T.cov() + (1 - share) * rows.T.cov() + torch.eye(3)
        away = query - own.mean(0)
        expected = -0.5 * (away @ torch.linalg.inv(Q) * away).sum(-1)
        torch.testing.assert_close(logits[:, k], expected)


def test_a_shared_class_without_rows_keeps_its_prototype_and_plain_distances():
    learner = rows_themselves(distance="mahalanobis")
    with torch.no_grad():
        learner.prior.copy_(torch.tensor([[-2.0], [4.0]]))
    before = learner.predict(learner.initial(), torch.tensor([[1.0]]))
    torch.testing.assert_close(before, torch.tensor([[-4.5, -4.5]]))


def test_an_unknown_distance_is_refused():
    with pytest.raises(ParameterError, match=r"distance must be one of .*got 'cosine'"):
        rows_themselves(distance="cosine")
