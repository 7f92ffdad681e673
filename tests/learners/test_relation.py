import pytest
import torch

from metaskl.backbones import MLP
from metaskl.errors import ParameterError
from metaskl.learners.relation import Relation
from metaskl.tasks import BlobTasks, ClassEpisodes
from metaskl.training import TrainingPlan, meta_train

# Two classes on a line: 0 and 2 of the first, 10 of the second.
X = torch.tensor([[0.0], [10.0], [2.0]])
Y = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])


def one_sided():
    """Return a learner whose relation is −relu(x − c)."""
    learner = Relation(MLP(()).build((1,)), 2, relation_size=1, private_labels=True)
    weights = {"of_row": 1.0, "of_class": -1.0, "compare": 1.0, "score": -1.0}
    with torch.no_grad():
        for name, value in weights.items():
            layer = getattr(learner, name)
            layer.weight.fill_(value)
            if layer.bias is not None:
                layer.bias.zero_()
    return learner


def test_a_row_is_compared_with_the_mean_of_each_class():
    learner = one_sided()
    adapted = learner.adapt(X, Y)
    assert adapted["prototypes"].tolist() == [[1.0], [10.0]]
    # At 4: −relu(4 − 1) and −relu(4 − 10).
    assert learner.predict(adapted, torch.tensor([[4.0]])).tolist() == [[-3.0, 0.0]]


def test_the_first_layer_sees_both_side_by_side():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        learner = Relation(MLP((4,)).build((2,)), 3, relation_size=5, private_labels=True)
    rows, query = torch.randn(6, 2), torch.randn(3, 2)
    adapted = learner.adapt(rows, torch.eye(3).repeat(2, 1))
    weight = torch.cat([learner.of_class.weight, learner.of_row.weight], dim=1)
    for i, row in enumerate(learner.backbone(query)):
        for k, prototype in enumerate(adapted["prototypes"]):
            hidden = torch.relu(weight @ torch.cat([prototype, row]) + learner.of_row.bias)
            expected = learner.score(torch.relu(learner.compare(hidden)))
            found = learner.predict(adapted, query)[i, k]
            torch.testing.assert_close(found[None], expected)


def test_a_comparison_is_learned():
    family = BlobTasks(n_features=3)
    train, test = (family.sample_classes(60, 12, random_state=seed) for seed in (0, 1))
    draw = {"n_way": 3, "n_shot": 3, "n_query": 5, "random_state": 0}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        learner = Relation(MLP((32,)).build((3,)), 3, private_labels=True)
    plan = TrainingPlan(outer_lr=3e-3, max_epochs=3, steps_per_epoch=50)
    net = meta_train(learner, ClassEpisodes(train, **draw), plan)
    episode = ClassEpisodes(test, **draw, meta_batch_size=40).sample()
    with torch.no_grad():
        adapted = net.module_.eval().adapt_tasks(episode.X_support, episode.y_support)
        logits = net.module_.predict_tasks(adapted, episode.X_query)
    right = logits.argmax(-1) == episode.y_query.argmax(-1)
    assert right.float().mean() > 0.85  # by chance 1/3


def test_a_network_without_units_is_refused():
    with pytest.raises(ParameterError, match="relation_size must be at least 1, got 0"):
        Relation(MLP(()).build((1,)), 2, relation_size=0)
