import sys
import warnings
from collections import OrderedDict
from types import ModuleType

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from sklearn.base import clone
from torch import nn

from metaskl import ProtoNetClassifier, RidgeHeadRegressor
from metaskl.backbones import (
    MLP,
    Conv1D,
    Conv4,
    DeepSets,
    FromModule,
    Recurrent,
    ResNet12,
    Tabular,
)
from metaskl.errors import BackboneError, ModelFileError
from metaskl.learners.network import Network, refuse_running_statistics


class Normed(nn.Module):
    def __init__(self, n_features, norm):
        super().__init__()
        self.first = nn.Linear(n_features, 8)
        self.norm = norm(8)

    def forward(self, X):
        return torch.tanh(self.norm(self.first(X)))


class TwoAxes(nn.Module):
    def forward(self, X):
        return X[:, :, None].expand(-1, -1, 2)


NETWORKS = {
    "mlp": (MLP((5, 4), activation="tanh"), (3,)),
    "mlp without layers": (MLP(()), (3,)),
    "mlp with skip": (MLP((5,), skip=True), (3,)),
    "residual mlp with norms": (MLP((5, 5), residual=True, norm="layer"), (3,)),
    "table with categories": (Tabular({1: 3}, embedding_size=2, body=MLP((5,))), (3,)),
    "table of categories only": (Tabular({0: 3, 1: 9, 2: 1}), (3,)),
    "resnet12, group": (ResNet12((8, 16), dropout=0.5), (2, 5, 4)),
    "resnet12, batch statistics": (ResNet12((4,), norm="batch_statistics"), (2, 5, 4)),
    "resnet12, no norm": (ResNet12((3,), norm="none"), (2, 5, 4)),
    "conv1d": (Conv1D(8, n_blocks=2), (2, 9)),
    "lstm": (Recurrent(5, "lstm", n_layers=2), (2, 4)),
    "gru": (Recurrent(5), (2, 4)),
    "deep sets": (DeepSets((6,), (5,)), (4, 2)),
    "deep sets, sum": (DeepSets((6,), (), "sum"), (4, 2)),
    "conv4, group": (Conv4(n_channels=8, n_blocks=2), (2, 8, 9)),
    "conv4, batch statistics": (
        Conv4(n_channels=4, norm="batch_statistics", n_blocks=1),
        (1, 4, 4),
    ),
    "conv4, channels that grow": (Conv4(n_channels=(8, 16), n_blocks=2), (3, 4, 9)),
    "conv4, no norm": (Conv4(n_channels=4, norm="none", n_blocks=1), (1, 4, 4)),
    "conv4, stride": (Conv4(n_channels=8, n_blocks=2, stride=True), (2, 5, 9)),
    "conv4, stride beside pixels": (
        Conv4(n_channels=8, n_blocks=3, stride=True, skip=True),
        (2, 3, 5),  # fewer pixels than three halvings would need
    ),
    "conv4, skip": (Conv4(n_channels=8, n_blocks=1, skip=True), (2, 4, 5)),
    "layer norm": (FromModule(Normed, {"n_features": 3, "norm": nn.LayerNorm}), (3,)),
    "group norm": (
        FromModule(Normed, {"n_features": 3, "norm": lambda n: nn.GroupNorm(2, n)}),
        (3,),
    ),
}


def seeded(spec, in_shape, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return spec.build(in_shape)


@pytest.mark.parametrize("name", NETWORKS)
def test_rows_become_features(name):
    spec, in_shape = NETWORKS[name]
    module = seeded(spec, in_shape)
    features = module(torch.randn(7, *in_shape))
    assert features.shape == (7, module.n_features_out)
    assert torch.isfinite(features).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_of_each_task_give_what_the_task_gives_by_itself(name):
    spec, in_shape = NETWORKS[name]
    network = Network(seeded(spec, in_shape), 2).double().eval()
    generator = torch.Generator().manual_seed(0)
    X = torch.randn(3, 5, *in_shape, dtype=torch.float64, generator=generator)
    noise = {
        n: torch.randn(3, *p.shape, dtype=torch.float64, generator=generator)
        for n, p in network.named_parameters()
    }
    own = dict(network.named_parameters())
    for part in ("", "head.", "body."):  # all parameters, and those of one part only
        stacked = {n: own[n] + 0.1 * noise[n] for n in own if n.startswith(part)}
        found = network.forward_tasks(stacked, X)
        for t in range(3):
            alone = {n: p[t] for n, p in stacked.items()}
            expected = torch.func.functional_call(network, alone, (X[t],))
            torch.testing.assert_close(found[t], expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", NETWORKS)
def test_specs_are_cloned_and_compared_by_their_parameters(name):
    spec, in_shape = NETWORKS[name]
    twin = clone(spec)
    assert repr(twin.get_params()) == repr(spec.get_params())
    state = seeded(spec, in_shape).state_dict()
    for key, value in seeded(twin, in_shape).state_dict().items():
        assert torch.equal(value, state[key])


def test_an_mlp_is_the_formula():
    spec = MLP((2,), activation="relu", skip=True)
    module = spec.build((1,))
    with torch.no_grad():
        module.layers[0].weight.copy_(torch.tensor([[1.0], [-2.0]]))
        module.layers[0].bias.copy_(torch.tensor([0.5, 1.0]))
    # relu(3 + 0.5), relu(-6 + 1), and the row itself.
    assert module(torch.tensor([[3.0]])).tolist() == [[3.5, 0.0, 3.0]]


def test_pixels_that_are_features_are_means_over_squares_of_large_images():
    small = torch.rand(3, 2, 4, 5)
    module = seeded(Conv4(n_channels=8, n_blocks=1, skip=True), (2, 4, 5))
    plain = seeded(Conv4(n_channels=8, n_blocks=1), (2, 4, 5))
    scale = (64 / (2 * 4 * 5)) ** 0.5
    expected = torch.cat([plain(small), scale * small.flatten(1)], dim=1)
    torch.testing.assert_close(module(small), expected)
    large = torch.arange(65.0).expand(1, 1, 33, 65)
    module = Conv4(n_channels=8, skip=True).build((1, 33, 65))
    pixels = module(large)[0, 8 * 2 * 4 :].reshape(11, 22)
    # Squares of 3, the last of a row of 2.
    expected = torch.cat([torch.arange(1.0, 63.0, 3.0), torch.tensor([63.5])])
    torch.testing.assert_close(pixels, (64 / 242) ** 0.5 * expected.expand(11, 22))
    assert module.n_features_out == 8 * 2 * 4 + 11 * 22


def test_a_stride_keeps_every_other_row_and_column_of_the_convolution():
    module = seeded(Conv4(n_channels=8, norm="none", n_blocks=1, stride=True), (2, 5, 6))
    X = torch.randn(3, 2, 5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    whole = torch.conv2d(X, *module.double().parameters(), padding=1).relu()
    torch.testing.assert_close(module(X), whole[:, :, ::2, ::2].flatten(1))


def test_the_channels_of_each_block_may_be_named():
    module = Conv4((8, 16, 24), n_blocks=3).build((1, 8, 16))
    sizes = [block[0].weight.shape[:2] for block in module.blocks[:-1]]
    assert sizes == [(8, 1), (16, 8), (24, 16)]
    assert module.n_features_out == 24 * (8 // 8) * (16 // 8)


def test_norm_layers_keep_rows_apart_but_for_batch_statistics():
    X = torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    for norm, apart in {"group": True, "none": True, "batch_statistics": False}.items():
        module = seeded(Conv4(n_channels=8, norm=norm, n_blocks=2), (1, 8, 8)).eval()
        together, alone = module(X), torch.cat([module(row[None]) for row in X])
        assert torch.allclose(together, alone, atol=1e-5) == apart, norm


def test_running_statistics_are_kept_and_refused_where_weights_are_adapted():
    module = seeded(Conv4(n_channels=8, norm="batch", n_blocks=1), (1, 4, 4))
    before = module.state_dict()["blocks.0.1.running_mean"].clone()
    module.train()(torch.randn(6, 1, 4, 4))
    assert not torch.equal(module.state_dict()["blocks.0.1.running_mean"], before)
    with pytest.raises(BackboneError, match=r"got BatchNorm2d at 'blocks\.0\.1'.*norm='group'"):
        refuse_running_statistics(module, "MAML")
    for norm in ("group", "batch_statistics", "none"):
        refuse_running_statistics(Conv4(norm=norm).build((1, 28, 28)), "MAML")


@pytest.mark.parametrize(
    ("spec", "in_shape", "message"),
    [
        (MLP(), (1, 8, 8), r"backbone MLP takes rows of features.*got rows of shape \(1, 8, 8\)"),
        (Conv4(), (5,), r"backbone Conv4 takes images \(n, C, H, W\)"),
        (MLP(activation="sine"), (2,), "activation must be one of .*got 'sine'"),
        (MLP((4, 0)), (2,), r"positive numbers of units, got \(4, 0\)"),
        (Conv4(stride=2), (1, 28, 28), "stride must be True or False, got 2"),
        (Conv4(skip="yes"), (1, 28, 28), "skip must be True or False, got 'yes'"),
        (Conv4(norm="layer"), (1, 28, 28), "norm must be one of .*got 'layer'"),
        (Conv4(n_channels=12), (1, 28, 28), "multiple of 8 for norm='group', got 12"),
        (Conv4((8, 12)), (1, 28, 28), r"one number or n_blocks=4 of them, got \(8, 12\)"),
        (
            Conv4((8, 12), n_blocks=2),
            (1, 28, 28),
            r"multiple of 8 .* got 12\. Give each block a multiple of 8, such as \(32, 64\)",
        ),
        (Conv4(("a",) * 4), (1, 28, 28), "must be a whole number, got 'a'. Give each block"),
        (Conv4(8.0), (1, 28, 28), r"n_channels must be a whole number, got 8\.0\. Take 32 or 64"),
        (Conv4("88"), (1, 28, 28), "n_channels must be a whole number, got '88'. Take 32 or 64"),
        (Conv4("88", n_blocks=2), (1, 28, 28), "n_channels must be a whole number, got '88'"),
        (Conv4(None), (1, 28, 28), "n_channels must be a whole number, got None"),
        (Conv4(), (1, 15, 28), r"needs at least 16 pixels a side .*got \(15, 28\)"),
        (MLP(norm="batch"), (2,), "norm must be 'none' or 'layer', got 'batch'"),
        (MLP(dropout=1.0), (2,), r"dropout must be in \[0, 1\), got 1.0"),
        (ResNet12(), (3, 8, 8), r"ResNet12 halves each side 4 times.*16 .*got \(8, 8\)"),
        (ResNet12((12,)), (3, 8, 8), "n_channels must be a multiple of 8 for norm='group', got 12"),
        (ResNet12(64), (3, 8, 8), r"channels of each block, got 64\. Write .* \(64, 128\)"),
        (ResNet12((0,)), (3, 8, 8), "n_channels must be at least 1, got 0"),
        (ResNet12(()), (3, 8, 8), r"at least one block.*got \(\) and 0.0"),
        (Conv1D(), (2, 7), r"Conv1D halves each side 3 times.* at least 8 .*got \(7,\)"),
        (Conv1D(kernel_size=4), (2, 8), "kernel_size must be odd .*got 4 and 3"),
        (Recurrent(), (5,), r"Recurrent takes sequences .*got rows of shape \(5,\)"),
        (Recurrent(cell="rnn"), (2, 5), r"cell must be one of \['gru', 'lstm'\].*got 'rnn'"),
        (DeepSets(pooling="first"), (2, 5), "pooling must be one of .*got 'first'"),
        (Tabular({5: 2}), (3,), r"map columns 0 to 2 .*got \{5: 2\}"),
        (Tabular({-1: 2}), (3,), r"map columns 0 to 2 .*got \{-1: 2\}"),
        (Tabular({1: 0}), (3,), r"number of levels \(at least 1\), got \{1: 0\}"),
        (Tabular({1: 2}, embedding_size=0), (3,), "embedding_size must be at least 1, got 0"),
        (FromModule(nn.Linear(3, 2)), (4,), r"does not take rows of shape \(4,\)"),
        (FromModule("resnet"), (4,), "must name a builder of .*got 'resnet'"),
        (FromModule(np.zeros), (4,), "arguments must be those of zeros"),
        (FromModule(dict), (4,), "a torch.nn.Module or what builds one"),
    ],
)
def test_networks_that_do_not_fit_are_refused(spec, in_shape, message):
    with pytest.raises(BackboneError, match=message):
        spec.build(in_shape)


class TestFromModule:
    def test_a_module_is_copied_with_its_weights(self):
        module = nn.Linear(3, 5)
        built = FromModule(module).build((3,))
        assert torch.equal(built.module.weight, module.weight)
        assert built.module is not module
        with torch.no_grad():
            built.module.weight.zero_()
        assert module.weight.abs().sum() > 0

    def test_a_class_is_built_with_its_arguments(self):
        built = FromModule(nn.Linear, {"in_features": 3, "out_features": 6}).build((3,))
        assert built.n_features_out == 6

    def test_more_than_one_output_axis_is_flattened(self):
        built = FromModule(TwoAxes()).build((3,))
        assert built.n_features_out == 6
        assert built(torch.tensor([[1.0, 2.0, 3.0]])).tolist() == [[1, 1, 2, 2, 3, 3]]

    def test_trying_it_leaves_mode_and_statistics(self):
        module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Dropout())
        built = FromModule(module).build((3,))
        assert built.module.training
        assert built.module[1].num_batches_tracked == 0

    @pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
    def test_weights_come_from_a_file(self, tmp_path, suffix):
        trained = nn.Linear(3, 5)
        file = tmp_path / f"weights{suffix}"
        (save_file if suffix == ".safetensors" else torch.save)(trained.state_dict(), file)
        arguments = {"in_features": 3, "out_features": 5}
        built = FromModule(nn.Linear, arguments, state_dict=file).build((3,))
        assert torch.equal(built.module.weight, trained.weight)

    @pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
    def test_weights_of_another_network_are_refused_by_name(self, tmp_path, suffix):
        file = tmp_path / f"weights{suffix}"
        state = {"weight": torch.zeros(4, 3), "scale": torch.zeros(1)}
        (save_file if suffix == ".safetensors" else torch.save)(state, file)
        spec = FromModule(nn.Linear(3, 5), state_dict=str(file))
        message = r"missing \['bias'\], surplus \['scale'\], of another shape \['weight'\]"
        with pytest.raises(ModelFileError, match=message):
            spec.build((3,))

    def test_a_file_that_holds_more_than_tensors_is_refused(self, tmp_path):
        torch.save(nn.Linear(3, 5), tmp_path / "module.pt")
        (tmp_path / "junk.safetensors").write_bytes(b"junk")
        for name in ("module.pt", "junk.safetensors", "nothing.pt"):
            with pytest.raises(ModelFileError, match="cannot be read as tensors"):
                FromModule(nn.Linear(3, 5), state_dict=tmp_path / name).build((3,))


@pytest.mark.parametrize("n_blocks", [0, -1])
def test_conv4_has_a_block(n_blocks):
    with pytest.raises(BackboneError, match="n_blocks must be at least 1"):
        Conv4(n_blocks=n_blocks).build((3, 8, 8))


class _OfNine(nn.Module):
    def forward(self, X):
        if X.shape[1] != 9:
            raise ValueError("nine columns only")
        return X


class _ANumberARow(nn.Module):
    def forward(self, X):
        return X.sum(1)


class _Pair(nn.Module):
    def forward(self, X):
        return X, X


@pytest.mark.parametrize("module", [_OfNine, _ANumberARow, _Pair])
def test_a_module_that_does_not_fit_the_rows_is_named(module):
    with pytest.raises(BackboneError, match=rf"FromModule\({module.__name__}\) does not take rows"):
        FromModule(module).build((3,))


def test_arguments_of_another_name_are_refused():
    with pytest.raises(BackboneError, match="arguments must be those of Linear"):
        FromModule(nn.Linear, {"width": 3}).build((3,))


def test_a_builder_by_name_and_a_part_left_out():
    layers = OrderedDict(body=torch.nn.Linear(3, 4), fc=torch.nn.Linear(4, 9))
    whole = torch.nn.Sequential(layers)
    assert FromModule(lambda: whole, without="fc").build((3,)).n_features_out == 4
    named = FromModule("torch.nn:Linear", {"in_features": 3, "out_features": 5})
    assert named.build((3,)).n_features_out == 5
    nested = torch.nn.Sequential(OrderedDict(top=whole))
    assert FromModule(nested, without="top.fc").build((3,)).n_features_out == 4
    with pytest.raises(BackboneError, match=r"without must name a part of Sequential.*\['body'"):
        FromModule(torch.nn.Sequential(layers), without="head").build((3,))


class _OldClassifier(nn.Module):
    """As a network of torchvision or timm: a body, and a classifier of the old classes."""

    def __init__(self, num_classes=1000):
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3, bias=False)
        self.fc = nn.Linear(2, num_classes)

    def forward(self, X):
        return self.fc(self.conv(X).mean((-2, -1)))


@pytest.mark.parametrize(
    ("name", "builder"),
    [
        ("torchvision.models:resnet18", _OldClassifier),
        ("timm:create_model", lambda model_name, **given: _OldClassifier(**given)),
    ],
)
def test_a_network_of_a_library_comes_by_name_with_weights_and_without_its_classifier(
    name, builder, tmp_path, monkeypatch
):
    place, _, function = name.partition(":")
    library = ModuleType(place)
    setattr(library, function, builder)
    package = place.partition(".")[0]
    monkeypatch.setitem(sys.modules, package, ModuleType(package))
    monkeypatch.setitem(sys.modules, place, library)
    old = _OldClassifier(num_classes=7)
    with torch.no_grad():
        old.conv.weight.copy_(torch.tensor([1.0, -2.0])[:, None, None, None].expand(2, 1, 3, 3))
    file = tmp_path / "old.safetensors"
    save_file(old.state_dict(), file)
    arguments = {"num_classes": 7} | ({"model_name": "small"} if package == "timm" else {})
    spec = FromModule(name, arguments, state_dict=file, without="fc")
    built = spec.build((1, 4, 4))
    # Of ones, each 3 × 3 window sums to 9: times 1 and times -2, and no classifier after that.
    assert built(torch.ones(2, 1, 4, 4)).tolist() == [[9.0, -18.0]] * 2
    assert built.n_features_out == 2
    assert set(built.state_dict()) == {"module.conv.weight"}
    assert set(old.state_dict()) == {"conv.weight", "fc.weight", "fc.bias"}
    meta = ProtoNetClassifier(backbone=spec, max_epochs=1, steps_per_epoch=1, random_state=0)
    X = np.random.default_rng(0).standard_normal((40, 1, 4, 4))
    meta.fit(X, np.tile([0, 1], 20), groups=np.repeat([0, 1], 20))
    assert meta.adapt(X[:6], [0, 1] * 3).predict(X[6:8]).shape == (2,)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("os:system", "must name a builder of torch.nn, torchvision.models, timm"),
        ("torch.hub:load", "must name a builder of"),
        ("torch.nnx:load", "must name a builder of"),
        ("torch.nn", "as in 'timm:create_model', got 'torch.nn'"),
        ("torch.nn:Line", "torch.nn has no 'Line'"),
        ("torchvision.models:resnet18", "needs the package torchvision.*pip install torchvision"),
    ],
)
def test_builders_that_cannot_be_named(name, message, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)  # as on a machine without it
    with pytest.raises(BackboneError, match=message):
        FromModule(name).build((3,))


def test_tabular_takes_positions_and_no_names():
    message = r"columns, counted from 0.*got \{'city': 4\}.*such as \{0: 4\}"
    with pytest.raises(BackboneError, match=message):
        Tabular({"city": 4}).build((3,))
    with pytest.raises(BackboneError, match=message):
        RidgeHeadRegressor(backbone=Tabular({"city": 4})).fit(
            np.zeros((4, 3)), np.arange(4.0), groups=[0, 0, 1, 1]
        )


@pytest.mark.parametrize(
    ("codes", "told"),
    [
        ([0, 1, 2, 3], "column 1 holds 3, and has 3 levels"),
        ([0, 1, 0.5, 1], "column 1 holds 1, and has 3 levels"),
        ([-1, 0, 1, 2], ""),
    ],
)
def test_tabular_warns_of_codes_that_are_no_level(codes, told):
    X = np.column_stack([np.zeros(40), np.tile(codes, 10)])
    y, groups = np.arange(40.0), np.repeat(range(4), 10)
    meta = RidgeHeadRegressor(
        backbone=Tabular({1: 3}), max_epochs=1, steps_per_epoch=1, random_state=0
    )
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        meta.fit(X, y, groups=groups)
    assert [told in str(w.message) for w in found] == [True] * bool(told)


def test_the_units_of_a_layer_are_a_tuple():
    with pytest.raises(BackboneError, match=r"got the number 16. Write \(16,\) for one layer"):
        MLP(16).build((3,))
