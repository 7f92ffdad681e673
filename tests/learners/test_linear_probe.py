import numpy as np
import pytest
import torch
from scipy.special import log_expit
from sklearn.linear_model import LogisticRegression, Ridge
from torch.nn import functional as F

from metaskl.backbones import MLP
from metaskl.errors import ParameterError
from metaskl.learners.linear_probe import LinearProbe
from metaskl.learners.logistic_head import LogisticHead
from metaskl.tasks import Episode, LinearTasks, TaskEpisodes

ALPHA = 0.7
N_ROWS = [2, 30]  # fewer rows than features, and more: the solve takes two ways


def probe(n_outputs=1, **arguments):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        backbone = MLP((5,), activation="tanh").build((3,))
        return LinearProbe(backbone, n_outputs, alpha=ALPHA, **arguments).double().eval()


def rows(n_rows, n_classes=None):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n_rows, 3))
    if n_classes is None:
        return X, X @ rng.standard_normal((3, 2)) + 1.0
    return X, np.arange(n_rows) % n_classes


def features(learner, X):
    with torch.no_grad():
        embedded = learner.network.body(torch.tensor(X)).numpy()
    return np.column_stack([embedded, np.ones(len(X))])


def answers(learner, X, y):
    with torch.no_grad():
        adapted = learner.adapt(torch.tensor(X), torch.as_tensor(y))
        return learner.predict(adapted, torch.tensor(X)).numpy()


@pytest.mark.parametrize("n_rows", N_ROWS)
@pytest.mark.parametrize("new_head", [False, True])
def test_targets_are_fitted_by_scikit_learns_ridge(n_rows, new_head):
    X, y = rows(n_rows)
    learner = probe(2, new_head=new_head)
    Phi, head = features(learner, X), learner.network.head
    start = np.column_stack([head.weight.detach(), head.bias.detach()]).T
    start = np.zeros_like(start) if new_head else start
    ridge = Ridge(alpha=ALPHA, fit_intercept=False).fit(Phi, y - Phi @ start)
    np.testing.assert_allclose(answers(learner, X, y), Phi @ (start + ridge.coef_.T), rtol=1e-8)


@pytest.mark.parametrize("n_rows", [4, 30])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_classes_are_fitted_by_scikit_learns_logistic_regression(n_rows, n_classes):
    X, label = rows(n_rows, n_classes)
    learner = probe(n_classes, kind="classification", new_head=True)
    Phi = features(learner, X)
    model = LogisticRegression(C=1 / ALPHA, fit_intercept=False, tol=1e-10, max_iter=10_000)
    targets = [label == c for c in range(n_classes)]
    expected = [log_expit(model.fit(Phi, t).decision_function(Phi)) for t in targets]
    found = answers(learner, X, np.eye(n_classes)[label])
    np.testing.assert_allclose(found, np.column_stack(expected), atol=1e-5)


def test_held_strongly_it_predicts_as_before_the_support():
    X, label = rows(9, 2)
    learner = probe(2, kind="classification")
    learner.alpha = 1e9
    with torch.no_grad():
        expected = learner.network(torch.tensor(X)).softmax(-1)
        initial = learner.predict(learner.initial(), torch.tensor(X)).softmax(-1)
    np.testing.assert_allclose(initial, expected, rtol=1e-9)
    held = torch.tensor(answers(learner, X, np.eye(2)[label])).softmax(-1)
    np.testing.assert_allclose(held, expected, atol=1e-6)


def test_many_shared_classes_are_pre_trained_each_from_the_rest():
    X, label = rows(8, 3)
    learner = probe(3, kind="classification")
    X, y = torch.tensor(X)[None], torch.eye(3, dtype=torch.float64)[label][None]
    ones = torch.ones(1, 4, dtype=torch.float64)
    episode = Episode(X[:, :4], y[:, :4], ones, X[:, 4:], y[:, 4:], ones)
    expected = F.binary_cross_entropy_with_logits(learner.network(X[0]), y[0]) * 3
    torch.testing.assert_close(learner.episode_loss(episode), expected)


def test_it_learns_lines_better_than_the_network_before_a_support():
    train = LinearTasks().sample(200, 20, random_state=0).task_set()
    test = LinearTasks().sample(200, 20, random_state=1).task_set()
    draw = {"n_shot": 10, "n_query": 10}
    sampler = TaskEpisodes(train, random_state=0, **draw)
    episode = TaskEpisodes(test, meta_batch_size=200, random_state=0, **draw).sample()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        learner = LinearProbe(MLP((32,), skip=True).build((train.X.shape[1],)), 1, alpha=1.0)
    optimizer = torch.optim.Adam(learner.parameters(), lr=0.01)
    for _ in range(150):
        optimizer.zero_grad()
        learner.episode_loss(sampler.sample()).backward()
        optimizer.step()
    with torch.no_grad():
        before = learner.network(episode.X_query.flatten(0, 1)).reshape(episode.y_query.shape)
        unadapted = F.mse_loss(before, episode.y_query)
        assert learner.validation_loss(episode) < 0.2 * unadapted


def test_alpha_is_positive():
    with pytest.raises(ParameterError, match="alpha must be above 0, got 0"):
        LinearProbe(MLP(()).build((3,)), 1, alpha=0.0)


@pytest.mark.parametrize("kind", ["regression", "classification"])
@pytest.mark.parametrize("n_rows", [2, 40])
def test_rows_far_out_do_not_break_the_solve(kind, n_rows):
    learner = LinearProbe(MLP(()).build((3,)), 2, kind=kind, alpha=1e-6, new_head=True).double()
    X = torch.ones(n_rows, 3, dtype=torch.float64) * torch.tensor([1e9, 1.0, 1e-3])
    X[0] *= -1
    adapted = learner.adapt(X, torch.eye(2, dtype=torch.float64)[(X[:, 0] > 0).long()])
    assert learner.predict(adapted, X).argmax(1).tolist() == (X[:, 0] > 0).long().tolist()


@pytest.mark.parametrize("n_classes", [2, 3])
def test_a_logistic_head_has_the_same_weights_and_likeliest_class(n_classes):
    X, label = rows(12, n_classes)
    one_hot = torch.eye(n_classes, dtype=torch.float64)[torch.tensor(label)]
    given = {"kind": "classification", "private_labels": True, "n_pool_classes": 5}
    body = MLP(()).build((3,))
    ours = LinearProbe(body, n_classes, alpha=ALPHA, **given).double().eval()
    head = LogisticHead(body, n_classes, prior_precision=ALPHA, **given).double().eval()
    query = 3 * torch.tensor(np.random.default_rng(1).standard_normal((40, 3)))
    with torch.no_grad():
        adapted = ours.adapt(torch.tensor(X), one_hot)
        weight = head.adapt(torch.tensor(X), one_hot)["weight"]
        torch.testing.assert_close(adapted["weight"], weight, rtol=1e-5, atol=1e-6)
        odds = torch.cat([query, torch.ones(40, 1)], 1).double() @ weight
        found = ours.predict(adapted, query).softmax(-1)
        theirs = head.predict({"weight": weight}, query).softmax(-1)
    assert torch.equal(found.argmax(-1), theirs.argmax(-1))
    if n_classes == 2:
        expected = torch.cat([1 - odds.sigmoid(), odds.sigmoid()], 1)
        torch.testing.assert_close(theirs, expected, rtol=1e-5, atol=1e-6)
    else:  # as OneVsRestClassifier divides by the sum, and as a softmax
        expected = odds.sigmoid() / odds.sigmoid().sum(-1, keepdim=True)
        torch.testing.assert_close(theirs, odds.softmax(-1), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
