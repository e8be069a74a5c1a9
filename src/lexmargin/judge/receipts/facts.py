"""What θ, multipliers and carried evidence establish: a certificate with everything given.

Its numbers are what a receipt claims. They are recomputed with NumPy alone.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from typing import Any, Final, final

import numpy as np

from lexmargin.formulations.base import Formulation
from lexmargin.formulations.kkt import Kkt
from lexmargin.inputs.limits import MODULAR_ENTRIES
from lexmargin.judge.bounds.signs import shown_word
from lexmargin.judge.certificate import Certificate
from lexmargin.judge.certify import judged
from lexmargin.judge.given import ESTABLISHED, Evidence
from lexmargin.judge.multipliers.qualification import proved_independent
from lexmargin.judge.programs.claimed_direction import claimed_direction
from lexmargin.judge.programs.margin_programs import measured_level
from lexmargin.judge.programs.recentred import recentred
from lexmargin.judge.second_order.curvature import Curvature, second_order
from lexmargin.judge.second_order.hessians import PredictorCurved
from lexmargin.judge.second_order.surroundings import around_direction, around_program
from lexmargin.judge.tolerances import WIDEST, Tolerances
from lexmargin.judge.unmeasured import out_of_range
from lexmargin.judge.verdict import Verdict
from lexmargin.linalg.norms import Array, unit_scale, vector_norm
from lexmargin.linalg.rounding import EPS
from lexmargin.linalg.rows import row_sums

__all__ = ["Facts", "establish_problem", "margin_rounding", "strictly"]

_ELSEWHERE: Final = 64.0
"""Roundings by which sums differ between machines: far more than was seen, far less than shows."""


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Facts:
    """The certificate that the evidence establishes, and what only a receipt states.

    feasibility
        the certificate's; None where nothing but a direction is asked for.
    independent
        whether the gradients of the support are independent, proved; None where that is too dear.
    multipliers
        where the problem itself has them (N,): the weights of a loss.
    rounding
        how far the smallest margins, in increasing order, may be from those of another machine.
    """

    certificate: Certificate
    feasibility: float | None
    independent: bool | None = None
    multipliers: Array | None = None
    rounding: tuple[float, ...] = (0.0,)

    @property
    def verdict(self) -> Verdict:
        """The word that the evidence establishes."""
        return self.certificate.verdict

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; numbers that are not finite are null."""
        found = self.certificate
        ranks, curvature = found.licq, found.curvature
        smallest = curvature.smallest if isinstance(curvature, Curvature) else None
        return {
            "verdict": found.verdict.value,
            "reason": found.reasons[0],
            "degree": _finite(found.degree),
            "margin": _finite(found.margin),
            "stationarity": _finite(found.stationarity),
            "stationarity_bound": _finite(found.stationarity_bound),
            "complementarity": _finite(found.complementarity),
            "euler": _finite(found.euler),
            "licq": None if ranks is None else ranks.holds,
            "rank": None if ranks is None else ranks.rank,
            "sigma_min": None if ranks is None else _finite(ranks.sigma_min),
            "sigma_max": None if ranks is None else _finite(ranks.sigma_max),
            "independent": self.independent,
            "nearest_kink": _finite(found.nearest_kink),
            "bound": _finite(found.bound),
            "gap": _finite(found.gap),
            "curvature": _finite(smallest),
            "radius": _finite(found.radius),
            "rate": None if found.rise is None else _finite(found.rise.rate),
            "feasibility": _finite(self.feasibility),
            "angle": _finite(found.angle),
            "levels": None if found.levels is None else [float(v) for v in found.levels],
            "levels_gap": _finite(found.levels_gap),
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
            facts = _established(kkts, limits, evidence)
        except (ArithmeticError, np.linalg.LinAlgError):
            unknown = replace(out_of_range(kkts[0], limits), support=evidence.support)
            unknown = replace(unknown, reasons=(ESTABLISHED[unknown.verdict],))
            facts = Facts(certificate=unknown, feasibility=unknown.feasibility)
        found = facts.certificate
        word = found.verdict
        if word.stationary and not _is_finite(found):
            word = Verdict.UNDECIDED
        word, _ = shown_word(word, given[0])
    if found.levels is not None and not all(math.isfinite(value) for value in found.levels):
        found = replace(found, levels=None)
    if word is not found.verdict:
        found = replace(found, verdict=word, reasons=(ESTABLISHED[word],))
    return replace(facts, certificate=found)


def strictly(problem: Formulation, theta: Array, facts: Facts, evidence: Evidence) -> Facts:
    """Return the facts of a word that needs no second order with what second order says of it.

    The word is then STRICT_LOCAL where the evidence establishes that, and KKT elsewhere.
    """
    shown = facts.certificate
    found = replace(shown, verdict=Verdict.KKT, support=evidence.support)
    with np.errstate(all="ignore"):
        kkts = recentred(problem.kkt(theta))
        kkt = kkts[0] if kkts[0].is_direction else measured_level(kkts)
        if kkt is None or kkt.loss is not None or kkt.norm != 2.0 or shown.on_kink:
            return replace(facts, certificate=found)
        if kkt.is_direction and kkt.degree is not None:
            at = unit_scale(kkt.point)
            curved = PredictorCurved(kkt.functions, exact=False, nearest_kink=shown.nearest_kink)
            vicinity = around_direction(curved, at / vector_norm(at, 2.0), kkt.degree, found)
            return replace(facts, certificate=second_order(lambda _: vicinity, found, evidence))
        around = functools.partial(around_program, kkt, False)
        return replace(facts, certificate=second_order(around, found, evidence))


def _is_finite(found: Certificate) -> bool:
    """Say whether the word rests on finite numbers; with no λ feasibility alone was measured."""
    parts = [found.margin, found.feasibility]
    if math.isfinite(found.stationarity) or math.isfinite(found.complementarity):
        parts += [found.stationarity, found.complementarity]
    return all(math.isfinite(x) for x in parts)


def _established(kkts: tuple[Kkt, ...], limits: Tolerances, evidence: Evidence) -> Facts:
    first = kkts[0]
    found = judged(kkts, limits, evidence)
    asked = not first.is_direction or first.level is not None
    facts = Facts(
        certificate=found,
        feasibility=found.feasibility if asked else None,
        rounding=_rounding(first),
    )
    if first.loss is not None:
        weights = np.zeros(found.multipliers.size)
        weights[found.support] = found.multipliers[found.support]
        return replace(facts, multipliers=weights)
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
    found = replace(found, support=support)
    return replace(facts, certificate=found, independent=independent)


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
