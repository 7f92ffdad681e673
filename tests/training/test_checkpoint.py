import os
import re
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, EarlyStopping, LRScheduler

from metaskl import MAMLRegressor, RidgeHeadRegressor
from metaskl.backbones import MLP
from metaskl.errors import CheckpointError, ParameterError
from metaskl.tasks import LinearTasks

LINES = LinearTasks(n_features=2).sample(12, 14, random_state=0)
COMMON = {"backbone": MLP((4,)), "max_epochs": 5, "steps_per_epoch": 3, "random_state": 0}
FITS = {
    "plain": {},
    "validation": {"validation_fraction": 0.3, "patience": 4},
    "decay": {"optimizer": "adamw", "weight_decay": 0.1},
    "dropout": {"backbone": MLP((4,), dropout=0.5)},
    "range of shots": {"n_shot": (2, 6), "lr_schedule": "constant", "optimizer": "sgd"},
}
# A whole program: it fits, and kills itself with SIGKILL in the middle of the third epoch.
PROGRAM = """
    import os, signal, sys
    from skorch.callbacks import Callback, LRScheduler
    from test_checkpoint import COMMON, FITS, LINES, learner_of

    class Killed(Callback):
        n_batches = 0

        def on_batch_end(self, net, training, **kwargs):
            self.n_batches += training
            if self.n_batches == 8:
                os.kill(os.getpid(), signal.SIGKILL)

    name, family, path = sys.argv[1:]
    meta = learner_of(family)(**{**COMMON, **FITS[name]}, checkpoint=path, callbacks=[Killed()])
    meta.fit(LINES.X, LINES.y, groups=LINES.groups)
    print("not killed")
"""


def learner_of(family):
    return {"ridge_head": RidgeHeadRegressor, "maml": MAMLRegressor}[family]


def fit(cls=RidgeHeadRegressor, **parameters):
    return cls(**{**COMMON, **parameters}).fit(LINES.X, LINES.y, groups=LINES.groups)


def assert_same(found, expected):
    """Compare weights, history, optimiser and predictions, bit by bit."""
    assert found.history_ == expected.history_
    weights = expected.net_.module_.state_dict()
    for name, value in found.net_.module_.state_dict().items():
        assert torch.equal(value, weights[name]), name
    states = [meta.net_.optimizer_.state_dict()["state"] for meta in (found, expected)]
    for number, state in states[0].items():
        for name, value in state.items():
            assert value is states[1][number][name] or torch.equal(value, states[1][number][name])
    support = LINES.X[:5], LINES.y[:5]
    predicted = [meta.adapt(*support).predict(LINES.X) for meta in (found, expected)]
    assert np.array_equal(*predicted)


class CountEpochs(Callback):
    def __init__(self):
        self.n_epochs = 0

    def on_epoch_end(self, net, **kwargs):
        self.n_epochs += 1


class StopAfter(Callback):
    def __init__(self, n_epochs):
        self.n_epochs = n_epochs

    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) > self.n_epochs:
            raise RuntimeError("the power went off")


@pytest.mark.parametrize(
    ("name", "family"),
    [("plain", "maml"), ("validation", "ridge_head"), ("range of shots", "ridge_head")],
)
def test_a_killed_fit_resumes_bit_by_bit(name, family, tmp_path):
    path = tmp_path / "fit.pt"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), name, family, str(path)],
        env={**os.environ, "PYTHONPATH": os.path.dirname(__file__)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert done.stdout == ""
    cls, count = learner_of(family), CountEpochs()
    resumed = fit(cls, **FITS[name], checkpoint=path, callbacks=[count])
    assert count.n_epochs == 3, "two of the five epochs were done"
    assert_same(resumed, fit(cls, **FITS[name]))


def test_a_fit_that_failed_resumes_bit_by_bit(tmp_path):
    path = tmp_path / "fit.pt"
    with pytest.raises(RuntimeError, match="the power went off"):
        fit(checkpoint=path, callbacks=[StopAfter(3)])
    assert_same(fit(checkpoint=path), fit())


def test_a_finished_fit_is_taken_up_without_training(tmp_path):
    for name, parameters in FITS.items():
        path, count = tmp_path / name, CountEpochs()
        first = fit(**parameters, checkpoint=path)
        second = fit(**parameters, checkpoint=path, callbacks=[count])
        assert count.n_epochs == 0
        assert second.history_ == first.history_
        for key, value in first.net_.module_.state_dict().items():
            assert torch.equal(second.net_.module_.state_dict()[key], value)


def test_a_fit_that_ended_early_is_taken_up_without_training(tmp_path):
    early = {"validation_fraction": 0.3, "patience": 1, "outer_lr": 3.0, "max_epochs": 100}
    first = fit(**early, checkpoint=tmp_path / "fit.pt")
    assert first.n_iter_ < 100
    count = CountEpochs()
    second = fit(**early, checkpoint=tmp_path / "fit.pt", callbacks=[count])
    assert count.n_epochs == 0
    for key, value in first.net_.module_.state_dict().items():
        assert torch.equal(second.net_.module_.state_dict()[key], value)


def test_what_is_not_computed_with_may_change(tmp_path):
    path = tmp_path / "fit.pt"
    expected = fit(checkpoint=path)
    again = fit(checkpoint=path, verbose=1, n_threads=None, callbacks=[CountEpochs()])
    assert again.history_ == expected.history_


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"outer_lr": 0.5}, "outer_lr was 0.001 and is 0.5"),
        ({"random_state": 1}, "random_state was 0 and is 1"),
        (
            {"backbone": MLP((5,))},
            "backbone was MLP(hidden_layer_sizes=(4,)) and is MLP(hidden_layer_sizes=(5,))",
        ),
        ({"n_shot": 6, "noise": 0.1}, "n_shot was 5 and is 6, noise was 0.8 and is 0.1"),
        ({"max_epochs": 6}, "max_epochs was 5 and is 6"),
    ],
)
def test_another_fits_file_is_refused_by_parameters(other, told, tmp_path):
    path = tmp_path / "fit.pt"
    fit(checkpoint=path)
    message = re.escape(f"belongs to another fit: {told}. Delete the file to start anew, or")
    with pytest.raises(CheckpointError, match=message):
        fit(checkpoint=path, **other)


def test_another_fits_file_is_refused_by_data(tmp_path):
    path = tmp_path / "fit.pt"
    meta = fit(checkpoint=path)
    y = LINES.y.copy()
    y[0] += 1
    for X, target, groups in (
        (LINES.X, y, LINES.groups),
        (LINES.X[:-1], LINES.y[:-1], LINES.groups[:-1]),
        (LINES.X, LINES.y, np.roll(LINES.groups, 1)),
    ):
        with pytest.raises(CheckpointError, match=r"belongs to another fit: the data differ\."):
            meta.fit(X, target, groups=groups)


def test_another_learners_file_is_refused(tmp_path):
    path = tmp_path / "fit.pt"
    fit(checkpoint=path)
    told = "the estimator was RidgeHeadRegressor and is MAMLRegressor"
    with pytest.raises(CheckpointError, match=told):
        fit(MAMLRegressor, checkpoint=path)


def test_further_training_leaves_the_file_alone(tmp_path):
    path = tmp_path / "fit.pt"
    meta = fit(checkpoint=path)
    content = path.read_bytes()
    meta.partial_fit(LINES.X[:70], LINES.y[:70], groups=LINES.groups[:70])
    assert path.read_bytes() == content
    assert fit(checkpoint=path).n_iter_ == 5


@pytest.mark.parametrize("random_state", [None, np.random.RandomState(0)])
def test_a_resumed_fit_must_draw_the_same_tasks(random_state, tmp_path):
    with pytest.raises(ParameterError, match="checkpoint needs random_state to be a whole number"):
        fit(checkpoint=tmp_path / "fit.pt", random_state=random_state)


@pytest.mark.parametrize(
    ("callback", "instead"),
    [
        (LRScheduler(policy="StepLR", step_size=1), "an? LRScheduler .*lr_schedule='cosine'"),
        (EarlyStopping(monitor="train_loss"), "an? EarlyStopping .*Use patience"),
    ],
)
def test_a_callback_whose_state_is_not_kept_is_refused(callback, instead, tmp_path):
    for callbacks in ([callback], [("named", callback)]):
        with pytest.raises(ParameterError, match=f"callbacks must not hold {instead}"):
            fit(checkpoint=tmp_path / "fit.pt", callbacks=callbacks)


@pytest.mark.parametrize("place", ["missing/fit.pt", "."])
def test_a_path_that_cannot_be_written_is_refused_before_training(place, tmp_path):
    count = CountEpochs()
    with pytest.raises(CheckpointError, match=r"must be a file that can be written, got .*folder"):
        fit(checkpoint=tmp_path / place, callbacks=[count])
    assert count.n_epochs == 0


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04 cut off"])
def test_a_corrupt_file_is_refused(content, tmp_path):
    path = tmp_path / "fit.pt"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="cannot be read as one of metaskl's"):
        fit(checkpoint=path)
    assert path.read_bytes() == content


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "fit.pt"
    fit(checkpoint=path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(CheckpointError, match="cannot be read as one of metaskl's"):
        fit(checkpoint=path)


def test_a_file_of_an_optimiser_without_a_group_for_scales_is_refused(tmp_path):
    path, decay = tmp_path / "fit.pt", FITS["decay"]
    fit(**decay, checkpoint=path)
    state = torch.load(path, weights_only=True)
    assert len(state["optimizer"]["param_groups"]) == 2
    state["optimizer"]["param_groups"].pop()
    torch.save(state, path)
    with pytest.raises(CheckpointError, match="is not one of this version of metaskl"):
        fit(**decay, checkpoint=path)


@pytest.mark.parametrize("content", [{"format": 99}, [1, 2]])
def test_a_foreign_file_is_refused(content, tmp_path):
    path = tmp_path / "fit.pt"
    torch.save(content, path)
    with pytest.raises(CheckpointError, match="is not one of this version of metaskl"):
        fit(checkpoint=path)


def test_a_file_that_holds_code_is_not_run(tmp_path):
    class Attack:
        def __reduce__(self):
            return (open, (str(tmp_path / "attacked"), "w"))

    path = tmp_path / "fit.pt"
    torch.save({"format": 2, "identity": Attack()}, path)
    with pytest.raises(CheckpointError, match="cannot be read as one of metaskl's"):
        fit(checkpoint=path)
    assert not (tmp_path / "attacked").exists()


def test_a_full_disk_is_said_and_the_last_whole_file_is_kept(tmp_path):
    # A limit on the size of files stands in for a full disk.
    code = """
        import resource, signal, sys
        from pathlib import Path
        from metaskl.errors import CheckpointError, ParameterError
        from test_checkpoint import fit

        path = Path(sys.argv[1])
        fit(checkpoint=path, max_epochs=1)
        whole = path.read_bytes()
        path.rename(path.with_suffix(".kept"))
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(whole) // 2, resource.RLIM_INFINITY))
        try:
            fit(checkpoint=path)
        except CheckpointError as error:
            assert "could not be written" in str(error), error
            assert "free the disk" in str(error), error
            left = sorted(p.name for p in path.parent.iterdir())
            assert left == ["fit.kept"], left
            print("refused")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "fit.pt")],
        env={**os.environ, "PYTHONPATH": os.path.dirname(__file__)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "refused\n", done.stderr
