"""The second-order condition at a KKT point (math §3), in coordinates where its cost is ½‖u‖²."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, final

import numpy as np

from lexmargin.inputs.limits import CURVATURE_ENTRIES, DENSE_HESSIAN_PARAMETERS, HESSIAN_PARAMETERS
from lexmargin.judge.certificate import Ascent, Certificate, Rise
from lexmargin.judge.given import Evidence
from lexmargin.judge.multipliers.later import Later
from lexmargin.judge.second_order.ascent import first_rise, rise
from lexmargin.judge.second_order.contraction import strict_near
from lexmargin.judge.second_order.reduced import (
    Reduced,
    reduce,
    strong_margins,
    tangent_ascents,
    units_doubt,
)
from lexmargin.judge.second_order.vicinity import Vicinity
from lexmargin.judge.tolerances import FLAT, HESSIAN_DIFFERENCE, HESSIAN_EULER
from lexmargin.judge.verdict import Verdict
from lexmargin.linalg.norms import Array
from lexmargin.ops.base import FloatArray

__all__ = [
    "Curvature",
    "CurvatureKind",
    "SecondOrder",
    "measured_curvature",
    "second_order",
]


@final
class CurvatureKind(StrEnum):
    """The sign of the Hessian of `½‖w‖² - Σ λ_n f_n(w)` on the critical cone."""

    POSITIVE = "positive"
    """Positive on the whole cone, orbits of symmetries aside."""
    INDEFINITE = "indefinite"
    """Negative somewhere on the cone."""
    UNDECIDED = "undecided"
    """Zero eigenvalues, a cone too hard to decide, or a Hessian that could not be had."""


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Curvature:
    """The reduced Hessian of the Lagrangian, of which the identity is the scale.

    smallest, largest
        its extreme eigenvalues on the tangents of the strongly active f_n, symmetries projected
        out (NaN where there is no tangent, or no Hessian).
    dimension, symmetries
        dimensions of that space and of the orbit of symmetries.
    witness
        (d,) a unit direction of negative curvature; None where there is none.
    margin_before, margin_after, step
        the margin of the direction, and the best one met along the curve that begins along
        ``witness`` after correction back to the active set; None where none was shown, and for
        costs.
    shown
        the gain of that curve follows its rate at all lengths down to what can be seen.
    reason
        what was found, in words.
    """

    kind: CurvatureKind
    smallest: float = math.nan
    largest: float = math.nan
    dimension: int = 0
    symmetries: int = 0
    witness: FloatArray | None = None
    margin_before: float | None = None
    margin_after: float | None = None
    step: float | None = None
    shown: bool = False
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; non-finite numbers are null."""
        return {
            "kind": self.kind.value,
            "smallest": self.smallest if math.isfinite(self.smallest) else None,
            "largest": self.largest if math.isfinite(self.largest) else None,
            "dimension": self.dimension,
            "symmetries": self.symmetries,
            "witness": None if self.witness is None else self.witness.tolist(),
            "margin_before": self.margin_before,
            "margin_after": self.margin_after,
            "step": self.step,
            "shown": self.shown,
            "reason": self.reason,
        }

    def __str__(self) -> str:
        text = f"{self.kind.value}: {self.reason}"
        if math.isfinite(self.smallest):
            text += f"; eigenvalues {self.smallest:.6g} to {self.largest:.6g}"
        return f"{text}, {self.dimension} tangents, {self.symmetries} symmetries"


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class SecondOrder:
    """The word that second order gives to a KKT point, and what it rests on.

    radius
        with STRICT_LOCAL: a strict local maximiser lies within this part of ‖θ‖.
    rise
        with SADDLE: the gains along a curve that begins at the point.
    """

    verdict: Verdict
    curvature: Curvature
    reason: str
    radius: float | None = None
    rise: Rise | None = None


def second_order(
    around: Callable[[Certificate], Vicinity | str],
    found: Certificate,
    given: Evidence | None = None,
) -> Certificate:
    """Carry a KKT certificate on: STRICT_LOCAL, SADDLE, or KKT and why.

    Other verdicts pass unchanged, and so does a KKT point at which 0 is a combination of gradients;
    GLOBAL keeps its word, and has the numbers for whoever reads them.

    Parameters
    ----------
    around : what lies around the point of a certificate, or why nothing is said of it.
    found : the first-order certificate, smooth at its point.
    given : what a receipt carries: its curve is evaluated, and none is searched for.
    """
    known = found.verdict is Verdict.GLOBAL
    asked = found.verdict is Verdict.KKT or (known and given is None)
    if not asked or found.stationarity > found.tolerances.stationarity:
        return found
    vicinity = around(found)

    def measured() -> SecondOrder:
        if isinstance(vicinity, str):
            return _open(vicinity)
        return measured_curvature(vicinity, words=not known, given=given)

    if known:
        return replace(found, second_order=Later(lambda: measured().curvature))
    word = measured()
    return replace(
        found,
        verdict=word.verdict,
        second_order=Later(lambda: word.curvature),
        radius=word.radius,
        rise=word.rise,
        reasons=(*found.reasons, word.reason),
    )


def measured_curvature(
    vicinity: Vicinity, *, words: bool = True, given: Evidence | None = None
) -> SecondOrder:
    """Judge `d·(I - Σ λ_n ∇²f_n(θ)) d` on the critical cone of a smooth KKT point.

    Up to ``HESSIAN_PARAMETERS`` the Hessian is formed; above, the smallest eigenvalue is looked for
    by Lanczos' method, which can show a saddle and prove nothing else. Products that are second
    derivatives are compared with differences of gradients.

    Parameters
    ----------
    vicinity : the point, smooth there.
    words : whether STRICT_LOCAL and SADDLE are asked for, or the numbers alone.
    given : what a receipt carries: its curve is evaluated first, and none is searched for.

    Returns
    -------
    SecondOrder
        SADDLE only where gains were evaluated down to what can be seen, STRICT_LOCAL only where a
        strict maximiser was shown to be near.
    """
    functions = vicinity.functions
    if vicinity.support.size * functions.size > CURVATURE_ENTRIES:
        return _open(
            f"{functions.size} parameters and {vicinity.support.size} support margins are too many "
            "for a second-order test"
        )
    error = vicinity.error
    if not math.isfinite(error):
        return _open("the gradients are not finite")
    if given is not None and given.ascent is not None:
        shown = rise(vicinity, given.ascent, error)
        if shown is not None:
            curvature = Curvature(kind=CurvatureKind.INDEFINITE, reason="negative curvature")
            return _risen(vicinity, curvature, shown)
    if not functions.exact and functions.size > DENSE_HESSIAN_PARAMETERS:
        return _open(f"{functions.size} parameters are more than {DENSE_HESSIAN_PARAMETERS}")
    if functions.size > HESSIAN_PARAMETERS:
        return _by_lanczos(vicinity, error)
    reduced = reduce(vicinity)
    if isinstance(reduced, str):
        return _open(reduced)
    doubt = _doubt(vicinity, reduced.lagrangian)
    if doubt:
        return _open(doubt)
    sizes = {"dimension": reduced.eigenvalues.size, "symmetries": reduced.orbit.shape[0]}
    if not reduced.eigenvalues.size:
        empty = Curvature(
            kind=CurvatureKind.POSITIVE, reason="the critical cone holds no direction", **sizes
        )
        return _strict(vicinity, reduced, empty) if words else _plain(empty)
    low, high = float(reduced.eigenvalues[0]), float(reduced.eigenvalues[-1])
    measured = Curvature(kind=CurvatureKind.UNDECIDED, smallest=low, largest=high, **sizes)
    zero = _zero(low, high, error)
    if low > zero:
        positive = _with(measured, CurvatureKind.POSITIVE, "positive on the critical cone")
        return _strict(vicinity, reduced, positive) if words else _plain(positive)
    if low >= -zero:
        flat = int(np.count_nonzero(reduced.eigenvalues <= zero))
        many = "s" if flat > 1 else ""
        return _plain(_with(
            measured,
            CurvatureKind.UNDECIDED,
            f"{flat} flat direction{many}, no known symmetry of the problem",
        ))  # fmt: skip
    candidates = list(tangent_ascents(vicinity, reduced, zero)) if given is None else []
    if not candidates:
        return _plain(_with(
            measured,
            CurvatureKind.UNDECIDED,
            "negative curvature on the tangents of the strongly active margins only",
        ))  # fmt: skip
    indefinite = replace(
        _with(measured, CurvatureKind.INDEFINITE, "negative curvature in the critical cone"),
        witness=candidates[0].direction,
    )
    return _searched(vicinity, indefinite, candidates, error)


def _open(reason: str) -> SecondOrder:
    return _plain(Curvature(kind=CurvatureKind.UNDECIDED, reason=reason))


def _plain(curvature: Curvature, tail: str = "") -> SecondOrder:
    reason = f"second order undecided: {curvature.reason}{tail}"
    return SecondOrder(verdict=Verdict.KKT, curvature=curvature, reason=reason)


def _with(found: Curvature, kind: CurvatureKind, reason: str) -> Curvature:
    return replace(found, kind=kind, reason=reason)


def _zero(low: float, high: float, error: float) -> float:
    """Return the size below which an eigenvalue counts as zero."""
    return max(FLAT * max(1.0, high, -low), math.sqrt(10.0 * error))


def _strict(vicinity: Vicinity, reduced: Reduced, positive: Curvature) -> SecondOrder:
    radius = strict_near(vicinity, reduced)
    if isinstance(radius, str):
        return _plain(positive, f", but {radius}")
    modulo = ""
    if positive.symmetries:
        modulo = f", modulo an orbit of symmetries of dimension {positive.symmetries}"
    return SecondOrder(
        verdict=Verdict.STRICT_LOCAL,
        curvature=positive,
        reason=f"second order: {positive.reason}{modulo}; a strict local optimum lies within "
        f"{radius:.1e}",
        radius=radius,
    )


def _searched(
    vicinity: Vicinity, indefinite: Curvature, candidates: list[Ascent], error: float
) -> SecondOrder:
    shown = first_rise(vicinity, candidates, error)
    if shown is None:
        tail = f", but no increase of the {vicinity.goal} was shown to begin at the point"
        if vicinity.goal != "margin":
            tail = tail.replace("increase", "decrease")
        return _plain(indefinite, tail)
    return _risen(vicinity, indefinite, shown)


def _risen(vicinity: Vicinity, indefinite: Curvature, shown: Rise) -> SecondOrder:
    margins = vicinity.goal == "margin"
    sign, word = (1.0, "rises") if margins else (-1.0, "falls")
    before, after = math.exp(sign * shown.before), math.exp(sign * shown.after)
    reason = (
        f"along a direction of negative curvature the {vicinity.goal} {word} from {before:.10g} "
        f"to {after:.10g}, as the square of the length from {shown.shortest:.0e} on"
    )
    curvature = replace(
        indefinite,
        witness=shown.ascent.direction,
        margin_before=before if margins else None,
        margin_after=after if margins else None,
        step=shown.step,
        shown=True,
        reason=reason,
    )
    return SecondOrder(
        verdict=Verdict.SADDLE,
        curvature=curvature,
        reason=f"no local {'maximum' if margins else 'optimum'}: {reason}",
        rise=shown,
    )


def _by_lanczos(vicinity: Vicinity, error: float) -> SecondOrder:
    """Look for negative curvature where the Hessian is too large to form."""
    from lexmargin.linalg.lanczos import smallest_on_tangents

    functions, theta, weights = vicinity.functions, vicinity.theta, vicinity.multipliers
    rows = vicinity.support_rows
    doubt = units_doubt(rows)
    if not doubt and functions.jumps(theta, weights, vicinity.limits.kink):
        doubt = "the second derivative of relu^p jumps here"
    if not doubt:
        doubt = _doubt(vicinity, None)
    if doubt:
        return _open(doubt)
    held = strong_margins(vicinity)
    if not held.size:
        return _open("no multiplier is clear of the error, so that no margin holds the point")
    own = np.vstack([rows[np.searchsorted(vicinity.support, held)], functions.fixed])
    # Flat orbits do not hide negative curvature, which is all that is looked for here.
    low, vector = smallest_on_tangents(
        lambda v: np.asarray(v - functions.hessian_products(theta, weights, v[None, :])[0]), own
    )
    found = Curvature(
        kind=CurvatureKind.UNDECIDED, smallest=low, dimension=functions.size - len(own)
    )
    if math.isnan(low):
        return _plain(_with(found, found.kind, "Lanczos' method did not converge"))
    if not low < -_zero(low, 1.0, error):
        return _plain(_with(
            found,
            found.kind,
            f"of {functions.size} parameters the Hessian is not formed; Lanczos' method met no "
            f"curvature below {low:.3g}, which is no proof",
        ))  # fmt: skip
    indefinite = replace(
        _with(found, CurvatureKind.INDEFINITE, "negative curvature on the tangents"),
        witness=vector,
    )
    both = [Ascent(vector, held, 2), Ascent(-vector, held, 2)]
    return _searched(vicinity, indefinite, both, error)


def _doubt(vicinity: Vicinity, lagrangian: Array | None) -> str:
    """Compare the Hessian with the gradients: Euler's identity and a difference."""
    functions, theta, weights = vicinity.functions, vicinity.theta, vicinity.multipliers
    if not functions.exact:
        return ""
    direction = np.random.default_rng(0).standard_normal(theta.size)
    direction /= np.linalg.norm(direction)
    pair = np.array([theta, direction])
    if lagrangian is None:
        radial, product = functions.hessian_products(theta, weights, pair)
    else:
        radial, product = pair - pair @ lagrangian
    euler = 0.0
    if vicinity.degree is not None:
        gradient = functions.vjp(theta, weights)
        euler = float(np.linalg.norm(radial - (vicinity.degree - 1.0) * gradient))
        euler /= max(1.0, vicinity.degree)
    step = 1e-6
    if vicinity.nearest_kink is not None:
        step = min(step, 0.1 * vicinity.nearest_kink / vicinity.reach)
    ahead = functions.vjp(theta + step * direction, weights)
    behind = functions.vjp(theta - step * direction, weights)
    error = float(np.linalg.norm((ahead - behind) / (2.0 * step) - product))
    scale = max(1.0, float(np.linalg.norm(product)))
    if euler > HESSIAN_EULER or not error <= HESSIAN_DIFFERENCE * scale + 1e-14 / step:
        return f"two routes to the second derivative differ by {max(euler, error):.3g}"
    return ""
