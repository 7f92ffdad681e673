import pytest
import torch
from torch.nn import functional as F

from metaskl.backbones import MLP, Conv4
from metaskl.errors import BackboneError, ParameterError
from metaskl.learners.transfer import Transfer, _layers
from metaskl.tasks import Episode

X = torch.tensor([[0.0, 1.0], [1.0, -1.0], [2.0, 0.5], [-1.0, 0.3]], dtype=torch.float64)
Y = torch.tensor([[1.0], [0.0], [2.0], [-1.0]], dtype=torch.float64)


def learner_of(seed=0, hidden=(4,), n_outputs=1, **arguments):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        backbone = MLP(hidden, activation="tanh").build((2,))
        return Transfer(backbone, n_outputs, **arguments).double()


def fine_tuned(learner, names, n_steps, *, zero_head=False):
    """Fine-tune a copy of the network with torch's own Adam and a pull to the start."""
    parameters = {n: p.detach().clone() for n, p in learner.network.named_parameters()}
    if zero_head:
        parameters["head.weight"].zero_()
        parameters["head.bias"].zero_()
    start = {n: p.clone() for n, p in parameters.items()}
    trained = [parameters[n].requires_grad_() for n in names]
    optimizer = torch.optim.Adam(trained, lr=learner.inner_lr)
    for _ in range(n_steps):
        optimizer.zero_grad()
        output = torch.func.functional_call(learner.network, parameters, (X,))
        loss = F.mse_loss(output, Y)
        loss = loss + learner.pull * sum(((parameters[n] - start[n]) ** 2).sum() for n in names)
        loss.backward()
        optimizer.step()
    return {n: parameters[n].detach() for n in names}


HEAD = ["head.weight", "head.bias"]
ALL = ["body.layers.0.weight", "body.layers.0.bias", *HEAD]


@pytest.mark.parametrize(
    ("strategy", "names", "zero_head"),
    [("head", HEAD, False), ("freeze", HEAD, True), ("all", ALL, False)],
)
@pytest.mark.parametrize("n_steps", [1, 5])
def test_fine_tuning_is_adam_with_a_pull_to_the_start(strategy, names, zero_head, n_steps):
    learner = learner_of(strategy=strategy, adaptation_steps=n_steps, inner_lr=0.03, pull=0.7)
    expected = fine_tuned(learner, names, n_steps, zero_head=zero_head)
    adapted = learner.adapt(X, Y)
    assert set(adapted) == set(names)
    for name in names:
        torch.testing.assert_close(adapted[name], expected[name], rtol=1e-6, atol=1e-9)


def test_the_first_step_has_the_length_of_the_rate():
    # The first step of Adam is inner_lr · g / (|g| + 1e-8): along the sign of the gradient.
    learner = learner_of(strategy="head", adaptation_steps=1, inner_lr=0.03)
    head = learner.network.head
    output = learner.network(X)
    error = output.detach() - Y
    features = learner.network.body(X).detach()
    gradient = 2 / len(X) * error.T @ features
    expected = head.weight.detach() - 0.03 * gradient.sign()
    torch.testing.assert_close(learner.adapt(X, Y)["head.weight"], expected, rtol=1e-5, atol=1e-7)


def modules_trained(learner, steps):
    layers = _layers(name for name, _ in learner.network.named_parameters())
    return [{name.rpartition(".")[0] for name in learner._unfrozen(layers, step)} for step in steps]


def test_layers_thaw_one_by_one_from_the_head_down():
    learner = learner_of(hidden=(4, 3), strategy="gradual", adaptation_steps=6)
    names = [name for name, _ in learner.network.named_parameters()]
    trained = modules_trained(learner, range(6))
    head, upper, lower = (
        {"head"},
        {"head", "body.layers.1"},
        {name.rpartition(".")[0] for name in names},
    )
    assert trained == [head, head, upper, upper, lower, lower]


def test_with_two_steps_gradual_thawing_leaves_the_lowest_layer():
    learner = learner_of(hidden=(4, 3), strategy="gradual", adaptation_steps=2)
    adapted, start = learner.adapt(X, Y), dict(learner.network.named_parameters())
    moved = {n for n in adapted if not torch.equal(adapted[n], start[n].detach())}
    assert {name.rpartition(".")[0] for name in moved} == {"head", "body.layers.1"}


def test_layers_can_thaw_every_so_many_steps():
    learner = learner_of(hidden=(4, 3), strategy="gradual", unfreeze_every=3, adaptation_steps=20)
    head, upper = {"head"}, {"head", "body.layers.1"}
    whole = {*upper, "body.layers.0"}
    assert modules_trained(learner, (0, 2, 3, 5, 6, 19)) == [head, head, upper, upper, whole, whole]


def test_what_lies_below_one_entry_of_a_list_thaws_together():
    names = ["body.stem.weight", "body.blocks.0.conv.weight", "body.blocks.0.norm.weight"]
    names += ["body.blocks.1.conv.weight", "head.weight", "head.bias"]
    assert _layers(names) == [names[:1], names[1:3], names[3:4], names[4:]]


def test_lower_layers_take_shorter_steps():
    # Adam's first step is of the length of its rate: 0.1, 0.1 / 2 and 0.1 / 4 from the head down.
    arguments = {"strategy": "all", "adaptation_steps": 1, "inner_lr": 0.1, "layer_decay": 2.0}
    learner = learner_of(hidden=(4, 3), **arguments)
    adapted = learner.adapt(X, Y)
    for name, length in {"head": 0.1, "body.layers.1": 0.05, "body.layers.0": 0.025}.items():
        weight = learner.network.get_parameter(f"{name}.weight")
        change = (adapted[f"{name}.weight"] - weight).abs().detach()
        torch.testing.assert_close(change, torch.full_like(change, length), rtol=1e-4, atol=0)


def test_a_strong_pull_holds_the_weights():
    free, held = (
        learner_of(strategy="all", pull=pull, adaptation_steps=50, inner_lr=0.05)
        for pull in (0.0, 100.0)
    )
    far, near = (
        sum(
            float(((p - learner.network.get_parameter(n)) ** 2).sum().detach())
            for n, p in learner.adapt(X, Y).items()
        )
        for learner in (free, held)
    )
    assert near < 0.05 * far


def test_meta_training_is_ordinary_training_on_all_rows():
    learner = learner_of()
    weight = torch.ones(1, 2, dtype=torch.float64)
    episode = Episode(X[None, :2], Y[None, :2], weight, X[None, 2:], Y[None, 2:], weight)
    expected = F.mse_loss(learner.network(X), Y)
    torch.testing.assert_close(learner.episode_loss(episode), expected)


def test_pre_training_tells_the_classes_of_the_pool_apart():
    learner = learner_of(n_outputs=2, kind="classification", private_labels=True, n_pool_classes=5)
    ways = torch.tensor([[3, 1]])
    y = torch.eye(2, dtype=torch.float64)[[0, 1, 0, 1]]
    weight = torch.ones(1, 2, dtype=torch.float64)
    episode = Episode(X[None, :2], y[None, :2], weight, X[None, 2:], y[None, 2:], weight, ways)
    expected = F.cross_entropy(learner.network(X), torch.tensor([3, 1, 3, 1]))
    torch.testing.assert_close(learner.episode_loss(episode), expected)
    adapted = learner.adapt(X, y)
    assert adapted["head.weight"].shape == (2, 4)
    assert learner.initial() is None


def test_a_pre_trained_body_can_be_left_as_it_is():
    learner = learner_of(train_body=False)
    weight = torch.ones(1, 2, dtype=torch.float64)
    episode = Episode(X[None, :2], Y[None, :2], weight, X[None, 2:], Y[None, 2:], weight)
    learner.episode_loss(episode).backward()
    assert {n for n, p in learner.named_parameters() if p.grad is not None} == {
        "network.head.weight",
        "network.head.bias",
    }


def test_running_statistics_are_refused_where_the_body_is_fine_tuned():
    body = Conv4(norm="batch", n_channels=8, n_blocks=1).build((1, 4, 4))
    Transfer(body, 1, strategy="head")
    with pytest.raises(BackboneError, match="must not keep running statistics where Transfer"):
        Transfer(body, 1, strategy="gradual")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"strategy": "thaw"}, "strategy must be one of .*got 'thaw'"),
        ({"adaptation_steps": 0}, "adaptation_steps must be at least 1.*got 0"),
        ({"inner_lr": 0}, "inner_lr above 0"),
        ({"pull": -1.0}, "pull at least 0"),
        ({"layer_decay": 0.5}, "layer_decay must be at least 1 .*got 0.5 and None"),
        ({"unfreeze_every": 0}, "unfreeze_every at least 1 or None, got 1.0 and 0"),
    ],
)
def test_other_arguments_are_refused(arguments, message):
    with pytest.raises(ParameterError, match=message):
        learner_of(**arguments)


@pytest.mark.parametrize("strategy", ["freeze", "head"])
def test_a_body_that_stays_is_run_once(strategy):
    learner = learner_of(strategy=strategy).eval()
    calls = []
    learner.network.body.register_forward_hook(lambda *call: calls.append(call))
    learner.adapt(X, Y)
    assert len(calls) == 1
