import math

import pytest
import torch
from scipy.stats import norm
from torch.nn import functional as F

from metaskl.backbones import MLP
from metaskl.errors import ParameterError
from metaskl.learners import attention
from metaskl.learners.in_context import InContext
from metaskl.tasks import Episode, LinearTasks, TaskEpisodes
from metaskl.training import TrainingPlan, meta_train

SMALL = {"width": 8, "n_layers": 2, "n_heads": 2}


def built(n_outputs=1, n_features=2, **arguments):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return InContext(MLP(()).build((n_features,)), n_outputs, **{**SMALL, **arguments}).double()


def draw(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape))).double()


def test_attention_is_scaled_dot_product_attention(monkeypatch):
    queries, keys, values, bias = (
        draw(2, 3, 70, 4),
        draw(2, 3, 9, 4),
        draw(2, 3, 9, 5),
        draw(2, 1, 1, 9),
    )
    expected = F.scaled_dot_product_attention(queries, keys, values, bias.expand(2, 3, 70, 9))
    torch.testing.assert_close(attention.attend(queries, keys, values, bias), expected)
    monkeypatch.setattr(attention, "_SCORES", 1)  # chunks of 32 rows
    torch.testing.assert_close(attention.attend(queries, keys, values, bias), expected)
    own = draw(2, 3, 70, 9)
    expected = F.scaled_dot_product_attention(queries, keys, values, own)
    torch.testing.assert_close(attention.attend(queries, keys, values, own), expected)


def test_without_its_layers_it_is_attention_over_the_targets():
    learner = built(2, kind="classification", private_labels=True, width=2, n_heads=1).float()
    with torch.no_grad():
        for block in learner.blocks:
            for layer in (block.merge, block.feed[2]):
                layer.weight.zero_()
                layer.bias.zero_()
        for layer in (learner.rows, learner.read_query, learner.read_key):
            layer.weight.copy_(torch.eye(2))
        learner.rows.bias.zero_()
        learner.read_query.bias.zero_()
    adapted = learner.adapt(torch.tensor([[20.0, 0.0], [0.0, 50.0]]), torch.eye(2))
    logits = learner.predict(adapted, torch.tensor([[30.0, 10.0]]))
    # A token of two values is normalised to (1, -1) or (-1, 1): scores ±2 / √2.
    p = math.exp(math.sqrt(2)) / (math.exp(math.sqrt(2)) + math.exp(-math.sqrt(2)))
    expected = (1 - 1e-4) * torch.tensor([[p, 1 - p]]) + 0.5e-4
    torch.testing.assert_close(logits.exp(), expected, rtol=1e-5, atol=1e-5)


def test_permuting_private_classes_permutes_the_logits():
    learner = built(4, kind="classification", private_labels=True)
    X, y, query = draw(12, 2), torch.eye(4).double().repeat(3, 1), draw(5, 2)
    order = torch.tensor([2, 0, 3, 1])
    plain = learner.predict(learner.adapt(X, y), query)
    permuted = learner.predict(learner.adapt(X, y[:, order]), query)
    torch.testing.assert_close(permuted, plain[:, order])
    # And which rows are of one class matters.
    other = learner.predict(learner.adapt(X, y.roll(1, 0)[torch.randperm(12)]), query)
    assert not torch.allclose(other, plain)


def test_what_is_adapted_are_keys_and_values_of_each_layer():
    learner = built(n_layers=3)
    X, y = draw(3, 2), draw(3, 1)
    adapted = learner.adapt(X, y)
    assert adapted["keys"].shape == (3, 2, 4, 4)  # layers, heads, a learned token and 3, 8 / 2
    assert adapted["targets"][0].item() == 0.0
    torch.testing.assert_close(adapted["targets"][1:], y)
    first = learner.adapt(X[:1], y[:1])
    # The first layer looks at each row alone, the second at what it saw of the others.
    torch.testing.assert_close(first["keys"][0], adapted["keys"][0, :, :2])
    assert not torch.allclose(first["keys"][1], adapted["keys"][1, :, :2])


def test_the_outer_loss_is_the_predictive_density():
    learner = built()
    with torch.no_grad():
        learner.head.weight.normal_(generator=torch.Generator().manual_seed(1))
    X, y, query, y_query = draw(6, 2), draw(6, 1), draw(4, 2), draw(4, 1)
    adapted = learner.adapt(X, y)
    mean, std = learner.predict(adapted, query), learner.predict_std(adapted, query)
    expected = -norm.logpdf(y_query, mean.detach(), std.detach()).mean()
    parts = [X, y, torch.ones(6).double(), query, y_query, torch.ones(4).double()]
    loss = learner.episode_loss(Episode(*(part[None] for part in parts)))
    assert loss.item() == pytest.approx(expected)


def test_before_a_support_there_is_the_learned_token():
    learner = built()
    initial = learner.initial()
    assert initial["targets"].tolist() == [[0.0]]
    assert learner.predict(initial, draw(4, 2)).shape == (4, 1)
    assert built(3, kind="classification").initial()["targets"].tolist() == torch.eye(3).tolist()
    assert built(3, kind="classification", private_labels=True).initial() is None


def test_lines_are_learned():
    lines = LinearTasks(n_features=1).sample(200, 20, random_state=0)
    train, test = (lines.task_set().select(range(*part)) for part in ((0, 150), (150, 200)))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        learner = InContext(MLP((32,), skip=True).build((1,)), 1, width=32, n_layers=2)
    plan = TrainingPlan(outer_lr=3e-3, max_epochs=3, steps_per_epoch=50, lr_schedule="cosine")
    net = meta_train(learner, TaskEpisodes(train, n_shot=5, random_state=0), plan)
    episode = TaskEpisodes(test, n_shot=5, meta_batch_size=50, random_state=0).sample()
    with torch.no_grad():
        error = float(net.module_.eval().validation_loss(episode))
    # What the common line leaves of the test tasks, the best without a support.
    common = sum(lines.parameters[name][150:].var() for name in ("coef", "intercept"))
    assert error < 0.25 * common


@pytest.mark.parametrize(
    "arguments", [{"width": 10, "n_heads": 4}, {"n_layers": 0}, {"n_heads": 0}]
)
def test_impossible_sizes_are_refused(arguments):
    with pytest.raises(ParameterError, match="width a multiple of n_heads, got n_layers="):
        built(**arguments)
