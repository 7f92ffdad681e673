"""How meta-learning estimators are copied and stored: pickle, joblib and metaskl.save."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Self

from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from metaskl.backbones import Trained
from metaskl.errors import ParameterError
from metaskl.estimators.inputs import Array, resolve_device
from metaskl.estimators.state import build_learner, from_arrays, to_arrays
from metaskl.estimators.training import make_plan
from metaskl.training import MetaNet, new_net, seeded


class StoredNet:
    """A net that is stored once, however many adapted copies of an estimator share it.

    Being one object in all of them, pickle and skops write it once, and what they read back
    shares one network again.

    Parameters
    ----------
    net : MetaNet
        The net.
    """

    def __init__(self, net: MetaNet) -> None:
        self.net: MetaNet | None = net
        self._arrays: tuple[Any, dict[str, Array]] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Return the weights: the same arrays each time, by which skops knows them again."""
        if self.net is not None:
            state = self.net.module_.state_dict()
            version = [(name, value.data_ptr(), value._version) for name, value in state.items()]
            if self._arrays is None or self._arrays[0] != version:
                self._arrays = (version, to_arrays(state))
        return {"weights": {} if self._arrays is None else self._arrays[1]}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the weights; the first estimator to come builds the net."""
        self.net, self._arrays = None, (None, state["weights"])

    def build(self, new: Callable[[dict[str, Array]], MetaNet]) -> MetaNet:
        """Return the net, made from the weights by `new` unless another copy has done so."""
        if self.net is None:
            assert self._arrays is not None
            self.net = new(self._arrays[1])
        return self.net


class Storing:
    """The state of a meta-learning estimator outside this process."""

    build_: dict[str, Any]
    device: str

    @property
    def backbone_(self) -> Trained:
        """The network as it was trained, for another learner to start from."""
        check_is_fitted(self, "net_")
        learner = self.net_.module_
        if learner.backbone_name is None:
            raise AttributeError(
                f"backbone_ must be a part of the learner to be found, but {type(learner).__name__}"
                " keeps no backbone as it was given. Take its weights from net_.module_."
            )
        weights = copy.deepcopy(learner.get_submodule(learner.backbone_name).state_dict())
        return Trained(self.build_["backbone"].untrained, to_arrays(weights))

    def __getstate__(self) -> dict[str, Any]:
        """Return the state with arrays for tensors: small, and readable without torch."""
        state: dict[str, Any] = dict(super().__getstate__())  # type: ignore[call-overload]
        state.pop("_fitted_on", None)  # names of tasks, which are nobody's business elsewhere
        if "net_" in state:
            net = state.pop("net_")
            if state["_stored"].net is not net:  # somebody put in a net of their own
                state["_stored"] = StoredNet(net)
            state["callbacks"] = None  # may hold open files and bars; none is needed to predict
        if "state_" in state:
            state["state_"] = to_arrays(state["state_"])
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Rebuild the network from its arrays, on a device that is there."""
        super().__setstate__(state)  # type: ignore[misc]
        if "_stored" not in state:
            return
        try:
            self.device_ = resolve_device(self.device)
        except ParameterError:  # fitted on a device that this machine lacks
            self.device_ = resolve_device("auto")
        self.net_ = state["_stored"].build(self._new_net)
        if "state_" in state:
            self.state_ = from_arrays(state["state_"], self.device_)

    def _new_net(self, weights: dict[str, Array]) -> MetaNet:
        with seeded(0):  # the initialisation is overwritten: no reason to draw from torch's state
            learner = build_learner(self.build_, self._learner())  # type: ignore[attr-defined]
        learner.load_state_dict(from_arrays(weights, "cpu"))
        net = new_net(learner, make_plan(self, None, None, {}, check_random_state(0)))
        net.history_ = type(net.history)(dict(row) for row in self.history_)  # type: ignore[attr-defined]
        return net

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Copy everything, callbacks too, which a stored estimator leaves out."""
        copied = self.__class__.__new__(self.__class__)
        memo[id(self)] = copied
        copied.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return copied
