"""A network that one learner trained, and another starts from."""

import pickle
import re

import numpy as np
import pytest
from safetensors.torch import save_file
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from torch import nn

import metaskl
from metaskl import (
    LoRARegressor,
    MAMLClassifier,
    MAMLRegressor,
    ProtoNetClassifier,
    RidgeHeadRegressor,
)
from metaskl.backbones import MLP, Conv4, FromModule, Tabular, Trained
from metaskl.errors import BackboneError, ModelFileError
from metaskl.estimators.state import build_learner
from metaskl.search.identity import mark_of_settings
from metaskl.tasks import FeatureNoise, LinearTasks, SinusoidTasks
from metaskl.testing import registered_learners

WAVES = SinusoidTasks().sample(30, 20, random_state=0)
QUICK = {"max_epochs": 1, "steps_per_epoch": 2, "random_state": 0}
STILL = {**QUICK, "outer_lr": 1e-12}


def fit(meta):
    return meta.fit(WAVES.X, WAVES.y, groups=WAVES.groups)


@pytest.fixture(scope="module")
def ridge():
    return fit(RidgeHeadRegressor(backbone=MLP((16, 8)), **QUICK))


def agree(found, expected):
    assert found.keys() == expected.keys()
    for name in found:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-9, err_msg=name)


@pytest.mark.parametrize("name", registered_learners())
def test_every_learner_keeps_its_network_where_it_is_found_again(name):
    learner = registered_learners()[name]
    for kind in sorted(learner.kinds):
        private = kind == "classification"
        build = {"backbone": MLP((6,)), "in_shape": (3,), "n_outputs": 2, "kind": kind}
        build |= {"private_labels": private, "n_pool_classes": 9 * private, "arguments": {}}
        built = build_learner(build, learner)
        body = built.get_submodule(built.backbone_name)
        assert [tuple(p.shape) for p in body.parameters()] == [(6, 3), (6,)]


@pytest.mark.parametrize("other", [MAMLRegressor, RidgeHeadRegressor, LoRARegressor])
def test_another_learner_starts_from_the_weights(ridge, other):
    started = fit(other(backbone=ridge.backbone_, **STILL))
    agree(started.backbone_.state_dict, ridge.backbone_.state_dict)
    first = fit(other(backbone=MLP((16, 8)), **STILL))
    assert not np.allclose(
        first.backbone_.state_dict["layers.0.weight"],
        ridge.backbone_.state_dict["layers.0.weight"],
    )


def test_running_statistics_come_along():
    X = np.random.default_rng(0).random((60, 1, 8, 8))
    y = np.repeat(np.arange(12), 5)
    few = {"label_space": "task", "n_way": 3, "n_shot": 2, "n_query": 2, **QUICK}
    body = Conv4(n_channels=8, norm="batch", n_blocks=2)
    prototypes = ProtoNetClassifier(backbone=body, **few).fit(X, y)
    trained = prototypes.backbone_.state_dict
    assert any(name.endswith("running_mean") and values.any() for name, values in trained.items())
    built = {
        name: t.numpy() for name, t in prototypes.backbone_.build((1, 8, 8)).state_dict().items()
    }
    agree(built, trained)


def test_it_is_a_copy(ridge):
    ridge.backbone_.set_params(backbone__hidden_layer_sizes=(9,))
    pickle.loads(pickle.dumps(ridge)).predict(WAVES.X[:3])
    body = ridge.backbone_
    kept = {name: values.copy() for name, values in body.state_dict.items()}
    for values in ridge.backbone_.state_dict.values():
        values[:] = 7.0
    agree(ridge.backbone_.state_dict, kept)
    fit(MAMLRegressor(backbone=body, **QUICK))
    agree(body.state_dict, kept)


def test_adapted_copies_and_stored_ones_have_it(ridge, tmp_path):
    started = fit(MAMLRegressor(backbone=ridge.backbone_, **QUICK))
    adapted = started.adapt(WAVES.X[:5], WAVES.y[:5])
    agree(adapted.backbone_.state_dict, started.backbone_.state_dict)
    loaded = metaskl.load(metaskl.save(started, tmp_path / "model"))
    agree(loaded.backbone_.state_dict, started.backbone_.state_dict)
    agree(loaded.backbone.state_dict, ridge.backbone_.state_dict)
    np.testing.assert_array_equal(loaded.predict(WAVES.X[:4]), started.predict(WAVES.X[:4]))
    assert isinstance(started.backbone_.backbone, MLP)  # not one Trained in another


def test_the_network_is_treated_as_without_weights():
    table = Tabular({0: 3})
    lines = LinearTasks().sample(10, 20, random_state=0)
    body = Trained(clone(table))
    assert body.unscaled_columns == table.unscaled_columns == (0,)
    assert body.feature_axis == table.feature_axis
    for body in (MLP((4,)), Trained(MLP((4,)))):  # few tasks of four columns and more: noise
        meta = RidgeHeadRegressor(backbone=body, **QUICK)
        meta.fit(np.tile(lines.X, 2), lines.y, groups=lines.groups)
        assert [type(each) for each in meta.augment_] == [FeatureNoise]


def test_weights_from_a_file(tmp_path):
    weights = MLP((5,)).build((2,)).state_dict()
    path = tmp_path / "weights.safetensors"
    save_file(weights, path)
    agree(Trained(MLP((5,)), path).build((2,)).state_dict(), weights)


def test_the_file_that_a_network_came_from_is_not_read_again(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file(nn.Linear(1, 4).state_dict(), path)
    spec = FromModule(nn.Linear, {"in_features": 1, "out_features": 4}, state_dict=path)
    meta = fit(RidgeHeadRegressor(backbone=spec, **QUICK))
    path.unlink()
    agree(
        fit(RidgeHeadRegressor(backbone=meta.backbone_, **STILL)).backbone_.state_dict,
        meta.backbone_.state_dict,
    )


def test_weights_are_stored_once_with_the_spec_and_once_in_the_net(ridge):
    started = fit(MAMLRegressor(backbone=ridge.backbone_, **QUICK))
    assert isinstance(started.build_["backbone"], MLP)


def test_it_is_shown_and_told_apart_by_a_mark_of_the_weights(ridge):
    one, other = ridge.backbone_, ridge.backbone_
    assert repr(one) == repr(other)
    other.state_dict["layers.0.bias"][7] += 1e-6
    assert repr(one) != repr(other)
    assert re.fullmatch(r"Trained\(MLP\(hidden.*\), <4 arrays, \w{12}>\)", repr(one))
    marks = {mark_of_settings(RidgeHeadRegressor(backbone=body)) for body in (one, other)}
    assert len(marks) == 2


@pytest.mark.parametrize(
    ("body", "error", "message"),
    [
        (Trained(nn.Linear(1, 2)), BackboneError, "must be a spec such as Conv4.*got a Linear"),
        (Trained(MLP((4,)), nn.Linear(1, 2)), ModelFileError, "got a Linear. Give module.state"),
        (
            Trained(MLP((4,)), MLP((4,)).build((3,)).state_dict()),
            ModelFileError,
            r"of another shape \['layers\.0\.weight'\].*rows of shape \(1,\): other columns than",
        ),
        (Trained(MLP((4,)), {"layers.0.bias": "a"}), ModelFileError, "arrays of numbers"),
    ],
)
def test_what_is_no_network_or_no_weights_is_refused(body, error, message):
    with pytest.raises(error, match=message):
        fit(MAMLRegressor(backbone=body, **QUICK))


def test_one_in_another_gives_the_outer_weights_or_else_the_inner():
    inner, outer = (MLP((5,)).build((2,)).state_dict() for _ in range(2))
    both = Trained(Trained(MLP((5,)), inner), outer)
    agree(both.build((2,)).state_dict(), outer)
    agree(Trained(Trained(MLP((5,)), inner)).build((2,)).state_dict(), inner)
    assert repr(both.untrained) == repr(MLP((5,)))


def test_other_widths_are_refused(ridge):
    body = ridge.backbone_.set_params(backbone__hidden_layer_sizes=(16, 9))
    with pytest.raises(ModelFileError, match=r"another shape \['layers.1.bias'.*Build the module"):
        fit(MAMLRegressor(backbone=body, **QUICK))


def test_before_a_fit_there_is_none():
    with pytest.raises(NotFittedError):
        _ = MAMLClassifier().backbone_
    assert not hasattr(MAMLClassifier(), "backbone_")


def test_a_learner_that_keeps_no_network_says_so(ridge):
    other = fit(clone(ridge))
    other.net_.module_.backbone_name = None
    with pytest.raises(AttributeError, match="RidgeHead keeps no backbone as it was given"):
        _ = other.backbone_
