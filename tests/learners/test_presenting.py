"""A sequence presented with its products taken at once: labels, and gradients by differences."""

import pytest
import torch
from torch.func import functional_call

from metaskl.backbones import MLP
from metaskl.learners.mann import MANN
from metaskl.learners.presenting import labels_before


def small():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        body = MLP((3,), "tanh").build((2,))
        how = {"n_slots": 3, "slot_size": 2, "n_reads": 2, "controller_size": 3}
        return MANN(body, 2, kind="classification", **how).double()


def rows(n_rows=4):
    draw = torch.Generator().manual_seed(1)
    X = torch.randn(2, n_rows, 2, generator=draw, dtype=torch.float64)
    y = torch.eye(2).double()[torch.randint(2, (2, n_rows), generator=draw)]
    return X, y


def test_the_label_before_is_that_of_the_last_real_row():
    labels = torch.tensor([[[1.0], [2.0], [3.0], [4.0]], [[5.0], [6.0], [7.0], [8.0]]])
    assert labels_before(labels, None)[..., 0].tolist() == [[0, 1, 2, 3, 4], [0, 5, 6, 7, 8]]
    real = torch.tensor([[1.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.0]])
    assert labels_before(labels, real)[..., 0].tolist() == [[0, 1, 1, 3, 4], [0, 0, 0, 7, 7]]


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("of_rows", [slice(None), slice(2, 3)])
def test_the_gradient_of_all_weights_is_that_of_small_differences(padded, of_rows):
    learner = small()
    X, y = rows()
    weight = torch.tensor([[1.0, 1.0, 1.0, 1.0], [1.0, 0.0, 1.0, 0.0]]).double() if padded else None
    names, weights = zip(*learner.named_parameters(), strict=True)

    class Sequence(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.learner = learner

        def forward(self, X):
            return self.learner.predict_sequence(X, y, weight)[:, of_rows]

    def outputs(X, *values):
        own = {f"learner.{name}": value for name, value in zip(names, values, strict=True)}
        return functional_call(Sequence(), own, (X,))

    given = [X.requires_grad_(), *(w.detach().clone().requires_grad_() for w in weights)]
    assert torch.autograd.gradcheck(outputs, given)


def test_a_kept_graph_gives_the_gradient_again_and_a_second_derivative_is_refused():
    learner = small()
    loss = learner.predict_sequence(*rows()).square().sum()
    weights = list(learner.parameters())
    first = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True)
    again = torch.autograd.grad(loss, weights, allow_unused=True)
    torch.testing.assert_close(first, again, rtol=0, atol=0)
    loss = learner.predict_sequence(*rows()).square().sum()
    found = torch.autograd.grad(loss, learner.controller.weight_hh, create_graph=True)[0]
    with pytest.raises(RuntimeError, match="once_differentiable"):
        found.sum().backward()
