"""Layout of pictures in memory: it changes nothing but the time."""

import pytest
import torch
from torch import nn

from metaskl.backbones import Conv4
from metaskl.backbones import conv4 as conv4_module
from metaskl.backbones.layout import channels_last, side_by_side


@pytest.mark.parametrize("channels", [1, 3])
def test_wide_pictures_lie_channels_last_and_narrow_ones_as_they_were(channels):
    X = torch.randn(4, channels, 6, 5)
    laid = channels_last(X, 16)
    assert torch.equal(laid, X)
    assert laid.stride() == (30 * channels, 1, 5 * channels, channels)
    assert channels_last(X, 8) is X


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    "backbone",
    [Conv4(16, norm="batch_statistics"), Conv4(16), Conv4(16, norm="none"), Conv4(16, stride=True)],
    ids=repr,
)
def test_the_layout_is_kept_to_the_end_and_gives_the_same(backbone, channels, monkeypatch):
    torch.manual_seed(0)
    network = backbone.build((channels, 20, 20)).double()
    X = torch.randn(6, channels, 20, 20, dtype=torch.float64)
    seen = []
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.MaxPool2d):
            module.register_forward_hook(lambda *a: seen.append(a[-1].stride()[1]))
    own = _derivatives(network, X)
    assert set(seen) == {1}
    assert all(p.is_contiguous() for p in network.parameters())
    monkeypatch.setattr(conv4_module, "channels_last", lambda X, n_channels: X)
    for a, b in zip(own, _derivatives(network, X), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


def _derivatives(network, X):
    """Return outputs, gradients and a second derivative."""
    weights = list(network.parameters())
    output = network(X)
    first = torch.autograd.grad(output.square().mean(), weights, create_graph=True)
    second = torch.autograd.grad(sum(g.square().sum() for g in first), weights, allow_unused=True)
    return [output, *first, *(g for g in second if g is not None)]


def test_no_pictures_are_no_error():
    assert Conv4(16).build((1, 16, 16))(torch.zeros(0, 1, 16, 16)).shape == (0, 16)


def test_pooling_before_the_relu_changes_neither_values_nor_gradients():
    # Equal values in a window, above and below zero: the first of them takes the gradient.
    X = torch.randint(-1, 2, (4, 3, 8, 8)).double()
    found = []
    for order in ((nn.ReLU(), nn.MaxPool2d(2)), (nn.MaxPool2d(2), nn.ReLU())):
        own = X.clone().requires_grad_()
        output = nn.Sequential(*order)(own)
        output.square().sum().backward()
        found.append((output, own.grad))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])


@pytest.mark.parametrize("n_columns", [1, 2, 3, 4, 7])
def test_features_are_joined_row_by_row_on_addresses_that_are_alike(n_columns):
    left, right = torch.randn(3, 5, 8), torch.randn(3, 5, n_columns)
    expected = torch.cat([left, right], dim=-1)
    assert side_by_side(left, right).is_contiguous()
    with torch.no_grad():
        joined = side_by_side(left, right)
        assert torch.equal(side_by_side(right), right)
    assert torch.equal(joined, expected)
    assert joined.stride(1) % 4 == 0


def test_a_row_is_predicted_alike_wherever_it_stands():
    # 67 features and three classes: without the layout AVX2 rounds by the row's address.
    head, rows = nn.Linear(67, 3), torch.randn(1, 67).expand(32, 67)
    with torch.no_grad():
        outputs = head(side_by_side(rows[:, :64], rows[:, 64:]))
    assert torch.equal(outputs, outputs[:1].expand_as(outputs))
