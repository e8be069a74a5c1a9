"""What lies beyond first order: kinks, curvature, and the birth of neurons (math §3, §4, §7.8)."""

from __future__ import annotations

import functools
import math
from dataclasses import replace

import numpy as np

from lexmargin.formulations.kkt import Kkt
from lexmargin.judge.bounds.proved import BoundMethod, Proved, with_proved
from lexmargin.judge.bounds.table import CHEAP, with_bounds
from lexmargin.judge.certificate import Certificate
from lexmargin.judge.local.ascent import Rise, rise
from lexmargin.judge.local.beside_kinks import element_moves, kinked_sets, margins_on_kinks
from lexmargin.judge.local.birth import (
    Birth,
    birth_ascent,
    birth_value,
    dead_units,
    leak,
    widened,
)
from lexmargin.judge.local.birth_choice import best_birth
from lexmargin.judge.local.clarke import gradient_sets
from lexmargin.judge.local.kink_ascent import kink_ascent
from lexmargin.judge.local.kinked import at_slope_zero, judged_at_kink, stated_notes, where_of
from lexmargin.judge.local.kinks import Kink, Kinks, measure_kinks, samples_of
from lexmargin.judge.multipliers.qualification import GradientChoice, compact, licq
from lexmargin.judge.point import check_euler, unit_point
from lexmargin.judge.second_order.curvature import second_order
from lexmargin.judge.second_order.hessians import PredictorCurved
from lexmargin.judge.second_order.vicinity import Vicinity, around_direction
from lexmargin.judge.verdict import Verdict
from lexmargin.judge.weight_reach import weight_reach
from lexmargin.linalg.rounding import EPS
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray
from lexmargin.ops.curvature import Curvature as FunctionCurvature

__all__ = ["refine"]


def refine(
    functions: MarginFunctions,
    theta: FloatArray,
    degree: float,
    norm: float,
    certificate: Certificate,
) -> Certificate:
    """Carry a first-order certificate of a homogeneous problem on to kinks and second order.

    At a kink (``Tolerances.kink``) of a support sample no smooth verdict stands: stationarity is
    decided anew with one element of the generalised gradient per support sample. At a smooth KKT
    direction of the ℓ2 ball the reduced Hessian of `½‖w‖² - Σ λ_n f_n(w)` decides between
    STRICT_LOCAL, SADDLE (an increase of the margin was evaluated) and KKT. For two-layer networks
    of positively homogeneous units the birth test may prove GLOBAL, or revive a dead unit.

    Parameters
    ----------
    functions : the margin functions.
    theta : (d,) the point, at any scale.
    degree, norm : α and the exponent of the ball.
    certificate : the first-order certificate of the same point.

    Returns
    -------
    Certificate
        with ``nearest_kink``, ``curvature``, ``verdict`` and ``reasons`` updated, and with the
        multipliers and residuals of the generalised gradient at a kink.
    """
    if certificate.verdict is Verdict.NOT_SEPARATING or not certificate.support.size:
        return certificate
    scaled = theta / float(np.max(np.abs(theta)))
    unit = scaled / float(np.linalg.norm(scaled))
    kinks = measure_kinks(functions, unit, certificate.support)
    on: list[Kink] = []
    found = certificate
    if kinks is not None:
        found = replace(found, nearest_kink=kinks.nearest_on_support.distance)
        samples = samples_of(functions, certificate.support)
        on = kinks.within(certificate.tolerances.kink, samples)
    if on:
        found = _at_kink(functions, unit, degree, norm, found, on)
    elif kinks is not None and found.verdict is Verdict.NOT_STATIONARY:
        found = _beside_kinks(functions, unit, degree, norm, found, kinks)
    elif norm == 2.0 and functions.curvature is not FunctionCurvature.AFFINE:
        found = second_order(_around(functions, unit, degree, found), found)
    if norm != 2.0:
        return found
    found = with_bounds(Kkt(functions=functions, point=unit), found, CHEAP)
    return found if leak(functions.predictor) is None else _birth(functions, unit, found)


def _at_kink(
    functions: MarginFunctions,
    theta: FloatArray,
    degree: float,
    norm: float,
    certificate: Certificate,
    kinks: list[Kink],
) -> Certificate:
    where = where_of(kinks)
    if norm != 2.0:
        verdict, why = Verdict.UNDECIDED, "the generalised gradient is tried for the ℓ2 ball only"
        if certificate.verdict.stationary:
            verdict = Verdict.CLARKE_KKT
            why = "stationary with slope 0 there, one element of the generalised gradient"
        return replace(
            certificate,
            verdict=verdict,
            licq=at_slope_zero(certificate.licq),
            reasons=(f"{where}: {why}", *stated_notes(certificate)),
        )
    doubt = _doubt(functions, theta, degree, certificate)
    sets = gradient_sets(functions, theta, certificate.support, kinks) if not doubt else None
    if sets is None:
        why = doubt or "too many combinations of slopes to list"
        return replace(
            certificate,
            verdict=Verdict.UNDECIDED,
            licq=at_slope_zero(certificate.licq),
            reasons=(f"{where}: {why}", *stated_notes(certificate)),
        )
    values, limit = functions.values(theta), certificate.tolerances.kink
    sets_of = functools.partial(kinked_sets, functions, theta, limit)
    found, element = judged_at_kink(certificate, sets, theta, degree, values, where, sets_of)
    clarke = element.clarke
    independence = licq(compact(clarke.elements), certificate.tolerances.rank)
    found = replace(found, licq=replace(independence, of=GradientChoice.CHOSEN))
    if found.verdict is not Verdict.CLARKE_KKT:
        return found
    ascent = kink_ascent(element.indices, element.sets, clarke)
    if ascent is None:
        return found
    shown = rise(_around(functions, theta, degree, found), ascent, clarke.residual)
    if shown is None:
        return found
    return replace(
        found,
        verdict=Verdict.SADDLE,
        rise=shown,
        reasons=(
            *found.reasons,
            f"turning units on at their kinks raises the margin {_numbers(shown)}: no local "
            "maximum",
        ),
    )


def _beside_kinks(
    functions: MarginFunctions,
    theta: FloatArray,
    degree: float,
    norm: float,
    certificate: Certificate,
    kinks: Kinks,
) -> Certificate:
    """Withdraw a refutation that elements of other samples on kinks may escape, within δ."""
    limits = certificate.tolerances
    on = kinks.within(limits.kink, range(functions.data.n_samples))
    if not on:
        return certificate
    jacobian, values = functions.jacobian(theta), functions.values(theta)
    sets_of = functools.partial(kinked_sets, functions, theta, limits.kink)
    reach = weight_reach(
        margins_on_kinks(functions, kinks, limits.kink),
        element_moves(sets_of, lambda indices: jacobian[indices], norm),
        degree * (values - float(np.min(values))),
        theta,
        norm,
    )
    lower = certificate.stationarity_bound - limits.complementarity * reach
    if lower > limits.stationarity:
        return replace(certificate, stationarity_bound=lower)
    return _at_kink(functions, theta, degree, norm, certificate, on)


def _around(
    functions: MarginFunctions, theta: FloatArray, degree: float, found: Certificate
) -> Vicinity:
    return around_direction(
        PredictorCurved(functions),
        theta,
        degree,
        found.multipliers,
        found.support,
        found.tolerances,
        found.nearest_kink,
    )


def _numbers(shown: Rise) -> str:
    before, after = math.exp(shown.before), math.exp(shown.after)
    return f"from {before:.10g} to {after:.10g}"


def _doubt(
    functions: MarginFunctions, theta: FloatArray, degree: float, certificate: Certificate
) -> str:
    """Return why the arithmetic cannot be trusted with a verdict here, or an empty string."""
    limits = certificate.tolerances
    point = unit_point(functions.values(theta), functions.jacobian(theta), theta, degree)
    rows = point.jacobian[point.margins <= point.margin]
    noise = 2.0 * EPS * float(np.max(np.abs(rows) @ np.abs(point.theta)))
    if degree * point.margin <= noise:
        return "the margin is no larger than its own rounding error"
    mismatch = check_euler(point, limits.euler)
    if mismatch > max(limits.support, limits.stationarity, limits.kink):
        return f"f and the gradients contradict Euler's identity by {mismatch:.3g} of the margin"
    return ""


def _birth(functions: MarginFunctions, theta: FloatArray, certificate: Certificate) -> Certificate:
    """Bound the margin of every width by the multipliers, or show that a new neuron raises it."""
    slope = leak(functions.predictor)
    total = float(np.sum(certificate.multipliers))
    usable = certificate.verdict.stationary and certificate.verdict is not Verdict.GLOBAL
    if slope is None or not usable or not (np.isfinite(total) and total > 0.0):
        return certificate
    found = birth_value(functions.data.X, functions.score_weights(certificate.multipliers), slope)
    margin = certificate.margin
    some = ""
    if certificate.multiplier_dimension and 0.5 * found.upper / total > margin:
        certificate, found, some = _chosen(functions, theta, certificate, slope)
        total = float(np.sum(certificate.multipliers))
    bound = 0.5 * found.upper / total
    over = max(1.0, bound / margin)
    why = f"birth test {over:.10g}: no network of any width has a margin above the bound"
    proved = Proved(method=BoundMethod.PATTERNS, value=bound, sentence=why, bound=bound)
    result = with_proved(certificate, proved)
    if result.verdict is Verdict.GLOBAL:
        return result
    ratio, limits = 0.5 * found.lower / (total * margin), certificate.tolerances
    if ratio <= 1.0 + limits.gap:
        return replace(
            result,
            reasons=(*result.reasons, f"birth test undecided, between {ratio:.10g} and "
            f"{0.5 * found.upper / (total * margin):.10g}"),
        )  # fmt: skip
    u = np.array2string(found.direction, precision=6, threshold=8)
    named = f"birth test {ratio:.10g} > 1 at u = {u}{some}"
    return _revived(functions, theta, result, found, named)


def _chosen(
    functions: MarginFunctions, theta: FloatArray, certificate: Certificate, slope: float
) -> tuple[Certificate, Birth, str]:
    """Take the λ of smallest birth test, and say what the test is at least for every other λ."""
    support, limits = certificate.support, certificate.tolerances
    rows = functions.jacobian(theta)[support]
    total = 2.0 * certificate.margin * float(np.sum(certificate.multipliers))
    enough = total * (1.0 + 0.1 * limits.gap)
    choice = best_birth(functions, rows, support, certificate.multipliers, slope, enough)
    values = choice.multipliers[support]
    residual = float(np.linalg.norm(theta - values @ rows))
    f = functions.values(theta)[support]
    complementarity = certificate.degree * float(values @ (f - np.min(f)))
    worse = complementarity > max(limits.complementarity, certificate.complementarity)
    if worse or residual > max(limits.stationarity, certificate.stationarity):
        old = functions.score_weights(certificate.multipliers)
        return certificate, birth_value(functions.data.X, old, slope), ""
    found = replace(
        certificate,
        multipliers=choice.multipliers,
        stationarity=max(residual, certificate.stationarity_bound),
        complementarity=complementarity,
    )
    return found, choice.birth, f", and at least {choice.floor / total:.10g} for every λ"


def _revived(
    functions: MarginFunctions,
    theta: FloatArray,
    certificate: Certificate,
    found: Birth,
    named: str,
) -> Certificate:
    dead = dead_units(functions, theta, certificate.tolerances.kink)[:1]
    for unit in [*dead, None]:
        network, start, place = functions, theta, unit
        if place is None:
            network, start, place = widened(functions, theta)
        ascent = birth_ascent(network, found, certificate.multipliers, place)
        around = _around(network, start, 2.0, certificate)
        shown = rise(around, ascent, certificate.stationarity)
        if shown is None:
            continue
        numbers = f"the margin rises {_numbers(shown)}"
        if unit is None:
            named += f"; in a network one unit wider {numbers}"
            return replace(certificate, reasons=(*certificate.reasons, named))
        named += f"; with it as dead unit {unit} {numbers}: no local maximum"
        return replace(
            certificate,
            verdict=Verdict.SADDLE,
            radius=None,
            rise=shown,
            reasons=(*certificate.reasons, named),
        )
    return replace(certificate, reasons=(*certificate.reasons, f"{named}; no increase was shown"))
