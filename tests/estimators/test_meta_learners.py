import copy
import math

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import r2_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted
from torch import nn

from metaskl import (
    MAMLClassifier,
    MAMLRegressor,
    ProtoNetClassifier,
    RidgeHeadRegressor,
    TransferClassifier,
    TransferRegressor,
)
from metaskl.backbones import MLP, Conv4, FromModule
from metaskl.errors import GroupsWarning, OneTaskWarning, SupportError
from metaskl.estimators.docs import documented_parameters
from metaskl.estimators.inputs import fit_scaling, scale
from metaskl.estimators.kinds import BaseMetaClassifier, BaseMetaRegressor
from metaskl.tasks import BlobTasks, LinearTasks
from metaskl.testing import public_estimators

QUICK = {"max_epochs": 1, "steps_per_epoch": 2, "random_state": 0}
LINES = LinearTasks(n_features=3).sample(10, 12, random_state=0)
BLOBS = BlobTasks(n_features=3, n_way=2).sample(10, 12, random_state=0)
POOL = BlobTasks(n_features=3).sample_classes(8, 6, random_state=0)
POOL_X, POOL_Y = POOL.X.numpy(), np.repeat([f"c{k}" for k in range(8)], 6)
# MetaRegressor and MetaClassifier too, with their default learners.
REGRESSORS = [cls for cls in public_estimators().values() if issubclass(cls, BaseMetaRegressor)]
CLASSIFIERS = [cls for cls in public_estimators().values() if issubclass(cls, BaseMetaClassifier)]
by_class = pytest.mark.parametrize("cls", [*REGRESSORS, *CLASSIFIERS])


def data_for(cls):
    return LINES if cls in REGRESSORS else BLOBS


def fitted(cls, **parameters):
    data = data_for(cls)
    return cls(**{**QUICK, **parameters}).fit(data.X, data.y, groups=data.groups)


@pytest.mark.parametrize("cls", REGRESSORS)
class TestTargets:
    def test_one_target_gives_one_axis(self, cls):
        meta = fitted(cls)
        adapted = meta.adapt(LINES.X[:5], LINES.y[:5])
        assert meta.predict(LINES.X).shape == adapted.predict(LINES.X).shape == (120,)
        assert adapted.predict(LINES.X).dtype == np.float64
        column = meta.adapt(LINES.X[:5], LINES.y[:5, None])
        assert np.array_equal(column.predict(LINES.X), adapted.predict(LINES.X))

    @pytest.mark.parametrize("n_targets", [1, 3])
    def test_a_matrix_of_targets_gives_a_matrix(self, cls, n_targets):
        y = np.stack([LINES.y * k for k in range(1, n_targets + 1)], axis=1)
        meta = cls(**QUICK).fit(LINES.X, y, groups=LINES.groups)
        adapted = meta.adapt(LINES.X[:5], y[:5])
        assert meta.predict(LINES.X).shape == adapted.predict(LINES.X).shape == (120, n_targets)
        assert math.isfinite(adapted.score(LINES.X, y))

    def test_targets_of_any_scale_are_learned_alike(self, cls):
        small, large = (
            cls(**QUICK)
            .fit(LINES.X, LINES.y * factor + shift, groups=LINES.groups)
            .adapt(LINES.X[:6], LINES.y[:6] * factor + shift)
            .predict(LINES.X)
            for factor, shift in ((1.0, 0.0), (1e6, -3e7))
        )
        np.testing.assert_allclose((large + 3e7) / 1e6, small, rtol=0.02, atol=0.02)

    def test_the_score_is_r_squared(self, cls):
        adapted = fitted(cls).adapt(LINES.X[:6], LINES.y[:6])
        rows = slice(6, 12)
        expected = r2_score(LINES.y[rows], adapted.predict(LINES.X[rows]))
        assert adapted.score(LINES.X[rows], LINES.y[rows]) == expected


class TestUncertainty:
    def test_standard_deviations_come_with_the_mean(self):
        adapted = fitted(RidgeHeadRegressor).adapt(LINES.X[:5], LINES.y[:5])
        mean, std = adapted.predict(LINES.X, return_std=True)
        assert np.array_equal(mean, adapted.predict(LINES.X))
        assert std.shape == mean.shape
        assert (std > 0).all()

    def test_they_scale_with_the_targets_and_shrink_with_the_support(self):
        plain, scaled = (
            RidgeHeadRegressor(**QUICK).fit(LINES.X, LINES.y * factor, groups=LINES.groups)
            for factor in (1, 1000)
        )
        std = plain.adapt(LINES.X[:5], LINES.y[:5]).predict(LINES.X, return_std=True)[1]
        large = scaled.adapt(LINES.X[:5], 1000 * LINES.y[:5]).predict(LINES.X, return_std=True)[1]
        np.testing.assert_allclose(large, 1000 * std, rtol=1e-2)
        more = plain.adapt(LINES.X[:12], LINES.y[:12]).predict(LINES.X, return_std=True)[1]
        before = plain.predict(LINES.X, return_std=True)[1]
        assert (more <= std * (1 + 1e-5)).all()
        assert (std <= before * (1 + 1e-5)).all()

    def test_several_targets_have_one_each(self):
        y = np.stack([LINES.y, 10 * LINES.y], axis=1)
        meta = RidgeHeadRegressor(**QUICK).fit(LINES.X, y, groups=LINES.groups)
        mean, std = meta.adapt(LINES.X[:5], y[:5]).predict(LINES.X, return_std=True)
        assert std.shape == mean.shape == (120, 2)
        np.testing.assert_allclose(std[:, 1], 10 * std[:, 0], rtol=1e-4)


@pytest.mark.parametrize("cls", CLASSIFIERS)
class TestClasses:
    def test_classes_may_be_anything_that_sorts(self, cls):
        for names in (["no", "yes"], [3, 7], [False, True]):
            y = np.array(names)[BLOBS.y]
            meta = cls(**QUICK).fit(BLOBS.X, y, groups=BLOBS.groups)
            adapted = meta.adapt(BLOBS.X[:6], y[:6])
            assert adapted.classes_.tolist() == names
            assert set(adapted.predict(BLOBS.X)) <= set(names)
            probabilities = adapted.predict_proba(BLOBS.X)
            assert probabilities.shape == (120, 2)
            np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)
            best = adapted.classes_[probabilities.argmax(axis=1)]
            assert np.array_equal(adapted.predict(BLOBS.X), best)

    def test_shared_classes_can_be_predicted_before_adapting(self, cls):
        assert fitted(cls).predict_proba(BLOBS.X).shape == (120, 2)

    def test_a_class_that_a_support_lacks_keeps_its_place(self, cls):
        three = BlobTasks(n_features=3, n_way=3).sample(10, 12, random_state=0)
        meta = cls(**QUICK).fit(three.X, three.y, groups=three.groups)
        rows = np.flatnonzero(three.y[:12] != 1)
        adapted = meta.adapt(three.X[rows], three.y[rows])
        assert adapted.classes_.tolist() == [0, 1, 2]
        assert adapted.predict_proba(three.X).shape == (120, 3)

    def test_private_classes_are_those_of_the_support(self, cls):
        meta = cls(label_space="task", n_way=3, **QUICK).fit(POOL_X, POOL_Y)
        assert not hasattr(meta, "classes_")
        adapted = meta.adapt(POOL_X[:12], np.repeat(["new b", "new a"], 6))
        assert adapted.classes_.tolist() == ["new a", "new b"]
        assert adapted.predict_proba(POOL_X).shape == (48, 2)
        assert not hasattr(meta, "classes_")
        if not meta.net_.module_.support_order_matters:  # two steps teach nothing of sequences
            assert adapted.score(POOL_X[:12], np.repeat(["new b", "new a"], 6)) >= 0.5

    def test_private_classes_of_groups(self, cls):
        # The same name in two groups is two classes.
        groups = np.repeat([0, 1], 24)
        y = np.tile(np.repeat(["a", "b", "c", "d"], 6), 2)
        meta = cls(label_space="task", n_way=4, **QUICK).fit(POOL_X, y, groups=groups)
        assert meta.n_tasks_ == 8
        assert meta.adapt(POOL_X[:24], y[:24]).classes_.tolist() == ["a", "b", "c", "d"]

    def test_private_classes_of_many_groups_adapt_at_once(self, cls):
        meta = cls(label_space="task", n_way=3, **QUICK).fit(POOL_X, POOL_Y)
        groups = np.repeat(["p", "q", "r"], [12, 18, 18])
        tasks = meta.adapt_groups(POOL_X, POOL_Y, groups)
        assert [len(task.classes_) for task in tasks.values()] == [2, 3, 3]
        for number, (name, task) in enumerate(tasks.items()):
            rows = groups == name
            alone = meta.adapt(POOL_X[rows], POOL_Y[rows])
            assert number < 3
            np.testing.assert_allclose(
                task.predict_proba(POOL_X), alone.predict_proba(POOL_X), atol=1e-4
            )


@by_class
def test_one_task_makes_an_ordinary_estimator(cls):
    # The rows of one task are its support: predicting needs no adapting.
    data = LinearTasks(n_features=2, noise=0.1).sample(1, 120, random_state=0)
    y = data.y if cls in REGRESSORS else (data.y > np.median(data.y)).astype(int)
    more = {"max_epochs": 3, "steps_per_epoch": 20}
    meta = cls(**{**QUICK, **more})
    with pytest.warns(OneTaskWarning):
        meta.fit(data.X, y)
    assert meta.score(data.X, y) > 0.5


@by_class
def test_a_failed_fit_keeps_the_earlier_one(cls):
    meta, data = fitted(cls), data_for(cls)
    before = meta.predict(data.X)
    with pytest.raises(ValueError, match="groups must have one entry"):
        meta.fit(data.X[:, :2], data.y, groups=data.groups[:-1])
    assert np.array_equal(meta.predict(data.X), before)


class TestInputs:
    def test_sparse_rows_are_dense_rows(self):
        dense, X = fitted(RidgeHeadRegressor), sp.csr_array(LINES.X)
        for form in (X, sp.csr_matrix(LINES.X), X.tocsc()):
            meta = RidgeHeadRegressor(**QUICK).fit(form, LINES.y, groups=LINES.groups)
            found = meta.adapt(form[:5], LINES.y[:5]).predict(form)
            expected = dense.adapt(LINES.X[:5], LINES.y[:5]).predict(LINES.X)
            assert np.array_equal(found, expected)

    def test_frames_of_any_numeric_type(self):
        frame = pd.DataFrame(
            {
                "flag": LINES.X[:, 0] > 0,
                "count": np.round(10 * LINES.X[:, 1]).astype("int16"),
                "size": pd.array(LINES.X[:, 2], dtype="Float32"),
                "shop": pd.Categorical([f"shop {g}" for g in LINES.groups]),
            }
        )
        y = pd.Series(LINES.y, index=np.arange(len(frame))[::-1])
        meta = RidgeHeadRegressor(**QUICK).fit(frame, y, groups="shop")
        assert meta.feature_names_in_.tolist() == ["flag", "count", "size"]
        assert meta.groups_column_ == "shop"
        support = frame.iloc[:5], y.iloc[:5]
        with_column = meta.adapt(*support).predict(frame)
        with pytest.warns(GroupsWarning, match=r"got 10 values of 'shop' .*adapt_groups"):
            meta.adapt(frame, y)
        unnamed = support[0].assign(shop=np.nan)  # of a new task that has no id yet: no warning
        assert np.array_equal(meta.adapt(unnamed, support[1]).predict(frame), with_column)
        without = meta.adapt(support[0].drop(columns="shop"), support[1])
        assert np.array_equal(without.predict(frame.drop(columns="shop")), with_column)
        tasks = meta.adapt_groups(frame, y, "shop")
        assert list(tasks)[:2] == ["shop 0", "shop 1"]
        assert np.isfinite(tasks["shop 3"].predict(frame)).all()

    def test_lists_and_tensors(self):
        expected = fitted(RidgeHeadRegressor).predict(LINES.X)
        for form in (list, torch.tensor):
            rows = LINES.X.tolist() if form is list else torch.tensor(LINES.X)
            meta = RidgeHeadRegressor(**QUICK).fit(
                rows, form(LINES.y), groups=LINES.groups.tolist()
            )
            assert np.array_equal(meta.predict(rows), expected)

    def test_read_only_and_strided_arrays(self):
        expected = fitted(RidgeHeadRegressor).predict(LINES.X)
        X, y = LINES.X.copy(), LINES.y.copy()
        X.flags.writeable = y.flags.writeable = False
        for rows in (X, np.asfortranarray(LINES.X), np.repeat(LINES.X, 2, axis=1)[:, ::2]):
            meta = RidgeHeadRegressor(**QUICK).fit(rows, y, groups=LINES.groups)
            assert np.array_equal(meta.predict(rows), expected)

    def test_a_constant_column_and_a_huge_one_do_no_harm(self):
        X = np.column_stack([LINES.X, np.full(120, 7.0), 1e8 + 1e5 * LINES.X[:, 0]])
        meta = RidgeHeadRegressor(**QUICK).fit(X, LINES.y, groups=LINES.groups)
        assert np.isfinite(meta.adapt(X[:5], LINES.y[:5]).predict(X)).all()

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_constant_columns_are_known_in_any_number_of_rows(self, dtype):
        # A mean over many rows is rounded more than a value: 0.1 in 2,000 rows has a standard
        # deviation of 3.5e-15, by which a new task's 0.2 would become 3e13.
        values = np.r_[0.1, 0.7, np.random.default_rng(0).normal(0, 100, 200)]
        for n_rows in (3, 600, 2000):
            scaling = fit_scaling(np.tile(values, (n_rows, 1)).astype(dtype), on=True)
            assert (scaling["scale"] == 1).all()
        noisy = np.tile([0.3, 0.1 * 3], 50)[:, None]  # not the same number, but for rounding
        assert fit_scaling(noisy, on=True)["scale"] == 1

    def test_single_precision_far_from_zero_is_no_constant(self):
        rng = np.random.default_rng(0)
        minutes = (1.7e9 + rng.integers(0, 20, 600)[:, None] * 120.0).astype(np.float32)
        scaled = scale(minutes, fit_scaling(minutes, on=True))
        assert scaled.std() == pytest.approx(1, rel=1e-3)
        two = np.tile(np.float32([1.7e9, 1.7e9 + 128]), 50)[:, None]  # neighbours: only rounding
        assert abs(scale(two, fit_scaling(two, on=True))).max() <= 1

    def test_a_new_task_may_differ_in_a_constant_column(self):
        X = np.column_stack([LINES.X, np.full(len(LINES.X), 0.1)])
        meta = RidgeHeadRegressor(**QUICK).fit(X, LINES.y, groups=LINES.groups)
        moved = np.column_stack([LINES.X, np.full(len(LINES.X), 0.2)])
        largest = abs(meta.adapt(moved[:5], LINES.y[:5]).predict(moved)).max()
        assert largest < 10 * abs(LINES.y).max()

    @pytest.mark.parametrize("cls", [MAMLClassifier, ProtoNetClassifier, TransferRegressor])
    def test_images(self, cls):
        rng = np.random.default_rng(0)
        label = np.arange(48) % 2
        X = (rng.random((48, 1, 8, 8)) * 255).astype(np.uint8)
        X[label == 1, :, :4] = 255
        spec = Conv4(n_channels=8, n_blocks=2)
        meta = cls(backbone=spec, **{**QUICK, "steps_per_epoch": 10})
        meta.fit(X, label, groups=np.arange(48) // 12)
        assert meta.in_shape_ == (1, 8, 8)
        adapted = meta.adapt(X[:6], label[:6])
        assert adapted.predict(X).shape == (48,)
        few = adapted.predict(X[:3])
        assert np.array_equal(few, adapted.predict(X)[:3])

    def test_images_are_scaled_by_channel(self):
        X = np.stack([np.full((6, 4, 4), 5.0), np.arange(96.0).reshape(6, 4, 4)], axis=1)
        meta = RidgeHeadRegressor(backbone=FromModule(nn.Flatten()), n_shot=2, **QUICK)
        meta.fit(X, np.arange(6.0), groups=[0, 0, 0, 1, 1, 1])
        assert meta.x_scaling_["mean"].shape == (2, 1, 1)
        assert meta.x_scaling_["mean"].ravel().tolist() == [5.0, 47.5]
        assert meta.x_scaling_["scale"].ravel()[0] == 1.0

    def test_nothing_is_scaled_unless_asked(self):
        meta = fitted(RidgeHeadRegressor, standardize=False)
        assert (meta.x_scaling_["mean"] == 0).all()
        assert (meta.y_scaling_["scale"] == 1).all()

    def test_time_stamps_keep_their_seconds(self):
        seconds = 1.7e9 + np.random.default_rng(0).uniform(0, 100, (120, 1))
        y = (seconds[:, 0] - 1.7e9) / 10
        meta = RidgeHeadRegressor(**{**QUICK, "steps_per_epoch": 50})
        meta.fit(seconds, y, groups=np.arange(120) // 12)
        assert meta.score(seconds, y) > 0.9

    def test_dates_of_any_resolution_name_the_same_task(self):
        days = pd.to_datetime("2024-01-01") + pd.to_timedelta(LINES.groups, unit="D")
        expected = fitted(RidgeHeadRegressor).predict(LINES.X)
        for groups in (days.values.astype("datetime64[s]"), days.values.astype("datetime64[ns]")):
            meta = RidgeHeadRegressor(**QUICK).fit(LINES.X, LINES.y, groups=groups)
            assert np.array_equal(meta.predict(LINES.X), expected)
            names = list(meta.adapt_groups(LINES.X, LINES.y, groups))
            assert names[0].startswith("2024-01-01")

    def test_the_statistics_of_a_body_that_is_not_trained_stay(self):
        body = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
        meta = fitted(TransferRegressor, backbone=FromModule(body), train_body=False)
        held = meta.net_.module_.network.body.module[1]
        assert held.num_batches_tracked == 0
        assert torch.equal(held.running_mean, torch.zeros(4))

    def test_a_network_of_a_local_class_can_be_copied(self):
        class Local(nn.Module):
            def forward(self, X):
                return X

        meta = fitted(RidgeHeadRegressor, backbone=FromModule(Local()))
        other = copy.deepcopy(meta)
        meta.partial_fit(LINES.X, LINES.y, groups=LINES.groups)
        other.partial_fit(LINES.X, LINES.y, groups=LINES.groups)
        assert np.array_equal(other.predict(LINES.X), meta.predict(LINES.X))

    def test_a_pre_trained_network_of_ones_own(self):
        module = nn.Sequential(nn.Linear(3, 6), nn.Tanh())
        before = {name: value.clone() for name, value in module.state_dict().items()}
        meta = TransferRegressor(backbone=FromModule(module), train_body=False, **QUICK)
        meta.fit(LINES.X, LINES.y, groups=LINES.groups)
        held = meta.net_.module_.network.body.module.state_dict()
        assert all(torch.equal(held[name], value) for name, value in before.items())
        assert all(torch.equal(module.state_dict()[n], v) for n, v in before.items())

    def test_a_network_that_looks_at_the_whole_call_gets_no_padding(self):
        # Batch statistics are of the rows in the call: rows of padding would change them.
        body = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, track_running_stats=False))
        meta = ProtoNetClassifier(backbone=FromModule(body), **QUICK)
        adapted = meta.fit(BLOBS.X, BLOBS.y, groups=BLOBS.groups).adapt(BLOBS.X[:6], BLOBS.y[:6])
        rows = adapted._to_tensor(BLOBS.X[:9].astype(np.float32))
        with torch.no_grad():
            expected = adapted.net_.module_.predict(adapted.state_, rows).double().softmax(1)
        np.testing.assert_allclose(adapted.predict_proba(BLOBS.X[:9]), expected, rtol=1e-4)
        rows = np.flatnonzero(BLOBS.groups < 2)[3:]  # tasks of 9 and 12 rows
        tasks = adapted.adapt_groups(BLOBS.X[rows], BLOBS.y[rows], BLOBS.groups[rows])
        alone = adapted.adapt(BLOBS.X[rows[:9]], BLOBS.y[rows[:9]])
        found, expected = (task.predict_proba(BLOBS.X) for task in (tasks[0], alone))
        np.testing.assert_allclose(found, expected, atol=1e-5)


@by_class
def test_half_precision_trains(cls):
    meta = fitted(cls, precision="bfloat16", max_epochs=2)
    data = data_for(cls)
    assert math.isfinite(meta.history_[-1]["train_loss"])
    assert np.isfinite(meta.adapt(data.X[:6], data.y[:6])._outputs(data.X)).all()


@by_class
def test_dropout_is_for_training_only(cls):
    spec = FromModule(nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.5), nn.Tanh()))
    meta, data = fitted(cls, backbone=spec), data_for(cls)
    first, second = (meta.adapt(data.X[:6], data.y[:6])._outputs(data.X) for _ in "ab")
    assert np.array_equal(first, second)


class TestManyTasks:
    def test_hundreds_of_tasks_of_unequal_size(self):
        rng = np.random.default_rng(0)
        groups = np.repeat(np.arange(300), rng.integers(1, 30, 300))
        X = rng.standard_normal((len(groups), 3))
        y = X @ [1.0, 2.0, 3.0] + groups / 100
        meta = fitted(RidgeHeadRegressor)
        order = rng.permutation(len(groups))
        tasks = meta.adapt_groups(X[order], y[order], groups[order])
        assert list(tasks) == list(range(300))
        for task in (0, 17, 299):
            rows = groups == task
            alone = meta.adapt(X[rows], y[rows])
            np.testing.assert_allclose(
                tasks[task].predict(X), alone.predict(X), rtol=1e-3, atol=1e-3
            )

    def test_a_copy_holds_its_own_memory(self):
        meta = fitted(MAMLRegressor)
        tasks = meta.adapt_groups(LINES.X, LINES.y, LINES.groups)
        value = next(iter(tasks[3].state_.values()))
        assert value.untyped_storage().size() == value.numel() * value.element_size()


class TestPartialFit:
    @pytest.mark.parametrize("cls", [RidgeHeadRegressor, ProtoNetClassifier])
    def test_a_failed_first_call_leaves_nothing_fitted(self, cls):
        meta, data = cls(**{**QUICK, "optimizer": "none"}), data_for(cls)
        with pytest.raises(ValueError, match="optimizer must be one of"):
            meta.partial_fit(data.X, data.y, groups=data.groups)
        with pytest.raises(NotFittedError):
            check_is_fitted(meta)

    def test_classes_of_later_calls_can_be_named_first(self):
        meta = ProtoNetClassifier(**QUICK)
        first, second = BLOBS.groups < 5, BLOBS.groups >= 5
        meta.partial_fit(
            BLOBS.X[first], BLOBS.y[first], groups=BLOBS.groups[first], classes=[0, 1, 2]
        )
        meta.partial_fit(BLOBS.X[second], BLOBS.y[second] + 1, groups=BLOBS.groups[second])
        assert meta.classes_.tolist() == [0, 1, 2]
        assert meta.predict_proba(BLOBS.X).shape == (120, 3)

    def test_a_head_for_the_pool_refuses_other_classes(self):
        meta = TransferClassifier(label_space="task", n_way=3, **QUICK).fit(POOL_X, POOL_Y)
        with pytest.raises(SupportError, match=r"classes of fit in further training.*\['c7'\]"):
            meta.partial_fit(POOL_X[:42], POOL_Y[:42])
        with pytest.raises(SupportError, match=r"must hold the 8 classes of fit .* got 16"):
            meta.partial_fit(POOL_X, POOL_Y, groups=np.arange(48) % 6 // 3)
        meta.partial_fit(POOL_X, POOL_Y)
        others = ProtoNetClassifier(label_space="task", n_way=3, **QUICK).fit(POOL_X, POOL_Y)
        others.partial_fit(POOL_X, np.char.add(POOL_Y, " too"))

    def test_other_features_are_refused(self):
        meta = fitted(RidgeHeadRegressor)
        with pytest.raises(ValueError, match="X has 2 features"):
            meta.partial_fit(LINES.X[:, :2], LINES.y, groups=LINES.groups)
        with pytest.raises(SupportError, match=r"y must have 1 target\(s\)"):
            meta.partial_fit(LINES.X, np.zeros((120, 2)), groups=LINES.groups)

    def test_ids_taken_from_the_frame_are_no_feature(self):
        frame = pd.DataFrame(LINES.X, columns=list("abc")).assign(shop=LINES.groups)
        meta = RidgeHeadRegressor(**QUICK).fit(frame, LINES.y, groups=frame["shop"])
        assert meta.feature_names_in_.tolist() == ["a", "b", "c"]
        named = RidgeHeadRegressor(**QUICK).fit(frame, LINES.y, groups="shop")
        assert np.array_equal(meta.predict(frame), named.predict(frame))
        many = meta.adapt_groups(frame, LINES.y, frame["shop"])
        assert np.isfinite(many[0].predict(frame)).all()
        with pytest.warns(GroupsWarning, match="groups equals the column 'shop' of X"):
            kept = RidgeHeadRegressor(**QUICK).fit(frame, LINES.y, groups=LINES.groups)
        assert kept.n_features_in_ == 4
        assert len(kept.adapt_groups(frame, LINES.y, frame["shop"])) == 10

    def test_the_column_of_the_first_call_is_dropped(self):
        frame = pd.DataFrame(LINES.X, columns=list("abc")).assign(shop=LINES.groups)
        meta = RidgeHeadRegressor(**QUICK).fit(frame, LINES.y, groups="shop")
        meta.partial_fit(frame, LINES.y, groups="shop")
        assert meta.n_features_in_ == 3

    def test_a_loss_on_new_tasks_falls(self):
        meta = RidgeHeadRegressor(**{**QUICK, "steps_per_epoch": 30}, backbone=MLP((8,)))
        meta.fit(LINES.X, LINES.y, groups=LINES.groups)
        first = meta.history_[0]["train_loss"]
        for _ in range(3):
            meta.partial_fit(LINES.X, LINES.y, groups=LINES.groups)
        assert meta.history_[-1]["train_loss"] < first


@by_class
def test_the_documentation_has_an_entry_for_what_is_fitted(cls):
    meta = fitted(cls)
    public = {"net_", "history_", "n_tasks_", "n_iter_", "n_features_in_"}
    assert public <= {name for name in vars(meta) if name.endswith("_")}
    assert public | {"feature_names_in_"} <= documented_parameters(cls)
    assert ("classes_" in documented_parameters(cls)) == (cls in CLASSIFIERS)


@by_class
def test_the_representation_shows_what_was_chosen(cls):
    assert repr(cls(n_shot=3)) == f"{cls.__name__}(n_shot=3)"
    assert repr(clone(cls(n_shot=3))) == f"{cls.__name__}(n_shot=3)"


class TestShowing:
    def test_an_adapted_copy_tells_that_it_is_one(self):
        meta = RidgeHeadRegressor(**QUICK)
        text = "RidgeHeadRegressor(max_epochs=1, random_state=0, steps_per_epoch=2)"
        assert repr(meta) == text
        meta.fit(LINES.X, LINES.y, groups=LINES.groups)
        assert repr(meta) == text
        assert meta.n_support_ == 0
        adapted = meta.adapt(LINES.X[:5], LINES.y[:5])
        assert adapted.n_support_ == 5
        assert repr(adapted) == str(adapted) == text + ".adapt(<5 rows>)"
        assert "<p>Adapted to 5 rows:</p>" in adapted._repr_html_()
        assert "Adapted to" not in meta._repr_html_()
        many = meta.adapt_groups(LINES.X[:7], LINES.y[:7], [0] * 3 + [1] * 4)
        assert [copy.n_support_ for copy in many.values()] == [3, 4]
        assert repr(clone(adapted)) == text

    def test_long_ones_are_wrapped_as_estimators_are(self):
        meta = RidgeHeadRegressor(
            backbone=MLP(hidden_layer_sizes=(40, 40), activation="tanh"), n_query=7, n_shot=(2, 9)
        )
        assert repr(meta) == (
            "RidgeHeadRegressor(backbone=MLP(activation='tanh', hidden_layer_sizes=(40, 40)),\n"
            "                   n_query=7, n_shot=(2, 9))"
        )
        assert repr(make_pipeline(StandardScaler(), meta)).count("\n") > 2
