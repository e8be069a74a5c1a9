"""What lies beyond first order: kinks, and curvature away from them (math §3)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from lexmargin.judge.certificate import Certificate, Rise
from lexmargin.judge.local.kink_ascent import kink_ascent
from lexmargin.judge.local.kinked import Element, at_slope_zero, judged_at_kink, stated_notes
from lexmargin.judge.local.kinked_point import KinkedDirection, KinkedPoint
from lexmargin.judge.second_order.ascent import rise
from lexmargin.judge.second_order.curvature import second_order
from lexmargin.judge.verdict import Verdict

__all__ = ["at_kinks", "beyond_first_order", "from_to"]


def beyond_first_order(
    place: KinkedDirection,
    found: Certificate,
    bounded: Callable[[Certificate], Certificate] = lambda found: found,
) -> Certificate:
    """Carry a first-order certificate of a direction on to kinks and second order.

    What :func:`at_kinks` leaves stationary at a kink is a saddle where turning units on raises the
    margin. Elsewhere, for the ℓ2 ball, the reduced Hessian of `½‖w‖² - Σ λ_n f_n(w)` decides
    between STRICT_LOCAL, SADDLE (an increase of the margin was evaluated) and KKT.

    Parameters
    ----------
    place : the direction and its kinks.
    found : the first-order certificate of it.
    bounded : what is cheaper than second order, and may leave it nothing to say.

    Returns
    -------
    Certificate
        as :func:`at_kinks`, with ``curvature`` too.
    """
    found, element = at_kinks(place, found)
    kinked = found.verdict is Verdict.CLARKE_KKT
    if kinked and element is not None:
        found = _raised(place, found, element)
    found = bounded(found)
    if kinked or found.norm != 2.0 or not place.bends:
        return found
    return second_order(place.around, found)


def at_kinks(
    place: KinkedPoint, found: Certificate, *, chosen: bool = True
) -> tuple[Certificate, Element | None]:
    """Decide stationarity anew where samples are on kinks (math §3, *Kinks*).

    At a kink (``Tolerances.kink``) of a support sample no smooth verdict stands: one element of the
    generalised gradient per support sample decides. A refutation counts the kinks of other samples
    too, as far as δ lets these carry weight.

    Parameters
    ----------
    place : the point and its kinks.
    found : the first-order certificate of it.
    chosen : whether elements may be looked for.

    Returns
    -------
    Certificate, Element or None
        with ``nearest_kink``, ``verdict`` and ``reasons`` updated, and with the multipliers and
        residuals of the generalised gradient at a kink; and the elements there.
    """
    # Where margins alone have decided, nothing else was measured.
    if math.isnan(found.stationarity) or not found.support.size:
        return found, None
    standing = place.standing(found.support)
    found = replace(found, nearest_kink=standing.nearest)
    if standing.doubt:
        return _unknown(found, standing.doubt), None
    where = standing.where
    if not where and found.verdict is Verdict.NOT_STATIONARY:
        # Elements of other samples on kinks may escape the refutation, within δ.
        on, standing = place.beside(found.support)
        if standing.doubt:
            return _unknown(found, standing.doubt), None
        if on.size:
            limits = found.tolerances
            lower = place.bounded(found.stationarity_bound, on, found.norm, limits)
            if lower > limits.stationarity:
                return replace(found, stationarity_bound=lower), None
            where = standing.where
    return _at_kink(place, found, where, chosen) if where else (found, None)


def from_to(shown: Rise) -> str:
    """Return the margins that a rise leads from and to, in words."""
    return f"from {math.exp(shown.before):.10g} to {math.exp(shown.after):.10g}"


def _unknown(found: Certificate, doubt: str) -> Certificate:
    return replace(found, verdict=Verdict.UNDECIDED, reasons=(doubt, *found.reasons))


def _at_kink(
    place: KinkedPoint, found: Certificate, where: str, chosen: bool
) -> tuple[Certificate, Element | None]:
    support = found.support

    def said(why: str, word: Verdict = Verdict.UNDECIDED) -> tuple[Certificate, None]:
        reasons = (f"{where}: {why}", *stated_notes(found))
        independence = at_slope_zero(found.independence)
        return replace(found, verdict=word, independence=independence, reasons=reasons), None

    if found.norm != 2.0:
        if place.slope_zero and found.verdict.stationary:
            why = "stationary with slope 0 there, one element of the generalised gradient"
            return said(why, Verdict.CLARKE_KKT)
        return said("the generalised gradient is tried for the ℓ2 ball only")
    if support.size > place.most_rows:
        return said(f"{support.size} support margins are too many to choose slopes")
    sets = place.sets(support) if chosen else None
    if sets is None:
        return said("the slopes there cannot be chosen, or are too many to list")
    return judged_at_kink(found, place, sets, where)


def _raised(place: KinkedDirection, judged: Certificate, element: Element) -> Certificate:
    ascent = kink_ascent(element.indices, element.sets, element.clarke)
    if ascent is None:
        return judged
    shown = rise(place.around(judged), ascent, judged.stationarity)
    if shown is None:
        return judged
    why = f"turning units on at their kinks raises the margin {from_to(shown)}: no local maximum"
    reasons = (*judged.reasons, why)
    return replace(judged, verdict=Verdict.SADDLE, rise=shown, reasons=reasons)
