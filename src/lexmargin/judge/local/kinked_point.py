"""A direction whose margins may have kinks, whoever evaluates them (math §3, *Kinks*)."""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import final

import numpy as np

from lexmargin.judge.autodiff.scores import Indices
from lexmargin.judge.certificate import Certificate
from lexmargin.judge.functions.kinks import Kinks, measure_kinks, samples_of
from lexmargin.judge.local.beside_kinks import margins_on_kinks
from lexmargin.judge.local.clarke import GradientSets, gradient_sets
from lexmargin.judge.local.kinked import where_of
from lexmargin.judge.point import UnitPoint, unit_point
from lexmargin.judge.second_order.hessians import Curved, PredictorCurved
from lexmargin.judge.second_order.surroundings import around_direction
from lexmargin.judge.second_order.vicinity import Vicinity
from lexmargin.linalg.norms import Array
from lexmargin.margins import MarginFunctions
from lexmargin.ops.curvature import Curvature

__all__ = ["KinkedPoint", "PredictorPoint", "Standing"]


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
    """A unit direction of homogeneous margin functions, and what is known of their kinks."""

    theta: Array
    """θ̂ (d,), of ℓ2 norm 1."""
    degree: float
    """α."""
    curved: Curved
    """The margin functions with their second derivatives."""
    bends: bool = True
    """Whether second order has anything to say."""
    limit: float
    """Distance from a kink up to which it counts as touched."""
    sure: float = 1.0
    """What part of a distance from kinks is known to be there."""
    slope_zero: bool = True
    """Whether the gradients, where a kink is touched, are elements of the generalised gradients."""
    most_rows: float = math.inf
    """Margins of a support whose slopes are chosen together."""

    @functools.cached_property
    def values(self) -> Array:
        """f_n(θ̂) (N,)."""
        return self.curved.values(self.theta)

    @abstractmethod
    def rows(self, indices: Indices) -> Array:
        """Return the gradients (S, d) at θ̂ that a first-order certificate was made of."""

    @abstractmethod
    def known(self, support: Indices) -> UnitPoint:
        """Return the margins of a support, or more, of which Euler's identity is checked."""

    @abstractmethod
    def standing(self, support: Indices) -> Standing:
        """Return how near the margins of a support are to their kinks."""

    @abstractmethod
    def beside(self, support: Indices) -> tuple[Indices, Standing]:
        """Return the other margins that are on a kink, and how near all of these are."""

    @abstractmethod
    def sets(self, indices: Indices) -> GradientSets | None:
        """Return the gradient sets of some margins at θ̂, every kink within the limit free.

        None where the slopes at kinks cannot be chosen, or have too many combinations.
        """

    def around(self, found: Certificate) -> Vicinity:
        """Return what lies around the direction, whose λ and nearest kink are the certificate's."""
        if found.nearest_kink is not None:
            found = replace(found, nearest_kink=self.sure * found.nearest_kink)
        return around_direction(self.curved, self.theta, self.degree, found)


@final
class PredictorPoint(KinkedPoint):
    """A direction of a predictor of the toolkit, whose kinks are those of its power-1 ReLUs."""

    def __init__(
        self, functions: MarginFunctions, theta: Array, degree: float, limit: float
    ) -> None:
        scaled = theta / float(np.max(np.abs(theta)))
        self.theta = scaled / float(np.linalg.norm(scaled))
        self.functions, self.degree, self.limit = functions, degree, limit
        self.curved = PredictorCurved(functions)
        self.bends = functions.curvature is not Curvature.AFFINE

    @functools.cached_property
    def values(self) -> Array:
        # With the gradients, in one evaluation.
        return self.functions.recorded(self.theta)[0]

    @functools.cached_property
    def jacobian(self) -> Array:
        """∇f_n(θ̂) (N, d), with slope 0 at every kink."""
        return self.functions.jacobian(self.theta)

    @functools.cached_property
    def _kinks(self) -> Kinks | None:
        return measure_kinks(self.functions, self.theta, np.arange(self.functions.count))

    def rows(self, indices: Indices) -> Array:
        return np.asarray(self.jacobian[indices])

    def known(self, support: Indices) -> UnitPoint:
        return unit_point(self.values, self.jacobian, self.theta, self.degree)

    def standing(self, support: Indices) -> Standing:
        return self._standing(samples_of(self.functions, support))

    def beside(self, support: Indices) -> tuple[Indices, Standing]:
        if self._kinks is None:
            return np.array([], dtype=np.intp), Standing()
        margins = margins_on_kinks(self.functions, self._kinks, self.limit)
        return margins, self._standing(list(range(self.functions.data.n_samples)))

    def _standing(self, samples: list[int]) -> Standing:
        if self._kinks is None:
            return Standing()
        on = self._kinks.within(self.limit, samples)
        return Standing(self._kinks.nearest_of(samples).distance, where_of(on) if on else "")

    def sets(self, indices: Indices) -> GradientSets | None:
        on = []
        if self._kinks is not None:
            on = self._kinks.within(self.limit, samples_of(self.functions, indices))
        return gradient_sets(self.functions, self.theta, indices, on)
