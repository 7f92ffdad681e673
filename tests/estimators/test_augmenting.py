"""The default of `augment`: noise on the features where tasks are few, else nothing."""

import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch.callbacks import Callback

import metaskl
from metaskl import MetaClassifier, ProtoNetClassifier, RidgeHeadClassifier, RidgeHeadRegressor
from metaskl.backbones import Conv4, DeepSets, FromModule, Tabular
from metaskl.search import search_space_of
from metaskl.search.spaces import Candidate
from metaskl.tasks import FeatureNoise, TaskMix

QUICK = {"max_epochs": 1, "steps_per_epoch": 3, "random_state": 0}
NOISE = [FeatureNoise(0.3)]


def rows_of(n_tasks=10, shape=(4,), n_rows=8):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_tasks * n_rows, *shape))
    y = X.reshape(len(X), -1)[:, 0] + 0.1 * rng.standard_normal(len(X))
    return X, y, np.repeat(np.arange(n_tasks), n_rows)


def applied(rows, kind=RidgeHeadRegressor, **parameters):
    return kind(**QUICK | parameters).fit(*rows).augment_


@pytest.mark.parametrize(("n_tasks", "noise"), [(2, NOISE), (50, NOISE), (51, [])])
def test_few_tasks_are_trained_with_noise_and_many_without(n_tasks, noise):
    assert applied(rows_of(n_tasks)) == noise


@pytest.mark.parametrize(("n_columns", "noise"), [(3, []), (4, NOISE), (50, NOISE), (51, [])])
def test_tables_of_several_columns_are_given_noise(n_columns, noise):
    assert applied(rows_of(shape=(n_columns,))) == noise


def test_the_tasks_that_count_are_those_trained_on():
    assert applied(rows_of(60), validation_fraction=0.2, patience=1) == NOISE


def test_codes_of_categories_do_not_count_as_columns_and_stay_as_they_are():
    X, y, groups = rows_of()
    X[:, 1] = groups % 3
    assert applied((X, y, groups), backbone=Tabular({1: 3})) == []
    X = np.column_stack([X, y])
    assert applied((X, y, groups), backbone=Tabular({1: 3})) == NOISE


@pytest.mark.parametrize(
    ("shape", "parameters"),
    [
        ((1, 16, 16), {"backbone": Conv4(8)}),
        ((5, 4), {"backbone": DeepSets()}),
        ((4,), {"backbone": FromModule(torch.nn.Linear(4, 8))}),
        ((4,), {"standardize": False}),
        ((4,), {"augment": None}),
    ],
    ids=["images", "sets", "own network", "not standardised", "None"],
)
def test_nothing_else_is_changed(shape, parameters):
    assert applied(rows_of(shape=shape), **parameters) == []


def test_one_task_and_classes_are_left_as_they_are():
    X, y, groups = rows_of(20)
    assert applied((X, y > 0, groups), RidgeHeadClassifier) == []
    with pytest.warns(metaskl.errors.OneTaskWarning):
        assert RidgeHeadRegressor(**QUICK).fit(X, y).augment_ == []
    private = ProtoNetClassifier(label_space="task", n_way=2, n_shot=1, n_query=2, **QUICK)
    assert private.fit(X, groups).augment_ == []


def test_the_default_predicts_as_what_it_says_was_applied():
    few, many = rows_of(10), rows_of(60)
    for rows, same, other in ((few, FeatureNoise(0.3), None), (many, None, FeatureNoise(0.3))):
        found, alike, unlike = (
            RidgeHeadRegressor(augment=augment, **QUICK).fit(*rows).predict(few[0])
            for augment in ("auto", same, other)
        )
        assert np.array_equal(found, alike)
        assert not np.array_equal(found, unlike)


def test_what_was_applied_is_a_copy_of_what_was_asked_for():
    mix = TaskMix(alpha=0.4)
    model = RidgeHeadRegressor(augment=[mix, "feature_noise"], **QUICK).fit(*rows_of())
    mix.set_params(alpha=2.0)
    assert model.augment_ == [TaskMix(alpha=0.4), FeatureNoise()]


def test_auto_is_the_default_in_parameters_clones_and_files(tmp_path):
    model = RidgeHeadRegressor(**QUICK).fit(*rows_of())
    assert clone(model).get_params()["augment"] == "auto"
    assert "augment='auto'" not in repr(model)  # scikit-learn shows what is changed
    assert "augment=None" in repr(RidgeHeadRegressor(augment=None))
    file = tmp_path / "model.skops"
    metaskl.save(model, file)
    again = metaskl.load(file)
    assert again.get_params()["augment"] == "auto"
    assert again.augment_ == NOISE
    assert again.partial_fit(*rows_of(60)).augment_ == []
    assert again.partial_fit(*rows_of(5)).augment_ == NOISE


def test_a_checkpointed_fit_of_few_tasks_is_resumed_bit_by_bit(tmp_path):
    class Stop(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) == 2:
                raise KeyboardInterrupt

    rows, own = rows_of(), QUICK | {"max_epochs": 3, "lr_schedule": "constant"}
    whole = RidgeHeadRegressor(**own).fit(*rows)
    own["checkpoint"] = tmp_path / "checkpoint"
    with pytest.raises(KeyboardInterrupt):
        RidgeHeadRegressor(callbacks=[Stop()], **own).fit(*rows)
    resumed = RidgeHeadRegressor(**own).fit(*rows)
    assert resumed.augment_ == NOISE
    assert np.array_equal(resumed.predict(rows[0]), whole.predict(rows[0]))


def test_a_search_starts_from_the_default_and_may_leave_it():
    model = MetaClassifier(learner="ridge_head")
    space = search_space_of(model)
    assert space["augment"].options == ("auto", None, "feature_noise")
    assert Candidate("ridge", model, space).defaults()["augment"] == "auto"
