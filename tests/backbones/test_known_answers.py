"""New networks against formulas by hand, torch's own layers, and their symmetries."""

import pickle

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import metaskl
from metaskl import MAMLRegressor, RidgeHeadRegressor
from metaskl.backbones import MLP, Conv1D, DeepSets, FromModule, Recurrent, ResNet12, Tabular


def built(spec, in_shape, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return spec.build(in_shape)


def rows(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_a_residual_layer_with_a_norm_is_the_formula():
    module = built(MLP((2,), residual=True, norm="layer"), (2,))
    with torch.no_grad():
        module.layers[0].weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 3.0]]))
        module.layers[0].bias.zero_()
        module.norms[0].weight.copy_(torch.tensor([1.0, 2.0]))
        module.norms[0].bias.copy_(torch.tensor([1.5, -1.0]))
        # (1, 3) of mean 2 and deviation 1 becomes (-1, 1), then (0.5, 1); and the row is added.
        found = module(torch.tensor([[1.0, 1.0]]))
    torch.testing.assert_close(found, torch.tensor([[1.5, 2.0]]), atol=1e-4, rtol=0)


def test_dropout_is_of_training_only_and_keeps_the_mean():
    module = built(MLP((400,), dropout=0.25), (3,))
    X = rows(200, 3)
    used = module.eval()(X)
    assert torch.equal(used, module(X))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        trained = module.train()(X)
    kept = trained[used > 0] > 0
    assert float(kept.float().mean()) == pytest.approx(0.75, abs=0.05)  # of 400 units
    torch.testing.assert_close(trained[used > 0][kept], used[used > 0][kept] / 0.75)


@pytest.mark.parametrize(("cell", "own"), [("lstm", nn.LSTM), ("gru", nn.GRU)])
def test_recurrent_networks_are_those_of_torch(cell, own):
    module = built(Recurrent(5, cell, n_layers=2), (3, 7))
    twin = own(3, 5, num_layers=2, batch_first=True)
    with torch.no_grad():
        for i, layer in enumerate(module.layers):
            getattr(twin, f"weight_ih_l{i}").copy_(layer.input.weight)
            getattr(twin, f"bias_ih_l{i}").copy_(layer.input.bias)
            getattr(twin, f"weight_hh_l{i}").copy_(layer.recurrent.weight)
            getattr(twin, f"bias_hh_l{i}").copy_(layer.recurrent.bias)
    X = rows(4, 3, 7)
    torch.testing.assert_close(module(X), twin(X.transpose(1, 2))[0][:, -1])


def test_a_set_has_no_order_and_pooling_is_what_it_says():
    X = rows(3, 5, 2)
    for pooling, pool in {
        "mean": lambda e: e.mean(1),
        "sum": lambda e: e.sum(1),
        "max": lambda e: e.amax(1),
    }.items():
        module = built(DeepSets((6,), (4,), pooling), (5, 2))
        torch.testing.assert_close(module(X[:, [4, 2, 0, 1, 3]]), module(X))
        elements = F.relu(module.element.layers[0](X))
        torch.testing.assert_close(module(X), F.relu(module.whole.layers[0](pool(elements))))


def test_sets_are_standardised_by_feature_and_sequences_by_channel():
    X = rows(40, 5, 2).numpy() * [1.0, 10.0] + [0.0, 100.0]
    y = X[:, :, 0].mean(1)
    quick = {"max_epochs": 1, "steps_per_epoch": 2, "random_state": 0}
    groups = np.arange(40) // 10
    sets = RidgeHeadRegressor(backbone=DeepSets((6,)), **quick).fit(X, y, groups)
    np.testing.assert_allclose(sets.x_scaling_["mean"], X.mean((0, 1))[None], rtol=1e-6)
    shuffled = X[:, [4, 2, 0, 1, 3]]
    np.testing.assert_allclose(sets.predict(shuffled), sets.predict(X), atol=1e-4)
    sequences = RidgeHeadRegressor(backbone=Recurrent(4), **quick).fit(X, y, groups)
    np.testing.assert_allclose(sequences.x_scaling_["scale"], X.std((0, 2))[:, None], rtol=1e-6)


def test_a_convolution_along_time_sees_its_window():
    module = built(Conv1D(1, kernel_size=3, n_blocks=1, norm="none"), (1, 4))
    with torch.no_grad():
        module.blocks[0][0].weight.copy_(torch.tensor([[[1.0, 2.0, 3.0]]]))
        module.blocks[0][0].bias.zero_()
        # 0 1 0 0 gives 3 2 1 0; the larger of each pair is 3 and 1; their mean is 2.
        assert module(torch.tensor([[[0.0, 1.0, 0.0, 0.0]]])).item() == 2.0


def test_a_residual_block_adds_the_short_way():
    module = built(ResNet12((2,), norm="none"), (1, 2, 2))
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
        module.blocks[0].short[0].weight.copy_(torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1))
        # The long way gives 0. The pixels 1 to 4 and −1 to −4, whose leaky ReLU is a tenth.
        image = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
        torch.testing.assert_close(module(image), torch.tensor([[4.0, -0.1]]))


def test_resnet12_has_the_weights_of_the_literature():
    # Lee et al. (2019), widths 64-160-320-640 on three channels: 12.4 million parameters.
    network = built(ResNet12((64, 160, 320, 640), norm="batch"), (3, 84, 84))
    n_weights = sum(parameter.numel() for parameter in network.parameters())
    convolutions = sum(9 * (a * b + 2 * b * b) + a * b for a, b in [(3, 64), (64, 160)])
    convolutions += sum(9 * (a * b + 2 * b * b) + a * b for a, b in [(160, 320), (320, 640)])
    assert n_weights == convolutions + 4 * 2 * (64 + 160 + 320 + 640)
    assert n_weights == pytest.approx(12.4e6, rel=0.01)


def test_codes_become_vectors_and_unknown_ones_zero():
    module = built(Tabular({1: 2}, embedding_size=2, body=MLP(())), (3,))
    with torch.no_grad():
        module.embeddings[0][:2] = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
        X = torch.tensor([[0.5, 0.0, 9.0], [0.5, 1.0, 9.0], [0.5, -1.0, 9.0], [0.5, 2.0, 9.0]])
        assert module(X).tolist() == [
            [0.5, 9.0, 1.0, 2.0],
            [0.5, 9.0, 3.0, 4.0],
            [0.5, 9.0, 0.0, 0.0],
            [0.5, 9.0, 0.0, 0.0],
        ]


def categories(n_tasks=60, n_rows=12, seed=0):
    """Draw tasks whose target is a level's own number, in no order, plus an offset of the task."""
    rng = np.random.default_rng(seed)
    code = rng.integers(6, size=(n_tasks, n_rows))
    offset = rng.standard_normal((n_tasks, 1))
    y = np.array([3.0, -2.0, 0.5, -3.0, 2.5, 0.0])[code] + offset
    X = np.stack([50.0 + rng.standard_normal(code.shape), code], axis=-1)
    return X.reshape(-1, 2), y.ravel(), np.repeat(np.arange(n_tasks), n_rows)


@pytest.mark.parametrize("augment", [None, "feature_noise"])
def test_categories_are_learned_without_being_standardised(augment):
    X, y, groups = categories()
    spec = Tabular({1: 6}, embedding_size=3, body=MLP((8,), skip=True))
    train = {"outer_lr": 0.01, "max_epochs": 5, "random_state": 0, "augment": augment}
    meta = RidgeHeadRegressor(backbone=spec, **train).fit(X, y, groups)
    assert meta.x_scaling_["mean"][1] == 0.0
    assert meta.x_scaling_["scale"][1] == 1.0
    X_new, y_new, task = categories(n_tasks=1, n_rows=40, seed=1)
    adapted = meta.adapt(X_new[:5], y_new[:5])
    # Numbers that do not ascend with the code: a linear model explains little of them.
    assert adapted.score(X_new[5:], y_new[5:]) > 0.9
    assert task.max() == 0


@pytest.mark.parametrize(
    ("spec", "in_shape"),
    [
        (MLP((4, 4), residual=True, norm="layer", dropout=0.1), (3,)),
        (Tabular({0: 2}, body=MLP((4,))), (3,)),
        (ResNet12((8,)), (1, 4, 4)),
        (Conv1D(8, n_blocks=1), (2, 6)),
        (Recurrent(4, "lstm"), (2, 6)),
        (DeepSets((4,), (4,)), (6, 2)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_maml_trains_through_it_and_it_is_stored_whole(spec, in_shape, tmp_path):
    X = rows(40, *in_shape).numpy()
    if isinstance(spec, Tabular):
        X[:, 0] = np.arange(40) % 2
    y, groups = X.reshape(40, -1).sum(1), np.arange(40) // 8
    meta = MAMLRegressor(
        backbone=spec, max_epochs=1, steps_per_epoch=2, adaptation_steps=2, random_state=0
    ).fit(X, y, groups)
    adapted = meta.adapt(X[:5], y[:5])
    expected = adapted.predict(X)
    for stored in (
        metaskl.load(metaskl.save(adapted, tmp_path / "model")),
        pickle.loads(pickle.dumps(adapted)),
    ):
        np.testing.assert_array_equal(stored.predict(X), expected)
        assert repr(stored.backbone) == repr(spec)
        again = stored.adapt(X[:5], y[:5]).predict(X)
        np.testing.assert_allclose(again, expected, rtol=1e-5, atol=1e-6)


def test_a_nested_file_of_weights_need_not_be_there_when_loaded(tmp_path):
    file = tmp_path / "weights.pt"
    torch.save(nn.Linear(3, 4).state_dict(), file)
    body = FromModule(nn.Linear, {"in_features": 3, "out_features": 4}, state_dict=str(file))
    X = np.column_stack([np.arange(20) % 2, rows(20, 1).numpy()])
    spec = Tabular({0: 2}, embedding_size=2, body=body)
    meta = RidgeHeadRegressor(backbone=spec, max_epochs=1, steps_per_epoch=1, random_state=0)
    meta.fit(X, X[:, 1], np.arange(20) // 10)
    stored = pickle.dumps(meta)
    file.unlink()
    np.testing.assert_array_equal(pickle.loads(stored).predict(X), meta.predict(X))
