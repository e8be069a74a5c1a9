"""What θ, multipliers and carried evidence establish, recomputed with NumPy alone.

A certificate searches for its multipliers; here they are given, and only checked. So a receipt can
be verified where no solver, not even a least-squares one, is installed.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from lexmargin.errors import DegreeError
from lexmargin.judge.given import Evidence, measured_of
from lexmargin.judge.local.ascent import rise
from lexmargin.judge.local.beside_kinks import kink_reach, kinked_sets, margins_on_kinks
from lexmargin.judge.local.kinks import Kink, measure_kinks, samples_of
from lexmargin.judge.local.slopes import record, rows
from lexmargin.judge.multipliers.qualification import LicqReport, licq, proved_independent
from lexmargin.judge.multipliers.vertex_bounds import relative_gap
from lexmargin.judge.point import UnitPoint, check_euler, row_sums, unit_point
from lexmargin.judge.programs.long_words import within
from lexmargin.judge.programs.products import linear_values
from lexmargin.judge.receipts.recomputed import linear_margin, proved_bound
from lexmargin.judge.second_order.curvature import measured_curvature
from lexmargin.judge.second_order.hessians import DifferencedCurved
from lexmargin.judge.second_order.vicinity import around_direction
from lexmargin.judge.stationarity import Stationarity
from lexmargin.judge.supports import WIDEST
from lexmargin.judge.tolerances import Tolerances
from lexmargin.judge.verdict import Verdict
from lexmargin.linalg.norms import Array, unit_scale, vector_norm
from lexmargin.margins import MarginFunctions
from lexmargin.ops.curvature import Curvature
from lexmargin.separation.long_measures import affordable, measured

__all__ = ["Facts", "establish", "margin_rounding"]

_EPS = float(np.finfo(np.float64).eps)
_HESSIAN_LIMIT = 300
_MODULAR_LIMIT = 40_000
_SHORT = "ε, δ or the gap of the multipliers in long numbers misses its tolerance"
_STRICT = "positive curvature on the critical cone, and a strict maximiser is near"
_ELSEWHERE = 64.0
"""Roundings by which sums differ between machines: far more than was seen, far less than shows."""


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Facts:
    """The verdict that the evidence establishes, and the quantities of math §3 behind it."""

    verdict: Verdict
    reason: str
    support: NDArray[np.intp]
    degree: float
    margin: float
    stationarity: float
    stationarity_bound: float
    complementarity: float
    euler: float
    licq: LicqReport | None
    independent: bool | None
    nearest_kink: float | None
    bound: float | None
    gap: float | None
    curvature: float | None
    radius: float | None
    rate: float | None
    feasibility: float | None = None
    angle: float | None = None
    levels: tuple[float, ...] | None = None
    levels_gap: float | None = None
    multipliers: Array | None = None
    """Where the problem itself has them: the weights of a loss."""
    rounding: tuple[float, ...] = (0.0,)
    """How far the smallest margins, in increasing order, may be from those of another machine."""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; numbers that are not finite are null."""
        ranks = self.licq
        return {
            "verdict": self.verdict.value,
            "reason": self.reason,
            "degree": _finite(self.degree),
            "margin": _finite(self.margin),
            "stationarity": _finite(self.stationarity),
            "stationarity_bound": _finite(self.stationarity_bound),
            "complementarity": _finite(self.complementarity),
            "euler": _finite(self.euler),
            "licq": None if ranks is None else ranks.holds,
            "rank": None if ranks is None else ranks.rank,
            "sigma_min": None if ranks is None else _finite(ranks.sigma_min),
            "sigma_max": None if ranks is None else _finite(ranks.sigma_max),
            "independent": self.independent,
            "nearest_kink": _finite(self.nearest_kink),
            "bound": _finite(self.bound),
            "gap": _finite(self.gap),
            "curvature": _finite(self.curvature),
            "radius": _finite(self.radius),
            "rate": _finite(self.rate),
            "feasibility": _finite(self.feasibility),
            "angle": _finite(self.angle),
            "levels": None if self.levels is None else [float(v) for v in self.levels],
            "levels_gap": _finite(self.levels_gap),
        }


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def margin_rounding(jacobian: Array, theta: Array, margins: Array, count: int) -> Array:
    """Return how far the ``count`` smallest margins may lie from those of another machine.

    A sum of products is rounded by parts of `Σ_i |∂_i f_n θ_i|`, in another order elsewhere.
    """
    smallest = np.argsort(margins, kind="stable")[:count]
    return _ELSEWHERE * _EPS * row_sums(jacobian[smallest], theta)


def establish(
    functions: MarginFunctions, theta: Array, norm: float, limits: Tolerances, evidence: Evidence
) -> Facts:
    """Recompute what a receipt claims, from data, predictor, θ, λ and evidence (math §3).

    Parameters
    ----------
    functions : the margin functions of a homogeneous predictor.
    theta : (d,) the point, at any scale.
    norm : exponent of the ball.
    limits : the tolerances that the verdict is relative to.
    evidence : λ and the rest.

    Returns
    -------
    Facts
        with the best verdict that the evidence establishes, UNDECIDED where it is not enough.

    Raises
    ------
    FloatingPointError
        where f_n and its gradient contradict the degree of the predictor: numbers are lost.
    """
    alpha = functions.homogeneity.degree
    assert alpha is not None
    theta = unit_scale(theta)
    scores = functions.linear_inputs is not None
    jacobian = functions.jacobian(theta)
    values = linear_values(jacobian, theta) if scores else functions.values(theta)
    if not (np.all(np.isfinite(values)) and np.all(np.isfinite(jacobian))):
        raise FloatingPointError("f_n or a gradient is not finite")
    point = unit_point(values, jacobian, theta, alpha, norm)
    try:
        # Of linear scores the margins are the products themselves.
        mismatch = 0.0 if scores else check_euler(point, limits.euler)
    except DegreeError as error:
        # The degree is the predictor's own: it is the numbers that are lost.
        raise FloatingPointError("f_n and its gradient contradict Euler's identity") from error
    if point.margin <= 0.0:
        return _blank(Verdict.NOT_SEPARATING, "a margin is not positive", point)
    unit = theta / vector_norm(theta, 2.0)
    kinks = measure_kinks(functions, unit, evidence.support)
    on: list[Kink] = []
    if kinks is not None:
        samples = samples_of(functions, evidence.support)
        on = kinks.within(limits.kink, samples)
    gradients = point.jacobian
    sloped = ""
    if on:
        gradients, sloped = _sloped(functions, unit, point, evidence, on)
    first = measured_of(point, gradients, evidence, limits)
    doubt = _doubt(point, first, mismatch, limits)
    smooth = not on
    if kinks is not None and first.lower > 0.0:
        # Every margin within reach of δ has its part in a lower bound on ε.
        jacobian = functions.jacobian(unit)
        reach = kink_reach(
            margins_on_kinks(functions, kinks, limits.kink),
            functools.partial(kinked_sets, functions, unit, limits.kink),
            lambda indices: jacobian[indices],
            functions.values(unit),
            unit,
            alpha,
            norm,
        )
        first = replace(first, lower=max(0.0, first.lower - limits.complementarity * reach))
    # At kinks the elements that λ combines, where there are slopes for them.
    support_rows = gradients[evidence.support]
    found = _Found()
    linear = functions.curvature is Curvature.AFFINE and alpha == 1.0
    weights = evidence.multipliers if evidence.bound is None else evidence.bound
    found.bound = proved_bound(functions, point, weights, linear)
    if found.bound is not None:
        below = linear_margin(point, theta) if linear else point.margin
        found.gap = relative_gap(found.bound, point.unscaled(below))
    nearest = None if kinks is None else kinks.nearest_on_support.distance
    word, reason = _word(
        functions, point, unit, first, evidence, limits, found, smooth, doubt or sloped, nearest
    )
    facts = Facts(
        verdict=word,
        reason=reason,
        support=point.support(min(evidence.tau, WIDEST)),
        degree=alpha,
        margin=point.unscaled(point.margin),
        stationarity=first.residual,
        stationarity_bound=first.lower,
        complementarity=first.complementarity,
        euler=first.euler,
        licq=licq(support_rows, limits.rank),
        independent=proved_independent(support_rows)
        if support_rows.size <= _MODULAR_LIMIT
        else None,
        nearest_kink=nearest,
        bound=found.bound,
        gap=found.gap,
        curvature=found.curvature,
        radius=found.radius,
        rate=found.rate,
        rounding=_rounding(point),
    )
    return _in_long_numbers(facts, functions, theta, norm, limits, evidence)


def _in_long_numbers(
    facts: Facts,
    functions: MarginFunctions,
    theta: Array,
    norm: float,
    limits: Tolerances,
    evidence: Evidence,
) -> Facts:
    """Return what λ in long numbers prove where it is given, and nothing else then."""
    if not (evidence.long and functions.linear):
        return facts
    rows = functions.jacobian(np.zeros(functions.size))
    found = measured(rows, theta, evidence.long, norm) if affordable(*rows.shape) else None
    if found is None or not within(found, limits):
        return replace(facts, verdict=Verdict.UNDECIDED, reason=_SHORT)
    return replace(
        facts,
        verdict=Verdict.GLOBAL,
        reason="the margin meets an upper bound on all margins, in long numbers",
        margin=found.margin,
        stationarity=found.distance,
        stationarity_bound=min(facts.stationarity_bound, found.distance),
        complementarity=found.slackness,
        euler=found.euler,
        bound=found.bound,
        gap=found.gap,
    )


def _rounding(point: UnitPoint) -> tuple[float, ...]:
    error = margin_rounding(point.jacobian, point.theta, point.margins, 1)
    return (point.unscaled(float(error[0])),)


class _Found:
    """Numbers met on the way to a verdict."""

    def __init__(self) -> None:
        self.bound: float | None = None
        self.gap: float | None = None
        self.curvature: float | None = None
        self.radius: float | None = None
        self.rate: float | None = None


def _word(
    functions: MarginFunctions,
    point: UnitPoint,
    unit: Array,
    first: Stationarity,
    evidence: Evidence,
    limits: Tolerances,
    found: _Found,
    smooth: bool,
    doubt: str,
    kink: float | None,
) -> tuple[Verdict, str]:
    if doubt:
        return Verdict.UNDECIDED, doubt
    if smooth and first.lower > limits.stationarity:
        return Verdict.NOT_STATIONARY, "the refutation separates θ̂ from the cone of gradients"
    if not smooth and point.norm != 2.0:
        return Verdict.UNDECIDED, "a kink, and the ball is not Euclidean"
    if not (
        first.residual <= limits.stationarity and first.complementarity <= limits.complementarity
    ):
        return Verdict.UNDECIDED, "ε or δ of these multipliers misses its tolerance"
    curved = DifferencedCurved(functions, kink)
    alpha, weights, support = point.degree, evidence.multipliers, evidence.support
    around = around_direction(curved, unit, alpha, weights, support, limits, kink)
    if evidence.ascent is not None and point.norm == 2.0:
        shown = rise(around, evidence.ascent, first.residual)
        if shown is not None:
            found.rate = shown.rate
            return Verdict.SADDLE, "the margin rises along the curve given from its beginning"
    if found.gap is not None and found.gap <= limits.gap:
        return Verdict.GLOBAL, "the margin meets an upper bound on all margins"
    if not smooth:
        return Verdict.CLARKE_KKT, "stationary with the slopes given at the kinks"
    affine = functions.curvature is Curvature.AFFINE
    if point.norm == 2.0 and not affine and functions.size <= _HESSIAN_LIMIT:
        word = measured_curvature(around, check=False, search=False)
        found.curvature, found.radius = word.curvature.smallest, word.radius
        if word.verdict is Verdict.STRICT_LOCAL:
            return Verdict.STRICT_LOCAL, _STRICT
    return Verdict.KKT, "ε and δ are within their tolerances"


def _doubt(point: UnitPoint, first: Stationarity, mismatch: float, limits: Tolerances) -> str:
    smallest = np.flatnonzero(point.margins <= point.margin)
    noise = 2.0 * _EPS * float(np.max(row_sums(point.jacobian[smallest], point.theta)))
    if point.degree * point.margin <= noise:
        return "the margin is no larger than its own rounding error"
    if mismatch > max(limits.support, limits.stationarity):
        return "f and the gradients contradict Euler's identity"
    if first.floor > limits.stationarity:
        return "rounding alone may change ε by more than its tolerance"
    return ""


def _sloped(
    functions: MarginFunctions,
    unit: Array,
    point: UnitPoint,
    evidence: Evidence,
    kinks: list[Kink],
) -> tuple[Array, str]:
    """Return the gradients with the given slopes at the kinks, or why they prove nothing."""
    if point.norm != 2.0:
        return point.jacobian, ""
    known = {(kink.layer, kink.sample, kink.unit) for kink in kinks}
    recording = record(functions, unit)
    if len(recording.kinked) != 1:
        return point.jacobian, "kinks in several layers: the slopes there are not independent"
    slopes = [np.asarray(one.argument.value > 0.0, dtype=np.float64) for one in recording.kinked]
    for layer, sample, column in known:
        slopes[layer].reshape(functions.data.n_samples, -1)[sample, column] = 0.0
    for layer, sample, column, slope in evidence.slopes:
        if (layer, sample, column) not in known or not 0.0 <= slope <= 1.0:
            return point.jacobian, "a slope is given where there is no kink, or outside [0, 1]"
        slopes[layer].reshape(functions.data.n_samples, -1)[sample, column] = slope
    chosen = evidence.support
    elements = rows(functions, record(functions, unit, slopes), chosen.tolist())
    gradients = point.jacobian.copy()
    with np.errstate(over="ignore", under="ignore"):
        gradients[chosen] = np.ldexp(elements / point.factor, -point.exponent)
    return gradients, ""


def _blank(verdict: Verdict, reason: str, point: UnitPoint) -> Facts:
    return Facts(
        verdict=verdict,
        reason=reason,
        support=np.flatnonzero(point.margins <= point.margin),
        degree=point.degree,
        margin=point.unscaled(point.margin),
        stationarity=math.nan,
        stationarity_bound=math.nan,
        complementarity=math.nan,
        euler=math.nan,
        licq=None,
        independent=None,
        nearest_kink=None,
        bound=None,
        gap=None,
        curvature=None,
        radius=None,
        rate=None,
        rounding=_rounding(point),
    )
