"""Weights of each task's own as factors over the support's rows, beside matrices."""

from functools import partial

import torch

from metaskl.backbones import MLP
from metaskl.learners.engine.memory import by_parts, need_of
from metaskl.learners.engine.plan import Plan
from metaskl.learners.maml import MAML
from metaskl.tasks import Episode
from speed.options import Options
from speed.timing import Row, interleaved, show, table

CPU = torch.device("cpu")
# Tasks, units of each of two layers, rows of support and query, inner steps, second order.
SIZES = [
    (16, 256, 5, 10, 5, True),
    (16, 128, 5, 10, 5, True),
    (16, 64, 5, 10, 1, True),
    (16, 64, 5, 10, 3, True),
    (64, 64, 5, 10, 5, True),
    (16, 256, 10, 50, 5, True),
    (16, 64, 25, 50, 1, True),
    (16, 128, 5, 10, 5, False),
]
SETTINGS = {
    "fixed rate, no clipping": {"inner_lr_mode": "fixed", "inner_clip": None},
    "default settings": {},
}


def factors(options: Options) -> None:
    """Meta-gradients with factors in place of each task's weights, or without."""
    for n_tasks, width, n_shot, n_query, n_steps, second in SIZES[: 1 if options.quick else None]:
        draw = torch.Generator().manual_seed(0)
        X, y = (torch.randn(n_tasks, n_shot + n_query, n, generator=draw) for n in (20, 1))
        ones = torch.ones(X.shape[:2])
        sides = (slice(n_shot), slice(n_shot, None))
        batch = Episode(*(t[:, side] for side in sides for t in (X, y, ones)))
        for name, settings in SETTINGS.items():
            how = {"adaptation_steps": n_steps, "first_order": not second, **settings}
            learner = MAML(MLP((width, width)).build((20,)), 1, **how)
            weights = learner._step_weights()
            plan = learner._plan(batch[:3], batch[3:6])
            chosen = plan.formed(weights).factored

            def gradient(factored, plan=plan, weights=weights, second=second):
                formed = plan._replace(factored=factored)
                size, _ = need_of(formed, weights, second_order=second).fitted(2**30, CPU)
                find = partial(Plan.gradients, weights=weights, second_order=second)
                with torch.inference_mode():
                    return by_parts(formed, size, find)

            torch.testing.assert_close(gradient(True), gradient(False), rtol=1e-3, atol=1e-3)
            rows = [
                Row("matrices", partial(gradient, False)),
                Row("factors", partial(gradient, True)),
            ]
            order = "" if second else ", first order"
            title = f"{n_tasks} tasks of {n_shot} + {n_query} rows, MLP 20-{width}-{width}-1, "
            title += f"{n_steps} inner step(s){order}, {name}: "
            title += "factors are taken" if chosen else "matrices are taken"
            show(table(title, interleaved(rows, options.rounds(15))))
