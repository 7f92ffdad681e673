"""Networks of torchvision and timm: a clear error where they are missing, a spec where not."""

import importlib.util

import pytest

from metaskl.errors import MissingExtraError, ParameterError
from metaskl_vision import timm_backbone, torchvision_backbone
from metaskl_vision.pretrained import classifier_of

FACTORIES = {"timm": timm_backbone, "torchvision": torchvision_backbone}


@pytest.mark.parametrize("package", FACTORIES)
def test_what_is_missing_is_named(package):
    if importlib.util.find_spec(package) is not None:
        pytest.skip(f"{package} is installed")
    with pytest.raises(MissingExtraError, match=rf"pip install 'metaskl-vision\[{package}\]'"):
        FACTORIES[package]("resnet18")


@pytest.mark.parametrize("package", FACTORIES)
def test_what_is_there_is_built_without_its_classifier(package):
    pytest.importorskip(package)
    assert FACTORIES[package]("resnet18").build((3, 64, 64)).n_features_out == 512


def test_the_last_layer_is_known_or_asked_for():
    assert classifier_of("resnet50") == classifier_of("wide_resnet50_2") == "fc"
    assert classifier_of("densenet121") == "classifier"
    with pytest.raises(ParameterError, match=r"got 'mynet'. Give the layer's name as without="):
        torchvision_backbone("mynet")


def test_two_kinds_of_weights_are_refused():
    with pytest.raises(ParameterError, match=r"must not both be given, got 'DEFAULT' and 'w.pt'"):
        torchvision_backbone("resnet18", weights="DEFAULT", state_dict="w.pt")
