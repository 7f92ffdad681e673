"""What is drawn goes to where the rows are."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

from metaskl.backbones import MLP
from metaskl.learners.maml import MAML
from metaskl.learners.protonet import ProtoNet
from metaskl.tasks import (
    ClassEpisodes,
    FeatureDropout,
    FeatureNoise,
    SinusoidTasks,
    TaskEpisodes,
    TaskMix,
)
from metaskl.tasks.sending import sent
from metaskl.training import TrainingPlan, meta_train
from metaskl.training.runner import new_net

CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here")


def test_numbers_keep_their_type_and_order():
    values = np.arange(6).reshape(2, 3)[:, ::-1]
    found = sent(values, torch.device("cpu"))
    assert found.dtype == torch.int64
    assert found.tolist() == values.tolist()


@CUDA
@pytest.mark.parametrize("kind", [TaskEpisodes, ClassEpisodes])
def test_drawing_does_not_wait_for_a_gpu(kind):
    tasks = SinusoidTasks().sample(20, 12, random_state=0).task_set().to("cuda")
    sampler = kind(tasks, n_shot=(2, 4), n_query=3, meta_batch_size=3, random_state=0)
    rng = np.random.default_rng(0)
    sampler.sample()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for episode in sampler.stream(5):
            for change in (FeatureNoise(0.1), FeatureDropout(0.5), TaskMix(0.5)):
                assert change.apply(episode, rng).X_support.is_cuda
    finally:
        torch.cuda.set_sync_debug_mode("default")


LEARNERS = {
    "MAML": (lambda: MAML(MLP((5,)).build((1,)), 1), TaskEpisodes),
    "MAML, other network": (lambda: MAML(MLP((5,), norm="layer").build((1,)), 1), TaskEpisodes),
    "ProtoNet": (lambda: ProtoNet(MLP((5,)).build((1,)), 5, private_labels=True), ClassEpisodes),
}


@pytest.mark.parametrize("name", LEARNERS)
def test_an_outer_step_reads_nothing_from_a_device(name, monkeypatch):
    # Tensors of the device "meta" have no values: reading one raises. Nor has it half precision.
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda *_: False)
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    make, kind = LEARNERS[name]
    tasks = SinusoidTasks().sample(20, 12, random_state=0).task_set().to("meta")
    how = {"optimizer__foreach": False}  # a fused Adam knows the devices by name
    net = new_net(make(), TrainingPlan(device="meta", net_params=how))
    for episode in kind(tasks, n_shot=(2, 4), n_query=3, random_state=0).stream(3):
        assert net.train_step(episode)["loss"].is_meta


class NoWaiting(Callback):
    """Lets whatever waits for a GPU raise, from the first step of the second epoch to its last."""

    n_steps = 0

    def on_batch_begin(self, net, **_):
        if len(net.history) == 2:
            torch.cuda.set_sync_debug_mode("error")

    def on_batch_end(self, net, **_):
        self.n_steps = (self.n_steps + 1) % net.steps_per_epoch
        if not self.n_steps:
            torch.cuda.set_sync_debug_mode("default")


@CUDA
@pytest.mark.parametrize("name", LEARNERS)
def test_an_epoch_does_not_wait_for_a_gpu(name):
    make, kind = LEARNERS[name]
    tasks = SinusoidTasks().sample(20, 12, random_state=0).task_set().to("cuda")
    # So many steps that what can be recorded is, in the first epoch.
    plan = TrainingPlan(
        max_epochs=2, steps_per_epoch=100, device="cuda", callbacks=[("waits", NoWaiting())]
    )
    try:
        net = meta_train(make(), kind(tasks, n_shot=3, n_query=3, random_state=0), plan)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert len(net.history) == 2
