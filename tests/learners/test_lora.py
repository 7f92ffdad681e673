import pytest
import torch
from torch.nn import functional as F

from metaskl.backbones import MLP, Conv4
from metaskl.errors import BackboneError, ParameterError
from metaskl.learners.lora import LoRA

X = torch.tensor([[0.0, 1.0], [1.0, -1.0], [2.0, 0.5], [-1.0, 0.3]], dtype=torch.float64)
Y = torch.tensor([[1.0], [0.0], [2.0], [-1.0]], dtype=torch.float64)


def learner_of(seed=0, hidden=(6,), **arguments):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        backbone = MLP(hidden, activation="tanh").build((2,))
        return LoRA(backbone, 1, **arguments).double()


@pytest.mark.parametrize("n_steps", [1, 6])
def test_adapting_is_adam_on_low_rank_factors_and_the_head(n_steps):
    learner = learner_of(adaptation_steps=n_steps, inner_lr=0.03, pull=0.2, rank=1, scale=1.5)
    layer, head = learner.network.body.layers[0], learner.network.head
    start = [
        learner.body__layers__0,
        torch.zeros(6, 1, dtype=torch.float64),
        head.weight.detach(),
        head.bias.detach(),
    ]
    down, up, weight, bias = trained = [p.clone().requires_grad_() for p in start]
    optimizer = torch.optim.Adam(trained, lr=0.03)
    for _ in range(n_steps):
        optimizer.zero_grad()
        hidden = torch.tanh(X @ (layer.weight.detach() + 1.5 * up @ down).T + layer.bias.detach())
        loss = F.mse_loss(hidden @ weight.T + bias, Y)
        loss = loss + 0.2 * sum(((p - s) ** 2).sum() for p, s in zip(trained, start, strict=True))
        loss.backward()
        optimizer.step()
    adapted = learner.adapt(X, Y)
    names = ["body.layers.0.down", "body.layers.0.up", "head.weight", "head.bias"]
    assert set(adapted) == set(names)
    for name, expected in zip(names, trained, strict=True):
        torch.testing.assert_close(adapted[name], expected.detach(), rtol=1e-6, atol=1e-9)


def test_updates_start_at_zero():
    learner = learner_of()
    with torch.no_grad():
        torch.testing.assert_close(learner.predict(learner.initial(), X), learner.network(X))


@pytest.mark.parametrize("rank", [1, 3])
def test_the_change_of_a_layer_has_the_rank_asked_for(rank):
    learner = learner_of(hidden=(6, 5), rank=rank, adaptation_steps=5)
    adapted = learner.adapt(X, Y)
    merged = learner._merged({name: value[None] for name, value in adapted.items()})
    for i, layer in enumerate(learner.network.body.layers):
        change = merged[f"body.layers.{i}.weight"][0] - layer.weight.detach()
        # The first layer has two columns: its rank is no higher.
        assert torch.linalg.matrix_rank(change, atol=1e-9) == min(rank, *layer.weight.shape)


def test_a_kernel_is_a_matrix_of_output_channels_by_the_rest():
    backbone = Conv4(n_channels=8, n_blocks=1).build((2, 4, 4))
    adapted = LoRA(backbone, 1, rank=2, adaptation_steps=1).adapt(
        torch.randn(3, 2, 4, 4), torch.zeros(3, 1)
    )
    assert adapted["body.blocks.0.0.down"].shape == (2, 2 * 3 * 3)
    assert adapted["body.blocks.0.0.up"].shape == (8, 2)


def test_it_fits_a_support_that_a_head_alone_cannot():
    # tanh(0) features: with a body of zero input weights the head sees a constant.
    learner = learner_of(adaptation_steps=300, inner_lr=0.03, pull=0.0)
    with torch.no_grad():
        learner.network.body.layers[0].weight.zero_()
    adapted = learner.adapt(X, Y)
    with torch.no_grad():
        loss = F.mse_loss(learner.predict(adapted, X), Y)
    assert loss < 0.1 * Y.var(correction=0)


def test_a_network_without_layers_has_its_head_adapted():
    assert set(learner_of(hidden=()).adapt(X, Y)) == {"head.weight", "head.bias"}


def test_running_statistics_are_refused():
    body = Conv4(norm="batch", n_channels=8, n_blocks=1).build((1, 4, 4))
    with pytest.raises(BackboneError, match="must not keep running statistics where LoRA"):
        LoRA(body, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rank": 0}, "rank must be at least 1 and scale above 0, got 0"),
        ({"scale": 0.0}, "scale above 0, got 4 and 0.0"),
        ({"adaptation_steps": 0}, "adaptation_steps must be at least 1"),
    ],
)
def test_other_arguments_are_refused(arguments, message):
    with pytest.raises(ParameterError, match=message):
        learner_of(**arguments)
