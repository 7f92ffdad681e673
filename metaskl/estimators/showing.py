"""How meta-learning estimators show themselves: an adapted copy tells that it is one."""

from __future__ import annotations

from sklearn.utils import estimator_html_repr

from metaskl._compat import print_as_estimator


class Showing:
    """Text and HTML of an estimator."""

    n_support_: int

    @print_as_estimator
    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        """Return the hyper-parameters, and for an adapted copy what it was adapted to."""
        text = str(super().__repr__(N_CHAR_MAX))  # type: ignore[call-arg]
        n_support = getattr(self, "n_support_", 0)
        return f"{text}.adapt(<{n_support} rows>)" if n_support else text

    def _html_repr(self) -> str:
        html = str(estimator_html_repr(self))
        n_support = getattr(self, "n_support_", 0)
        return f"<p>Adapted to {n_support} rows:</p>{html}" if n_support else html
