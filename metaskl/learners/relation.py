"""Relation networks: a learned comparison of a row with the mean of a class's support."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from metaskl.errors import ParameterError
from metaskl.learners.base import Adapted, embed_tasks
from metaskl.learners.products import row_product
from metaskl.learners.prototypes import PrototypeLearner
from metaskl.learners.space import Choice, Dimension


class Relation(PrototypeLearner):
    """Relation networks [1]_: the logit of class k is a small network's score g(c_k, φ(x)).

    As prototypical networks, but the distance is learned too: g sees the mean embedding c_k of
    a class's support beside the embedding of the row. Worth a try where no fixed distance is
    right and there are many tasks; prototypes need fewer.

    Parameters
    ----------
    backbone : torch.nn.Module
        Maps ``(n, *feature)`` to ``(n, n_features_out)``.
    n_outputs : int
        Classes.
    kind : {"classification"}, default="classification"
        Regression has no prototypes.
    relation_size : int, default=64
        Units of each of the two hidden layers of g, >= 1.
    private_labels, n_pool_classes
        See :class:`~metaskl.learners.MetaLearner`. Shared classes have a meta-learned
        prototype, as in :class:`~metaskl.learners.protonet.ProtoNet`.

    Notes
    -----
    The paper regresses the score, through a sigmoid, to 1 for the right class and 0 for the
    others; here scores are logits under cross entropy, so that they are probabilities. Its
    class embedding is the sum of the support; the mean is the same with equal shots, and lets
    the support be of any size.

    References
    ----------
    .. [1] F. Sung, Y. Yang, L. Zhang, T. Xiang, P. Torr, T. Hospedales. Learning to Compare:
       Relation Network for Few-Shot Learning. CVPR 2018.

    Examples
    --------
    >>> import torch
    >>> from metaskl.backbones import MLP
    >>> from metaskl.learners.relation import Relation
    >>> learner = Relation(MLP((8,)).build((2,)), 5, private_labels=True)
    >>> adapted = learner.adapt(torch.zeros(3, 2), torch.eye(3))
    >>> learner.predict(adapted, torch.zeros(4, 2)).shape
    torch.Size([4, 3])
    """

    def __init__(
        self,
        backbone: nn.Module,
        n_outputs: int,
        *,
        kind: str = "classification",
        relation_size: int = 64,
        private_labels: bool = False,
        n_pool_classes: int = 0,
    ) -> None:
        super().__init__(
            backbone,
            n_outputs,
            kind=kind,
            private_labels=private_labels,
            n_pool_classes=n_pool_classes,
        )
        if relation_size < 1:
            raise ParameterError(
                f"relation_size must be at least 1, got {relation_size}. The default is 64."
            )
        # The first layer of g, applied to the row and to the class apart and then added: the
        # same as to both side by side, without an array of all pairs at their full width.
        self.of_row = nn.Linear(self.n_features_out, relation_size)
        self.of_class = nn.Linear(self.n_features_out, relation_size, bias=False)
        self.compare = nn.Linear(relation_size, relation_size)
        self.score = nn.Linear(relation_size, 1, bias=False)  # one would shift all logits alike

    def predict_tasks(self, adapted: Adapted, X_query: Tensor) -> Tensor:
        """Return the scores for a stack of tasks."""
        rows = self.of_row(embed_tasks(self.backbone, X_query))
        classes = self.of_class(adapted["prototypes"])
        scores = [self._score(rows + each[:, None]) for each in classes.unbind(1)]
        return torch.cat(scores, dim=-1)

    def _score(self, pairs: Tensor) -> Tensor:
        hidden = torch.relu(self.compare(torch.relu(pairs)))
        return row_product(hidden, self.score.weight.T)

    @classmethod
    def search_space(cls) -> dict[str, Dimension]:
        """Return the hyper-parameters worth searching."""
        return {"relation_size": Choice((16, 64, 128))}
