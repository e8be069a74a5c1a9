"""Margins that are not positive, shown: a computed 0, or a negative rounding error, proves nothing.

Products of small numbers leave the range of doubles, and sums cancel. FLINT's balls do neither:
their exponents have no bounds, and what is a whole multiple of a power of two they hold exactly.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lexmargin.data.dataset import Dataset
from lexmargin.formulations.base import Formulation
from lexmargin.judge.certificate import Certificate
from lexmargin.judge.verdict import Verdict
from lexmargin.linalg.norms import Array
from lexmargin.margins import MarginFunctions
from lexmargin.predictors.linear import Log

__all__ = ["UNKNOWN_SIGN", "shown_not_positive", "with_shown_sign"]

_BITS: Final = (128, 2_400, 20_000)
"""Doubles span 2^±1074, so that a product of two is exact in 2,200 bits, and of nine in 20,000."""
_FEW: Final = 4
_MANY: Final = 64
_WORK: Final = 200_000
"""Parameters times samples that are evaluated in balls at most: about a second."""
UNKNOWN_SIGN: Final = (
    "the sign of a margin is not known: what was computed is no more than rounding"
)
_FAR: Final = 1e-6
"""A margin as far below 0 as this part of the largest is no rounding of sums that were tested."""
_NORMAL: Final = 1e-290
"""Above this no product on the way was rounded as a subnormal number to any effect."""
_BELOW: Final = (
    "every margin is positive, but some are lost below the smallest double or in rounding"
)


def with_shown_sign(found: Certificate, problem: Formulation, theta: Array) -> Certificate:
    """Withdraw NOT_SEPARATING, or ``separates: no``, where no margin is shown not to be positive.

    Args:
        found: the certificate of θ.
        problem: a formulation.
        theta: (d,) the point as it was given, before any scaling.
    """
    negative = found.verdict is Verdict.NOT_SEPARATING
    if not (negative or found.separates is False):
        return found
    shown = shown_not_positive(problem.functions, problem.rho_value * theta)
    if shown:
        return found
    if not negative:
        return replace(found, separates=None)
    reason = UNKNOWN_SIGN if shown is None else _BELOW
    return replace(found, verdict=Verdict.UNDECIDED, reasons=(reason, *found.reasons[1:]))


def shown_not_positive(functions: MarginFunctions, w: Array) -> bool | None:
    """Say whether some `f_n(w) ≤ 0` is proved, or f_n is not defined at w (d,); None if unknown.

    False where all are proved to be positive. The smallest margins as computed are tried first;
    one of them is enough.
    """
    if not np.all(np.isfinite(w)):
        return None
    values = functions.values(w)
    lost = np.isnan(values)
    order = np.argsort(np.where(lost, -np.inf, values), kind="stable")
    doubtful = order[~(values[order] > 0.0)]
    if functions.linear_inputs is not None:
        return _exactly(functions, w, doubtful[:_MANY], doubtful.size > _MANY)
    if functions.size > _WORK:
        # Too many for balls: far below 0 beside the other margins is no rounding error.
        least, size = values[order[0]], float(np.max(np.abs(values)))
        return True if math.isfinite(size) and least < -max(_FAR * size, _NORMAL) else None
    fits = max(1, _WORK // max(1, functions.size))
    words: list[bool | None] = []
    for chosen in (doubtful[:_FEW], doubtful[_FEW : min(_MANY, fits)]):
        if chosen.size:
            words.append(_any_not_positive(functions, w, np.sort(chosen)))
            if words[-1]:
                return True
    whole = doubtful.size <= max(_FEW, min(_MANY, fits))
    return False if whole and all(word is False for word in words) else None


def _exactly(
    functions: MarginFunctions, w: Array, chosen: NDArray[np.intp], more: bool
) -> bool | None:
    """Say whether some `y_n x_n·w ≤ 0`, in rationals, for linear scores dense or sparse."""
    rows: Any = functions.linear_inputs
    signs = functions.signs
    for n in chosen.tolist():
        if isinstance(rows, np.ndarray):
            used = np.flatnonzero(rows[n])
            entries = rows[n][used]
        else:
            part = slice(int(rows.indptr[n]), int(rows.indptr[n + 1]))
            used, entries = rows.indices[part], rows.data[part]
        pairs = zip(entries.tolist(), w[used].tolist(), strict=True)
        score = sum((Fraction(a) * Fraction(b) for a, b in pairs), Fraction(0))
        if (score if signs[n] > 0.0 else -score) <= 0:
            return True
    return None if more else False


def _any_not_positive(
    functions: MarginFunctions, w: Array, chosen: NDArray[np.intp]
) -> bool | None:
    from flint import arb

    from lexmargin.judge.proofs.enclosure import BallMargins
    from lexmargin.ops.arb import KinkInBox

    few, places = _dense(functions, chosen)
    for bits in _BITS:
        with _precision(bits):
            margins = BallMargins(few, places)
            blocks, leaves = margins.blocks([arb(float(x)) for x in w], tangents=False)
            for leaf in leaves:
                # Values alone are asked for, and they exist on kinks.
                leaf.edges = ()
            try:
                found = [ball.value for ball in margins.margins(blocks)]
            except KinkInBox:
                # A logarithm of what may not be positive.
                if isinstance(few.predictor, Log) and _outside(few, places, w):
                    return True
                continue
            if any(value <= 0 for value in found):
                return True
            if all(value > 0 for value in found):
                return False
    return None


def _dense(
    functions: MarginFunctions, chosen: NDArray[np.intp]
) -> tuple[MarginFunctions, NDArray[np.intp]]:
    """Return margin functions of dense samples, and where the chosen ones are among them."""
    data = functions.data
    if not data.is_sparse:
        return functions, chosen
    # One sample of each class beside them, so that labels mean what they meant.
    kept = np.append(chosen, [np.argmin(data.y), np.argmax(data.y)])
    rows = np.asarray(data.samples[kept].toarray())
    few = Dataset(rows, data.y[kept], one_class=True)
    return MarginFunctions(functions.predictor, few), np.arange(chosen.size)


def _outside(functions: MarginFunctions, chosen: NDArray[np.intp], w: Array) -> bool:
    """Say whether some `z_n·w ≤ 0`, exactly, where the score is a logarithm of it."""
    if not np.all(np.isfinite(w)):
        return False
    point = [Fraction(float(x)) for x in w]
    rows = functions.features[chosen]
    return any(
        sum((Fraction(float(a)) * b for a, b in zip(row, point, strict=True)), Fraction(0)) <= 0
        for row in rows
    )


@contextmanager
def _precision(bits: int) -> Iterator[None]:
    from flint import ctx

    old = ctx.prec
    try:
        ctx.prec = bits
        yield
    finally:
        ctx.prec = old
