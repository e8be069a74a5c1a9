"""Exponents of blocks beside a word: how they are said, and what they ask of the point besides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Final

import numpy as np

from lexmargin.judge.certificate import Certificate, Check
from lexmargin.judge.reasons import EXPONENTS, SHRINKING, filled
from lexmargin.judge.tolerances import IDENTITY
from lexmargin.ops.exponents import Exponents

__all__ = ["with_exponents"]

_PARTS: Final = 1000
"""Largest denominator that is written as one."""
_EXACT: Final = 1e-12
"""Distance from such a fraction that is rounding of a double."""


def with_exponents(
    found: Certificate, polytope: Exponents, named: Mapping[str, float], cost: Mapping[int, float]
) -> Certificate:
    """Say the exponents, the dimension of their polytope, and what cannot be stationary with them.

    For every admissible λ', ``Σ_{B∈P} λ'_B ‖w_B‖² = Σ ν_n``: the sum is the same for all of them.

    Args:
        found: the certificate of a point with these exponents.
        polytope: of all exponents.
        named: λ of every block, by its name.
        cost: ‖w_B‖² of the blocks B in P, by their numbers.
    """
    names, blocks = list(named), list(cost)
    listed = ", ".join(f"{name} {_shown(one)}" for name, one in named.items())
    dimension = polytope.dimension
    reasons = [filled(EXPONENTS, listed, str(dimension), "" if dimension == 1 else "s")]
    loose = [b for b in polytope.shrinking(blocks) if cost[b] > 0.0]
    if loose:
        reasons.append(filled(SHRINKING, ", ".join(names[b] for b in loose)))
    checks, total = found.checks, sum(cost.values())
    moved = polytope.changes[:, blocks] @ np.array([cost[b] for b in blocks])
    if moved.size and total > 0.0:
        error = float(np.max(np.abs(moved))) / (total * float(np.max(np.abs(polytope.changes))))
        limit = IDENTITY * found.tolerances.stationarity
        checks = (*checks, Check("Σ_P λ'‖w_B‖² = Σ λ for all exponents λ'", error, limit))
    return replace(found, reasons=(*found.reasons, *reasons), checks=checks)


def _shown(value: float) -> str:
    near = Fraction(value).limit_denominator(_PARTS)
    return str(near) if abs(float(near) - value) <= _EXACT else f"{value:.6g}"
