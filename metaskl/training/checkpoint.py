"""Checkpoint and resume: everything that training is, in one file, written atomically."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import torch
from skorch.callbacks import Callback

from metaskl.errors import CheckpointError
from metaskl.files import replacing
from metaskl.tasks import EpisodeSampler, TaskSet

_FORMAT = 2
# Longer values are cut in a message.
_SHOWN = 60


def fingerprint(tasks: TaskSet, parameters: dict[str, Any]) -> dict[str, str]:
    """Return a digest of the data of a fit, as ``"the data"``, and its hyper-parameters as text."""
    digest = hashlib.sha256()
    for array in (tasks.X.cpu().numpy(), tasks.y.cpu().numpy(), tasks.offsets, tasks.parents):
        digest.update(str(array.shape).encode())
        digest.update(array.tobytes())
    own = {k: json.dumps(v, sort_keys=True, default=repr) for k, v in sorted(parameters.items())}
    return {"the data": digest.hexdigest(), **own}


def _differences(saved: dict[str, str], own: dict[str, str]) -> str:
    """Say what differs between the fit of a file and this one."""
    names = [name for name in {**own, **saved} if saved.get(name) != own.get(name)]
    told = ["the data differ"] if "the data" in names else []
    for name in names:
        part_of_one = name.rpartition("__")[0] in names
        if name != "the data" and not part_of_one:
            was, now = (_shown(fit.get(name)) for fit in (saved, own))
            told.append(f"{name} was {was} and is {now}")
    return ", ".join(told)


def _shown(value: str | None) -> str:
    text = "not there" if value is None else value.strip('"')
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


class FullCheckpoint(Callback):  # type: ignore[misc]
    """Write module, optimiser, history, callbacks, RNG and sampler after every epoch.

    A resumed fit is bit-identical to one that was never stopped.

    Parameters
    ----------
    path : path-like
        The file. Written beside itself, synced and renamed, so that a kill at any moment
        leaves the last whole one.
    sampler : EpisodeSampler
        The source of episodes, whose state is kept.
    identity : dict of str
        Fingerprint of the fit; a file of another fit is refused, and what differs is named.
    stateful : dict of str to object
        Callbacks with ``state_dict`` and ``load_state_dict``.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        sampler: EpisodeSampler,
        identity: dict[str, str],
        stateful: dict[str, Any],
    ) -> None:
        self.path = Path(path)
        self.sampler = sampler
        self.identity = identity
        self.stateful = stateful

    def require_writable(self) -> None:
        """Raise before training if the file could not be written after it."""
        try:
            if self.path.is_dir():
                raise IsADirectoryError(f"{self.path} is a directory")
            handle, name = tempfile.mkstemp(dir=self.path.parent, prefix=f".{self.path.name}.")
            os.close(handle)
            os.unlink(name)
        except OSError as error:
            raise CheckpointError(
                f"checkpoint must be a file that can be written, got {str(self.path)!r}: {error}. "
                "Give a path in a folder that exists and that you may write to."
            ) from error

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Write the file."""
        state = {
            "format": _FORMAT,
            "identity": self.identity,
            "module": net.module_.state_dict(),
            "optimizer": net.optimizer_.state_dict(),
            "history": net.history.to_list(),
            "callbacks": {name: item.state_dict() for name, item in self.stateful.items()},
            "rng": torch.get_rng_state(),
            "cuda_rng": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
            "sampler": json.dumps(self.sampler.state_dict()),
        }
        content = io.BytesIO()  # torch hides a full disk's error behind one of its own
        torch.save(state, content)
        try:
            with replacing(self.path) as file:
                file.write(content.getbuffer())
        except OSError as error:
            raise CheckpointError(
                f"checkpoint could not be written to {str(self.path)!r}: {error}. Training up to "
                "the last whole checkpoint is kept; free the disk and fit again to resume."
            ) from error

    def resume(self, net: Any) -> bool:
        """Take up an earlier fit's state, if its file is there."""
        if not self.path.exists():
            return False
        state = self._read(net.device)
        groups = [s["param_groups"] for s in (state["optimizer"], net.optimizer_.state_dict())]
        if len(groups[0]) != len(groups[1]):  # of before rates had a group without decay
            raise self._of_another_version()
        net.module_.load_state_dict(state["module"])
        net.optimizer_.load_state_dict(state["optimizer"])
        net.history_ = type(net.history)(state["history"])
        for name, item in self.stateful.items():
            item.load_state_dict(state["callbacks"][name])
        torch.set_rng_state(state["rng"].cpu())
        if state["cuda_rng"] and torch.cuda.is_available():
            torch.cuda.set_rng_state_all([rng.cpu() for rng in state["cuda_rng"]])
        self.sampler.load_state_dict(json.loads(state["sampler"]))
        return True

    def _read(self, device: str) -> dict[str, Any]:
        try:
            state = torch.load(self.path, map_location=device, weights_only=True)
        except Exception as error:
            raise CheckpointError(
                f"checkpoint {str(self.path)!r} cannot be read as one of metaskl's: {error}. "
                "Delete the file to start anew, or give another path."
            ) from error
        if not isinstance(state, dict) or state.get("format") != _FORMAT:
            raise self._of_another_version()
        if state["identity"] != self.identity:
            raise CheckpointError(
                f"checkpoint {str(self.path)!r} belongs to another fit: "
                f"{_differences(state['identity'], self.identity)}. Delete the file to start anew, "
                "or give another path."
            )
        return state

    def _of_another_version(self) -> CheckpointError:
        return CheckpointError(
            f"checkpoint {str(self.path)!r} is not one of this version of metaskl. "
            "Delete the file to start anew, or give another path."
        )
