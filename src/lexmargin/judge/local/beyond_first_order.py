"""What lies beyond first order: kinks, and curvature away from them (math §3)."""

from __future__ import annotations

import math
from dataclasses import replace

from lexmargin.judge.certificate import Certificate, Rise
from lexmargin.judge.local.kink_ascent import kink_ascent
from lexmargin.judge.local.kinked import at_slope_zero, judged_at_kink, stated_notes
from lexmargin.judge.local.kinked_point import KinkedDirection
from lexmargin.judge.reasons import MANY_SLOPES
from lexmargin.judge.second_order.ascent import rise
from lexmargin.judge.second_order.curvature import second_order
from lexmargin.judge.verdict import Verdict

__all__ = ["beyond_first_order", "from_to"]


def beyond_first_order(place: KinkedDirection, found: Certificate) -> Certificate:
    """Carry a first-order certificate of a direction on to kinks and second order.

    At a kink (``Tolerances.kink``) of a support sample no smooth verdict stands: stationarity is
    decided anew with one element of the generalised gradient per support sample. A refutation
    counts the kinks of other samples too, as far as δ lets these carry weight. Elsewhere, for the
    ℓ2 ball, the reduced Hessian of `½‖w‖² - Σ λ_n f_n(w)` decides between STRICT_LOCAL, SADDLE (an
    increase of the margin was evaluated) and KKT.

    Parameters
    ----------
    place : the direction and its kinks.
    found : the first-order certificate of it.

    Returns
    -------
    Certificate
        with ``nearest_kink``, ``curvature``, ``verdict`` and ``reasons`` updated, and with the
        multipliers and residuals of the generalised gradient at a kink.
    """
    # Where margins alone have decided, nothing else was measured.
    if math.isnan(found.stationarity) or not found.support.size:
        return found
    standing = place.standing(found.support)
    found = replace(found, nearest_kink=standing.nearest)
    if standing.doubt:
        return _unknown(found, standing.doubt)
    if standing.where:
        return _at_kink(place, found, standing.where)
    if found.verdict is Verdict.NOT_STATIONARY:
        return _beside_kinks(place, found)
    if found.norm != 2.0 or not place.bends:
        return found
    return second_order(place.around, found)


def from_to(shown: Rise) -> str:
    """Return the margins that a rise leads from and to, in words."""
    return f"from {math.exp(shown.before):.10g} to {math.exp(shown.after):.10g}"


def _unknown(found: Certificate, doubt: str) -> Certificate:
    return replace(found, verdict=Verdict.UNDECIDED, reasons=(doubt, *found.reasons))


def _beside_kinks(place: KinkedDirection, found: Certificate) -> Certificate:
    """Withdraw a refutation that elements of other samples on kinks may escape, within δ."""
    on, standing = place.beside(found.support)
    if standing.doubt:
        return _unknown(found, standing.doubt)
    if not on.size:
        return found
    limits = found.tolerances
    lower = place.bounded(found.stationarity_bound, on, found.norm, limits)
    if lower > limits.stationarity:
        return replace(found, stationarity_bound=lower)
    return _at_kink(place, found, standing.where)


def _at_kink(place: KinkedDirection, found: Certificate, where: str) -> Certificate:
    support = found.support

    def said(why: str, word: Verdict = Verdict.UNDECIDED) -> Certificate:
        reasons = (f"{where}: {why}", *stated_notes(found))
        return replace(found, verdict=word, licq=at_slope_zero(found.licq), reasons=reasons)

    if found.norm != 2.0:
        if place.slope_zero and found.verdict.stationary:
            why = "stationary with slope 0 there, one element of the generalised gradient"
            return said(why, Verdict.CLARKE_KKT)
        return said("the generalised gradient is tried for the ℓ2 ball only")
    if support.size > place.most_rows:
        return said(f"{support.size} support margins are too many to choose slopes")
    sets = place.sets(support)
    if sets is None:
        return said(MANY_SLOPES)
    judged, element = judged_at_kink(found, place, sets, where)
    if judged.verdict is not Verdict.CLARKE_KKT:
        return judged
    ascent = kink_ascent(element.indices, element.sets, element.clarke)
    if ascent is None:
        return judged
    shown = rise(place.around(judged), ascent, judged.stationarity)
    if shown is None:
        return judged
    why = f"turning units on at their kinks raises the margin {from_to(shown)}: no local maximum"
    reasons = (*judged.reasons, why)
    return replace(judged, verdict=Verdict.SADDLE, rise=shown, reasons=reasons)
