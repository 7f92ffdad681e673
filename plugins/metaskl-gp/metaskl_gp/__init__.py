"""Deep-kernel Gaussian processes on gpytorch, as a learner for metaskl.

Installed, the learner is found by its name: ``metaskl.MetaRegressor(learner="deep_kernel_gp")``.
"""

import warnings

with warnings.catch_warnings():
    # linear_operator 0.6 warns when it is imported, of what its users can do nothing about.
    warnings.filterwarnings("ignore", "`torch.jit.script` is deprecated", DeprecationWarning)
    import gpytorch  # noqa: F401

from metaskl_gp.process import DeepKernelGP

__all__ = ["DeepKernelGP"]
