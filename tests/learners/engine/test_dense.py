"""Written-out derivatives against automatic ones."""

import pytest
import torch

from metaskl.learners.engine.activations import ACTIVATIONS


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_derivatives_of_an_activation(name):
    activation = ACTIVATIONS[name]
    z = torch.tensor([-7.0, -2.0, -0.5, 0.3, 1.0, 4.0], dtype=torch.float64, requires_grad=True)
    h = activation.value(z)
    (slope,) = torch.autograd.grad(h.sum(), z, create_graph=True)
    found = activation.times_slope(torch.full_like(z, 3.0), z, h)
    torch.testing.assert_close(found.detach(), 3 * slope.detach())
    if activation.curvature is None:
        assert not slope.requires_grad or not torch.autograd.grad(slope.sum(), z)[0].any()
    else:
        (curvature,) = torch.autograd.grad(slope.sum(), z)
        torch.testing.assert_close(activation.curvature(z, h).detach(), curvature)
