"""What the figures of several statements share."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

__all__ = ["plot_seen"]

_ROUNDING: Final = 1e-12
"""A distance or ratio below this is not drawn."""


def plot_seen(axes: Any, at: Any, values: Any, mark: str, color: str, name: str) -> None:
    """Draw positive values on two logarithmic axes, and say so where all are rounding."""
    seen = np.asarray(values) > _ROUNDING
    label = name + ("" if seen.any() else ": 0 to rounding")
    axes.loglog(np.asarray(at)[seen], values[seen], mark, ms=3, color=color, label=label)
