import io
import json
import pickle
import zipfile

import numpy as np
import pytest
import skops.io
import torch
from safetensors.torch import save_file
from sklearn import config_context
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from torch import nn

from metaskl import (
    FewShotScorer,
    PerTask,
    ProtoNetClassifier,
    RidgeHeadRegressor,
    TransferRegressor,
    load,
    save,
)
from metaskl.backbones import MLP, FromModule
from metaskl.errors import ModelFileError
from metaskl.tasks import LinearTasks

LINES = LinearTasks(n_features=3).sample(8, 10, random_state=0)
QUICK = {"max_epochs": 1, "steps_per_epoch": 1, "random_state": 0}


def fitted(cls=RidgeHeadRegressor, **parameters):
    meta = cls(**{"backbone": MLP((4,)), **QUICK, **parameters})
    return meta.fit(LINES.X, LINES.y, groups=LINES.groups)


@pytest.fixture(scope="module")
def content(tmp_path_factory):
    return save(fitted(), tmp_path_factory.mktemp("saved") / "model").read_bytes()


def test_a_file_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "model"
    path.write_text("something else")
    assert save(fitted(), str(path)) == path
    assert [file.name for file in tmp_path.iterdir()] == ["model"]
    assert np.array_equal(load(path).predict(LINES.X), fitted().predict(LINES.X))
    assert np.array_equal(load(str(path)).predict(LINES.X), fitted().predict(LINES.X))


def test_what_a_file_holds_does_not_grow_with_the_rows_of_the_fit(tmp_path):
    sizes = []
    for n_rows in (10, 1000):
        lines = LinearTasks(n_features=3).sample(8, n_rows, random_state=0)
        meta = TransferRegressor(**QUICK).fit(lines.X, lines.y, groups=lines.groups)
        sizes.append(save(meta, tmp_path / "model").stat().st_size)
    assert sizes[1] < 1.05 * sizes[0]


def test_hyper_parameters_and_history_come_back(tmp_path):
    meta = fitted(n_shot=(2, 4), validation_fraction=0.3)
    loaded = load(save(meta, tmp_path / "model"))
    assert repr(loaded.get_params()) == repr(meta.get_params())
    assert loaded.history_ == meta.history_
    assert loaded.n_iter_ == meta.n_iter_
    assert loaded.n_tasks_ == meta.n_tasks_


def test_ordinary_estimators_can_be_stored(tmp_path):
    ridge = Ridge().fit(LINES.X, LINES.y)
    assert np.array_equal(load(save(ridge, tmp_path / "model")).coef_, ridge.coef_)
    per_task = PerTask(Ridge()).fit(LINES.X, LINES.y, groups=LINES.groups)
    loaded = load(save(per_task, tmp_path / "model"))
    expected = per_task.predict(LINES.X, groups=LINES.groups)
    assert np.array_equal(loaded.predict(LINES.X, groups=LINES.groups), expected)


def test_a_folder_that_is_not_there_is_said(tmp_path):
    with pytest.raises(ModelFileError, match=r"could not be written to .*a folder that exists"):
        save(fitted(), tmp_path / "missing" / "model")
    with pytest.raises(ModelFileError, match="could not be written"):
        save(fitted(), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(ModelFileError, match=r"is not there. Check the path"):
        load(tmp_path / "nothing")


def test_a_folder_is_no_missing_file(tmp_path):
    with pytest.raises(ModelFileError, match=r"is a folder. Give the file in it"):
        load(tmp_path)


@pytest.mark.parametrize(
    "unfitted", [ProtoNetClassifier(), make_pipeline(StandardScaler(), RidgeHeadRegressor())]
)
def test_what_is_not_fitted_is_refused(unfitted, tmp_path):
    message = rf"must be fitted .* got a {type(unfitted).__name__} that is not\. Call fit"
    with pytest.raises(ModelFileError, match=message):
        save(unfitted, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("foreign", "given"), [({"a": 1}, "a dict"), (Ridge, "<class .*Ridge'>"), (None, "a NoneType")]
)
def test_what_is_no_estimator_is_refused(foreign, given, tmp_path):
    with pytest.raises(ModelFileError, match=f"must be an instance .* got {given}"):
        save(foreign, tmp_path / "model")


def test_a_function_that_load_could_not_find_is_refused(tmp_path):
    def local(X):
        return X

    for function, name in ((lambda X: X, "<lambda>"), (local, "local")):
        pipe = make_pipeline(FunctionTransformer(function), Ridge()).fit(LINES.X, LINES.y)
        with pytest.raises(ModelFileError, match=rf"can be imported, got \[.*{name}'\]"):
            save(pipe, tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("foreign", [b"", b"text", b"PK\x03\x04", pickle.dumps(Ridge())])
def test_a_foreign_file_is_refused(foreign, tmp_path):
    (tmp_path / "model").write_bytes(foreign)
    with pytest.raises(ModelFileError, match="is corrupt or not a metaskl model"):
        load(tmp_path / "model")


def test_a_foreign_archive_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "model", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(ModelFileError, match="is corrupt or not a metaskl model"):
        load(tmp_path / "model")


def test_a_damaged_file_is_refused_or_makes_no_difference(content, tmp_path):
    rng = np.random.default_rng(0)
    path = tmp_path / "model"
    damaged = [content[:stop] for stop in range(0, len(content), len(content) // 20)]
    for place in rng.integers(0, len(content), 150):
        flipped = bytearray(content)
        flipped[place] ^= 1 << int(rng.integers(8))
        damaged.append(bytes(flipped))
    path.write_bytes(content)
    expected = load(path).predict(LINES.X[:2])
    refused = 0
    for some in damaged:
        path.write_bytes(some)
        try:
            found = load(path).predict(LINES.X[:2])
        except ModelFileError:
            refused += 1
        else:
            np.testing.assert_array_equal(found, expected)
    # The rest hit what nobody reads, such as the times and attributes of the archive's entries.
    assert refused > 0.8 * len(damaged)


class Mine(FunctionTransformer):
    """A type that nobody trusts yet."""


def test_types_of_others_are_named_and_can_be_trusted(tmp_path):
    path = save(make_pipeline(Mine(), Ridge()).fit(LINES.X, LINES.y), tmp_path / "model")
    name = f"{Mine.__module__}.Mine"
    with pytest.raises(ModelFileError, match=rf"not trusted: \['{name}'\].*trusted=\['{name}'\]"):
        load(path)
    assert type(load(path, trusted=[name])[0]) is Mine


def test_a_search_with_scikit_learns_splits_is_stored(tmp_path):
    folds = {"cv": GroupKFold(2), "scoring": FewShotScorer(n_shot=5)}
    with config_context(enable_metadata_routing=True):
        search = GridSearchCV(fitted(), {"noise": [0.3]}, **folds)
        search.fit(LINES.X, LINES.y, groups=LINES.groups)
    loaded = load(save(search, tmp_path / "model"))
    assert np.array_equal(loaded.predict(LINES.X), search.predict(LINES.X))


def test_names_that_only_begin_like_ours_are_not_ours(tmp_path, monkeypatch):
    monkeypatch.setattr(Mine, "__module__", "metaskl_evil.module")
    (tmp_path / "model").write_bytes(_dumped_under_another_name())
    with pytest.raises(ModelFileError, match=r"not trusted: \['metaskl_evil\.module\.Mine'\]"):
        load(tmp_path / "model")


def _dumped_under_another_name():
    return skops.io.dumps(Mine())


def test_functions_of_others_are_refused(tmp_path):
    import os

    path = tmp_path / "model"
    path.write_bytes(skops.io.dumps(FunctionTransformer(os.getcwd)))
    with pytest.raises(ModelFileError, match="types that are not trusted"):
        load(path)


def _schema_of(value):
    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(value))) as archive:
        return json.loads(archive.read("schema.json"))


@pytest.mark.parametrize(
    ("module", "function"),
    [
        ("metaskl.persistence", "save"),
        ("metaskl.files", "replacing"),
        ("metaskl.report.display", "import_module"),
        ("metaskl.persistence", "Path"),
        ("sklearn.model_selection._split", "_build_repr"),
        ("metaskl.__main__", "app"),
    ],
)
def test_a_file_cannot_have_our_functions_called(module, function, tmp_path):
    # A loss is restored by a call of what the file names, with arguments from the file.
    victim = tmp_path / "victim"
    call = _schema_of({}) | {"__class__": function, "__module__": module, "__loader__": "LossNode"}
    call |= {"__reduce__": {"args": _schema_of((StandardScaler(), str(victim)))}}
    call |= {"content": _schema_of({}), "__id__": 1}
    with zipfile.ZipFile(tmp_path / "model", "w") as archive:
        archive.writestr("schema.json", json.dumps(call))
    with pytest.raises(ModelFileError, match=rf"not trusted: \['{module}\.{function}'\]"):
        load(tmp_path / "model")
    assert not victim.exists()


def test_another_process_that_saves_the_same_model_is_not_disturbed(tmp_path):
    theirs = tmp_path / ".model.partial"
    theirs.write_text("half of it")
    save(fitted(), tmp_path / "model")
    assert theirs.read_text() == "half of it"


class TestOwnNetworks:
    def test_a_class_with_arguments_is_stored_and_trusted_by_name(self, tmp_path):
        spec = FromModule(nn.Linear, {"in_features": 3, "out_features": 4})
        meta = fitted(backbone=spec)
        path = save(meta, tmp_path / "model")
        name = "torch.nn.modules.linear.Linear"
        with pytest.raises(ModelFileError, match=f"trusted=.*{name}"):
            load(path)
        assert np.array_equal(load(path, trusted=[name]).predict(LINES.X), meta.predict(LINES.X))

    def test_a_built_module_cannot_be_stored_but_pickled(self, tmp_path):
        meta = fitted(backbone=FromModule(nn.Linear(3, 4)))
        with pytest.raises(ModelFileError, match="FromModule the network's class and arguments"):
            save(meta, tmp_path / "model")
        again = pickle.loads(pickle.dumps(meta))
        assert np.array_equal(again.predict(LINES.X), meta.predict(LINES.X))

    def test_the_file_of_the_pre_trained_weights_need_not_be_there(self, tmp_path):
        weights = tmp_path / "weights.safetensors"
        save_file(nn.Linear(3, 4).state_dict(), weights)
        spec = FromModule(nn.Linear, {"in_features": 3, "out_features": 4}, state_dict=str(weights))
        meta = fitted(backbone=spec)
        path = save(meta, tmp_path / "model")
        weights.unlink()
        loaded = load(path, trusted=["torch.nn.modules.linear.Linear"])
        assert np.array_equal(loaded.predict(LINES.X), meta.predict(LINES.X))
        assert loaded.backbone.state_dict == str(weights)


class TestDevices:
    def test_a_model_of_a_device_that_is_not_here_loads(self, tmp_path):
        meta = fitted().set_params(device="cuda:99")
        loaded = load(save(meta, tmp_path / "model"))
        assert loaded.device == "cuda:99"
        assert loaded.device_ == ("cuda" if torch.cuda.is_available() else "cpu")
        np.testing.assert_allclose(loaded.predict(LINES.X), meta.predict(LINES.X), rtol=1e-3)

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")
    def test_a_model_of_the_gpu_predicts_alike_on_the_cpu(self, tmp_path):
        meta = fitted(device="cuda")
        adapted = meta.adapt(LINES.X[:5], LINES.y[:5])
        assert adapted.state_["weight"].device.type == "cuda"
        on_cpu = load(save(adapted.set_params(device="cpu"), tmp_path / "model"))
        assert on_cpu.device_ == "cpu"
        np.testing.assert_allclose(on_cpu.predict(LINES.X), adapted.predict(LINES.X), rtol=1e-3)


class TestManyCopies:
    """Adapted copies share one network in memory, in a pickle and in a file."""

    def stored(self, estimator, tmp_path):
        path = save(estimator, tmp_path / "model")
        content = pickle.dumps(estimator)
        return (pickle.loads(content), len(content)), (load(path), path.stat().st_size)

    def test_the_network_is_stored_once(self, tmp_path):
        # The state of a copy is a head of 4 + 1 weights; the network has thousands.
        parameters = {"backbone": MLP((200, 200)), "strategy": "head"}
        per_task = PerTask(TransferRegressor(**QUICK, **parameters))
        per_task.fit(LINES.X, LINES.y, groups=LINES.groups)
        expected = per_task.predict(LINES.X, groups=LINES.groups)
        network = 4 * sum(p.numel() for p in per_task.shared_.net_.module_.parameters())
        for loaded, size in self.stored(per_task, tmp_path):
            assert 0.8 * network < size < 1.5 * network
            assert np.array_equal(loaded.predict(LINES.X, groups=LINES.groups), expected)
            nets = {id(model.net_) for model in [loaded.shared_, *loaded.estimators_.values()]}
            assert len(nets) == 1
            # What was read can be stored again.
            again = pickle.loads(pickle.dumps(loaded))
            assert np.array_equal(again.predict(LINES.X, groups=LINES.groups), expected)

    def test_copies_of_many_tasks_are_one_file(self, tmp_path):
        copies = fitted().adapt_groups(LINES.X, LINES.y, LINES.groups)
        loaded = load(save(copies, tmp_path / "model"))
        assert list(loaded) == list(copies)
        for task, copy in copies.items():
            assert np.array_equal(loaded[task].predict(LINES.X), copy.predict(LINES.X))

    def test_further_training_parts_them(self, tmp_path):
        adapted = fitted()
        trained = adapted.adapt(LINES.X[:5], LINES.y[:5])
        trained.partial_fit(LINES.X, LINES.y, groups=LINES.groups)
        for (first, second), _ in self.stored([adapted, trained], tmp_path):
            assert first.net_ is not second.net_
            assert np.array_equal(first.predict(LINES.X), adapted.predict(LINES.X))
            assert np.array_equal(second.predict(LINES.X), trained.predict(LINES.X))

    def test_weights_changed_by_hand_are_stored_as_they_are(self, tmp_path):
        meta = fitted()
        pickle.dumps(meta)
        with torch.no_grad():
            meta.net_.module_.log_noise.fill_(0.25)
        for loaded, _ in self.stored(meta, tmp_path):
            assert loaded.net_.module_.log_noise.item() == 0.25
