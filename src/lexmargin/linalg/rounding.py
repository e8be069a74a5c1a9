"""What doubles and long floats cannot tell apart: the machine's own numbers, stated once."""

from __future__ import annotations

from typing import Final

import numpy as np

__all__ = ["EPS", "FURTHER", "LONG_EPS", "OUTWARD", "ROUNDED", "TINY"]

EPS: Final = float(np.finfo(np.float64).eps)
"""Distance from 1 to the next double, 2⁻⁵²: twice the relative error of one rounding."""
LONG_EPS: Final = float(np.finfo(np.longdouble).eps)
"""The same of long floats: 2⁻⁶³ on x86, EPS itself where the machine has none that are longer."""
TINY: Final = float(np.finfo(np.float64).tiny)
"""Smallest normal double, 2⁻¹⁰²²: below it relative errors are no longer those of rounding."""
ROUNDED: Final = 8.0 * EPS
"""Relative error of a handful of operations one after another, with room: too small is unproven."""
OUTWARD: Final = 1e-12
"""Puts a bound beyond the rounding of sums of thousands of terms; every tolerance is far above."""
FURTHER: Final = 1.000001
"""A millionth more than needed, so that an inequality survives the rounding of the step itself."""
