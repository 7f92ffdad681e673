"""What each augmentation does to pictures, and the contract all keep."""

import numpy as np
import pytest
import torch

from metaskl import ProtoNetClassifier
from metaskl.backbones import Conv4
from metaskl.errors import ParameterError
from metaskl.tasks import Episode
from metaskl_vision import RandomCrop, RandomErasing, RandomFlip, RandomLight

ALL = [RandomCrop(2), RandomErasing(), RandomFlip(0.5, 0.5), RandomLight()]


def episode(shape=(2, 3, 8, 10)):
    torch.manual_seed(0)
    X, one = torch.randn(3, 4, *shape[1:]), torch.ones(3, 4)
    return Episode(X, torch.eye(2).repeat(3, 2, 1), one, X + 1, torch.eye(2).repeat(3, 2, 1), one)


@pytest.mark.parametrize("spec", ALL, ids=repr)
def test_pictures_change_alike_for_a_seed_and_nothing_else_does(spec):
    given = episode()
    before = [None if part is None else part.clone() for part in given]
    first, again, other = (spec.apply(given, np.random.default_rng(seed)) for seed in (0, 0, 1))
    for part, kept in zip(given, before, strict=True):
        assert part is kept is None or torch.equal(part, kept)
    for name in ("X_support", "X_query"):
        changed = getattr(first, name)
        assert torch.equal(changed, getattr(again, name))
        assert not torch.equal(changed, getattr(other, name))
        assert changed.shape == getattr(given, name).shape
        assert changed.dtype == torch.float32
    assert torch.equal(first.y_support, given.y_support)
    assert torch.equal(first.weight_query, given.weight_query)


def test_flips_mirror_each_side():
    X = torch.arange(12.0).reshape(1, 1, 3, 4)
    rng = np.random.default_rng(0)
    assert torch.equal(RandomFlip(1.0).changed(X, rng), X.flip(3))
    assert torch.equal(RandomFlip(0.0, 1.0).changed(X, rng), X.flip(2))
    assert torch.equal(RandomFlip(1.0, 1.0).changed(X, rng), X.flip(2, 3))
    many = RandomFlip(0.25).changed(X.repeat(4000, 1, 1, 1), rng)
    share = (many[:, 0, 0, 0] == 3).float().mean().item()
    assert share == pytest.approx(0.25, abs=0.03)  # four standard deviations


def test_crop_moves_by_whole_pixels_and_repeats_the_edge():
    X = torch.arange(12.0).reshape(1, 1, 3, 4)
    padded = torch.nn.functional.pad(X, (1, 1, 1, 1), mode="replicate")
    cuts = {
        tuple(padded[..., i : i + 3, j : j + 4].ravel().tolist())
        for i in range(3)
        for j in range(3)
    }
    moved = RandomCrop(1).changed(X.repeat(500, 1, 1, 1), np.random.default_rng(0))
    assert {tuple(image.ravel().tolist()) for image in moved} == cuts  # all nine, and no other
    assert torch.equal(RandomCrop(0).changed(X, np.random.default_rng(0)), X)


def test_erasing_covers_a_rectangle_of_at_most_the_area():
    X = torch.ones(500, 2, 20, 30)
    changed = RandomErasing(rate=0.5, area=0.2).changed(X, np.random.default_rng(0))
    assert torch.equal(changed[:, 0], changed[:, 1])  # all channels
    covered = changed[:, 0] == 0
    shares = covered.float().mean((1, 2))
    assert shares.max() <= 0.2
    assert shares.max() > 0.15
    assert (shares == 0).float().mean().item() == pytest.approx(0.5, abs=0.1)
    for mask in covered:  # a rectangle: rows times columns
        assert mask.sum() == mask.any(0).sum() * mask.any(1).sum()


def test_light_changes_level_and_contrast_apart():
    X = torch.tensor([1.0, 3.0]).reshape(1, 1, 1, 2).repeat(400, 1, 1, 1)
    rng = np.random.default_rng(0)
    brighter = RandomLight(brightness=0.5, contrast=0.0).changed(X, rng)[:, 0, 0]
    torch.testing.assert_close(brighter[:, 1] - brighter[:, 0], torch.full((400,), 2.0))
    assert 0.4 < (brighter.mean(1) - 2).abs().max() <= 0.5
    stronger = RandomLight(brightness=0.0, contrast=0.5).changed(X, rng)[:, 0, 0]
    torch.testing.assert_close(stronger.mean(1), torch.full((400,), 2.0))
    ratio = (stronger[:, 1] - stronger[:, 0]) / 2
    assert 0.5 <= ratio.min() < 0.6
    assert 1.4 < ratio.max() <= 1.5


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (RandomFlip(1.5), "horizontal of RandomFlip must be from 0 to 1, got 1.5"),
        (RandomCrop(-1), "padding of RandomCrop must be from 0 to 1000, got -1"),
        (RandomErasing(aspect=0.5), "aspect of RandomErasing must be from 1 to 10, got 0.5"),
        (RandomLight(contrast=1.0), "contrast of RandomLight must be from 0 to 0.999, got 1.0"),
    ],
    ids=repr,
)
def test_parameters_out_of_range(spec, message):
    with pytest.raises(ParameterError, match=message):
        spec.apply(episode(), np.random.default_rng(0))


def test_tables_are_refused():
    given = episode()
    table = given._replace(X_support=given.X_support[..., 0, 0], X_query=given.X_query[..., 0, 0])
    with pytest.raises(ParameterError, match=r"RandomLight\(\) needs images \(n, C, H, W\)"):
        RandomLight().apply(table, np.random.default_rng(0))


def test_an_estimator_takes_them():
    rng = np.random.default_rng(0)
    X, y = rng.random((40, 1, 16, 16)), np.repeat(np.arange(8), 5)
    meta = ProtoNetClassifier(
        backbone=Conv4(8), label_space="task", n_shot=1, n_query=2, augment=ALL, max_epochs=1,
        steps_per_epoch=3, random_state=0,
    )  # fmt: skip
    found = [meta.fit(X, y).history_[-1]["train_loss"] for _ in range(2)]
    assert found[0] == found[1]
    assert meta.set_params(augment=None).fit(X, y).history_[-1]["train_loss"] != found[0]
