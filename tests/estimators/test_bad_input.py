import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import torch
from sklearn import config_context
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold

from metaskl import (
    AdaptedClassifier,
    AdaptedRegressor,
    MAMLClassifier,
    MAMLRegressor,
    MetaRegressor,
    Pooled,
    ProtoNetClassifier,
    RidgeHeadRegressor,
    ShrunkClassifier,
    ShrunkRegressor,
    TransferRegressor,
    adapt,
    compare,
    cross_validate_tasks,
)
from metaskl.backbones import MLP, Conv4
from metaskl.errors import (
    BackboneError,
    EpisodeWarning,
    GroupsError,
    NotAdaptedError,
    OneTaskWarning,
    ParameterError,
    PluginError,
    SupportError,
    TaskError,
    UnknownLearnerError,
)
from metaskl.tasks import BlobTasks, LinearTasks

LINES = LinearTasks(n_features=3).sample(8, 10, random_state=0)
BLOBS = BlobTasks(n_way=2).sample(8, 10, random_state=0)
POOL = BlobTasks(n_features=2).sample_classes(9, 6, random_state=0)
POOL_X, POOL_Y = POOL.X.numpy(), np.repeat(POOL.task_ids, POOL.sizes)
QUICK = {"max_epochs": 1, "steps_per_epoch": 1, "random_state": 0}
FRAME = pd.DataFrame(LINES.X, columns=["age", "dose", "weight"])


def regressor(**parameters):
    return RidgeHeadRegressor(**{**QUICK, **parameters})


@pytest.fixture(scope="module")
def fitted():
    return regressor().fit(LINES.X, LINES.y, groups=LINES.groups)


@pytest.fixture(scope="module")
def of_classes():
    return ProtoNetClassifier(**QUICK).fit(BLOBS.X, BLOBS.y, groups=BLOBS.groups)


class TestRows:
    def test_text_names_the_encoder(self, fitted):
        texts = FRAME.assign(sex="female")
        message = (
            r"X must hold numbers, got text in column\(s\) 'sex' .*'female'.*Pipeline.* "
            "or give compare and AutoMeta preprocess=.*OneHotEncoder.*task column to groups"
        )
        with pytest.raises(ValueError, match=message):
            regressor().fit(texts, LINES.y, groups=LINES.groups)
        with pytest.raises(ValueError, match="X must hold numbers, got text"):
            fitted.adapt(LINES.X[:5].astype(str).astype(object) + "!", LINES.y[:5])

    def test_a_name_in_place_of_targets_says_how_to_take_the_column(self, fitted):
        frame = FRAME.assign(task=LINES.groups, score=LINES.y)
        message = r"got the text 'score'.* X\.drop\(columns='score'\), X\['score'\]"
        for call in (
            lambda: regressor().fit(frame, "score", groups="task"),
            lambda: ProtoNetClassifier(**QUICK).fit(frame, "score", groups="task"),
            lambda: fitted.adapt(FRAME, "score"),
            lambda: compare(frame, "score", groups="task"),
            lambda: cross_validate_tasks(regressor(), frame, "score", groups="task"),
            lambda: ShrunkRegressor().fit(frame, "score", groups="task"),
            lambda: Pooled(regressor()).fit(frame, "score", groups="task"),
            lambda: ShrunkClassifier().fit(frame, "score", groups="task"),
        ):
            with pytest.raises(ValueError, match=message):
                call()

    def test_missing_values_name_columns_and_the_imputer(self, fitted):
        holes = FRAME.mask(FRAME > 1.5)
        holes["dose"] = FRAME["dose"]
        message = r"Input X contains NaN: .* in column\(s\) age, weight\. .*SimpleImputer"
        with pytest.raises(ValueError, match=message):
            regressor().fit(holes, LINES.y, groups=LINES.groups)
        array = LINES.X.copy()
        array[3, 1] = np.nan
        for call in (
            lambda: regressor().fit(array, LINES.y, groups=LINES.groups),
            lambda: fitted.adapt(array[:5], LINES.y[:5]),
            lambda: fitted.adapt(LINES.X[:5], LINES.y[:5]).predict(array),
            lambda: regressor().fit(sp.csr_array(array), LINES.y, groups=LINES.groups),
        ):
            with pytest.raises(ValueError, match=r"in column\(s\) 1\. .*SimpleImputer"):
                call()

    def test_dates_and_times_name_their_columns(self, fitted):
        when = pd.Timestamp("2026-01-01") + pd.to_timedelta(np.arange(len(LINES.y)), unit="D")
        message = r"X must hold numbers, got dates or times in column\(s\) 'when'\. .*Timedelta"
        for values in (when, when - when[0], when.astype(object), when.date, when.time):
            frame = FRAME.assign(when=values)
            frame.loc[0, "when"] = None  # the first says nothing
            with pytest.raises(ValueError, match=message):
                regressor().fit(frame, LINES.y, groups=LINES.groups)
        with pytest.raises(ValueError, match=message):
            regressor().fit(FRAME, LINES.y, groups=LINES.groups).predict(frame[["when"]])
        for array in (when.to_numpy()[:, None], when.to_numpy(dtype=object)[:, None]):
            with pytest.raises(ValueError, match=r"got dates or times\. "):  # not nanoseconds
                fitted.adapt(array[:5], LINES.y[:5])

    def test_dates_as_targets_say_what_to_make_of_them(self):
        when = pd.Series(pd.Timestamp("2026-01-01") + pd.to_timedelta(LINES.groups, unit="D"))
        for y in (when, when - when[0], when.astype(object)):
            for call in (
                lambda y=y: regressor().fit(FRAME, y, groups=LINES.groups),
                lambda y=y: ProtoNetClassifier(**QUICK).fit(FRAME, y, groups=LINES.groups),
                lambda y=y: ShrunkRegressor().fit(FRAME, y, groups=LINES.groups),
                lambda y=y: compare(FRAME, y, groups=LINES.groups),
                lambda y=y: cross_validate_tasks(regressor(), FRAME, y, groups=LINES.groups),
            ):
                with pytest.raises(
                    ValueError, match=r"y must hold .* got dates or times\. .*Timed"
                ):
                    call()

    def test_targets_of_two_kinds_are_told(self):
        y = np.where(LINES.groups % 2, "a", None)
        y[y == None] = 1  # noqa: E711
        message = "y must hold either text or numbers, got both, such as 'a' and 1"
        for call in (
            lambda: ProtoNetClassifier(**QUICK).fit(FRAME, y, groups=LINES.groups),
            lambda: compare(FRAME, y, groups=LINES.groups),
        ):
            with pytest.raises(ValueError, match=message):
                call()

    def test_missing_targets_are_counted_in_a_comparison(self):
        y = LINES.y.copy()
        y[:3] = np.nan
        with pytest.raises(ValueError, match=r"Input y contains NaN: .* got 3 of them"):
            compare(FRAME, y, groups=LINES.groups)

    def test_a_column_alone_and_values_of_other_types_are_told(self):
        for column in (FRAME["age"], FRAME["age"].astype("Float64")):
            with pytest.raises(ValueError, match=r"2-dimensional container .*Series"):
                regressor().fit(column, LINES.y, groups=LINES.groups)
        frame = FRAME.assign(when=pd.Period("2026-01"))
        with pytest.raises(TypeError, match=r"of type Period in column\(s\) 'when' .*\. Turn"):
            regressor().fit(frame, LINES.y, groups=LINES.groups)

    def test_a_missing_value_of_pandas_among_objects_is_one(self, fitted):
        holes = FRAME.astype(object)
        holes.iloc[3, 0] = pd.NA
        with pytest.raises(ValueError, match=r"contains NaN: .* column\(s\) age\. .*Imputer"):
            regressor().fit(holes, LINES.y, groups=LINES.groups)
        with pytest.raises(ValueError, match=r"contains NaN: .* column\(s\) age\. .*Imputer"):
            regressor().fit(FRAME, LINES.y, groups=LINES.groups).predict(holes)

    def test_missing_values_in_pictures_are_counted_by_row(self):
        X = np.random.default_rng(0).random((20, 1, 4, 4))
        X[[3, 7], 0, 1, 2] = np.nan
        meta = regressor(backbone=Conv4(n_channels=8, n_blocks=1))
        with pytest.raises(ValueError, match=r"some in 2 of 20 rows, .* row 3\. .*nan_to_num"):
            meta.fit(X, np.zeros(20), groups=np.arange(20) // 5)

    def test_many_columns_with_missing_values_are_counted(self):
        X = np.full((20, 9), np.nan)
        with pytest.raises(ValueError, match=r"column\(s\) 0, 1, 2, 3, 4 and 4 more"):
            regressor().fit(X, np.zeros(20), groups=np.arange(20) // 5)

    def test_pandas_own_missing_values_are_found(self):
        holes = FRAME.astype("Float64")
        holes.iloc[3, 1] = pd.NA
        with pytest.raises(ValueError, match=r"Input X contains NaN: .*column\(s\) dose\. "):
            regressor().fit(holes, LINES.y, groups=LINES.groups)

    def test_infinite_values_are_refused(self):
        X = LINES.X.copy()
        X[0, 0] = np.inf
        with pytest.raises(ValueError, match=r"contains infinity .* ones in column\(s\) 0\. "):
            regressor().fit(X, LINES.y, groups=LINES.groups)
        frame = FRAME.astype("Float64")
        frame.iloc[3, 1] = -np.inf
        with pytest.raises(ValueError, match=r"contains infinity .* ones in column\(s\) dose\. "):
            regressor().fit(frame, LINES.y, groups=LINES.groups)

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_targets_are_finite(self, fitted, value):
        y = LINES.y.copy()
        y[0] = value
        with pytest.raises(ValueError, match="Input y contains"):
            regressor().fit(LINES.X, y, groups=LINES.groups)
        with pytest.raises(ValueError, match="Input y contains"):
            fitted.adapt(LINES.X[:5], y[:5])

    def test_targets_are_numbers(self):
        for y in (np.repeat(["a", "b"], 40), ["b", 1.0] * 40):
            with pytest.raises(ValueError, match=r"y must hold numbers, got text such as '[ab]'"):
                regressor().fit(LINES.X, y, groups=LINES.groups)
        as_text = regressor().fit(LINES.X, LINES.y.astype(str), groups=LINES.groups)
        assert np.isfinite(as_text.predict(LINES.X)).all()

    def test_targets_of_the_mixed_model_are_numbers(self):
        for model in (ShrunkRegressor(), ShrunkRegressor(Ridge())):
            holes = np.where(LINES.y > 1, np.nan, LINES.y)
            text = np.repeat(["a", "b"], 40)
            with pytest.raises(ValueError, match="y must hold numbers, got text such as 'a'"):
                model.fit(LINES.X, text, groups=LINES.groups)
            with pytest.raises(ValueError, match=r"y must not hold missing values, got \d+ of"):
                model.fit(LINES.X, holes, groups=LINES.groups)
            model.fit(LINES.X, LINES.y, groups=LINES.groups)
            with pytest.raises(ValueError, match="y must hold numbers"):
                model.adapt(LINES.X, text)
            with pytest.raises(ValueError, match="y must not hold missing values"):
                model.adapt(LINES.X, [None, *LINES.y[1:]])

    def test_rows_and_targets_have_one_length(self, fitted):
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            fitted.adapt(LINES.X[:5], LINES.y[:4])

    def test_a_support_has_rows(self, fitted):
        with pytest.raises(ValueError, match="0 sample"):
            fitted.adapt(LINES.X[:0], LINES.y[:0])

    def test_the_number_of_features_is_that_of_fit(self, fitted):
        with pytest.raises(
            ValueError, match="X has 2 features, but RidgeHeadRegressor is expecting 3"
        ):
            fitted.adapt(LINES.X[:5, :2], LINES.y[:5])
        with pytest.raises(ValueError, match="X has 4 features"):
            fitted.predict(np.zeros((2, 4)))

    def test_the_number_of_targets_is_that_of_fit(self, fitted):
        with pytest.raises(SupportError, match=r"y must have 1 target\(s\) a row as in fit, got 2"):
            fitted.adapt(LINES.X[:5], np.zeros((5, 2)))

    def test_images_have_the_shape_of_fit(self):
        rng = np.random.default_rng(0)
        X, y = rng.standard_normal((24, 1, 8, 8)), rng.standard_normal(24)
        spec = Conv4(n_channels=8, n_blocks=2)
        meta = regressor(backbone=spec).fit(X, y, groups=np.arange(24) // 6)
        with pytest.raises(
            SupportError, match=r"rows of shape \(1, 8, 8\) as in fit, got \(1, 8, 9\)"
        ):
            meta.predict(np.zeros((2, 1, 8, 9)))
        with pytest.raises(ValueError, match="X has 3 features"):
            meta.adapt(np.zeros((2, 3, 8, 8)), [0.0, 1.0])
        with pytest.raises(SupportError, match=r"as in fit, got \(2, 1\)"):
            meta.adapt(np.zeros((2, 1)), [0.0, 1.0])


class TestTasks:
    @pytest.mark.parametrize(
        ("groups", "message"),
        [
            (LINES.groups[:-1], "one entry for each of the 80 rows of X, got 79"),
            (np.zeros((80, 2)), "one task id a row"),
            (np.where(LINES.groups == 3, np.nan, LINES.groups), "must not hold missing values"),
            ("school", "names a column, but X is a ndarray"),
        ],
    )
    def test_groups_that_do_not_fit_are_refused(self, groups, message):
        for meta in (regressor(), ProtoNetClassifier(**QUICK)):
            with pytest.raises(GroupsError, match=message):
                meta.fit(LINES.X, LINES.y > 0, groups=groups)

    def test_a_column_must_be_there(self):
        with pytest.raises(GroupsError, match=r"'school' must be a column of X, got the columns"):
            regressor().fit(FRAME, LINES.y, groups="school")

    def test_a_single_task_is_said(self):
        message = "groups must name at least 2 tasks, got only 'here'. Leave groups out"
        with pytest.raises(TaskError, match=message):
            regressor().fit(LINES.X, LINES.y, groups=["here"] * 80)

    def test_tasks_of_one_row_each_are_said(self):
        with pytest.raises(TaskError, match=r"got 80 task\(s\) of one row each. Check that groups"):
            regressor().fit(LINES.X, LINES.y, groups=np.arange(80))

    def test_one_row_is_no_task(self):
        with pytest.raises(TaskError, match=r"X must have at least 2 rows.*n_samples=1"):
            regressor().fit(LINES.X[:1], LINES.y[:1])

    def test_validation_needs_tasks_to_hold_out(self):
        with pytest.raises(TaskError, match=r"validation_fraction=0.5 needs at least 2 tasks"):
            regressor(validation_fraction=0.5).fit(LINES.X, LINES.y)

    def test_many_tasks_need_their_ids(self, fitted):
        with pytest.raises(GroupsError, match="must name the task of each row, got None"):
            fitted.adapt_groups(LINES.X, LINES.y, None)

    def test_a_support_larger_than_any_task_is_said(self):
        # Tasks of 10 rows: a support of 9 leaves one for the query, a support of 10 none.
        for n_shot in (9, (9, 20)):
            regressor(n_shot=n_shot).fit(LINES.X, LINES.y, groups=LINES.groups)
        message = (
            r"n_shot=\(10, 20\) asks for more rows than any task has: the largest has 10 rows, and "
            "11 are needed"
        )
        with pytest.warns(EpisodeWarning, match=message):
            regressor(n_shot=(10, 20)).fit(LINES.X, LINES.y, groups=LINES.groups)
        meta = ProtoNetClassifier(label_space="task", n_way=3, n_shot=6, **QUICK)
        with pytest.warns(EpisodeWarning, match="than any class has: the largest has 6 rows"):
            meta.fit(POOL_X, POOL_Y)

    def test_a_fit_without_groups_is_said(self):
        message = "RidgeHeadRegressor is fitted without groups, so all rows are ONE task.*routing"
        with pytest.warns(OneTaskWarning, match=message):
            regressor().fit(LINES.X, LINES.y)
        with config_context(enable_metadata_routing=True):
            declined = regressor().set_fit_request(groups=False)
        declined.fit(LINES.X, LINES.y)
        AdaptedRegressor(regressor()).fit(LINES.X, LINES.y)  # one task is meant

    def test_groups_that_reach_the_splitter_only_are_said(self):
        search = GridSearchCV(regressor(), {"noise": [0.3]}, cv=GroupKFold(2))
        with pytest.warns(OneTaskWarning, match="turn routing on first"):
            search.fit(LINES.X, LINES.y, groups=LINES.groups)
        with config_context(enable_metadata_routing=True):
            search.fit(LINES.X, LINES.y, groups=LINES.groups)


class TestClasses:
    def test_a_fit_needs_two_classes(self):
        with pytest.raises(SupportError, match=r"at least 2 classes, got one class only \(0\)"):
            ProtoNetClassifier(**QUICK).fit(BLOBS.X, BLOBS.y * 0, groups=BLOBS.groups)

    def test_a_support_needs_two_classes_unless_allowed(self, of_classes):
        X, y = BLOBS.X[:3], np.zeros(3, int)
        message = r"in the support, got one class only \(0\).*allow_single_class=True"
        with pytest.raises(SupportError, match=message):
            of_classes.adapt(X, y)
        allowed = ProtoNetClassifier(**QUICK, allow_single_class=True)
        allowed.fit(BLOBS.X, BLOBS.y, groups=BLOBS.groups)
        assert allowed.adapt(X, y).predict_proba(X).shape == (3, 2)

    def test_many_supports_may_hold_one_class(self, of_classes):
        tasks = of_classes.adapt_groups(BLOBS.X[:4], [0, 0, 0, 1], ["a", "a", "b", "b"])
        assert set(tasks) == {"a", "b"}

    def test_classes_never_seen_are_named(self, of_classes):
        message = r"classes seen in fit, \[0, 1\], got also \[7\].*label_space='task'"
        with pytest.raises(SupportError, match=message):
            of_classes.adapt(BLOBS.X[:3], [0, 1, 7])
        with pytest.raises(SupportError, match=message):
            of_classes.partial_fit(BLOBS.X, np.where(BLOBS.y == 1, 7, 0), groups=BLOBS.groups)

    def test_private_classes_need_two_in_a_support(self):
        meta = ProtoNetClassifier(label_space="task", n_way=3, **QUICK).fit(POOL_X, POOL_Y)
        with pytest.raises(SupportError, match=r"got one class only.*Add a row of another class"):
            meta.adapt(POOL_X[:2], ["a", "a"])

    def test_private_classes_are_known_after_adapting(self):
        meta = ProtoNetClassifier(label_space="task", n_way=3, **QUICK).fit(POOL_X, POOL_Y)
        message = "must be adapted before it predicts.*label_space='task'.*adapt\\(X_support"
        for name in ("predict", "predict_proba"):
            with pytest.raises(NotAdaptedError, match=message):
                getattr(meta, name)(POOL_X)
        with pytest.raises(NotAdaptedError, match=message):
            meta.score(POOL_X, POOL_Y)

    def test_a_row_of_each_of_many_classes_draws_no_warning(self):  # which would be an error here
        meta = ProtoNetClassifier(label_space="task", n_way=3, **QUICK).fit(POOL_X, POOL_Y)
        rows, labels = POOL_X[:30], np.arange(30)
        assert len(meta.adapt(rows, labels).classes_) == 30
        assert len(meta.adapt_groups(rows, labels, np.zeros(30, int))[0].classes_) == 30

    def test_more_ways_than_classes_are_said(self):
        with pytest.raises(TaskError, match=r"got n_way=10 where there are 9. Lower n_way"):
            ProtoNetClassifier(label_space="task", n_way=10, **QUICK).fit(POOL_X, POOL_Y)
        groups = np.repeat([0, 1, 2], 18)
        message = "within one group, got n_way=4 where there are 3.*set within_groups=False"
        with pytest.raises(TaskError, match=message):
            ProtoNetClassifier(label_space="task", n_way=4, **QUICK).fit(
                POOL_X, POOL_Y, groups=groups
            )

    def test_more_classes_than_a_head_has_are_said(self):
        meta = MAMLClassifier(label_space="task", n_way=2, **QUICK).fit(POOL_X, POOL_Y)
        message = "at most n_way=2 classes for a MAMLClassifier, got 3. Fit with n_way=3, or use a"
        with pytest.raises(SupportError, match=message):
            meta.adapt(POOL_X[:3], ["a", "b", "c"])

    def test_the_label_space_is_one_of_two(self):
        with pytest.raises(ParameterError, match=r"label_space must be 'shared' .*got 'private'"):
            ProtoNetClassifier(label_space="private", **QUICK).fit(POOL_X, POOL_Y)

    def test_numbers_are_no_classes(self, of_classes):
        with pytest.raises(ValueError, match="Unknown label type: continuous"):
            ProtoNetClassifier(**QUICK).fit(BLOBS.X, BLOBS.X[:, 0], groups=BLOBS.groups)
        with pytest.raises(ValueError, match="Unknown label type: continuous"):
            of_classes.adapt(BLOBS.X[:3], [0.1, 0.2, 0.3])

    def test_there_is_one_class_a_row(self):
        with pytest.raises(ValueError, match="y should be a 1d array, got an array of shape"):
            ProtoNetClassifier(**QUICK).fit(BLOBS.X, np.stack([BLOBS.y] * 2, 1))


class TestParameters:
    @pytest.mark.parametrize(
        ("bad", "message"),
        [
            ({"n_shot": 0}, "n_shot must be a whole number of at least 1, or two that .* got 0. "),
            ({"n_shot": "5"}, r"n_shot must be a whole number.* got '5'. Give for .* n_shot=5"),
            ({"n_shot": (5, 2)}, r"n_shot must .* two that ascend, got \(5, 2\)"),
            ({"n_shot": (1, 2, 3)}, r"n_shot must .* got \(1, 2, 3\)"),
            ({"n_shot": 2.5}, "n_shot must be a whole number of at least 1.* got 2.5"),
            ({"n_query": 0}, "n_query must be a whole number of at least 1, got 0. Give"),
            ({"meta_batch_size": True}, "meta_batch_size must be a whole number.* got True"),
            ({"max_epochs": 0}, "max_epochs must be a whole number of at least 1, got 0. Give"),
            ({"steps_per_epoch": 1.0}, "steps_per_epoch must be a whole number .* got 1.0"),
            ({"outer_lr": 0}, "outer_lr must be a number above 0, got 0. Give"),
            ({"outer_lr": np.nan}, "outer_lr must be a number above 0, got nan. Give"),
            ({"outer_lr": "1e-3"}, "outer_lr must be a number above 0, got '1e-3'. Give"),
            ({"weight_decay": -1}, "weight_decay must be a number of at least 0, got -1. Give"),
            ({"validation_fraction": -0.1}, r"validation_fraction must be in \[0, 1\), got -0.1"),
            ({"validation_fraction": "a"}, r"validation_fraction must be in \[0, 1\), got 'a'"),
            ({"patience": 0}, "patience must be None or a whole number of at least 1, got 0. Give"),
            ({"n_threads": -1}, "n_threads must be None or a whole number .* got -1. Give None"),
            ({"standardize": "yes"}, "standardize must be True or False, got 'yes'. Give"),
            ({"checkpoint": 5}, "checkpoint must be None or the path of a file, got 5. Give"),
            ({"callbacks": "stop"}, "callbacks must be None or a list .* got 'stop'. Put"),
            ({"net_params": [1]}, r"net_params must be None or a dict .* got \[1\]. Leave"),
        ],
    )
    def test_each_says_its_rule(self, bad, message):
        with pytest.raises(ParameterError, match=f"^{message}"):
            regressor(**bad).fit(LINES.X, LINES.y, groups=LINES.groups)

    @pytest.mark.parametrize(
        ("bad", "message"),
        [
            ({"n_way": 1}, "n_way must be a whole number of at least 2, got 1. Give"),
            ({"within_groups": None}, "within_groups must be True or False, got None. Give"),
            ({"allow_single_class": 1}, "allow_single_class must be True or False, got 1. Give"),
        ],
    )
    def test_each_of_a_classifier_too(self, bad, message):
        with pytest.raises(ParameterError, match=f"^{message}"):
            ProtoNetClassifier(**QUICK, **bad).fit(BLOBS.X, BLOBS.y, groups=BLOBS.groups)

    def test_numbers_of_numpy_are_numbers(self):
        sizes = {"n_shot": np.int64(3), "outer_lr": np.float32(0.01), "standardize": np.True_}
        assert regressor(**sizes).fit(LINES.X, LINES.y, groups=LINES.groups).n_tasks_ == 8

    @pytest.mark.parametrize("device", ["gpu", "cuda:99", "meta-device", "meta", 3.5, None, ""])
    def test_an_unknown_device_is_said(self, device):
        message = (
            rf"^device must be 'auto' or one that this machine has \('cpu'.*\), got {device!r}\. "
            "Use device='auto' to take a GPU if there is one.$"
        )
        with pytest.raises(ParameterError, match=message):
            regressor(device=device).fit(LINES.X, LINES.y, groups=LINES.groups)

    @pytest.mark.parametrize("backbone", ["mlp", torch.nn.Linear(3, 4), MLP])
    def test_a_backbone_is_a_spec(self, backbone):
        with pytest.raises(ParameterError, match=r"backbone must be a spec.*FromModule.*backbone_"):
            TransferRegressor(backbone=backbone, **QUICK).fit(LINES.X, LINES.y, groups=LINES.groups)

    def test_a_backbone_fits_the_rows(self):
        with pytest.raises(BackboneError, match="Conv4 takes images"):
            regressor(backbone=Conv4()).fit(LINES.X, LINES.y, groups=LINES.groups)
        with pytest.raises(
            ParameterError, match=r"backbone must be given for rows of shape \(2, 2, 3, 2\)"
        ):
            regressor().fit(np.zeros((9, 2, 2, 3, 2)), np.zeros(9), groups=[0, 1, 2] * 3)

    @pytest.mark.parametrize("backbone", [None, Conv4()])
    def test_images_have_their_channels_first(self, backbone):
        meta = regressor(backbone=backbone)
        message = r"got shape \(n, 28, 28\): the axis of channels is missing.* X\[:, None\]"
        with pytest.raises(ParameterError, match=message):
            meta.fit(np.zeros((20, 28, 28)), np.zeros(20), groups=np.arange(20) // 5)
        message = (
            r"got shape \(n, 16, 28, 3\): the axis of channels is last.*transpose\(0, 3, 1, 2\)"
        )
        with pytest.raises(ParameterError, match=message):
            meta.fit(np.zeros((20, 16, 28, 3)), np.zeros(20), groups=np.arange(20) // 5)

    def test_new_images_have_the_axes_of_fit(self):
        X, y = np.random.default_rng(0).random((20, 1, 4, 4)), np.arange(20.0)
        meta = regressor(backbone=Conv4(n_channels=8, n_blocks=1))
        meta.fit(X, y, groups=np.arange(20) // 10)
        message = r"shape \(n, 1, 4, 4\) as in fit, got \(5, 4, 4\)\. .* X\[:, None\]"
        with pytest.raises(SupportError, match=message):
            meta.adapt(X[:5, 0], y[:5])
        with pytest.raises(SupportError, match=message):
            meta.predict(X[:5, 0])
        with pytest.raises(SupportError, match=r"got \(1, 4, 4\)\. A single row is X\[None\]"):
            meta.predict(X[0])

    def test_a_missing_axis_of_colours_is_not_put_in(self):
        X, y = np.random.default_rng(0).random((20, 3, 4, 4)), np.arange(20.0)
        meta = regressor(backbone=Conv4(n_channels=8, n_blocks=1))
        meta.fit(X, y, groups=np.arange(20) // 10)
        with pytest.raises(SupportError, match=r"got \(5, 4, 4\)\. Bring the rows to the shape"):
            meta.predict(X[:5, 0])

    def test_a_learner_is_named(self):
        with pytest.raises(UnknownLearnerError, match="Did you mean 'maml'"):
            MetaRegressor(learner="mam", **QUICK).fit(LINES.X, LINES.y, groups=LINES.groups)
        with pytest.raises(
            ParameterError, match=r"arguments of the learner 'maml', got \['depth'\]"
        ):
            MetaRegressor(learner="maml", learner_params={"depth": 2}, **QUICK).fit(
                LINES.X, LINES.y, groups=LINES.groups
            )
        with pytest.raises(ParameterError, match=r"kind must be one of .* got 'regression'"):
            MetaRegressor(learner="protonet", **QUICK).fit(LINES.X, LINES.y, groups=LINES.groups)
        assert issubclass(UnknownLearnerError, ValueError)
        assert not issubclass(PluginError, ValueError)

    def test_a_parameter_of_a_learner_is_checked_in_fit(self):
        with pytest.raises(ParameterError, match="noise and prior_precision must be above 0"):
            regressor(noise=0).fit(LINES.X, LINES.y, groups=LINES.groups)


class TestOrder:
    def test_a_fit_comes_first(self):
        for call in (
            lambda: regressor().predict(LINES.X),
            lambda: regressor().adapt(LINES.X, LINES.y),
            lambda: regressor().adapt_groups(LINES.X, LINES.y, LINES.groups),
            lambda: ProtoNetClassifier().predict_proba(LINES.X),
            lambda: adapt(regressor(), LINES.X, LINES.y),
        ):
            with pytest.raises(NotFittedError, match="is not fitted yet"):
                call()

    def test_only_what_can_adapt_is_adapted(self):
        with pytest.raises(
            ParameterError, match=r"must be able to adapt, got a Ridge. Use a meta-"
        ):
            adapt(Ridge().fit(LINES.X, LINES.y), LINES.X, LINES.y)

    def test_a_classifier_of_one_task_wants_a_classifier(self, fitted):
        with pytest.raises(
            ParameterError, match="estimator must be a classifier, got a RidgeHeadR"
        ):
            AdaptedClassifier(fitted).__sklearn_tags__()


class TestStandardDeviations:
    def test_what_gives_none_says_so(self, fitted, of_classes):
        message = "return_std must be False for a MAMLRegressor, which gives no.*RidgeHeadRegressor"
        plain = MAMLRegressor(**QUICK).fit(LINES.X, LINES.y, groups=LINES.groups)
        with pytest.raises(ParameterError, match=message):
            plain.predict(LINES.X, return_std=True)
        with pytest.raises(ParameterError, match="return_std must be False for MAML, which"):
            MetaRegressor(learner="maml", **QUICK).fit(
                LINES.X, LINES.y, groups=LINES.groups
            ).predict(LINES.X, return_std=True)
        message = "return_std must be False for a ProtoNetClassifier.*Use predict_proba"
        with pytest.raises(ParameterError, match=message):
            of_classes.predict(BLOBS.X, return_std=True)


class TestClassesThatLieInOneTaskOnly:
    X = np.random.default_rng(0).normal(size=(40, 2))
    y = np.repeat(range(8), 5)

    def test_label_space_is_named(self):
        with pytest.warns(EpisodeWarning, match=r"lies in one task only.*label_space='task'\.$"):
            ProtoNetClassifier(**QUICK).fit(self.X, self.y, groups=self.y // 4)

    def test_groups_that_name_the_class_are_told(self):
        with pytest.warns(EpisodeWarning, match="label_space='task' and leave groups out"):
            ProtoNetClassifier(**QUICK, n_shot=2).fit(self.X, self.y, groups=self.y)

    def test_one_class_in_two_tasks_is_enough(self):
        groups = self.y // 4
        groups[0] = 1
        ProtoNetClassifier(**QUICK).fit(self.X, self.y, groups=groups)

    def test_without_groups_it_is_named_where_classes_are_many(self):
        y = np.repeat(range(20), 2)
        with pytest.warns(OneTaskWarning, match="label_space='task', which needs no groups"):
            ProtoNetClassifier(**QUICK).fit(self.X, y)
        with pytest.warns(OneTaskWarning) as told:
            ProtoNetClassifier(**QUICK).fit(self.X, y % 3)
        assert "label_space" not in str(told[0].message)

    def test_private_classes_need_several_a_group(self):
        meta = ProtoNetClassifier(**QUICK, label_space="task", n_way=3)
        with pytest.raises(TaskError, match=r"holds one class only: leave groups out"):
            meta.fit(self.X, self.y, groups=self.y)


def test_a_single_class_may_be_allowed_on_the_fitted_estimator():
    meta = ProtoNetClassifier(**QUICK).fit(BLOBS.X, BLOBS.y, groups=BLOBS.groups)
    with pytest.raises(SupportError, match="set the estimator's parameter allow_single_class=True"):
        meta.adapt(BLOBS.X[:3], [0, 0, 0])
    allowed = meta.set_params(allow_single_class=True)
    assert allowed.adapt(BLOBS.X[:3], [0, 0, 0]).n_support_ == 3


def test_sentences_are_told_of_tfidf():
    with pytest.raises(ValueError, match=r"got text .*'play a song'.*sentences with .*Tfidf"):
        ProtoNetClassifier(**QUICK, label_space="task").fit(["play a song"] * 4, [0, 0, 1, 1])
