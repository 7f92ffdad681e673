"""What to learn from: task sets, episode samplers, splits by task, synthetic families."""

from metaskl.tasks.episodes import ClassEpisodes, Episode, EpisodeSampler, TaskEpisodes
from metaskl.tasks.groups import check_groups, require_groups, resolve_groups
from metaskl.tasks.prior import PriorEpisodes
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
    "BlobTasks",
    "ClassEpisodes",
    "Episode",
    "EpisodeSampler",
    "GaussianProcessTasks",
    "LinearTasks",
    "PriorEpisodes",
    "SinusoidTasks",
    "TaskEpisodes",
    "TaskFamily",
    "TaskSample",
    "TaskSet",
    "check_groups",
    "pad_tasks",
    "require_groups",
    "resolve_groups",
    "split_tasks",
]
