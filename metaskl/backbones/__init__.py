"""Networks as specs: what is built once the shape of the features is known."""

from metaskl.backbones.base import Backbone
from metaskl.backbones.conv4 import Conv4
from metaskl.backbones.from_module import FromModule
from metaskl.backbones.mlp import MLP

__all__ = ["MLP", "Backbone", "Conv4", "FromModule"]
