"""What to learn from: task sets, episode samplers, splits by task, synthetic families."""

from metaskl.tasks.affine import RandomAffine
from metaskl.tasks.augmentation import (
    Augmentation,
    FeatureDropout,
    FeatureNoise,
    LabelNoise,
    LabelShift,
    TaskMix,
)
from metaskl.tasks.augmented import AugmentedEpisodes, augmented
from metaskl.tasks.episodes import ClassEpisodes, Episode, EpisodeSampler, TaskEpisodes
from metaskl.tasks.groups import check_groups, require_groups, resolve_groups
from metaskl.tasks.prior import PriorEpisodes
from metaskl.tasks.rotation import Rotate, rotate_classes
from metaskl.tasks.splits import split_tasks
from metaskl.tasks.synthetic import (
    BlobTasks,
    GaussianProcessTasks,
    LinearTasks,
    SinusoidTasks,
    TaskFamily,
    TaskSample,
)
from metaskl.tasks.taskset import TaskSet, pad_tasks

__all__ = [
    "Augmentation",
    "AugmentedEpisodes",
    "BlobTasks",
    "ClassEpisodes",
    "Episode",
    "EpisodeSampler",
    "FeatureDropout",
    "FeatureNoise",
    "GaussianProcessTasks",
    "LabelNoise",
    "LabelShift",
    "LinearTasks",
    "PriorEpisodes",
    "RandomAffine",
    "Rotate",
    "SinusoidTasks",
    "TaskEpisodes",
    "TaskFamily",
    "TaskMix",
    "TaskSample",
    "TaskSet",
    "augmented",
    "check_groups",
    "pad_tasks",
    "require_groups",
    "resolve_groups",
    "rotate_classes",
    "split_tasks",
]
