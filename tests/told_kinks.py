"""A point whose margins and gradient sets are told: what is judged at kinks, without a network."""

from __future__ import annotations

from typing import Any, Final, final

import numpy as np

from lexmargin.judge import Tolerances
from lexmargin.judge.local.clarke import GradientSets
from lexmargin.judge.local.kinked_point import KinkedPoint, Standing

WHERE: Final = "on a kink (1 unit, nearest at layer 1, unit 0, sample 0)"


@final
class Told(KinkedPoint):
    """Margins of degree 1 at θ̂, every one of them on a kink."""

    def __init__(self, sets: GradientSets, theta: Any, values: Any) -> None:
        self.told, self.theta, self.told_values = sets, theta, values
        self.degree, self.limit = 1.0, Tolerances().kink

    @property
    def values(self) -> Any:
        return self.told_values

    def rows(self, indices: Any) -> Any:
        return self.told.base[indices]

    def doubts(self, support: Any, limits: Tolerances) -> tuple[bool, float]:
        return False, 0.0

    def standing(self, support: Any) -> Standing:
        return Standing(0.0, WHERE)

    def beside(self, support: Any) -> tuple[Any, Standing]:
        return np.setdiff1d(np.arange(self.values.size), support), self.standing(support)

    def sets(self, indices: Any) -> GradientSets | None:
        return self.told.of(indices)
