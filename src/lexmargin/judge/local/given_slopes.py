"""Elements of generalised gradients by their slopes at kinks: what a receipt carries of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from lexmargin.judge.given import Evidence
from lexmargin.judge.local.clarke import GradientSets
from lexmargin.judge.local.kinked import element_at_kink
from lexmargin.judge.local.kinked_point import RectifiedPoint
from lexmargin.judge.multipliers.multiplier_set import spread
from lexmargin.judge.tolerances import Tolerances
from lexmargin.linalg.norms import Array

__all__ = ["elements_given", "with_slopes"]

_SEVERAL: Final = "kinks in several layers: the slopes there are not independent"
_OFF: Final = "a slope is given where there is no kink, or outside [0, 1]"


def elements_given(place: RectifiedPoint, evidence: Evidence) -> tuple[Array, bool, str]:
    """Return the elements of a support with the slopes given at its kinks, 0 at the others.

    Args:
        place: a point with a kink of the support.
        evidence: the support, and the slopes.

    Returns:
        the elements (S, d) in the units of the point, whether they are for certain those of the
        generalised gradients, and why they prove nothing; an empty text where they may.
    """
    support, functions = evidence.support, place.functions
    if len(functions.record(place.kkt.point).kinked) != 1:
        return place.rows(support), False, _SEVERAL
    slopes = dict.fromkeys((kink.place for kink in place.touched(support)), 0.0)
    for layer, sample, unit, slope in evidence.slopes:
        if (layer, sample, unit) not in slopes or not 0.0 <= slope <= 1.0:
            return place.rows(support), False, _OFF
        slopes[layer, sample, unit] = slope
    sets = place.sets(support)
    return place.elements(support, slopes), sets is not None and sets.exact, ""


def with_slopes(place: RectifiedPoint, evidence: Evidence, limits: Tolerances) -> Evidence:
    """Return λ, and the slopes of the elements that it combines at the kinks of its support.

    What :func:`~lexmargin.judge.local.kinked.element_at_kink` chooses, in the units of the point.
    As they are where no kink is touched, or slopes in several layers depend on each other.
    """
    support = evidence.support
    sets = place.sets(support) if place.touched(support) else None
    if sets is None or any(vertices.size for vertices in sets.vertices):
        return evidence
    clarke = element_at_kink(place, sets, support, limits).clarke
    return replace(
        evidence,
        multipliers=spread(support, evidence.multipliers.size, clarke.multipliers),
        slopes=_slopes(place, sets, support, clarke.elements),
    )


def _slopes(
    place: RectifiedPoint, sets: GradientSets, support: NDArray[np.intp], elements: Array
) -> tuple[tuple[int, int, int, float], ...]:
    """Return the slope of every kink in the elements (S, d): units have orthogonal parts."""
    functions, kinks = place.functions, place.touched(support)
    each = functions.count // functions.data.n_samples
    zero = dict.fromkeys((kink.place for kink in kinks), 0.0)
    found: dict[tuple[int, int, int], float] = {}
    for row, n in enumerate(support):
        rest = elements[row] - sets.base[row]
        for kink in (k for k in kinks if k.sample == int(n) // each):
            turned = zero | {kink.place: 1.0}
            part = place.elements(support[row : row + 1], turned)[0] - sets.base[row]
            size = float(part @ part)
            slope = min(max(float(rest @ part) / size, 0.0), 1.0) if size > 0.0 else 0.0
            if slope > 0.0:
                found[kink.place] = slope
    return tuple((*key, slope) for key, slope in sorted(found.items()))
