import numpy as np
import pytest
import torch

from metaskl.backbones import MLP
from metaskl.errors import ParameterError
from metaskl.learners.snail import SNAIL
from metaskl.tasks import BlobTasks, ClassEpisodes

SMALL = {"n_filters": 3, "n_dilations": 2, "key_size": 4, "value_size": 5}


def learner_of(n_outputs=2, seed=0, **arguments):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        arguments = {"kind": "classification", **SMALL, **arguments}
        return SNAIL(MLP(()).build((2,)), n_outputs, **arguments).double().eval()


def sequence(n_rows, seed=0):
    generator = torch.Generator().manual_seed(seed)
    X = torch.randn(n_rows, 2, generator=generator, dtype=torch.float64)
    return X, torch.eye(2, dtype=torch.float64)[torch.arange(n_rows) % 2]


def by_hand(learner, X, y, query):
    """Run the support and one query row as one sequence in NumPy; return the last output."""
    p = {name: value.detach().numpy() for name, value in learner.named_parameters()}
    labels = np.vstack([np.column_stack([y, np.ones(len(y))]), np.zeros(y.shape[1] + 1)])
    rows = np.column_stack([np.vstack([X, query]), labels])

    def linear(name, values):
        return values @ p[f"{name}.weight"].T + p[f"{name}.bias"]

    # Attention, two convolutions (dilations 1 and 2), attention, two convolutions, attention.
    for number, dilation in enumerate([0, 1, 2, 0, 1, 2, 0]):
        appended = []
        for t, row in enumerate(rows):
            if dilation:
                before = rows[t - dilation] if t >= dilation else np.zeros_like(row)
                both = linear(f"blocks.{number}.filters", np.concatenate([row, before]))
                value, gate = np.split(both, 2)
                appended.append(np.tanh(value) / (1 + np.exp(-gate)))
                continue
            seen = rows[: t + 1]
            scores = linear(f"blocks.{number}.key", seen) @ linear(f"blocks.{number}.query", row)
            odds = np.exp(scores / np.sqrt(learner.blocks[number].key.out_features))
            appended.append(odds / odds.sum() @ linear(f"blocks.{number}.value", seen))
        rows = np.column_stack([rows, appended])
    return linear("head", rows[-1])


@pytest.mark.parametrize("n_support", [1, 2, 3, 9])
@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_a_prediction_is_the_end_of_the_sequence(n_support, kind):
    learner, (X, y), (query, _) = learner_of(kind=kind), sequence(n_support), sequence(3, seed=1)
    with torch.no_grad():
        found = learner.predict(learner.adapt(X, y), query).numpy()
    expected = [by_hand(learner, X.numpy(), y.numpy(), row) for row in query.numpy()]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_before_a_support_the_query_is_the_whole_sequence():
    learner, (query, _) = learner_of(), sequence(3)
    with torch.no_grad():
        found = learner.predict(learner.initial(), query).numpy()
    expected = [by_hand(learner, np.zeros((0, 2)), np.zeros((0, 2)), r) for r in query.numpy()]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert learner_of(private_labels=True).initial() is None


def test_a_row_of_weight_zero_changes_nothing_wherever_it_stands():
    learner, (X, y), (query, _) = learner_of(), sequence(6), sequence(3, seed=1)
    real = torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0, 0.0], dtype=torch.float64)
    with torch.no_grad():
        found = learner.predict(learner.adapt(X, y, real), query)
        expected = learner.predict(learner.adapt(X[real > 0], y[real > 0]), query)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("bad", [{"n_filters": 0}, {"n_dilations": 0}, {"key_size": -1}])
def test_sizes_are_at_least_one(bad):
    with pytest.raises(ParameterError, match="must be at least 1, got"):
        learner_of(**bad)


def test_it_learns_to_tell_new_classes_apart():
    pool = BlobTasks(n_features=4, spread=3.0).sample_classes(200, 20, random_state=0)
    pool.X.div_(3.0)  # about standardised
    train, new = pool.select(np.arange(150)), pool.select(np.arange(150, 200))
    draw = {"n_way": 2, "n_shot": 3, "n_query": 5, "shuffle": True}
    sampler = ClassEpisodes(train, meta_batch_size=16, random_state=0, **draw)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sizes = {"n_filters": 16, "n_dilations": 2, "key_size": 16, "value_size": 16}
        learner = SNAIL(MLP((16,), skip=True).build((4,)), 2, kind="classification", **sizes)
        optimizer = torch.optim.Adam(learner.parameters(), lr=3e-3)
        for _ in range(150):
            loss = learner.episode_loss(sampler.sample())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    episode = ClassEpisodes(new, meta_batch_size=100, random_state=1, **draw).sample()
    with torch.no_grad():
        adapted = learner.eval().adapt_tasks(episode.X_support, episode.y_support)
        output = learner.predict_tasks(adapted, episode.X_query)
    right = output.argmax(-1) == episode.y_query.argmax(-1)
    assert right.float().mean() > 0.85  # chance is one half
