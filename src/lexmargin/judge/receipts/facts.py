"""What θ, multipliers and carried evidence establish: a certificate with everything given.

Its numbers are what a receipt claims. They are recomputed with NumPy alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

from lexmargin.formulations.base import Formulation
from lexmargin.formulations.kkt import Kkt
from lexmargin.inputs.limits import MODULAR_ENTRIES
from lexmargin.judge.bounds.range import out_of_range
from lexmargin.judge.bounds.signs import shown_word
from lexmargin.judge.certificate import Certificate
from lexmargin.judge.certify import judged
from lexmargin.judge.given import ESTABLISHED, Evidence
from lexmargin.judge.multipliers.qualification import LicqReport, proved_independent
from lexmargin.judge.point import row_sums
from lexmargin.judge.programs.claimed_direction import claimed_direction
from lexmargin.judge.programs.recentred import recentred
from lexmargin.judge.second_order.curvature import Curvature
from lexmargin.judge.tolerances import WIDEST, Tolerances
from lexmargin.judge.verdict import Verdict
from lexmargin.linalg.norms import Array, unit_scale, vector_norm
from lexmargin.linalg.rounding import EPS

__all__ = ["Facts", "establish_problem", "margin_rounding"]

_ELSEWHERE: Final = 64.0
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
    return _ELSEWHERE * EPS * row_sums(jacobian[smallest], theta)


def establish_problem(
    problem: Formulation, theta: Array, limits: Tolerances, evidence: Evidence
) -> Facts:
    """Recompute what a receipt claims of θ (d,), for every formulation (math §3).

    It is :func:`~lexmargin.judge.certify.judged` with the multipliers given, and what only a
    receipt states. The losses carry their own, and nothing of the evidence is used for them.

    Raises :class:`~lexmargin.errors.UnsupportedError` for a formulation without KKT data.
    """
    with np.errstate(all="ignore"):
        given = problem.kkt(theta)
        kkts = recentred(given)
        try:
            found = _established(kkts, limits, evidence)
        except (ArithmeticError, np.linalg.LinAlgError):
            unknown = _facts(out_of_range(kkts[0], limits))
            why = ESTABLISHED[unknown.verdict]
            found = replace(unknown, support=evidence.support, reason=why)
        word = found.verdict
        if word.stationary and not _is_finite(found):
            word = Verdict.UNDECIDED
        word, _ = shown_word(word, given[0])
    if found.levels is not None and not all(math.isfinite(value) for value in found.levels):
        found = replace(found, levels=None)
    if word is found.verdict:
        return found
    return replace(found, verdict=word, reason=ESTABLISHED[word])


def _is_finite(found: Facts) -> bool:
    """Say whether the word rests on finite numbers; with no λ feasibility alone was measured."""
    parts = [found.margin, found.feasibility or 0.0]
    if math.isfinite(found.stationarity) or math.isfinite(found.complementarity):
        parts += [found.stationarity, found.complementarity]
    return all(math.isfinite(x) for x in parts)


def _established(kkts: tuple[Kkt, ...], limits: Tolerances, evidence: Evidence) -> Facts:
    first = kkts[0]
    found = judged(kkts, limits, evidence)
    facts = replace(_facts(found), rounding=_rounding(first))
    if first.loss is not None:
        weights = np.zeros(found.multipliers.size)
        weights[found.support] = found.multipliers[found.support]
        return replace(facts, multipliers=weights)
    if first.is_direction and first.level is None:
        facts = replace(facts, feasibility=None)
    if found.licq is None:
        return facts
    support = found.support
    if first.is_direction:
        rows = claimed_direction(first.functions, first.point, first.norm, limits, evidence)[1]
    else:
        tau = min(evidence.tau, WIDEST)
        support = np.flatnonzero(first.values <= (1.0 + tau) * first.margin)
        rows = first.jacobian[support]
    independent = proved_independent(rows) if rows.size <= MODULAR_ENTRIES else None
    return replace(facts, support=support, independent=independent)


def _rounding(kkt: Kkt) -> tuple[float, ...]:
    """Return :func:`margin_rounding` where the margins claimed are; 0 where f is not defined."""
    count, alpha = 1 if kkt.ordered is None else kkt.ordered, kkt.degree
    point, jacobian, values = kkt.point, kkt.jacobian, kkt.values
    if kkt.is_direction and alpha is not None:
        point = unit_scale(kkt.point)
        size = vector_norm(point, kkt.norm)
        values, jacobian = kkt.functions.values(point), kkt.functions.jacobian(point)
        values, point, jacobian = (
            values / size**alpha,
            point / size,
            jacobian / size ** (alpha - 1.0),
        )
    errors = margin_rounding(jacobian, point, values, count)
    return tuple(float(error) if math.isfinite(error) else 0.0 for error in errors)


def _facts(found: Certificate) -> Facts:
    curvature = found.curvature
    smallest = curvature.smallest if isinstance(curvature, Curvature) else None
    return Facts(
        verdict=found.verdict,
        reason=found.reasons[0],
        support=found.support,
        degree=found.degree,
        margin=found.margin,
        stationarity=found.stationarity,
        stationarity_bound=found.stationarity_bound,
        complementarity=found.complementarity,
        euler=found.euler,
        licq=found.licq,
        independent=None,
        nearest_kink=found.nearest_kink,
        bound=found.bound,
        gap=found.gap,
        curvature=smallest,
        radius=found.radius,
        rate=None if found.rise is None else found.rise.rate,
        feasibility=found.feasibility,
        angle=found.angle,
        levels=found.levels,
        levels_gap=found.levels_gap,
    )
