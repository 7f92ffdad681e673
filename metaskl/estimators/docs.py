"""The documentation of hyper-parameters that all meta-learning estimators share."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T", bound=type)

_SHARED = """backbone : Backbone, optional
    The network's spec, such as ``MLP(hidden_layer_sizes=(40, 40))``. By default an MLP
    with two layers of 64 and a skip connection for tables, Conv4 for images.
n_shot : int or tuple of two int, default=5
    Support rows of a training episode, >= 1; rows of each class with
    ``label_space="task"``. A range ``(5, 20)`` is drawn anew for each step, for a learner
    that meets supports of several sizes. A task with fewer than ``n_shot + n_query`` rows
    gives what it has, up to a third of it for the query; if none has ``n_shot + 1`` rows, an
    `EpisodeWarning` says so.
n_query : int, default=10
    Query rows of a training episode, >= 1; of each class with ``label_space="task"``.
meta_batch_size : int, default=16
    Tasks in an outer step, >= 1.
outer_lr : float, default=1e-3
    Step size β of the outer loop, > 0.
optimizer : {"adam", "adamw", "sgd", "rmsprop"} or torch optimizer class, default="adam"
    The outer optimiser.
weight_decay : float, default=0.0
    The optimiser's weight decay of the weights that a task starts from, >= 0; learned step sizes
    and scales are left alone. Decoupled from the gradient's scale with ``optimizer="adamw"``, an
    L2 penalty in the loss, which Adam rescales, with ``"adam"``.
lr_schedule : {"cosine", "constant"}, default="cosine"
    How the outer rate falls over the epochs.
max_epochs : int, default=10
    Epochs of meta-training, >= 1.
steps_per_epoch : int, default=100
    Outer steps in an epoch, >= 1.
validation_fraction : float, default=0.0
    Fraction of the tasks kept apart, in [0, 1). Above 0 the weights with the lowest loss on
    these meta-validation tasks are kept.
patience : int, optional
    Epochs, >= 1, without improvement on the meta-validation tasks before stopping early.
augment : Augmentation, str, list of these, or None, default="auto"
    How training episodes are changed against learning few tasks by heart:
    ``TaskMix(alpha=0.5)``, ``FeatureNoise()``, ``FeatureDropout()``, ``LabelShift()``,
    ``LabelNoise()``, ``Rotate()``, ``RandomAffine()`` of ``metaskl.tasks``, or one's name
    (``"task_mix"``) for its defaults; several are applied in turn. With None episodes stay as
    drawn. ``"auto"`` is ``FeatureNoise(0.3)`` in regression on 2 to 50 training tasks with 4 to
    50 standardised numeric columns and a network for tables (`MLP`, `Tabular`), and None for
    all else; `augment_` says which.
test_views : int, default=0
    Moved, turned and scaled copies of each image, 0 or >= 2, that a new task is adapted to and
    predicted by beside the image itself: each is a support row more, and the outputs of a query
    image are the mean over its copies. As `RandomAffine` in `augment` moves, or with its
    defaults. Costs so many times more of adapting and predicting, nothing in training; may be
    changed by ``set_params`` after a fit and before `adapt`. A row more is no more knowledge:
    standard deviations come out somewhat too small. A fit without task ids adapts to the
    images as they are. For images only.
standardize : bool, default=True
    Scale features (each column; each channel of images) and numeric targets by their mean
    and standard deviation over all training rows.
device : str, default="auto"
    ``"auto"`` (a GPU if there is one), ``"cpu"``, ``"cuda"``, ``"cuda:1"``.
precision : {"auto", "float32", "bfloat16"}, default="auto"
    Arithmetic of the forward pass; ``"auto"`` takes half precision for images on CUDA.
    On a processor it pays only with instructions for it (AVX-512 BF16, AMX): convolutions took
    4 to 19 times as long without.
n_threads : int, optional, default=1
    Torch's CPU threads during the call, restored after it; None leaves them as they are.
    More than one seldom helps and can be far slower on busy cores.
checkpoint : path-like, optional
    File to write after every epoch of `fit` and to resume from, bit-identically, if it is there.
    The state of your own `callbacks` is not in it.
callbacks : list of skorch callbacks, optional
    More callbacks for the training loop.
net_params : dict, optional
    More arguments of the skorch net, for experts.
random_state : int, RandomState or None, default=None
    Seed of the initialisation and of the episodes.
verbose : int, default=0
    1 shows a progress bar."""

_CLASSES = """label_space : {"shared", "task"}, default="shared"
    ``"shared"``: the same classes in every task (sick or healthy). ``"task"``: classes private
    to each task or episode (characters, faces, intents); training draws `n_way` of them an
    episode, and the classes of a new task are those of its support.
n_way : int, default=5
    Classes of a training episode with ``label_space="task"``, >= 2.
within_groups : bool, default=True
    With ``label_space="task"``: whether the classes of an episode come from one group
    (the characters of one alphabet) or from all.
allow_single_class : bool, default=False
    Whether to adapt on a support that holds one of the shared classes only, instead of
    raising an error."""

_ATTRIBUTES = """net_ : skorch.NeuralNet
    The meta-trained net; ``net_.module_`` is the learner.
backbone_ : Trained
    The network with its weights as trained, for the `backbone` of another learner.
history_ : list of dict
    The losses of each epoch.
augment_ : list of Augmentation
    What the training episodes of the last fit were changed by; empty if by nothing.
n_tasks_ : int
    Tasks in the last fit (classes with ``label_space="task"``).
n_support_ : int
    Rows that an adapted copy was adapted to; 0 before adapting.
n_iter_ : int
    Epochs trained.
n_features_in_ : int
    Features of a row (channels of images).
feature_names_in_ : ndarray of str
    Column names, if `X` was a data frame with text names."""


def with_shared_parameters(cls: T) -> T:
    """Fill in the documentation of shared parameters and attributes where a class asks for it.

    The class docstring holds the lines ``<shared parameters>`` and ``<shared attributes>``.
    """
    classifier = hasattr(cls, "predict_proba")
    parameters = f"{_CLASSES}\n{_SHARED}" if classifier else _SHARED
    attributes = _ATTRIBUTES
    if classifier:
        attributes += "\nclasses_ : ndarray of shape (n_classes,)\n    The classes."
    return fill_in({"<shared parameters>": parameters, "<shared attributes>": attributes})(cls)


def fill_in(texts: dict[str, str]) -> Callable[[T], T]:
    """Return a decorator that puts texts in the place of marks in a class docstring.

    Parameters
    ----------
    texts : dict of str
        Each mark with its text.

    Returns
    -------
    callable
        The decorator.
    """

    def filled(cls: T) -> T:
        doc = inspect.cleandoc(cls.__doc__ or "")
        for mark, text in texts.items():
            doc = doc.replace(mark, text)
        cls.__doc__ = doc
        return cls

    return filled


def documented_parameters(cls: Any) -> set[str]:
    """Return the names that a numpydoc class docstring has an entry for."""
    lines = (inspect.getdoc(cls) or "").splitlines()
    names: set[str] = set()
    for line in lines:
        if line and not line.startswith(" ") and " : " in line:
            names.update(name.strip() for name in line.split(" : ")[0].split(","))
    return names
