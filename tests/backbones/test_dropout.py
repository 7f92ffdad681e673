"""Dropout with one mask for the rows of an episode."""

import pytest
import torch
from torch import nn

from metaskl.backbones import MLP, EpisodeDropout, ResNet12, episode_masks
from metaskl.errors import BackboneError


@pytest.fixture(autouse=True)
def _seeded():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def test_all_rows_lose_the_same_units_and_the_others_grow():
    found = EpisodeDropout(1000, 0.2)(torch.ones(5, 7, 1000))
    mask = found[0, 0]
    assert torch.equal(found, mask.expand_as(found))
    assert set(mask.tolist()) == {0.0, 1.25}  # 1 / (1 - 0.2)


def test_the_mean_over_masks_is_what_nothing_dropped_gives():
    part = EpisodeDropout(3, 0.25)
    X = torch.tensor([[1.0, -2.0, 4.0]])
    mean = torch.stack([part(X) for _ in range(4000)]).mean(0)
    # A value's deviation is |x| sqrt(0.25 / 0.75), so that of the mean is 0.009 |x|.
    torch.testing.assert_close(mean, X, rtol=0.04, atol=0)


@pytest.mark.parametrize(
    ("spec", "shape"),
    [(MLP((40, 40), dropout=0.5), (3,)), (ResNet12((40,), dropout=0.5), (1, 2, 2))],
)
def test_networks_keep_a_mask_for_a_step_and_draw_another_for_the_next(spec, shape):
    body = spec.build(shape)
    X = torch.randn(6, *shape)
    with episode_masks(body):
        first, again, alone = body(X), body(X), body(X[2:3])
    with episode_masks(body):
        second = body(X)
    assert torch.equal(first, again)
    torch.testing.assert_close(alone, first[2:3])
    dropped, later = ((features == 0).all(0) for features in (first, second))
    assert not torch.equal(dropped, later)


def test_alone_each_call_draws_a_mask_for_its_rows():
    part = EpisodeDropout(100, 0.5)
    first, second = part(torch.ones(3, 100)), part(torch.ones(3, 100))
    assert torch.equal(first[0], first[2])
    assert not torch.equal(first, second)


def test_nothing_is_dropped_in_evaluation_nor_kept_in_the_state():
    body = MLP((8,), dropout=0.5).build((2,))
    X = torch.randn(4, 2)
    with episode_masks(body):
        expected = body.eval()(X)
        names = set(body.state_dict())
    assert torch.equal(body(X), expected)
    assert names == set(MLP((8,)).build((2,)).state_dict())


def test_masks_end_where_a_step_fails():
    body = nn.Sequential(EpisodeDropout(3, 0.5), nn.Linear(3, 1))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"), episode_masks(body):
        body[1](torch.ones(2, 4))
    assert body[0].mask is None


def test_a_block_within_gives_the_masks_back():
    body = EpisodeDropout(100, 0.5)
    X = torch.ones(1, 100)
    with episode_masks(body):
        first = body(X)
        with episode_masks(body):
            assert not torch.equal(body(X), first)
        assert torch.equal(body(X), first)
    assert body.mask is None


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5])
def test_a_rate_out_of_range_is_refused(rate):
    with pytest.raises(BackboneError, match=rf"rate must be in \[0, 1\), got {rate}. Try"):
        EpisodeDropout(3, rate)


@pytest.mark.parametrize("n_values", [1, 4])
def test_rows_of_other_units_are_refused_and_not_stretched(n_values):
    part = EpisodeDropout(3, 0.5)
    with pytest.raises(BackboneError, match=rf"got 3 for the shape \(2, {n_values}\)"):
        part(torch.ones(2, n_values))
