"""Networks as specs: what is built once the shape of the features is known."""

from metaskl.backbones.base import Backbone
from metaskl.backbones.conv1d import Conv1D
from metaskl.backbones.conv4 import Conv4
from metaskl.backbones.deep_sets import DeepSets
from metaskl.backbones.dropout import EpisodeDropout, episode_masks
from metaskl.backbones.from_module import FromModule
from metaskl.backbones.mlp import MLP
from metaskl.backbones.recurrent import Recurrent
from metaskl.backbones.resnet12 import ResNet12
from metaskl.backbones.tabular import Tabular
from metaskl.backbones.trained import Trained

__all__ = [
    "MLP",
    "Backbone",
    "Conv1D",
    "Conv4",
    "DeepSets",
    "EpisodeDropout",
    "FromModule",
    "Recurrent",
    "ResNet12",
    "Tabular",
    "Trained",
    "episode_masks",
]
