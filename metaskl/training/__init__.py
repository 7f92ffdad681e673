"""The one training loop: a skorch net over episodes, with checkpoint and resume."""

from skorch.callbacks import Callback

from metaskl.training.callbacks import AfterEpoch
from metaskl.training.checkpoint import fingerprint
from metaskl.training.net import MetaNet
from metaskl.training.runner import TrainingPlan, meta_train, new_net, seeded

__all__ = [
    "AfterEpoch",
    "Callback",
    "MetaNet",
    "TrainingPlan",
    "fingerprint",
    "meta_train",
    "new_net",
    "seeded",
]
