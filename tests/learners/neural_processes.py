"""What the tests of neural processes share: rows, and learners with known codes."""

import torch

from metaskl.backbones import MLP

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
