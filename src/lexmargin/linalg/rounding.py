"""What doubles and long floats cannot tell apart: the machine's own numbers, stated once."""

from __future__ import annotations

from typing import Final

import numpy as np

__all__ = ["EPS", "LONG_EPS", "TINY"]

EPS: Final = float(np.finfo(np.float64).eps)
"""Distance from 1 to the next double, 2⁻⁵²: twice the relative error of one rounding."""
LONG_EPS: Final = float(np.finfo(np.longdouble).eps)
"""The same of long floats: 2⁻⁶³ on x86, EPS itself where the machine has none that are longer."""
TINY: Final = float(np.finfo(np.float64).tiny)
"""Smallest normal double, 2⁻¹⁰²²: below it relative errors are no longer those of rounding."""
