"""A free bias judged near the data: samples centred exactly, and the rounding of the bias counted.

At an offset of 1e9 no double is the best bias of a direction: its last bit moves all scores by
1e-7. What the bias and the weights are known to is therefore what it is judged within.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from lexmargin.data.translation import column_centres, column_ends, moved_samples, translated_bias
from lexmargin.linalg.norms import Array
from lexmargin.linalg.rounding import EPS

__all__ = ["ROUNDINGS", "Centred", "centred"]

ROUNDINGS: Final = 4.0
"""A rounding of the bias (two where it is a square), one of every weight, one of each product."""


@final
@dataclass(frozen=True, eq=False)
class Centred:
    """The same scores near the origin: ``w·x + b = w·(x - c) + bias``.

    Attributes:
        samples: (N, p) the x_n - c, without rounding, CSR where the samples are.
        bias: the best one for w within the rounding of b and of w·c.
    """

    samples: Any
    bias: float


def centred(
    samples: Any,
    signs: Array,
    w: Array,
    bias: Fraction | float,
    upward: NDArray[np.bool_] | None = None,
) -> Centred | None:
    """Return the samples centred; None where no column lies far from 0.

    None too where the bias is beyond the range of doubles.

    With ``upward`` (p,) the centre of a column is its largest entry, or its smallest.
    """
    if not math.isfinite(bias):
        return None
    centres = column_centres(samples)
    if upward is not None:
        low, high = column_ends(samples)
        ends = np.where(upward, high, low)
        centres = np.where(centres != 0.0, ends, 0.0)
    if not np.any(centres):
        return None
    moved = moved_samples(samples, centres)
    exact = translated_bias(Fraction(bias), w, centres)
    scores = moved @ w
    found = float(exact)
    if np.any(signs > 0) and np.any(signs < 0):
        best = 0.5 * (float(np.min(-scores[signs < 0])) - float(np.min(scores[signs > 0])))
        slack = ROUNDINGS * EPS * (abs(float(bias)) + float(np.abs(w) @ np.abs(centres)))
        found = min(max(best, found - slack), found + slack)
    return Centred(moved, found)
