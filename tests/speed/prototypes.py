"""Prototypical networks: complete steps on 60-way episodes."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metaskl.backbones import MLP, Conv4
from metaskl.backbones.base import Backbone
from metaskl.learners.protonet import ProtoNet
from metaskl.tasks import ClassEpisodes, Episode
from metaskl.training import TrainingPlan, meta_train
from speed import peers
from speed.options import Options
from speed.packages import use_easyfsl
from speed.pictures import SIDE, classes
from speed.problems import in_double, same_gradients
from speed.timing import Row, interleaved, show, table

N_CLASSES, N_SHOT, N_QUERY = 200, 1, 5
BODIES = {"MLP 784-64-64": (MLP((64, 64)), True), "Conv4 of 64 channels": (Conv4(64), False)}


class Metaskl:
    """metaskl's learner, with the paper's scale, in its training loop."""

    def __init__(self, body: Backbone, flat: bool, n_way: int, dtype: torch.dtype) -> None:
        torch.manual_seed(0)
        network = body.build((SIDE * SIDE,) if flat else (1, SIDE, SIDE))
        more = {"kind": "classification", "private_labels": True, "scale": 1.0}
        self.module = ProtoNet(network, n_way, **more).to(dtype)
        self.sampler = ClassEpisodes(
            classes(N_CLASSES, 20, flat=flat),
            n_way=n_way,
            n_shot=N_SHOT,
            n_query=N_QUERY,
            meta_batch_size=1,
            random_state=0,
        )

    def gradient(self, episode: Episode) -> None:
        self.module.zero_grad()
        self.module.episode_loss(episode).backward()

    def gradients(self) -> list[np.ndarray]:
        return peers.found_in(self.module.backbone)

    def train(self, n_steps: int) -> None:
        meta_train(self.module, self.sampler, TrainingPlan(max_epochs=1, steps_per_epoch=n_steps))


class WrittenOut:
    """A plain step: classes drawn in turn, all pictures embedded, squared distances."""

    def __init__(self, body: Backbone, flat: bool, n_way: int, dtype: torch.dtype) -> None:
        own: nn.Module = Metaskl(body, flat, n_way, dtype).module.backbone
        # Others' networks in torch's usual layout, and their order of the layers.
        self.network = own if flat else _usual(own)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=1e-3)
        self.pictures = classes(N_CLASSES, 20, flat=flat).X.unflatten(0, (N_CLASSES, 20))
        self.n_way, self.draw = n_way, np.random.default_rng(0)

    def gradient(self, episode: Episode) -> None:
        self.backward(episode.X_support[0], episode.X_query[0])

    def backward(self, support: Tensor, query: Tensor) -> None:
        """Leave the gradient in the network; rows come class by class."""
        self.optimizer.zero_grad()
        labels = torch.arange(self.n_way)
        logits = self.logits(support, labels.repeat_interleave(N_SHOT), query)
        F.cross_entropy(logits, labels.repeat_interleave(N_QUERY)).backward()

    def logits(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        features = self.network(torch.cat([support, query]))
        prototypes = features[: len(support)].view(self.n_way, N_SHOT, -1).mean(1)
        return -(torch.cdist(features[len(support) :], prototypes) ** 2)

    def gradients(self) -> list[np.ndarray]:
        return peers.found_in(self.network)

    def train(self, n_steps: int) -> None:
        for _ in range(n_steps):
            support, query = [], []
            for way in self.draw.choice(N_CLASSES, self.n_way, replace=False):
                rows = torch.randperm(20)
                support.append(self.pictures[way][rows[:N_SHOT]])
                query.append(self.pictures[way][rows[N_SHOT : N_SHOT + N_QUERY]])
            self.backward(torch.cat(support), torch.cat(query))
            self.optimizer.step()


def _usual(own: nn.Module) -> nn.Module:
    """Return a Conv4 with its weights, as others write it."""
    layers: list[nn.Module] = []
    for conv, norm, *_ in list(own.blocks)[:-1]:
        layers += [conv, norm, nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.Flatten())


class EasyFSL(WrittenOut):
    """easyfsl's own class; its distances are squared, which they are not in it."""

    def __init__(self, *how: Any) -> None:
        use_easyfsl()
        from easyfsl.methods.prototypical_networks import PrototypicalNetworks

        super().__init__(*how)
        self.method = PrototypicalNetworks(self.network)

    def logits(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        self.method.process_support_set(support, labels)
        return -(self.method(query) ** 2)


class Learn2Learn(WrittenOut):
    """learn2learn's own class."""

    def __init__(self, *how: Any) -> None:
        from learn2learn.nn.protonet import PrototypicalClassifier

        super().__init__(*how)
        self.classifier = PrototypicalClassifier()

    def logits(self, support: Tensor, labels: Tensor, query: Tensor) -> Tensor:
        features = self.network(torch.cat([support, query]))
        self.classifier.fit_(features[: len(support)], labels)
        return self.classifier(features[len(support) :])


ROWS = {
    "written out": WrittenOut,
    "easyfsl": EasyFSL,
    "learn2learn": Learn2Learn,
    "metaskl, ProtoNet": Metaskl,
}


def prototypes(options: Options) -> None:
    """Complete steps of prototypical networks, 60-way 1-shot."""
    n_way = 10 if options.quick else 60
    for name, (body, flat) in BODIES.items():
        if options.quick and not flat:
            continue
        rows = {label: lambda how, dtype, row=row: row(*how, dtype) for label, row in ROWS.items()}
        exact = peers.made((body, flat, n_way), torch.float64, rows)
        episode = next(reversed(exact.values())).sampler.sample()
        same_gradients(exact, in_double(episode))
        n_steps = 1 if options.quick else 40 if flat else 1
        timed = [
            Row(label, lambda r=row, n=n_steps: r.train(n), n_steps)
            for label, row in peers.made((body, flat, n_way), torch.float32, rows).items()
        ]
        title = f"Complete step: {name}, {n_way}-way {N_SHOT}-shot, {N_QUERY} queries a class"
        show(table(title, interleaved(timed, options.rounds(20 if flat else 5))))
