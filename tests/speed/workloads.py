"""The workloads by name, in the order in which they run."""

from collections.abc import Callable

from speed import (
    adapting,
    factors,
    fitting,
    learners,
    memory,
    pictures,
    prototypes,
    scaling,
    sequences,
    steps,
)
from speed.options import Options

WORKLOADS: dict[str, Callable[[Options], None]] = {
    "gradients": steps.gradients,
    "sinusoids": steps.sinusoids,
    "many": steps.many,
    "tabular": steps.tabular,
    "wide": steps.wide,
    "factors": factors.factors,
    "fit": fitting.fit,
    "learners": learners.learners,
    "pictures": pictures.pictures,
    "sequences": sequences.sequences,
    "prototypes": prototypes.prototypes,
    "adapting": adapting.adapting,
    "predicting": adapting.predicting,
    "memory": memory.memory,
    "scaling": scaling.scaling,
}
