"""Learners on a line, where all that adapting does can be written out."""

import numpy as np
import torch

from metaskl.backbones import MLP
from metaskl.tasks import Episode

ALPHA = 0.1
X_SUPPORT, Y_SUPPORT = np.array([0.0, 1.0, 3.0]), np.array([1.0, 0.0, 2.0])
X_QUERY, Y_QUERY = np.array([2.0, -1.0]), np.array([1.0, 4.0])
THETA = np.array([0.5, -1.0])  # slope and intercept


class Quadratic:
    """Mean squared error of a line, its gradient and its Hessian, written out."""

    def __init__(self, x, y):
        self.Z, self.y = np.stack([x, np.ones_like(x)], axis=1), y
        self.hessian = 2 / len(x) * self.Z.T @ self.Z

    def loss(self, theta):
        return ((self.Z @ theta - self.y) ** 2).mean()

    def gradient(self, theta):
        return 2 / len(self.y) * self.Z.T @ (self.Z @ theta - self.y)


SUPPORT, QUERY = Quadratic(X_SUPPORT, Y_SUPPORT), Quadratic(X_QUERY, Y_QUERY)


def column(values):
    return torch.tensor(values).reshape(-1, 1)


def episode(n_tasks=1):
    """Stack the same task, without padding."""
    parts = []
    for X, y in ((X_SUPPORT, Y_SUPPORT), (X_QUERY, Y_QUERY)):
        rows = [column(values).expand(n_tasks, -1, 1) for values in (X, y)]
        parts += [*rows, torch.ones(n_tasks, len(X), dtype=torch.float64)]
    return Episode(*parts)


def on_a_line(learner_class, **arguments):
    """Build a learner without hidden layer: the head's weight and bias are all there is."""
    learner = learner_class(MLP(()).build((1,)), 1, **arguments).double()
    with torch.no_grad():
        learner.network.head.weight.fill_(THETA[0])
        learner.network.head.bias.fill_(THETA[1])
    return learner


def meta_gradient(learner):
    """Return the outer gradient of slope and intercept for a stack of two equal tasks."""
    learner.episode_loss(episode(n_tasks=2)).backward()
    head = learner.network.head
    return np.array([head.weight.grad.item(), head.bias.grad.item()])


def descend(n_steps, rate=ALPHA):
    """Return the parameters before each inner step, and after the last."""
    path = [THETA]
    for _ in range(n_steps):
        path.append(path[-1] - rate * SUPPORT.gradient(path[-1]))
    return path
