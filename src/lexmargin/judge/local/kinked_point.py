"""A point whose margins may have kinks, whoever evaluates them (math §3, *Kinks*)."""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from lexmargin.errors import DegreeError
from lexmargin.formulations.kkt import Kkt
from lexmargin.judge.autodiff.scores import Indices
from lexmargin.judge.certificate import Certificate
from lexmargin.judge.functions.kinks import Kinks, measure_kinks, samples_of, where_of
from lexmargin.judge.local.clarke import GradientSets, gradient_sets
from lexmargin.judge.multipliers.weight_reach import weight_reach
from lexmargin.judge.point import UnitPoint, check_euler, scaled_to_unit
from lexmargin.judge.second_order.hessians import Curved, PredictorCurved
from lexmargin.judge.second_order.surroundings import around_direction
from lexmargin.judge.second_order.vicinity import Vicinity
from lexmargin.judge.tolerances import Tolerances
from lexmargin.linalg.norms import Array, unit_scale, vector_norm
from lexmargin.margins import MarginFunctions
from lexmargin.ops.curvature import Curvature

__all__ = ["KinkedDirection", "KinkedPoint", "PredictorPoint", "RectifiedPoint", "Standing"]


@final
@dataclass(frozen=True, eq=False)
class Standing:
    """How near some margins are to their kinks.

    nearest
        distance from the nearest one; None where nothing has a kink.
    where
        the kinks within tolerance that count, in words; empty where there are none.
    doubt
        why distances are not known, in words; empty where they are.
    """

    nearest: float | None = None
    where: str = ""
    doubt: str = ""


class KinkedPoint(ABC):
    """A point as its stationarity is measured, and what is known of its kinks."""

    theta: Array
    """What the cone of gradients must hold, of ℓ2 norm 1 (d,): the direction θ̂ itself, or c w."""
    degree: float
    """α, or 1/(target·v) of a program (:class:`~lexmargin.judge.point.UnitPoint`)."""
    limit: float
    """Distance from a kink up to which it counts as touched."""
    sure: float = 1.0
    """What part of a distance from kinks is known to be there."""
    slope_zero: bool = True
    """Whether the gradients, where a kink is touched, are elements of the generalised gradients."""
    most_rows: float = math.inf
    """Margins of a support whose slopes are chosen together."""

    @property
    @abstractmethod
    def values(self) -> Array:
        """f_n (N,), up to one factor."""

    @property
    def excess(self) -> Array:
        """`α (f_n - γ)` (N,), the share of each margin in δ."""
        return self.degree * (self.values - float(np.min(self.values)))

    @property
    def ascent(self) -> Array | None:
        """A direction in which every margin of a support grows, where one is known."""
        return self.theta

    @abstractmethod
    def rows(self, indices: Indices) -> Array:
        """Return the gradients (S, d) that a first-order certificate was made of."""

    @abstractmethod
    def doubts(self, support: Indices, limits: Tolerances) -> tuple[bool, float]:
        """Return whether the margin is noise, and the error of Euler's identity on a support."""

    @abstractmethod
    def standing(self, support: Indices) -> Standing:
        """Return how near the margins of a support are to their kinks."""

    @abstractmethod
    def beside(self, support: Indices) -> tuple[Indices, Standing]:
        """Return the other margins that are on a kink, and how near all of these are."""

    @abstractmethod
    def sets(self, indices: Indices) -> GradientSets | None:
        """Return the gradient sets of some margins, every kink within the limit free.

        None where the slopes at kinks cannot be chosen, or have too many combinations.
        """

    def bounded(self, lower: float, on: Indices, norm: float, limits: Tolerances) -> float:
        """Return what a lower bound on ε by one gradient for each margin leaves for any elements.

        Weight within δ may lie on the margins that stand on kinks, with any of their elements;
        nothing is left where the smallest margin is one of them.

        Args:
            lower: the bound by the gradients of :meth:`rows`.
            on: the margins on a kink.
            norm: exponent of the ball.
            limits: the largest δ.
        """
        length = math.sqrt(self.theta.size) if math.isinf(norm) else 1.0

        def moves(indices: Indices) -> Array | None:
            sets = self.sets(indices)
            return None if sets is None else sets.away(self.rows(indices)) * length

        reach = weight_reach(on, moves, self.excess, self.theta, norm)
        return max(0.0, lower - limits.complementarity * reach)


class KinkedDirection(KinkedPoint):
    """A unit direction of homogeneous margin functions."""

    bends: bool = True
    """Whether second order has anything to say."""

    @property
    @abstractmethod
    def curved(self) -> Curved:
        """The margin functions with their second derivatives."""

    @functools.cached_property
    def values(self) -> Array:
        return self.curved.values(self.theta)

    @abstractmethod
    def known(self, support: Indices) -> UnitPoint:
        """Return the margins of a support, or more, of which Euler's identity is checked."""

    def doubts(self, support: Indices, limits: Tolerances) -> tuple[bool, float]:
        point = self.known(support)
        try:
            return point.is_noise, check_euler(point, limits.euler)
        except DegreeError:
            return point.is_noise, math.inf

    def around(self, found: Certificate) -> Vicinity:
        """Return what lies around the direction, whose λ and nearest kink are the certificate's."""
        if found.nearest_kink is not None:
            found = replace(found, nearest_kink=self.sure * found.nearest_kink)
        return around_direction(self.curved, self.theta, self.degree, found)


class RectifiedPoint(KinkedPoint):
    """A point of a predictor of the toolkit, whose kinks are those of its power-1 ReLUs."""

    kkt: Kkt
    """The one record of what is evaluated here."""

    @property
    def functions(self) -> MarginFunctions:
        """The f_n."""
        return self.kkt.functions

    @functools.cached_property
    def kinks(self) -> Kinks | None:
        """The distance of every kink; None where there are none."""
        return measure_kinks(self.functions, self.kkt.point, np.arange(self.functions.count))

    def standing(self, support: Indices) -> Standing:
        return self._standing(samples_of(self.functions, support))

    def beside(self, support: Indices) -> tuple[Indices, Standing]:
        count = self.functions.data.n_samples
        if self.kinks is None:
            return np.array([], dtype=np.intp), Standing()
        on = self.kinks.within(self.limit, range(count))
        samples = np.unique(np.array([kink.sample for kink in on], dtype=np.intp))
        each = self.functions.count // count
        margins = np.asarray((samples[:, None] * each + np.arange(each)).ravel(), dtype=np.intp)
        return margins, self._standing(list(range(count)))

    def _standing(self, samples: list[int]) -> Standing:
        if self.kinks is None:
            return Standing()
        on = self.kinks.within(self.limit, samples)
        return Standing(self.kinks.nearest_of(samples).distance, where_of(on) if on else "")

    def sets(self, indices: Indices) -> GradientSets | None:
        on = []
        if self.kinks is not None:
            on = self.kinks.within(self.limit, samples_of(self.functions, indices))
        return gradient_sets(self.functions, self.kkt.point, indices, on)


@final
class PredictorPoint(RectifiedPoint, KinkedDirection):
    """A direction of a predictor of the toolkit."""

    def __init__(
        self,
        functions: MarginFunctions,
        theta: Array,
        degree: float,
        limit: float,
        norm: float = 2.0,
    ) -> None:
        scaled = theta / (float(np.max(np.abs(theta))) or 1.0)
        self.theta = scaled / (float(np.linalg.norm(scaled)) or 1.0)
        # Sums that a linear score cancels in are those of the point as it was given.
        at = unit_scale(theta) if functions.linear else self.theta
        self.kkt = Kkt(functions=functions, point=at, norm=norm)
        self.degree, self.limit = degree, limit
        self.bends = functions.curvature is not Curvature.AFFINE

    @functools.cached_property
    def curved(self) -> Curved:
        return PredictorCurved(self.functions)

    @functools.cached_property
    def unit(self) -> UnitPoint:
        """The direction as ε is measured there; FloatingPointError where a number is lost."""
        f, rows = self.kkt.values, self.kkt.jacobian
        if not (np.all(np.isfinite(f)) and np.all(np.isfinite(rows))):
            raise FloatingPointError("f_n or a gradient is not finite")
        return scaled_to_unit(f, rows, self.kkt.point, self.degree, self.kkt.norm)

    @functools.cached_property
    def values(self) -> Array:
        size = vector_norm(self.kkt.point, 2.0) if self.functions.linear else 1.0
        return np.asarray(self.kkt.values / size)

    def rows(self, indices: Indices) -> Array:
        return np.asarray(self.kkt.jacobian[indices])

    def known(self, support: Indices) -> UnitPoint:
        return self.unit
