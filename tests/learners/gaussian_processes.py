"""What the tests of Gaussian process learners share: rows, and learners with known parameters."""

import numpy as np
import torch

from metaskl.backbones import MLP
from metaskl.tasks import Episode

LENGTH, AMPLITUDE, NOISE, OFFSET = 0.7, 1.3, 0.4, 0.6
WEIGHT, BIAS = np.array([[0.3], [-0.2], [0.1]]), 1.0
# What the learner adds to the noise variance, always.
LEAST = 1e-6


def rows(n_rows, n_outputs=1, seed=0):
    rng = np.random.default_rng(seed)
    X, noise = rng.standard_normal((n_rows, 3)), rng.standard_normal((n_rows, n_outputs))
    return X, np.sin(2 * X) @ rng.standard_normal((3, n_outputs)) + 0.3 * noise


def process(cls, n_outputs=1, **arguments):
    """Build a learner on the rows themselves with the parameters above."""
    learner = cls(MLP(()).build((3,)), n_outputs, **arguments).double().eval()
    with torch.no_grad():
        learner.log_kernel.copy_(torch.tensor(np.log([LENGTH, AMPLITUDE, NOISE])))
        learner.log_offset.fill_(np.log(OFFSET))
        if learner.mean == "linear":
            learner.mean_weight.copy_(torch.tensor(WEIGHT).expand(3, n_outputs))
        if learner.mean != "zero":
            learner.mean_bias.fill_(BIAS)
    return learner


def predictions(learner, X, y, X_query):
    with torch.no_grad():
        adapted = learner.adapt(torch.tensor(X), torch.tensor(y))
        query = torch.tensor(X_query)
        return learner.predict(adapted, query).numpy(), learner.predict_std(adapted, query)


def episode(n_support, n_query=6, n_outputs=1):
    parts = []
    for n, seed in ((n_support, 0), (n_query, 1)):
        X, y = rows(n, n_outputs, seed)
        parts += [torch.tensor(part)[None] for part in (X, y, np.ones(n))]
    return Episode(*parts)
