"""What lies beyond first order for a predictor: kinks, curvature, and birth (math §3, §4, §7.8)."""

from __future__ import annotations

import functools
from dataclasses import replace

import numpy as np

from lexmargin.judge.bounds.table import CHEAP, with_bounds
from lexmargin.judge.certificate import Certificate
from lexmargin.judge.local.beyond_first_order import beyond_first_order, from_to
from lexmargin.judge.local.birth import (
    Birth,
    birth_ascent,
    birth_value,
    dead_units,
    leak,
    widened,
)
from lexmargin.judge.local.birth_choice import best_birth
from lexmargin.judge.local.kinked_point import PredictorPoint
from lexmargin.judge.proved import BoundMethod, Proved, with_proved
from lexmargin.judge.second_order.ascent import rise
from lexmargin.judge.second_order.hessians import PredictorCurved
from lexmargin.judge.second_order.surroundings import around_direction
from lexmargin.judge.verdict import Verdict

__all__ = ["refine"]


def refine(place: PredictorPoint, certificate: Certificate) -> Certificate:
    """Carry a first-order certificate of a direction on, as :func:`beyond_first_order`, to bounds.

    For two-layer networks of positively homogeneous units the birth test may prove GLOBAL, or
    revive a dead unit.

    Parameters
    ----------
    place : the direction.
    certificate : the first-order certificate of the same point.
    """
    if certificate.verdict is Verdict.NOT_SEPARATING or not certificate.support.size:
        return certificate
    if certificate.norm != 2.0:
        return beyond_first_order(place, certificate)
    cheap = functools.partial(with_bounds, place.kkt, bounds=CHEAP)
    found = beyond_first_order(place, certificate, cheap)
    return found if leak(place.functions.predictor) is None else _birth(place, found)


def _birth(place: PredictorPoint, certificate: Certificate) -> Certificate:
    """Bound the margin of every width by the multipliers, or show that a new neuron raises it."""
    functions = place.functions
    slope = leak(functions.predictor)
    total = float(np.sum(certificate.multipliers))
    usable = certificate.verdict.stationary and certificate.verdict is not Verdict.GLOBAL
    if slope is None or not usable or not (np.isfinite(total) and total > 0.0):
        return certificate
    found = birth_value(functions.data.X, functions.score_weights(certificate.multipliers), slope)
    margin = certificate.margin
    some = ""
    if 0.5 * found.upper / total > margin and certificate.multiplier_dimension:
        certificate, found, some = _chosen(place, certificate, slope)
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
    return _revived(place, result, found, named)


def _chosen(
    place: PredictorPoint, certificate: Certificate, slope: float
) -> tuple[Certificate, Birth, str]:
    """Take the λ of smallest birth test, and say what the test is at least for every other λ."""
    functions, support, limits = place.functions, certificate.support, certificate.tolerances
    rows = place.rows(support)
    total = 2.0 * certificate.margin * float(np.sum(certificate.multipliers))
    enough = total * (1.0 + 0.1 * limits.gap)
    choice = best_birth(functions, rows, support, certificate.multipliers, slope, enough)
    values = choice.multipliers[support]
    residual = float(np.linalg.norm(place.theta - values @ rows))
    f = place.values[support]
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
    place: PredictorPoint,
    certificate: Certificate,
    found: Birth,
    named: str,
) -> Certificate:
    functions, theta, limit = place.functions, place.theta, place.limit
    for unit in [*dead_units(functions, theta, limit)[:1], None]:
        network, start, born = functions, theta, unit
        if born is None:
            network, start, born = widened(functions, theta)
        ascent = birth_ascent(network, found, certificate.multipliers, born)
        around = around_direction(PredictorCurved(network), start, 2.0, certificate)
        shown = rise(around, ascent, certificate.stationarity)
        if shown is None:
            continue
        numbers = f"the margin rises {from_to(shown)}"
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
