"""A KKT point in the coordinates where it has length 1 and its cost is ½‖u‖²."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np

from lexmargin.judge.autodiff.scores import Indices
from lexmargin.judge.second_order.hessians import Curved
from lexmargin.judge.tolerances import WELL_ABOVE, Tolerances
from lexmargin.linalg.norms import Array

__all__ = ["Vicinity"]


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Vicinity:
    """A point with `θ ≈ Σ λ_n ∇f_n(θ)`, ‖θ‖ = 1, and how good the points around it are.

    Two kinds of problem have such points: `min ½‖u‖² s.t. f_n(u) ≥ level`, and the largest margin
    on the unit sphere. For homogeneous f_n they are the same.

    functions
        the margin functions in these coordinates.
    theta, multipliers
        the point (d,), and λ ≥ 0 (N,), 0 outside the support.
    support
        the margin functions that λ was sought among.
    level
        what f_n must reach; None where the margin on the sphere counts.
    degree
        α where all f_n are homogeneous, so that a point may be stretched to any level; else None.
    worth
        logarithm of the margin, or of 1/cost, of any point after a stretch to the sphere or to the
        level; larger is better.
    limits
        the tolerances of the certificate.
    nearest_kink
        distance from the nearest kink, in the same units as ``reach``; None without kinks.
    reach
        how far a step of length 1 leads at most, in the units of ``nearest_kink``.
    """

    functions: Curved
    theta: Array
    multipliers: Array
    support: Indices
    level: float | None
    degree: float | None
    worth: Callable[[Array], float]
    limits: Tolerances
    nearest_kink: float | None
    reach: float = 1.0

    @functools.cached_property
    def values(self) -> Array:
        """f_n(θ) (N,)."""
        return self.functions.values(self.theta)

    @functools.cached_property
    def support_rows(self) -> Array:
        """∇f_n(θ) of the support (S, d)."""
        return self.functions.rows(self.theta, self.support)

    def rows(self, indices: Indices) -> Array:
        """Return ∇f_n(θ) (S, d), those of the support from what is known."""
        if indices.size and np.all(np.isin(indices, self.support)):
            return np.asarray(self.support_rows[np.searchsorted(self.support, indices)])
        return self.functions.rows(self.theta, indices)

    @functools.cached_property
    def error(self) -> float:
        """ε: the length of `θ - Σ λ_n ∇f_n(θ)`."""
        off = self.functions.vjp(self.theta, self.multipliers) - self.theta
        return float(np.linalg.norm(off))

    @property
    def goal(self) -> str:
        """What ``worth`` is, in words."""
        return "margin" if self.level is None else "cost"

    @property
    def unit(self) -> float:
        """What turns a gain of ``worth`` into one of ½‖u‖²: Σ λ_n γ, or ½ for costs."""
        if self.level is not None:
            return 0.5
        return float(np.sum(self.multipliers)) * float(np.min(self.values))

    def clear_of_kinks(self, length: float) -> bool:
        """Tell whether no kink is within ten times ``length``.

        Kinks are measured by what the weights of one layer must move; all of them together may
        reach a kink sooner.
        """
        wide = WELL_ABOVE * length * self.reach
        if self.nearest_kink is not None and self.nearest_kink <= wide:
            return False
        tolerance = self.limits.kink
        return wide <= tolerance or not self.functions.jumps(self.theta, self.multipliers, wide)
