import numpy as np
import pytest
import torch

from metaskl import MAMLClassifier, RidgeHeadRegressor, TransferClassifier
from metaskl.errors import ParameterError
from metaskl.tasks import (
    AugmentedEpisodes,
    BlobTasks,
    ClassEpisodes,
    Episode,
    FeatureDropout,
    FeatureNoise,
    LabelNoise,
    LabelShift,
    LinearTasks,
    RandomAffine,
    Rotate,
    TaskEpisodes,
    TaskMix,
    augmented,
    rotate_classes,
)

LINES = LinearTasks().sample(40, 20, random_state=0)
QUICK = {"max_epochs": 2, "steps_per_epoch": 3}


def sampler_of(seed=0, **draw):
    return TaskEpisodes(LINES.task_set(), **{"meta_batch_size": 8, **draw}, random_state=seed)


def drawn(seed=0, **draw):
    return sampler_of(seed, **draw).sample()


def rng(seed=0):
    return np.random.default_rng(seed)


def ones(*shape):
    return torch.ones(shape)


def two_tasks(**weights):
    """Task 0 holds 0 and task 1 holds 8, with targets 1 and 3."""
    X = torch.tensor([0.0, 8.0])[:, None, None].expand(2, 3, 2)
    y = torch.tensor([1.0, 3.0])[:, None, None].expand(2, 3, 1)
    given = {"weight_support": ones(2, 3), "weight_query": ones(2, 3), **weights}
    return Episode(X, y, given["weight_support"], X, y, given["weight_query"])


@pytest.mark.parametrize(
    ("augmentation", "part"),
    [(FeatureNoise(scale=0.3), "X_support"), (LabelNoise(scale=0.3), "y_query")],
)
def test_noise_has_the_scale_asked_for_and_is_of_each_row(augmentation, part):
    before = drawn(meta_batch_size=500)
    after = augmentation.apply(before, rng())
    noise = getattr(after, part) - getattr(before, part)
    assert float(noise.std()) == pytest.approx(0.3, rel=0.05)
    assert len(noise.unique()) > 0.99 * noise.numel()
    for name in set(Episode._fields) - {"ways"}:
        same = torch.equal(getattr(before, name), getattr(after, name))
        assert same == (name[0] != part[0] or name.startswith("weight")), name


def test_a_shift_is_of_the_task_support_and_query_alike():
    before = drawn(meta_batch_size=2000)
    after = LabelShift(scale=0.5).apply(before, rng())
    shift = after.y_support - before.y_support
    torch.testing.assert_close(shift, shift[:, :1].expand_as(shift), rtol=0, atol=1e-5)
    query = after.y_query - before.y_query
    torch.testing.assert_close(query, shift[:, :1].expand_as(query), rtol=0, atol=1e-5)
    assert float(shift[:, 0].std()) == pytest.approx(0.5, rel=0.1)


def test_columns_drop_out_of_a_task_support_and_query_alike():
    X = ones(1000, 4, 6)
    episode = Episode(X, X[..., :1], ones(1000, 4), X, X[..., :1], ones(1000, 4))
    after = FeatureDropout(rate=0.25).apply(episode, rng())
    mask = after.X_support[:, :1]
    assert torch.equal(after.X_support, mask.expand_as(X))
    assert torch.equal(after.X_query, mask.expand_as(X))
    assert float(mask.mean()) == pytest.approx(0.75, abs=0.03)


def test_a_mixture_has_one_weight_for_features_and_targets_of_support_and_query():
    # The seed is one under which the two tasks are paired with each other.
    after = next(
        after
        for seed in range(20)
        if (after := TaskMix(alpha=2.0, rate=1.0).apply(two_tasks(), rng(seed))).X_query[0].any()
    )
    for task, own in ((0, 1.0), (1, 3.0)):
        other = 4.0 - own
        share = after.X_support[task, 0, 0] / 8  # of the task that holds 8
        share = 1 - share if task == 0 else share
        assert 0 < share < 1
        expected = share * own + (1 - share) * other
        for y in (after.y_support, after.y_query):
            torch.testing.assert_close(y[task], expected.expand_as(y[task]))
        assert torch.equal(after.X_query[task], after.X_support[task])


def test_rows_paired_with_padding_drop_out_of_a_mixture():
    weight = torch.tensor([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    episode = two_tasks(weight_support=weight)
    for seed in range(10):
        after = TaskMix(rate=1.0).apply(episode, rng(seed))
        mixed = not torch.equal(after.X_query, episode.X_query)
        expected = weight[1:].expand(2, 3) if mixed else weight
        assert torch.equal(after.weight_support, expected)


def test_the_share_of_mixed_tasks_is_the_rate():
    before = drawn(meta_batch_size=2000)
    after = TaskMix(rate=0.3).apply(before, rng())
    changed = (after.X_query != before.X_query).flatten(1).any(1).float().mean()
    assert float(changed) == pytest.approx(0.3, abs=0.04)


def test_mixtures_of_private_classes_stay_classes():
    classes = BlobTasks(n_features=3).sample_classes(30, 9, random_state=0)
    sampler = ClassEpisodes(classes, n_way=4, n_shot=3, n_query=5, random_state=0)
    episode = sampler.sample()
    after = TaskMix(rate=1.0).apply(episode, rng())
    real = after.weight_support > 0
    torch.testing.assert_close(after.y_support[real], episode.y_support[real])
    assert not torch.equal(after.X_support, episode.X_support)


def test_mixtures_are_of_classes_where_the_support_is_in_random_order():
    augmentation = TaskMix(alpha=2.0, rate=1.0)
    pool = BlobTasks(n_features=2).sample_classes(30, 20, random_state=0)
    draw = {"n_way": 5, "n_shot": 2, "n_query": 3, "meta_batch_size": 8, "random_state": 0}
    once = AugmentedEpisodes(ClassEpisodes(pool, shuffle=True, **draw), [augmentation])
    for sampler in (once, AugmentedEpisodes(once, [augmentation])):
        support = sampler.sample().y_support
        assert torch.equal(support.amax(-1), torch.ones(8, 10))
        assert len(support.argmax(-1).unique(dim=0)) == 8  # each task in an order of its own


def test_images_are_turned_class_by_class_support_and_query_alike():
    image = torch.arange(4.0).reshape(1, 2, 2)
    X = image.expand(50, 6, 1, 2, 2)
    y = torch.eye(3).repeat_interleave(2, dim=0).expand(50, 6, 3)
    episode = Episode(X, y, ones(50, 6), X, y, ones(50, 6), ways=torch.zeros(50, 3))
    after = Rotate().apply(episode, rng())
    assert torch.equal(after.X_support, after.X_query)
    assert torch.equal(after.X_support[:, 0::2], after.X_support[:, 1::2])  # rows of one class
    turned = {tuple(torch.rot90(image[0], k).flatten().tolist()) for k in range(4)}
    found = {tuple(row.tolist()) for row in after.X_support.flatten(0, 1).flatten(1)}
    assert found == turned
    assert not torch.equal(after.X_support[:, 0], after.X_support[:, 2])
    shared = Rotate().apply(episode._replace(ways=None), rng())
    assert torch.equal(shared.X_support, shared.X_support[:, :1].expand_as(X))


def test_turned_images_are_further_classes():
    X = np.arange(8).reshape(2, 1, 2, 2)
    turned, y = rotate_classes(X, ["b", "a"])
    assert turned.shape == (8, 1, 2, 2)
    assert y.tolist() == [4, 0, 5, 1, 6, 2, 7, 3]
    # [[0, 1], [2, 3]] by 90 degrees against the clock
    assert turned[2, 0].tolist() == [[1, 3], [0, 2]]


def test_fixed_columns_stay_as_drawn():
    everything = [FeatureNoise(), FeatureDropout(0.5), TaskMix()]
    found = AugmentedEpisodes(sampler_of(), everything, fixed_columns=[0]).sample()
    plain = drawn()
    assert torch.equal(found.X_support[..., 0], plain.X_support[..., 0])
    assert torch.equal(found.X_query[..., 0], plain.X_query[..., 0])


def test_draws_go_on_alike_from_a_stored_state():
    sampler = augmented(sampler_of(), ["task_mix", FeatureNoise()], kind="regression")
    sampler.sample()
    state = sampler.state_dict()
    expected = sampler.sample()
    again = augmented(sampler_of(5), ["task_mix", FeatureNoise()], kind="regression")
    again.load_state_dict(state)
    for a, b in zip(expected[:6], again.sample()[:6], strict=True):
        assert torch.equal(a, b)


def test_an_estimator_trains_otherwise_and_adapts_on_what_it_is_given():
    rows = LINES.X, LINES.y, LINES.groups
    plain, noisy, again = (
        RidgeHeadRegressor(augment=augment, random_state=0, **QUICK).fit(*rows)
        for augment in (None, FeatureNoise(0.5), "feature_noise")
    )
    again.set_params(augment=FeatureNoise())
    again.set_params(augment__scale=0.5).fit(*rows)
    first = plain.predict(LINES.X[:5])
    assert not np.array_equal(noisy.predict(LINES.X[:5]), first)
    assert np.array_equal(noisy.predict(LINES.X[:5]), again.predict(LINES.X[:5]))


def test_a_checkpointed_fit_with_augmentation_is_resumed_bit_by_bit(tmp_path):
    arguments = {"augment": [LabelShift(), "task_mix"], "random_state": 0, "steps_per_epoch": 3}
    arguments |= {"lr_schedule": "constant"}
    rows = LINES.X, LINES.y, LINES.groups
    whole = RidgeHeadRegressor(max_epochs=3, **arguments).fit(*rows)
    sampler = sampler_of()
    assert sampler.state_dict() == AugmentedEpisodes(sampler, []).state_dict()
    file = tmp_path / "checkpoint"

    class Killed(Exception):
        pass

    from skorch.callbacks import Callback

    class Kill(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) == 3:
                raise Killed

    with pytest.raises(Killed):
        RidgeHeadRegressor(max_epochs=3, checkpoint=file, callbacks=[Kill()], **arguments).fit(
            *rows
        )
    resumed = RidgeHeadRegressor(max_epochs=3, checkpoint=file, **arguments).fit(*rows)
    assert np.array_equal(resumed.predict(LINES.X[:9]), whole.predict(LINES.X[:9]))


@pytest.mark.parametrize(
    ("augment", "message"),
    [
        ("mixup", "augment must be one of .*'task_mix'.*got 'mixup'"),
        ("noise", r"got 'noise'\. Did you mean 'feature_noise' or 'label_noise'\?"),
        ("FeatureNoise", r"got 'FeatureNoise'\. Did you mean 'feature_noise'"),
        (FeatureNoise, r"Give an instance, FeatureNoise\(\), or its name 'feature_noise'\."),
        (3, r"a list of these, or by itself 'auto' \(in an estimator\) or None, got 3"),
        (["auto", TaskMix()], "or by itself 'auto' .* or None, got 'auto'"),
        (FeatureNoise(scale=0), "scale must be above 0 in augment, got 0"),
        (FeatureDropout(rate=1.0), "rate must be between 0 and 1 in augment, got 1.0"),
        (TaskMix(alpha=0.0), "alpha must be above 0 in augment, got 0.0"),
        ([TaskMix(rate=0.0)], r"rate must be in \(0, 1\] in augment, got 0.0"),
        ("rotate", r"must hold square images .*got rows of shape \(\d+,\)"),
    ],
)
def test_other_augmentations_are_refused(augment, message):
    with pytest.raises(ParameterError, match=message):
        RidgeHeadRegressor(augment=augment, **QUICK).fit(LINES.X, LINES.y, LINES.groups)


def test_changes_that_do_not_fit_the_learner_are_refused():
    blobs = BlobTasks().sample(20, 20, random_state=0)
    with pytest.raises(ParameterError, match=r"LabelShift.* is for regression, got a learner"):
        MAMLClassifier(augment="label_shift", **QUICK).fit(blobs.X, blobs.y, blobs.groups)
    private = {"label_space": "task", "n_way": 2, "augment": "task_mix", **QUICK}
    with pytest.raises(ParameterError, match=r"TaskMix.* makes new classes"):
        TransferClassifier(**private).fit(blobs.X, blobs.y, blobs.groups)
    with pytest.raises(ParameterError, match=r"has the parameters \['alpha', 'rate'\], got"):
        TaskMix().set_params(beta=1)


def test_affine_changes_follow_the_rotation_of_a_plane():
    """Between pixels of a linear image interpolation is exact, so each value is a coordinate."""
    height, width = 20, 30
    column, row = np.meshgrid(np.arange(width) - 14.5, np.arange(height) - 9.5)
    plane = torch.tensor(3.0 * column + row)
    X = plane.expand(1, 2, 1, height, width).float()
    y, weight = torch.eye(2)[None], ones(1, 2)
    change = RandomAffine(degrees=20.0, translate=0.1, scale=0.2)
    found = change.apply(Episode(X, y, weight, X, y, weight), rng(3)).X_support[0, :, 0]
    turn, size, right, down = rng(3).uniform(-1.0, 1.0, (4, 2))
    for k in range(2):
        angle, factor = np.deg2rad(20.0) * turn[k], 1.0 / (1.0 + 0.2 * size[k])
        x = factor * (np.cos(angle) * column - np.sin(angle) * row) + 3.0 * right[k]
        z = factor * (np.sin(angle) * column + np.cos(angle) * row) + 2.0 * down[k]
        inside = (abs(x) < 14.5) & (abs(z) < 9.5)
        assert inside.mean() > 0.5
        np.testing.assert_allclose(found[k].numpy()[inside], (3.0 * x + z)[inside], atol=1e-3)


def test_affine_changes_of_nothing_change_nothing_and_differ_between_images():
    X = torch.rand(2, 3, 1, 8, 8)
    episode = Episode(X, torch.eye(3).expand(2, 3, 3), ones(2, 3), X, X, ones(2, 3))
    still = RandomAffine(degrees=0.0, translate=0.0, scale=0.0).apply(episode, rng())
    torch.testing.assert_close(still.X_support, X)
    same = episode._replace(X_support=X[:, :1].expand_as(X))
    moved = RandomAffine().apply(same, rng()).X_support.flatten(0, 1)
    assert len(torch.unique(moved.flatten(1), dim=0)) == 6


def test_views_move_all_images_alike_and_cover_each_range_evenly():
    """Of a linear image, the value of the pixel beside the centre says how far a view moved."""
    column, row = torch.meshgrid(torch.arange(20.0), torch.arange(30.0), indexing="xy")
    X = torch.stack([column, row])[:, None]
    moves = RandomAffine(degrees=0.0, translate=0.1, scale=0.0)
    views = list(moves.views(X, 5))
    even = np.array([-0.8, -0.4, 0.0, 0.4, 0.8])
    for image, side in ((0, 20), (1, 30)):
        moved = [float((view - X)[image, 0, 15, 10]) for view in views]
        np.testing.assert_allclose(np.sort(moved), 0.1 * side * even, atol=1e-4)
    for view, alone in zip(views, moves.views(X[:1], 5), strict=True):
        assert torch.equal(view[:1], alone)
    assert not torch.allclose(next(moves.views(X, 5, seed=1)), views[0])
    assert torch.equal(next(moves.views(X[0], 5)), views[0][0])


def test_views_that_are_none_are_refused():
    with pytest.raises(ParameterError, match="n_views must be at least 2, got 1: one view would"):
        RandomAffine().views(torch.rand(2, 1, 8, 8), 1)
    with pytest.raises(ParameterError, match=r"RandomAffine.* needs images"):
        RandomAffine().views(torch.rand(2, 8), 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"degrees": -1.0}, "degrees must be from 0 to 180, got -1.0"),
        ({"translate": 2.0}, "translate must be from 0 to 1, got 2.0"),
        ({"scale": 1.0}, "scale must be from 0 to 0.999, got 1.0"),
    ],
)
def test_affine_changes_out_of_range_are_refused(change, message):
    X = torch.rand(1, 2, 1, 8, 8)
    episode = Episode(X, X, ones(1, 2), X, X, ones(1, 2))
    with pytest.raises(ParameterError, match=message):
        RandomAffine(**change).apply(episode, rng())


def test_affine_changes_need_images():
    with pytest.raises(ParameterError, match="needs images"):
        RandomAffine().apply(drawn(), rng())
