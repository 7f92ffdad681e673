"""What conditional neural processes share: encoder, decoder and the Gaussian output."""

from __future__ import annotations

import abc
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metaskl.errors import ParameterError
from metaskl.learners.base import Adapted, embed_tasks, stack_of_one
from metaskl.learners.density import negative_log_density
from metaskl.learners.products import row_product
from metaskl.learners.space import Choice, Dimension
from metaskl.learners.stacked import StackedLearner
from metaskl.tasks import Episode


class NeuralProcess(StackedLearner, abc.ABC):
    """A network that maps a support and a query row to a predictive distribution.

    Every support row (φ(x), y) is encoded; a subclass says how the codes are stored
    (:meth:`adapt_tasks`) and read by a query row (:meth:`read`); the decoder maps what was read
    and φ(x*) to a mean and a standard deviation, or to logits.

    Classes private to a task are taken one by one, with the same weights for each: y says whether
    a row is of the class, each class is read by itself, and the decoder gives its logit. So it
    does not matter how classes are numbered, nor how many there are.

    Parameters
    ----------
    backbone : torch.nn.Module
        Maps ``(n, *feature)`` to ``(n, n_features_out)``.
    n_outputs : int
        Targets or classes.
    kind, hidden_size, min_std, private_labels, n_pool_classes
        See the subclasses.
    """

    def __init__(
        self,
        backbone: nn.Module,
        n_outputs: int,
        *,
        kind: str,
        hidden_size: int,
        min_std: float,
        private_labels: bool,
        n_pool_classes: int,
    ) -> None:
        super().__init__(
            backbone,
            n_outputs,
            kind=kind,
            private_labels=private_labels,
            n_pool_classes=n_pool_classes,
        )
        if hidden_size < 1:
            raise ParameterError(f"hidden_size must be at least 1, got {hidden_size}. Try 64.")
        if not 0 < min_std < 1:
            raise ParameterError(
                f"min_std must be above 0 and below 1, got {min_std}. It is in standard deviations "
                "of the targets; the papers have 0.1."
            )
        self.backbone = backbone
        self.hidden_size = hidden_size
        self.min_std = min_std
        n_outputs = 1 if private_labels else n_outputs
        n_parameters = 2 * n_outputs if kind == "regression" else n_outputs
        self.encoder = _layers(self.n_features_out + n_outputs, hidden_size, hidden_size, depth=2)
        self.decoder = _layers(
            self.n_features_out + hidden_size, hidden_size, n_parameters, depth=3
        )
        if private_labels:  # a bias would shift all logits alike
            self.decoder[-1].register_parameter("bias", None)

    @abc.abstractmethod
    def read(self, adapted: Adapted, features: Tensor) -> Tensor:
        """Return what the query rows (task, query, feature) read: (task, query, hidden).

        Of private classes (task, query, class, hidden), or (task, 1, class, hidden) where every
        row reads the same.
        """

    def predict_tasks(self, adapted: Adapted, X_query: Tensor) -> Tensor:
        """Return the predictive means, or logits, of a stack of tasks."""
        return self._decode(adapted, X_query)[0]

    def predict_std(self, adapted: Adapted, X_query: Tensor) -> Tensor | None:
        """Return the standard deviation of the predictive distribution, noise included."""
        if self.kind != "regression":
            return None
        return self._decode(stack_of_one(adapted), X_query[None])[1][0]

    def episode_loss(self, episode: Episode) -> Tensor:
        """Return the negative log predictive density of the query, or its cross entropy."""
        if self.kind == "classification":
            return super().episode_loss(episode)
        adapted = self.adapt_tasks(episode.X_support, episode.y_support, episode.weight_support)
        mean, std = self._decode(adapted, episode.X_query)
        return negative_log_density(mean, std**2, episode.y_query, episode.weight_query)

    def _codes(self, features: Tensor, y: Tensor) -> Tensor:
        """Return the codes (task, row, hidden) of rows φ(x) with targets y."""
        codes: Tensor = self.encoder(torch.cat([features, y], dim=-1))
        return codes

    def _decode(self, adapted: Adapted, X: Tensor) -> tuple[Tensor, Tensor]:
        """Return means and standard deviations; for classes logits, twice."""
        features = embed_tasks(self.backbone, X)
        found = self.read(adapted, features)
        if self.private_labels:
            logits = self._logits(features, found)
            return logits, logits
        output = self.decoder(torch.cat([features, found], dim=-1))
        if self.kind == "classification":
            return output, output
        mean, raw = output.chunk(2, dim=-1)
        return mean, self.min_std + (1 - self.min_std) * F.softplus(raw)

    def _logits(self, features: Tensor, found: Tensor) -> Tensor:
        """Decode each class of each row by itself."""
        first, last = (cast(nn.Linear, self.decoder[place]) for place in (0, -1))
        # The first layer is applied to the row and to what was read apart, and then added: the same
        # as to both side by side, but a row's part is the same for all classes.
        of_row, of_class = first.weight.tensor_split([self.n_features_out], dim=1)
        rows = F.linear(features, of_row, first.bias)[:, :, None]
        hidden = self.decoder[1:-1](rows + F.linear(found, of_class))
        return row_product(hidden, last.weight.T).squeeze(-1)

    @classmethod
    def search_space(cls) -> dict[str, Dimension]:
        """Return the hyper-parameters worth searching."""
        return {"hidden_size": Choice((32, 64, 128))}


def _layers(n_in: int, n_hidden: int, n_out: int, *, depth: int) -> nn.Sequential:
    """Return linear layers with a ReLU between them."""
    sizes = [n_in, *[n_hidden] * (depth - 1), n_out]
    parts: list[nn.Module] = []
    for a, b in pairwise(sizes):
        parts += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*parts[:-1])
