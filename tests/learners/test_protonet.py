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
    assert not [name for name, p in learner.named_parameters() if p.requires_grad]
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
