"""Every number a verdict is compared with, in one place."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import final

import numpy as np
from numpy.typing import NDArray

from lexmargin.errors import ParameterError
from lexmargin.inputs.kinds import checked_class

__all__ = ["DEFAULT", "Tolerances"]


@final
@checked_class
@dataclass(frozen=True)
class Tolerances:
    """The tolerances of a certificate; all are relative and free of units.

    support
        τ of `S_τ = {n : f_n(θ̂) ≤ (1+τ) γ}`.
    stationarity
        largest ε of a stationary direction (ℓ2: the sine of an angle).
    complementarity
        largest δ = α Σ λ_n (f_n - γ) of a stationary direction.
    feasibility
        largest relative shortfall of the smallest margin below a stated target.
    gap
        largest relative distance between a margin and the bound that proves it global.
    kink
        distance from a kink (relative to the pre-activation's scale) that counts as being on it.
    rank
        relative singular value below which gradients count as dependent. A property of the
        gradients, not of a solver's accuracy, so grades do not change it.
    euler
        largest relative contradiction of Euler's identity `θ·∇f_n = α f_n` before the degree,
        the gradients or the margins are called wrong. Grades do not change it either.

    Raises
    ------
    ParameterError
        for a tolerance that is not a number strictly between 0 and 1.
    """

    support: float = 1e-7
    stationarity: float = 1e-7
    complementarity: float = 1e-7
    feasibility: float = 1e-7
    gap: float = 1e-7
    kink: float = 1e-7
    rank: float = 1e-10
    euler: float = 1e-6

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (math.isfinite(value) and 0.0 < value < 1.0):
                raise ParameterError(
                    f"The tolerance '{field.name}' is {value!r}.",
                    "Give a number strictly between 0 and 1.",
                )

    @staticmethod
    def at(t: float) -> Tolerances:
        """Return the tolerances of a grade whose answers are verified to ``t``.

        A grade is verified ten times looser than it is asked: 1e-2, 1e-5 and 1e-8 for low, mid
        and high.
        """
        return Tolerances(
            support=t, stationarity=t, complementarity=t, feasibility=t, gap=t, kink=t
        )

    def tight(self, margins: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which margins (N,) are the smallest up to ``support``, whatever τ serves ε and δ.

        A margin above that may carry weight within δ, but it holds nothing in place: θ can move
        until it is reached.
        """
        return np.asarray(margins <= (1.0 + self.support) * np.min(margins))

    def to_json(self) -> dict[str, float]:
        """Return the tolerances by name."""
        return {field.name: float(getattr(self, field.name)) for field in fields(self)}


DEFAULT = Tolerances()
