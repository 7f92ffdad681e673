"""Orthogonal Procrustes with a prior that is learned over pairs of languages."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from metaskl.errors import ParameterError
from metaskl.learners.base import Adapted, embed_tasks, solve_dtype
from metaskl.learners.bounds import within
from metaskl.learners.space import Dimension, Real
from metaskl.learners.stacked import StackedLearner
from metaskl_text.polar import orthogonal_factor

# Adam moves every number by about its rate a step, and a prior far from where it began would not
# arrive in time: the parameters hold it in this unit.
_UNIT = 10.0


class Procrustes(StackedLearner):
    """An orthogonal map for each task, near to what the tasks have in common.

    The task is a pair of languages, its rows are pairs of words: X the vectors of the words, Y
    those of their translations. A task's map W has orthonormal columns (rows, if there are more
    outputs than features) and the matrix von Mises–Fisher prior p(W) ∝ exp(tr FᵀW) [1]_, whose F
    all tasks share. With targets Y ≈ b + s X W and Gaussian noise, the map of highest posterior
    density is closed: W = U Vᵀ with U S Vᵀ = Xᵀ (Y − b) + F, with F in units of the noise's
    variance over s (with fewer outputs than features, where W shortens vectors, only if XᵀX is a
    multiple of the identity). Meta-training learns F, by the outer gradient through W, with b and
    s; the larger F's singular values, the more pairs of words it takes to turn the map away from
    the prior, so that adapting is a small rotation of the common map where the tasks are alike, and
    plain orthogonal Procrustes [2]_ where they are not.

    Parameters
    ----------
    backbone : torch.nn.Module
        Maps ``(n, *feature)`` to ``(n, n_features_out)``; ``MLP(())`` passes vectors on.
    n_outputs : int
        Length of a target vector.
    kind : {"regression"}, default="regression"
        Classes have no directions.
    private_labels, n_pool_classes
        See :class:`~metaskl.learners.MetaLearner`.
    strength : float, default=1.0
        Singular values of F before meta-training, > 0: about how many pairs of unit vectors, each
        an even share of all directions, weigh as much as the prior, over the number of features.

    References
    ----------
    .. [1] P. Jupp, K. Mardia. Maximum Likelihood Estimators for the Matrix von Mises-Fisher and
       Bingham Distributions. Annals of Statistics, 1979.
    .. [2] P. Schönemann. A Generalized Solution of the Orthogonal Procrustes Problem.
       Psychometrika, 1966.

    Examples
    --------
    >>> import torch
    >>> from metaskl.backbones import MLP
    >>> from metaskl_text import Procrustes
    >>> learner = Procrustes(MLP(()).build((2,)), 2, strength=1e-3)
    >>> adapted = learner.adapt(torch.eye(2), torch.tensor([[0.0, 1.0], [-1.0, 0.0]]))
    >>> learner.predict(adapted, torch.tensor([[2.0, 0.0]])).round(decimals=2).abs().tolist()
    [[0.0, 2.0]]
    """

    metaskl_api: ClassVar[int] = 1
    kinds: ClassVar[frozenset[str]] = frozenset({"regression"})

    def __init__(
        self,
        backbone: nn.Module,
        n_outputs: int,
        *,
        kind: str = "regression",
        private_labels: bool = False,
        n_pool_classes: int = 0,
        strength: float = 1.0,
    ) -> None:
        super().__init__(
            backbone,
            n_outputs,
            kind=kind,
            private_labels=private_labels,
            n_pool_classes=n_pool_classes,
        )
        if not strength > 0:
            raise ParameterError(
                f"strength must be above 0, got {strength}. It is learned from there; near 0 the "
                "prior counts for nothing."
            )
        self.backbone = backbone
        self.log_strength = nn.Parameter(torch.tensor(math.log(strength) / _UNIT))
        self.direction = nn.Parameter(torch.eye(self.n_features_out, n_outputs) / _UNIT)
        self.log_scale = nn.Parameter(torch.zeros(()))
        self.offset = nn.Parameter(torch.zeros(n_outputs))

    def adapt_tasks(
        self, X_support: Tensor, y_support: Tensor, weight: Tensor | None = None
    ) -> Adapted:
        """Solve for the maps of a stack of tasks."""
        features = self._precise(embed_tasks(self.backbone, X_support))
        residual = self._precise(y_support) - self._precise(self.offset)
        if weight is not None:
            features = features * self._precise(weight)[..., None]
        return {"map": orthogonal_factor(features.mT @ residual + self._prior())}

    def predict_tasks(self, adapted: Adapted, X_query: Tensor) -> Tensor:
        """Return b + s X W for a stack of tasks."""
        features = self._precise(embed_tasks(self.backbone, X_query))
        turned = (features @ adapted["map"]).to(X_query.dtype)
        return self.offset + self.log_scale.exp() * turned

    def initial(self) -> Adapted:
        """Return the map of the prior alone."""
        return {"map": orthogonal_factor(self._prior().detach())}

    def _prior(self) -> Tensor:
        strength = within(_UNIT * self._precise(self.log_strength), -14.0, 14.0).exp()
        return strength * _UNIT * self._precise(self.direction)

    def _precise(self, values: Tensor) -> Tensor:
        return values.to(solve_dtype(values.device))

    @classmethod
    def search_space(cls) -> dict[str, Dimension]:
        """Return the hyper-parameters worth searching."""
        return {"strength": Real(0.01, 100.0, log=True)}
