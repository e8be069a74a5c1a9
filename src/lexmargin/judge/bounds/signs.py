"""Margins that are not positive, shown: a computed 0, or a negative rounding error, proves nothing.

Products of small numbers leave the range of doubles, and sums cancel. FLINT's balls do neither:
their exponents have no bounds, and what is a whole multiple of a power of two they hold exactly.
"""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lexmargin.data.dataset import Dataset
from lexmargin.formulations.kkt import Kkt
from lexmargin.inputs.limits import BALL_EVALUATIONS
from lexmargin.judge.certificate import Certificate
from lexmargin.judge.tolerances import CLEARLY_NEGATIVE
from lexmargin.judge.verdict import Verdict
from lexmargin.linalg.long_numbers import precision
from lexmargin.linalg.norms import Array
from lexmargin.margins import MarginFunctions
from lexmargin.predictors.linear import Log

__all__ = ["UNKNOWN_SIGN", "shown_not_positive", "shown_word", "with_shown_sign"]

_BITS: Final = (128, 2_400, 20_000)
"""Doubles span 2^±1074, so that a product of two is exact in 2,200 bits, and of nine in 20,000."""
_FEW: Final = 4
"""Samples whose sign is enclosed first: where one margin is negative, it is most often the
least."""
_MANY: Final = 64
"""Samples enclosed next; the last round is everyone, so this only orders the work."""
UNKNOWN_SIGN: Final = (
    "the sign of a margin is not known: what was computed is no more than rounding"
)
_NORMAL: Final = 1e-290
"""Above this no product on the way was rounded as a subnormal number to any effect."""
_SHOWN: Final = "a margin is not positive"
_BELOW: Final = (
    "every margin is positive, but some are lost below the smallest double or in rounding"
)


def with_shown_sign(found: Certificate, kkt: Kkt) -> Certificate:
    """Withdraw NOT_SEPARATING, or ``separates: no``, where no margin is shown not to be positive.

    Where doubles decide nothing the sign may still be shown: UNDECIDED is NOT_SEPARATING then.

    Args:
        found: the certificate of θ.
        kkt: what a stationary point satisfies, at the point as it was given.
    """
    if found.separates is False:
        return found if _shown(kkt) else replace(found, separates=None)
    word, reason = shown_word(found.verdict, kkt)
    if word is found.verdict:
        return found
    more = () if word is Verdict.NOT_SEPARATING else found.reasons[1:]
    return replace(found, verdict=word, reasons=(reason, *more))


def shown_word(word: Verdict, kkt: Kkt) -> tuple[Verdict, str]:
    """Return NOT_SEPARATING where a margin is shown not to be positive, and only there.

    Args:
        word: what doubles say.
        kkt: what a stationary point satisfies, at the point as it was given.

    Returns:
        The word, and the reason where it is another one. Losses do not ask for a separator.
    """
    negative = word is Verdict.NOT_SEPARATING
    if not negative:
        if word is not Verdict.UNDECIDED or kkt.loss is not None:
            return word, ""
        with np.errstate(all="ignore"):
            least = float(np.min(kkt.functions.values(kkt.point)))
        if _NORMAL < least < math.inf:
            return word, ""
    shown = _shown(kkt)
    if shown:
        return Verdict.NOT_SEPARATING, "" if negative else _SHOWN
    if not negative:
        return word, ""
    return Verdict.UNDECIDED, UNKNOWN_SIGN if shown is None else _BELOW


def _shown(kkt: Kkt) -> bool | None:
    theta, rho = kkt.unrounded or (kkt.point, 1.0)
    return shown_not_positive(kkt.functions, theta, rho)


def shown_not_positive(functions: MarginFunctions, theta: Array, rho: float = 1.0) -> bool | None:
    """Say whether some `f_n(ρθ) ≤ 0` is proved, or f_n is not defined there; None if unknown.

    False where all are proved to be positive. The smallest margins as computed are tried first;
    one of them is enough.

    Args:
        functions: the margin functions.
        theta: (d,) the point.
        rho: ρ > 0; the product ρθ is never rounded.
    """
    if not np.all(np.isfinite(theta)):
        return None
    with np.errstate(all="ignore"):
        values = functions.values(rho * theta)
    order = np.argsort(np.where(np.isnan(values), -np.inf, values), kind="stable")
    linear = functions.linear_inputs
    each = functions.size
    if linear is not None:
        each = -(-linear.nnz // linear.shape[0]) if hasattr(linear, "nnz") else linear.shape[1]
    elif each > BALL_EVALUATIONS:
        # Too many for balls: far below 0 beside the other margins is no rounding error.
        least, size = values[order[0]], float(np.max(np.abs(values)))
        return (
            True if math.isfinite(size) and least < -max(CLEARLY_NEGATIVE * size, _NORMAL) else None
        )
    # Margins computed as large may have lost their sign too: they are asked last.
    fits = max(_FEW, BALL_EVALUATIONS // max(1, each))
    ends = sorted({min(end, fits, order.size) for end in (_FEW, _MANY, order.size)})
    words: list[bool | None] = []
    for first, last in zip([0, *ends], ends, strict=False):
        some = np.sort(order[first:last])
        if linear is not None:
            words.append(_exactly(functions, theta, some))
        else:
            words.append(_any_not_positive(functions, theta, rho, some))
        if words[-1]:
            return True
    return False if ends[-1] == order.size and all(word is False for word in words) else None


def _exactly(functions: MarginFunctions, w: Array, chosen: NDArray[np.intp]) -> bool:
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
    return False


def _any_not_positive(
    functions: MarginFunctions, theta: Array, rho: float, chosen: NDArray[np.intp]
) -> bool | None:
    from flint import arb

    from lexmargin.judge.functions.enclosure import BallMargins
    from lexmargin.ops.arb import KinkInBox

    few, places = _dense(functions, chosen)
    for bits in _BITS:
        with precision(bits):
            margins = BallMargins(few, places)
            blocks, leaves = margins.blocks([arb(rho) * float(x) for x in theta], tangents=False)
            for leaf in leaves:
                # Values alone are asked for, and they exist on kinks.
                leaf.edges = ()
            try:
                found = [ball.value for ball in margins.margins(blocks)]
            except KinkInBox:
                # A logarithm of what may not be positive.
                if isinstance(few.predictor, Log) and _outside(few, places, theta):
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
