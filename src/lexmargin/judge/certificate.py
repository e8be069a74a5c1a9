"""The certificate: one verdict about a direction, with every quantity it rests on."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from lexmargin.judge.autodiff.scores import Indices
from lexmargin.judge.multipliers.later import Later
from lexmargin.judge.multipliers.qualification import (
    GradientChoice,
    LicqReport,
    MfcqReport,
    MultiplierSet,
)
from lexmargin.judge.multipliers.stationarity import CurvePoint, TradeOffPoint
from lexmargin.judge.tolerances import Tolerances
from lexmargin.judge.verdict import Verdict
from lexmargin.linalg.norms import Array

__all__ = ["Ascent", "Certificate", "Check", "Rise"]

_SHOWN = 8
"""Words of a list in the report; the JSON has all of them."""
_WHOSE = {
    GradientChoice.GRADIENTS: "",
    GradientChoice.SLOPE_ZERO: " (with slope 0 at the kinks)",
    GradientChoice.CHOSEN: " (of the elements chosen at the kinks)",
}


@final
@dataclass(frozen=True)
class Check:
    """One identity: its name, its relative error, and the error that is allowed."""

    name: str
    error: float
    tolerance: float

    @property
    def holds(self) -> bool:
        """Whether the error is within its tolerance."""
        return self.error <= self.tolerance


@final
@dataclass(frozen=True, eq=False)
class Ascent:
    """The curve `u(s) = θ + s d + c(s)`, c the shortest step that brings f_held back to its value.

    direction
        d (d,), of length 1 in the coordinates of the vicinity.
    held
        the margin functions that the correction holds.
    order
        2 along a tangent, where the gain is of second order; 1 where a kink is left.
    """

    direction: Array
    held: Indices
    order: int


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Rise:
    """Gains that were evaluated along an ascent.

    rate
        κ of the gain κ s^order of ½‖u‖², at the shortest length that shows it.
    shortest, longest
        the lengths between which every gain follows the rate.
    before, after, step
        ``worth`` at the point, the best one met along the curve, and at which length.
    """

    ascent: Ascent
    rate: float
    shortest: float
    longest: float
    before: float
    after: float
    step: float

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "order": self.ascent.order,
            "rate": self.rate,
            "shortest": self.shortest,
            "longest": self.longest,
        }


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Certificate:
    """A verdict and the quantities of math §3, measured at the unit direction θ̂.

    verdict
        the word; ``reasons`` says why it is this one.
    stationarity, stationarity_bound
        ε, and a proven lower bound on it over all λ ≥ 0 (NaN where no margin is positive).
    complementarity
        δ = α Σ λ_n (f_n(θ̂) - γ).
    feasibility
        relative shortfall of the stated margins below the stated target; 0 without a target.
    margin
        γ = min_n f_n(θ̂).
    support, multipliers
        S_τ (indices) and λ ≥ 0 (N,) with `θ̂ ≈ Σ λ_n ∇f_n(θ̂)` (a norm gradient at θ̂ unless ℓ2).
    euler
        α γ Σ λ_n, 1 at an exact stationary point.
    multiplier_set, independence, interior, second_order
        what ``multiplier_dimension``, ``multiplier_range``, ``licq``, ``mfcq`` and ``curvature``
        are read from: where no word needs them they are computed when they are read, and the
        gradients of the support are kept until then.
    radius
        with STRICT_LOCAL: a strict local optimum lies within this part of ‖θ‖ (for costs, in the
        metric of the cost); None with other words.
    rise
        with SADDLE: the gains along a curve that begins at θ; None with other words.
    gap, bound
        `(bound - γ)/bound` and the proven upper bound on all margins; None where there is none.
    margin_ratio, definition_3
        γ/γ* and the paper's Definition 3 to the letter, when γ* is given or proven.
    tau
        the support tolerance τ that the verdict rests on: the smallest at which ε and δ are within
        tolerance (NaN where no support was measured).
    kkt_epsilon, kkt_delta
        the (ε, δ)-KKT pair of Lyu & Li (2020) at `w = θ̂/γ^{1/α}`: `‖w - Σ λ_n ∇f_n(w)‖` and
        `max_n λ_n (f_n(w) - 1)`; None unless homogeneous with the Euclidean norm.
    angle
        radians between -∇L and θ̂ (Remark 2); None for other problems than those with a loss.
    checks
        further identities of this problem, with what was found and what they should be.
    separates
        of a loss, which asks for no separator: whether every f_n(ρθ) is positive; None for other
        problems, and where it is not known.
    levels
        the values of the levels of a staged problem, recomputed; None for other problems.
    tau_curve, trade_off
        ε against τ and ε against δ, where `curves` was asked for them.
    degree, norm, nearest_kink, tolerances
        α, the ball's exponent, distance to the nearest kink (None: smooth or not asked for).
    """

    verdict: Verdict
    margin: float
    support: NDArray[np.intp]
    multipliers: Array
    norm: float
    tolerances: Tolerances
    reasons: tuple[str, ...]
    stationarity: float = math.nan
    stationarity_bound: float = math.nan
    complementarity: float = math.nan
    feasibility: float = 0.0
    euler: float = math.nan
    multiplier_set: Later[MultiplierSet] | None = None
    independence: Later[LicqReport] | None = None
    interior: Later[MfcqReport] | None = None
    second_order: Later[Any] | None = None
    gap: float | None = None
    bound: float | None = None
    margin_ratio: float | None = None
    definition_3: bool | None = None
    degree: float = math.nan
    nearest_kink: float | None = None
    tau: float = math.nan
    kkt_epsilon: float | None = None
    kkt_delta: float | None = None
    angle: float | None = None
    checks: tuple[Check, ...] = ()
    levels: tuple[float, ...] | None = None
    levels_gap: float | None = None
    tau_curve: tuple[CurvePoint, ...] | None = None
    trade_off: tuple[TradeOffPoint, ...] | None = None
    radius: float | None = None
    rise: Rise | None = None
    separates: bool | None = None

    @property
    def multiplier_dimension(self) -> int | None:
        """Dimension of the polytope of multipliers."""
        found = None if self.multiplier_set is None else self.multiplier_set.read()
        return None if found is None else found.dimension

    @property
    def multiplier_range(self) -> tuple[tuple[float, float], ...] | None:
        """(low, high) of the multiplier of each support sample."""
        found = None if self.multiplier_set is None else self.multiplier_set.read()
        return None if found is None else found.ranges

    @property
    def licq(self) -> LicqReport | None:
        """Linear independence of the support's gradients."""
        return None if self.independence is None else self.independence.read()

    @property
    def mfcq(self) -> MfcqReport | None:
        """Mangasarian-Fromovitz on the support's gradients."""
        return None if self.interior is None else self.interior.read()

    @property
    def curvature(self) -> Any | None:
        """The second-order report; None where there is none."""
        return None if self.second_order is None else self.second_order.read()

    @property
    def certified(self) -> bool:
        """Whether the verdict is positive."""
        return self.verdict.certified

    @property
    def on_kink(self) -> bool:
        """Whether a kink is so near that a gradient is one element of several."""
        return self.nearest_kink is not None and self.nearest_kink <= self.tolerances.kink

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; non-finite numbers are null."""
        licq, independence = None, self.licq
        if independence is not None:
            licq = {
                "holds": independence.holds,
                "rank": independence.rank,
                "count": independence.count,
                "sigma_min": _number(independence.sigma_min),
                "sigma_max": _number(independence.sigma_max),
                "of": independence.of.value,
            }
        curvature = self.curvature
        if curvature is not None and hasattr(curvature, "to_json"):
            curvature = curvature.to_json()
        ranges = self.multiplier_range
        return {
            "verdict": self.verdict.value,
            "stationarity": _number(self.stationarity),
            "stationarity_bound": _number(self.stationarity_bound),
            "complementarity": _number(self.complementarity),
            "feasibility": _number(self.feasibility),
            "margin": _number(self.margin),
            "support": [int(n) for n in self.support],
            "multipliers": [_number(value) for value in self.multipliers],
            "euler": _number(self.euler),
            "multiplier_dimension": self.multiplier_dimension,
            "multiplier_range": None
            if ranges is None
            else [[_number(low), _number(high)] for low, high in ranges],
            "licq": licq,
            "mfcq": None if self.mfcq is None else self.mfcq.holds,
            "curvature": curvature,
            "radius": _number(self.radius),
            "rise": None if self.rise is None else self.rise.to_json(),
            "gap": _number(self.gap),
            "bound": _number(self.bound),
            "margin_ratio": _number(self.margin_ratio),
            "definition_3": self.definition_3,
            "degree": _number(self.degree),
            "nearest_kink": _number(self.nearest_kink),
            "norm": "inf" if math.isinf(self.norm) else self.norm,
            "tolerances": self.tolerances.to_json(),
            "tau": _number(self.tau),
            "kkt_epsilon": _number(self.kkt_epsilon),
            "kkt_delta": _number(self.kkt_delta),
            "angle": _number(self.angle),
            "separates": self.separates,
            "checks": [
                {"name": c.name, "error": _number(c.error), "holds": c.holds} for c in self.checks
            ],
            "levels": None if self.levels is None else [_number(v) for v in self.levels],
            "tau_curve": None
            if self.tau_curve is None
            else [[c.tau, _number(c.residual), c.count] for c in self.tau_curve],
            "trade_off": None
            if self.trade_off is None
            else [[_number(t.residual), _number(t.complementarity)] for t in self.trade_off],
            "reasons": list(self.reasons),
        }

    def report(self) -> str:
        """Return a short text: the verdict, why, and each quantity beside its tolerance."""
        limits = self.tolerances
        lines = [("verdict", self.verdict.value)]
        lines += [("because" if not index else "", why) for index, why in enumerate(self.reasons)]
        lines.append(("margin", f"{self.margin:.12g}"))
        if self.separates is not None:
            lines.append(("separates", "yes" if self.separates else "no"))
        if not math.isnan(self.stationarity):
            lines += [
                ("stationarity", _against(self.stationarity, limits.stationarity)),
                ("complementarity", _against(self.complementarity, limits.complementarity)),
            ]
        if not math.isnan(self.euler):
            lines.append(("Euler check", f"{self.euler:.12g} (1 when stationary)"))
        if self.kkt_epsilon is not None and self.kkt_delta is not None:
            pair = f"ε {self.kkt_epsilon:.3e}, δ {self.kkt_delta:.3e} at margin 1"
            lines.append(("(ε, δ)-KKT", pair))
        if self.angle is not None:
            lines.append(("angle", f"{self.angle:.3e} rad between -∇L and θ"))
        for check in self.checks:
            lines.append(("check", f"{check.name}: {_against(check.error, check.tolerance)}"))
        if self.levels is not None:
            lines.append(("levels", _short([f"{value:.12g}" for value in self.levels])))
        lines.append(("feasibility", _against(self.feasibility, limits.feasibility)))
        within = "" if math.isnan(self.tau) else f" (τ = {self.tau:.0e})"
        lines.append(("support", _short([str(int(n)) for n in self.support]) + within))
        positive = self.multipliers[self.support]
        lines.append(("multipliers", _short([f"{value:.6g}" for value in positive])))
        if self.multiplier_dimension is not None:
            lines.append(("multiplier set", f"dimension {self.multiplier_dimension}"))
        licq = self.licq
        if licq is not None:
            rank = "not computed" if licq.rank is None else str(licq.rank)
            word = "holds" if licq.holds else "fails"
            whose = _WHOSE[licq.of]
            text = f"{word}, rank {rank} of {licq.count}, σ {licq.sigma_min:.3g}{whose}"
            lines.append(("LICQ", text))
        if self.mfcq is not None:
            word = "holds" if self.mfcq.holds else "fails"
            lines.append(("MFCQ", f"{word}, slack {self.mfcq.slack:.3g}"))
        if self.gap is not None:
            bound = "" if self.bound is None else f", bound {self.bound:.12g}"
            lines.append(("gap", f"{_against(self.gap, limits.gap)}{bound}"))
        if self.margin_ratio is not None:
            literal = "holds" if self.definition_3 else "fails"
            lines.append(("γ/γ*", f"{self.margin_ratio:.12g}, Definition 3 {literal}"))
        if self.curvature is not None:
            lines.append(("curvature", str(self.curvature)))
        if self.radius is not None:
            lines.append(("radius", f"{self.radius:.1e}: a strict local optimum is as near"))
        degree = "none" if math.isnan(self.degree) else f"{self.degree:g}"
        lines.append(("degree, norm", f"{degree}, {self.norm:g}"))
        return "\n".join(f"{name:<16}{text}".rstrip() for name, text in lines)

    def __str__(self) -> str:
        return self.report()

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(self.report())}</pre>"


def _number(value: float | None) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return float(value)


def _against(value: float, tolerance: float) -> str:
    return f"{value:.3e} {'≤' if value <= tolerance else '>'} {tolerance:.0e}"


def _short(words: Sequence[str]) -> str:
    if not words:
        return "none"
    if len(words) <= _SHOWN:
        return ", ".join(words)
    return f"{', '.join(words[:_SHOWN])}, … ({len(words)} in all)"
