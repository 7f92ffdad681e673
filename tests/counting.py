"""Counts what is called, and the bytes that it holds: work that no busy machine changes."""

import gc
import sys
import weakref

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class Counted(TorchDispatchMode):
    """Counts operations, and the most bytes that their results held at once."""

    def __init__(self):
        super().__init__()
        self.n_calls = 0
        self.most = self.held = 0
        self.storages = {}

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        for tensor in args:  # what is given is not held by the results, which may be views
            if isinstance(tensor, torch.Tensor):
                self._watch(tensor, 0)
        result = function(*args, **(kwargs or {}))
        self.n_calls += 1
        for tensor in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(tensor, torch.Tensor):
                self._watch(tensor)
        return result

    def _watch(self, tensor, n_bytes=None):
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self.storages:
            return
        self.storages[key] = storage.nbytes() if n_bytes is None else n_bytes
        self.held += self.storages[key]
        self.most = max(self.most, self.held)
        weakref.finalize(storage, self._release, key)

    def _release(self, key):
        self.held -= self.storages.pop(key)


def stacks_adapted(monkeypatch, learner):
    """Return a list to which each call of a learner's adapt_tasks adds how many tasks it took."""
    plain, stacks = learner.adapt_tasks, []

    def adapt_tasks(self, X, *rest):
        stacks.append(len(X))
        return plain(self, X, *rest)

    monkeypatch.setattr(learner, "adapt_tasks", adapt_tasks)
    return stacks


class Called:
    """Counts calls of functions of Python and C, those of numpy among them."""

    def __enter__(self):
        self.n_calls = 0
        gc.disable()  # what is called when it runs is nobody's
        sys.setprofile(self._count)
        return self

    def __exit__(self, *_):
        sys.setprofile(None)
        gc.enable()

    def _count(self, frame, event, argument):
        self.n_calls += event in ("call", "c_call")
