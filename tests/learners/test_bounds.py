import math

import pytest
import torch

from metaskl.backbones import MLP
from metaskl.learners.bounds import within
from metaskl.learners.dkt import DKT
from metaskl.learners.ridge_head import RidgeHead
from metaskl.tasks import Episode


def test_inside_it_is_the_value():
    value = torch.tensor([-1.5, 0.0, 2.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: within(v, -2.0, 2.5) ** 2, value)
    assert torch.autograd.gradgradcheck(lambda v: within(v, -2.0, 2.5) ** 3, value)


@pytest.mark.parametrize(
    ("slope", "expected"), [(1.0, [0.0, 1.0]), (-1.0, [-1.0, 0.0])], ids=["rises", "falls"]
)
def test_outside_only_what_leads_back_passes(slope, expected):
    value = torch.tensor([-3.0, 3.0], requires_grad=True)  # below and above
    (slope * within(value, -2.0, 2.0)).sum().backward()
    assert value.grad.tolist() == expected


@pytest.mark.parametrize("learner_class", [RidgeHead, DKT])
def test_a_noise_level_that_starts_too_low_is_learned(learner_class):
    torch.manual_seed(0)
    learner = learner_class(MLP(()).build((2,)), 1)
    log_noise = learner.log_kernel if learner_class is DKT else learner.log_noise
    with torch.no_grad():
        log_noise.fill_(math.log(1e-4))
    parts = torch.randn(1, 9, 2), torch.randn(1, 9, 1), torch.ones(1, 9)
    learner.episode_loss(Episode(*parts, *parts)).backward()
    assert log_noise.grad.flatten()[-1] < 0  # a step of descent raises it


def test_before_a_support_the_noise_is_that_of_adapting():
    learner = DKT(MLP(()).build((1,)), 1, mean="zero", noise=1e-9).double()
    prior = learner.initial()["hyper"]
    adapted = learner.adapt(*(torch.zeros(1, 1, dtype=torch.float64) for _ in "Xy"))["hyper"]
    assert prior.tolist() == adapted.tolist()
