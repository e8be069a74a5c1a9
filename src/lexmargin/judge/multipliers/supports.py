"""The support as a tolerance: the smallest τ at which a direction is stationary."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np
from numpy.typing import NDArray

from lexmargin.inputs.limits import ALL_WEIGHTS_ENTRIES
from lexmargin.judge.multipliers.stationarity import Stationarity, on_support
from lexmargin.judge.multipliers.weight_reach import weight_reach
from lexmargin.judge.point import UnitPoint
from lexmargin.judge.tolerances import WIDEST, Tolerances
from lexmargin.linalg.norms import Array
from lexmargin.linalg.rows import dual_lengths, row_lengths

__all__ = ["Ladder", "Rows", "Rung", "climb", "rungs"]


_LITTLE: Final = 1e-3
"""Part of the tolerance of δ whose square is lost beside that of the tolerance."""


@final
@dataclass(frozen=True, eq=False)
class Rung:
    """The support tolerance τ that a verdict rests on, and what was measured there.

    ``beyond`` is what margins of no support, within δ, took from the bound on ε.
    """

    tau: float
    measured: Stationarity
    beyond: float = 0.0


def rungs(first: float) -> tuple[float, ...]:
    """Return ``first``, 10 ``first``, … up to ``WIDEST`` (``first`` alone beyond it)."""
    found = [first]
    while found[-1] * 10.0 < WIDEST * (1.0 - 1e-9):
        found.append(found[-1] * 10.0)
    if found[-1] < WIDEST:
        found.append(WIDEST)
    return tuple(found)


class Ladder(ABC):
    """Margins (N,) at one point, and how ε and δ of supports are measured there.

    margins
        f_n (N,), up to one factor.
    whole
        whether all margins together may be measured too.
    linear
        whether the penalised measure minimises ε + δ, not `ε² + δ²`.
    """

    margins: Array
    whole: bool
    linear: bool = False

    @abstractmethod
    def on(self, support: NDArray[np.intp], *, penalised: bool = False) -> Stationarity:
        """Measure λ on one support; ``penalised`` minimises ε and δ together."""

    @abstractmethod
    def reach(self, far: NDArray[np.intp]) -> float:
        """Return what weight on these margins may lower ε by, for every unit of δ."""

    def support(self, tau: float) -> NDArray[np.intp]:
        """Return `S_τ = {n : f_n ≤ (1+τ) γ}` as indices in increasing order."""
        return np.flatnonzero(self.margins <= (1.0 + tau) * np.min(self.margins))


@final
class Rows(Ladder):
    """A point with its gradients as rows, dense or CSR."""

    def __init__(self, point: UnitPoint) -> None:
        self.point, self.margins = point, point.margins
        self.whole = point.jacobian.size <= ALL_WEIGHTS_ENTRIES
        self.linear = point.is_polyhedral

    def on(self, support: NDArray[np.intp], *, penalised: bool = False) -> Stationarity:
        return on_support(self.point, support, penalised=penalised)

    def reach(self, far: NDArray[np.intp]) -> float:
        point, sizes = self.point, np.zeros(self.margins.size)
        if far.size:
            rows = point.jacobian[far]
            sizes[far] = dual_lengths(rows, point.norm) if self.linear else row_lengths(rows)
        return weight_reach(
            far,
            lambda some: sizes[some],
            point.degree * (point.margins - point.margin),
            point.theta,
            point.norm,
            target=point.target is not None,
        )


def climb(ladder: Ladder, limits: Tolerances) -> Rung:
    """Return the smallest τ at which both ε and δ are within tolerance.

    An interior-point answer holds its active constraints with slacks μ/λ_n, so that samples of
    small multiplier leave every fixed support; (ε, δ)-KKT (Lyu & Li 2020) needs no support at all,
    and a wider one loosens nothing because δ is bounded by itself.

    Where no τ serves, the τ of smallest ε is returned with ``lower`` proven for all λ ≥ 0 with δ
    within tolerance: `ε² ≥ min(ε² + δ²) - δ²` (a sum for ℓ1, ℓ∞).
    """
    best: Rung | None = None
    last: Stationarity | None = None
    support, balanced, much = np.zeros(0, dtype=np.intp), None, False
    for tau in rungs(limits.support):
        wider = ladder.support(tau)
        if wider.size == support.size:
            continue
        support, balanced = wider, None
        measured = last = ladder.on(support)
        if measured.met(limits):
            return Rung(tau, measured)
        # A measure whose δ is too large has an ε below the bound and would contradict it.
        usable = measured.complementarity <= limits.complementarity
        if best is None or (usable and measured.residual < best.measured.residual):
            best = Rung(tau, measured)
        # Where δ is next to nothing, λ of least ε has the least of both too.
        much = measured.complementarity > _LITTLE * limits.complementarity
        if measured.residual <= limits.stationarity or much:
            balanced = ladder.on(support, penalised=True)
            if balanced.met(limits):
                return Rung(tau, replace(balanced, lower=min(measured.lower, balanced.residual)))
    if best is None or last is None:
        raise ValueError("There are no margins.")
    if balanced is None:
        # What bounds ε bounds both.
        balanced = ladder.on(support, penalised=True) if much else last
    lower = _bound(ladder, balanced, limits)
    beyond = 0.0
    if lower > limits.stationarity:
        everyone = np.arange(ladder.margins.size)
        far = np.setdiff1d(everyone, support)
        beyond = limits.complementarity * ladder.reach(far)
        if lower - beyond <= limits.stationarity and ladder.whole:
            lower, beyond = _bound(ladder, ladder.on(everyone, penalised=True), limits), 0.0
    lower = min(max(0.0, lower - beyond), best.measured.residual)
    return Rung(best.tau, replace(best.measured, lower=lower), beyond)


def _bound(ladder: Ladder, widest: Stationarity, limits: Tolerances) -> float:
    """Return a lower bound on ε over all λ with δ within tolerance, from the penalised measure."""
    if ladder.linear:
        return max(0.0, widest.lower - limits.complementarity)
    return math.sqrt(max(0.0, widest.lower**2 - limits.complementarity**2))
