"""The linear problems of the paper, judged where their samples lie: eq. 18, 6, 7 and 13."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lexmargin.errors import UnsupportedError
from lexmargin.formulations.base import Formulation
from lexmargin.formulations.kkt import Kkt
from lexmargin.judge.bounds.signs import with_shown_sign
from lexmargin.judge.certificate import Certificate, Check
from lexmargin.judge.multipliers.later import Later
from lexmargin.judge.multipliers.qualification import MultiplierSet
from lexmargin.judge.programs.linear_margins import judged_linear
from lexmargin.judge.programs.translated import centred
from lexmargin.judge.tolerances import IDENTITY, Tolerances
from lexmargin.judge.unmeasured import (
    against_level,
    negative,
    squares_in_range,
    too_small_or_large,
)
from lexmargin.judge.verdict import Verdict
from lexmargin.linalg.norms import Array, vector_norm
from lexmargin.ops.numpy import NumpyOps
from lexmargin.predictors.bias import BiasForm
from lexmargin.predictors.sums import linear_and_bias

__all__ = [
    "certify_linear_kkt",
    "certify_linear_problem",
    "linear_w_set",
    "require_linear",
]


def certify_linear_problem(
    problem: Formulation, theta: Array, tolerances: Tolerances, multipliers: Array | None = None
) -> Certificate:
    """Judge a linear problem where its samples lie: eq. 18, eq. 6/7 at any ρ, eq. 13 with a bias.

    Parameters
    ----------
    problem : a hard margin or margin path of linear scores, or the W-set of a linear part and one
        bias of either sign.
    theta : (d,) the point.
    multipliers : (N,) λ that a solver claims, at any scale.

    Raises
    ------
    UnsupportedError
        for other problems.
    """
    require_linear(problem)
    kkts = problem.kkt(theta)
    found = certify_linear_kkt(kkts, tolerances, multipliers)
    return with_shown_sign(found, kkts[0])


def certify_linear_kkt(
    kkts: tuple[Kkt, ...], limits: Tolerances, multipliers: Array | None = None
) -> Certificate:
    """Return :func:`certify_linear_problem` of the problem's own data."""
    _require_linear(kkts)
    kkt = kkts[0]
    if kkt.part is not None:
        return _judged_w_set(kkt, limits, multipliers)
    signs = np.asarray(kkt.functions.data.signed, dtype=np.float64)
    inputs = kkt.functions.linear_inputs
    return judged_linear(inputs, signs, kkt.point, None, kkt.norm, multipliers, limits)


def require_linear(problem: Formulation) -> None:
    """Raise :class:`UnsupportedError` unless :func:`certify_linear_problem` judges the problem.

    Sparse samples are judged by no other function.
    """
    _require_linear(problem.kkt(np.ones(problem.functions.size)), str(problem.name))


def _require_linear(kkts: tuple[Kkt, ...], name: str = "") -> None:
    kkt = kkts[0]
    ray = kkt.is_direction and kkt.level is None and kkt.ordered is None
    if ray and kkt.functions.linear_inputs is not None:
        return
    if not linear_w_set(kkts):
        what = f"This {name} problem" if name else "This problem"
        raise UnsupportedError(
            f"{what} is not judged on sparse samples.",
            "Use the hard margin or the margin path of a linear predictor, the W-set of a linear "
            "part and a bias of either sign, or dense samples: Dataset(X.toarray(), y).",
        )


def _judged_w_set(kkt: Kkt, limits: Tolerances, multipliers: Array | None) -> Certificate:
    """Judge `w_1 = Σ λ_n y_n x_n`, `Σ λ_n y_n = 0`, and `‖w_1‖ ≥ 1/γ*` (eq. 13)."""
    functions, w, data, mine = kkt.functions, kkt.point, kkt.functions.data, _entries(kkt)
    linear = w[mine]
    signs = np.asarray(data.signed, dtype=np.float64)
    # The same for every sample.
    blocks = functions.blocks(np.where(mine, 0.0, w))
    score = float(functions.predictor(NumpyOps(), blocks, data.samples[:1])[0])
    near = centred(data.samples, signs, linear, score)
    offset = score if near is None else near.bias
    values = functions.values(w) if near is None else signs * (near.samples @ linear + offset)
    if not np.any(linear) or np.min(values) <= 0.0:
        return negative(values, 2.0, limits)
    if not squares_in_range(linear):
        return too_small_or_large(values, 2.0, limits)
    found = judged_linear(
        data.samples, signs, linear, score, 2.0, multipliers, limits, move=near is not None
    )
    length = vector_norm(linear, 2.0)
    margin = float(np.min(values))
    if not found.verdict.stationary:
        found = _without_slope(kkt, found, multipliers)
    multipliers = found.multipliers * length
    shortfall, missed = against_level(margin, 1.0, limits)
    gap = None
    verdict, reasons = found.verdict, found.reasons
    if found.bound is not None:
        gap = max(0.0, 1.0 - (1.0 / (found.bound * length)) ** 2)
        if verdict is Verdict.GLOBAL and gap > limits.gap:
            verdict = Verdict.KKT
            reasons = (*reasons, f"‖w_1‖² may be {gap:.3g} above the least one")
    if missed:
        verdict, reasons = Verdict.NOT_STATIONARY, (missed,)
    return replace(
        found, verdict=verdict, reasons=reasons, feasibility=shortfall, margin=margin, gap=gap,
        multipliers=multipliers, multiplier_set=_scaled(found.multiplier_set, length),
        bound=None, margin_ratio=None,
        definition_3=None, degree=math.nan, kkt_epsilon=None, kkt_delta=None,
        levels=(length * length,),
        checks=_identities(
            float(multipliers @ values), float(multipliers @ signs) * offset,
            length * length, limits,
        ),
    )  # fmt: skip


def _entries(kkt: Kkt) -> NDArray[np.bool_]:
    """Return a mask (d,) of the entries that the cost counts: those of the linear part."""
    return np.asarray(kkt.entry_costs > 0.0)


def _without_slope(kkt: Kkt, found: Certificate, multipliers: Array | None) -> Certificate:
    """Return KKT where eq. 13 as written holds because its bias has no slope: ∇_b f_n = 2|b| y_n.

    Near b = 0 the literal condition `2|b| Σ λ_n y_n = 0` says nothing, though a bias may help.
    """
    mine, w, data = _entries(kkt), kkt.point, kkt.functions.data
    linear, limits = w[mine], found.tolerances
    signs = np.asarray(data.signed, dtype=np.float64)
    alone = judged_linear(data.samples, signs, linear, None, 2.0, multipliers, limits)
    pull = abs(float(alone.multipliers @ signs))
    slope = 2.0 * vector_norm(w[~mine], 2.0) * pull
    if not (alone.verdict.stationary and slope <= limits.stationarity):
        return found
    reasons = ("ε and δ are within their tolerances", "the bias is 0, where it has no slope")
    residual = math.hypot(alone.stationarity, slope)
    return replace(
        alone, verdict=Verdict.KKT, reasons=reasons, stationarity=residual, bound=found.bound
    )


def _scaled(found: Later[MultiplierSet] | None, factor: float) -> Later[MultiplierSet] | None:
    return None if found is None else found.then(lambda found: found.scaled(lambda x: factor * x))


def _identities(both: float, second: float, square: float, limits: Tolerances) -> tuple[Check, ...]:
    """Return the errors of `Σ λ_n z_n·w_1 = ‖w_1‖²` and `Σ λ_n y_n β = 0`, relative to ‖w_1‖²."""
    limit = IDENTITY * limits.stationarity
    return (
        Check("Σ λ f^(1) = target_1·w_1/α", abs(both - second - square) / square, limit),
        Check("Σ λ f^(2) = 0", abs(second) / square, limit),
    )


def linear_w_set(kkts: tuple[Kkt, ...]) -> bool:
    """Say whether eq. 13 has one level, a linear part and a bias whose score takes either sign.

    With samples of both classes: with one class the bias does it alone, and w_1 = 0.
    """
    kkt = kkts[0]
    if len(kkts) > 1 or kkt.part != 0 or not kkt.at_one:
        return False
    signs = kkt.functions.data.y
    if not np.any(signs != signs[0]):
        return False
    found = linear_and_bias(kkt.functions.predictor)
    if found is None or found[0].columns is not None:
        return False
    return found[1].form in (BiasForm.SIGNED_SQUARE, BiasForm.TWO_SQUARES)
