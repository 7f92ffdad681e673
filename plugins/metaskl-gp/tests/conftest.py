"""gpytorch comes in by way of metaskl_gp, which silences what it warns of when it is imported."""

import metaskl_gp  # noqa: F401
