"""An inner loop by packed weights: run it, or run it and go back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

from metaskl.learners.engine.adjoint import InnerProblem, Steps, descend, meta_gradient
from metaskl.learners.engine.factored import factored_gradient, factors_pay
from metaskl.learners.engine.gradients import attached
from metaskl.learners.engine.packing import Packing
from metaskl.learners.engine.problems import DenseProblem
from metaskl.learners.engine.rates import Rates

ENGINES = ("auto", "loop", "vmap", "adjoint", "compiled")

# Features, targets and weights of a stack of tasks.
RowTensors = tuple[Tensor, Tensor, Tensor]


class Plan(NamedTuple):
    """An inner loop by packed weights.

    Attributes
    ----------
    problem : InnerProblem
        The losses.
    packing : Packing
        How the weights are packed.
    start : sequence of Tensor
        The weights that the inner loop begins with, in the order of the packing.
    rates : Rates
        The step sizes.
    shared : sequence of Tensor
        What else is learned through the problem, in its order.
    n_tasks : int
        Tasks.
    factored : bool, default=False
        Whether the weights of each task's own are left as factors.
    """

    problem: InnerProblem
    packing: Packing
    start: Sequence[Tensor]
    rates: Rates
    shared: Sequence[Tensor]
    n_tasks: int
    factored: bool = False

    def descend(self) -> dict[str, Tensor]:
        """Return the weights that each task ends at, without a graph."""
        ends = descend(self.problem, self._row(), self._steps(), self.n_tasks)
        return self.packing.unpacked(ends)

    def gradients(
        self, weights: Sequence[float | Tensor], *, second_order: bool, n_kept: int | None = None
    ) -> tuple[Tensor, list[Tensor | None]]:
        """Return the outer loss, summed over tasks, and its gradients.

        Parameters
        ----------
        weights : sequence of (float or Tensor of shape ())
            How much the query's loss after each step counts; a tensor is not 0.
        second_order : bool
            Whether the inner gradients are differentiated, too.
        n_kept : int, optional
            Of how many inner steps at once what they leave is kept; by default of all, and always
            of all where weights are left as factors.

        Returns
        -------
        loss : Tensor of shape ()
            The loss.
        gradients : list of (Tensor or None)
            By the start, the learned rates and what is shared, in this order; None is 0.
        """
        if self.factored:
            return self._factored(weights, second_order=second_order)
        found = meta_gradient(
            self.problem,
            self._row(),
            self._steps(),
            self.n_tasks,
            weights=weights,
            second_order=second_order,
            n_kept=n_kept,
        )
        of_start = self.packing.separate(found.of_start)
        return found.loss, [*of_start, *self.rates.gradients(found.of_rates), *found.of_shared]

    def formed(self, weights: Sequence[float | Tensor]) -> Plan:
        """Return the plan in the form that takes less time, once for all that is done with it."""
        rates, problem = self.rates, self.problem
        if not isinstance(problem, DenseProblem) or problem.of_features or not rates.one_a_tensor:
            return self
        if not self.start[0].is_cpu:  # nothing was measured elsewhere
            return self
        support, query = (side.X.shape[1] for side in (problem.support_rows, problem.query_rows))
        n_query = query * sum(isinstance(w, Tensor) or w != 0 for w in weights)
        sizes = (problem.dense.shapes, self.n_tasks, rates.inner.n_steps, support, n_query)
        bare = rates.inner.clip is None and not rates.names
        return self._replace(factored=factors_pay(*sizes, bare=bare))

    def gains_by_compiling(self) -> bool:
        """Say whether compiling saves time: several steps of factors take as long without."""
        return not self.factored or self.rates.inner.n_steps == 1

    def _factored(
        self, weights: Sequence[float | Tensor], *, second_order: bool
    ) -> tuple[Tensor, list[Tensor | None]]:
        problem, inner = self.problem, self.rates.inner
        assert isinstance(problem, DenseProblem)
        found = factored_gradient(
            problem.dense,
            [tensor.detach() for tensor in self.start],
            self.rates.by_tensor(),
            inner.clip,
            problem.support_rows,
            problem.query_rows,
            weights=weights,
            second_order=second_order,
        )
        return found.loss, [*found.of_start, *self.rates.gradients(found.of_rates)]

    def as_loss(self, loss: Tensor, gradients: Sequence[Tensor | None]) -> Tensor:
        """Return the mean over tasks of the outer loss, with the gradients attached."""
        inputs = [*self.start, *self.rates.learned, *self.shared]
        return attached(loss, inputs, gradients, scale=1 / self.n_tasks)

    def _row(self) -> Tensor:
        return self.packing.packed([tensor.detach() for tensor in self.start])

    def _steps(self) -> Steps:
        rates, inner = self.rates, self.rates.inner
        return Steps(rates.rows(), inner.clip, rates.adapted, bool(rates.names))
