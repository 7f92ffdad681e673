"""From a learner's network and a stack of tasks to an inner loop."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from metaskl.learners.base import embed_tasks
from metaskl.learners.engine.adjoint import InnerProblem
from metaskl.learners.engine.dense import Dense
from metaskl.learners.engine.packing import packing_of
from metaskl.learners.engine.plan import Plan, RowTensors
from metaskl.learners.engine.problems import AutogradProblem, DenseProblem
from metaskl.learners.engine.rates import Inner, Rates


def plan_of_network(
    learner: Any,
    dense: Dense | None,
    inner: Inner,
    support: RowTensors,
    query: RowTensors | None,
    *,
    head_alone: bool,
    second_order: bool,
) -> Plan:
    """Return the inner loop of a learner that adapts its network's own weights.

    Parameters
    ----------
    learner : InnerLoop
        Has a `network`, `predict_tasks` and `task_loss`.
    dense : Dense or None
        The network's derivatives (the head's, if the body stays), if they are written out.
    inner : Inner
        How the inner steps are taken.
    support, query : tuple of Tensor
        Features, targets and weights of a stack of tasks; without a query only the inner
        loop can be run.
    head_alone : bool
        Whether the body runs once, and the inner steps see its features only.
    second_order : bool
        Whether the inner gradients will be differentiated, too.

    Returns
    -------
    Plan
        The inner loop.
    """
    network = learner.network
    own = dict(network.named_parameters())
    features: list[Tensor] = []
    run, packed = learner.predict_tasks, own
    if head_alone:  # the body learns through its features
        sides = [side for side in (support, query) if side is not None]
        features = [embed_tasks(network.body, X) for X, _, _ in sides]
        features[0] = features[0] if second_order else features[0].detach()
        run, packed = network.head_tasks, {n: p for n, p in own.items() if n.startswith("head.")}
    elif dense is None:
        packed = {name: p for name, p in own.items() if name in inner.adapted}
    shared = features or [p for n, p in own.items() if n not in packed and p.requires_grad]
    leaves = [f.detach().requires_grad_() for f in features]
    both = [support, support if query is None else query]
    if features:
        both = [(leaf, *side[1:]) for leaf, side in zip((leaves[0], leaves[-1]), both, strict=True)]
    problem: InnerProblem
    if dense is not None:
        of_support, of_query = (dense.rows(X.detach(), y, weight) for X, y, weight in both)
        problem = DenseProblem(dense, of_support, of_query, of_features=bool(features))
    else:

        def losses(side: RowTensors) -> Any:
            X, y, weight = side
            return lambda point: learner.task_loss(run(point, X), y, weight)

        problem = AutogradProblem(
            packing_of(packed),
            losses(both[0]),
            losses(both[-1]),
            leaves or shared,
            list(network.buffers()),
        )
    packing = packing_of(packed)
    rates = Rates(packing, inner, network.head.weight)
    return Plan(problem, packing, list(packed.values()), rates, shared, len(support[0]))
