"""What is drawn goes to where the rows are."""

import numpy as np
import pytest
import torch

from metaskl.tasks import (
    ClassEpisodes,
    FeatureDropout,
    FeatureNoise,
    SinusoidTasks,
    TaskEpisodes,
    TaskMix,
)
from metaskl.tasks.sending import sent

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
