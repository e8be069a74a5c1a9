"""What was proved of a point: one record, whatever proves it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, unique
from typing import Any, final

from lexmargin.judge.proofs.rational import Vector

__all__ = ["Arithmetic", "Proof", "Witness", "in_balls"]


@unique
class Arithmetic(Enum):
    """What a proof is computed in: no rounding, or rounding that is enclosed."""

    RATIONAL = "rational"
    BALLS = "balls"


@final
@dataclass(frozen=True, eq=False)
class Witness:
    """An exact optimum and the exact multipliers that prove it, one vector per level."""

    point: Vector
    multipliers: tuple[Vector, ...]


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Proof:
    """What was proved of a given point.

    kind
        rational arithmetic compares the point with an exact optimum; balls enclose a true KKT point
        near it.
    proved
        whether the point is proved to be optimal, or to be near a true KKT point, up to a relative
        1e-6.
    statement
        what was proved, or why nothing was.
    facts
        numbers of the proof, as plain JSON values by name.
    gap
        how far the point is from the optimum, relative; with balls, from a proven bound on the
        margin of every point of the ball, where there are few enough parameters; else None.
    value
        exact numbers of the optimum: γ*², the least costs, or the levels; () with balls.
    witness
        what proves them; None with balls.
    """

    kind: Arithmetic
    proved: bool
    statement: str
    facts: Mapping[str, Any]
    gap: float | None = None
    value: Vector = ()
    witness: Witness | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        gap = self.gap if self.gap is not None and math.isfinite(self.gap) else None
        return {"proved": self.proved, "reason": self.statement, **self.facts, "gap": gap}

    def report(self) -> str:
        """Return a short text, a line for each part of the statement."""
        word = "proved" if self.proved else "not proved"
        return f"{'proof':<16}{word}: {self.statement}".replace("; ", "\n" + " " * 16)


def in_balls(
    proved: bool,
    statement: str,
    dimension: int,
    radius: float | None = None,
    support: tuple[int, ...] = (),
    symmetries: int = 0,
    licq: bool | None = None,
) -> Proof:
    """Return what balls have proved.

    Args:
        proved: the test succeeded, all multipliers are positive and all margins at least their
            level.
        statement: what was proved, or why nothing was.
        dimension: number of unknowns and equations.
        radius: `‖w* - w_0‖/‖w_0‖` is at most this, w_0 the given point (homogeneous problems: at
            margin 1; problems on a sphere: on it); None unless proved.
        support: the samples S with λ_n > 0.
        symmetries: dimension of the orbit on which the point is isolated only up to symmetry.
        licq: the gradients of all active samples were shown to be independent at the true point:
            those of S are where the test succeeds. None where a sample outside S may be active too.
    """
    facts = {
        "radius": radius,
        "dimension": dimension,
        "support": list(support),
        "symmetries": symmetries,
        "licq": licq,
        "bound": None,
    }
    return Proof(kind=Arithmetic.BALLS, proved=proved, statement=statement, facts=facts)
