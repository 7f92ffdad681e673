"""Pictures for metaskl: folders, augmentation, faces, medical images and detection."""

from metaskl_vision.augmentation import (
    PictureAugmentation,
    RandomCrop,
    RandomErasing,
    RandomFlip,
    RandomLight,
)
from metaskl_vision.boxes import cut, overlap, suppress
from metaskl_vision.detector import FewShotDetector
from metaskl_vision.embedding import MetaEmbedding, flatten_pictures
from metaskl_vision.error_rates import equal_error_rate, verification_report
from metaskl_vision.few_shot import few_shot_scores
from metaskl_vision.folders import ImageFolderError, load_image_folder
from metaskl_vision.gallery import Gallery
from metaskl_vision.precision import (
    Detections,
    average_precision,
    mean_average_precision,
    proposal_recall,
)
from metaskl_vision.pretrained import timm_backbone, torchvision_backbone
from metaskl_vision.proposals import ComponentProposals, SlidingWindows
from metaskl_vision.recognition import identify, verify
from metaskl_vision.scenes import Scene, compose_scenes
from metaskl_vision.templates import TemplateMatching

__all__ = [
    "ComponentProposals",
    "Detections",
    "FewShotDetector",
    "Gallery",
    "ImageFolderError",
    "MetaEmbedding",
    "PictureAugmentation",
    "RandomCrop",
    "RandomErasing",
    "RandomFlip",
    "RandomLight",
    "Scene",
    "SlidingWindows",
    "TemplateMatching",
    "average_precision",
    "compose_scenes",
    "cut",
    "equal_error_rate",
    "few_shot_scores",
    "flatten_pictures",
    "identify",
    "load_image_folder",
    "mean_average_precision",
    "overlap",
    "proposal_recall",
    "suppress",
    "timm_backbone",
    "torchvision_backbone",
    "verification_report",
    "verify",
]
