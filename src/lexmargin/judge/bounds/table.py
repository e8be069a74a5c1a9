"""The table of bounds: what proves that no point of a program does better (math §4).

`bound → gap → GLOBAL` happens here alone: :func:`with_bounds` goes through the table in order of
price, and every GLOBAL names the row that gave it.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, Protocol

import numpy as np

from lexmargin.formulations.kkt import Kkt
from lexmargin.inputs.limits import SPHERE_PARAMETERS
from lexmargin.judge.bounds.duality import ConcaveDuality, LinearDuality
from lexmargin.judge.bounds.held import HeldScores, ZeroCost
from lexmargin.judge.bounds.loss_bounds import BallLoss, LongLoss, PenalisedLoss
from lexmargin.judge.bounds.networks import LinearNetwork, Patterns, Vertices
from lexmargin.judge.bounds.parts import Parts
from lexmargin.judge.bounds.sphere import Sphere
from lexmargin.judge.bounds.zero_minimum import OriginIsLeast
from lexmargin.judge.certificate import Certificate
from lexmargin.judge.proved import Proved, with_proved
from lexmargin.judge.verdict import Verdict
from lexmargin.linalg.norms import Array
from lexmargin.ops.curvature import Curvature

__all__ = ["BOUNDS", "CHEAP", "GIVEN", "PROVING", "THOROUGH", "Bound", "lowest", "with_bounds"]


class Bound(Protocol):
    """A way to prove that no point of a program does better than some value."""

    @property
    def method(self) -> StrEnum:
        """Its name in reasons."""
        ...

    def applies(self, kkt: Kkt) -> bool:
        """Say whether it speaks of this program at all: cheap, and of the program, not the point.

        Where it says no, :meth:`prove` is not asked.
        """
        ...

    def prove(self, kkt: Kkt, weights: Array, wanted: float = 0.0) -> Proved | None:
        """Return what is proved, rounding included; None where nothing is.

        Args:
            kkt: the program and the point.
            weights: (N,) λ of the certificate, at any scale and of any quality; 0 for none.
            wanted: the gap that is enough: nothing better is looked for then.
        """
        ...


CHEAP: Final[tuple[Bound, ...]] = (
    ZeroCost(),
    HeldScores(),
    ConcaveDuality(),
    BallLoss(),
    PenalisedLoss(),
    OriginIsLeast(),
    LinearNetwork(search=False),
)
"""What the multipliers in hand prove by a few sums."""

BOUNDS: Final[tuple[Bound, ...]] = (
    *CHEAP,
    LongLoss(),
    Parts(),
    LinearDuality(),
    LinearNetwork(),
    Patterns(),
    Vertices(),
    Sphere(),
)
"""In order of price: what the multipliers in hand prove, then what is looked for."""

GIVEN: Final[tuple[Bound, ...]] = (
    LinearDuality(search=False),
    LinearNetwork(search=False),
    Parts(),
    Patterns(looks=0),
    Vertices(),
    Sphere(),
)
"""Of directions, what the weights of a receipt prove without a search."""

THOROUGH: Final[tuple[Bound, ...]] = (*BOUNDS, Patterns(looks=12))
"""Where one asks for the bound itself: exact birth tests dominate its price."""

PROVING: Final[tuple[Bound, ...]] = (*BOUNDS[:-1], Sphere(SPHERE_PARAMETERS))
"""What may take as long as a proof by Krawczyk's test."""


def with_bounds(
    kkt: Kkt,
    found: Certificate,
    bounds: Sequence[Bound] = BOUNDS,
    *,
    rises: bool | None = None,
) -> Certificate:
    """Raise a positive verdict to GLOBAL where some bound meets the point; keep the best gap.

    Args:
        kkt: the program and the point.
        found: its certificate, with multipliers at any scale.
        bounds: the table, in order of price.
        rises: whether the word may become GLOBAL; a positive one may.
    """
    rises = found.verdict.certified if rises is None else rises
    convex = kkt.functions.curvature <= Curvature.CONCAVE and not kkt.is_direction
    for bound in bounds:
        # Beside a word that cannot rise the gap of a convex program stands, and costs nothing.
        done = found.verdict is Verdict.GLOBAL or not (rises or (convex and found.gap is None))
        if done:
            break
        if bound.applies(kkt):
            proved = bound.prove(kkt, found.multipliers, found.tolerances.gap)
            if proved is not None:
                found = with_proved(found, proved, rises=rises)
    return found


def lowest(
    kkt: Kkt,
    weights: Array,
    margin: float,
    bounds: Sequence[Bound] = THOROUGH,
    wanted: float = 0.0,
) -> Proved | None:
    """Return what leaves the smallest gap to a point of this margin; None where nothing applies.

    Args:
        kkt: the program and the point.
        weights: (N,) λ, or 0 where none are known.
        margin: of the point: of its direction, where all directions are meant.
        bounds: the table.
        wanted: the gap that is enough: the rows after it are not asked.
    """
    best: Proved | None = None
    for bound in bounds:
        if not bound.applies(kkt):
            continue
        with np.errstate(all="ignore"):
            found = bound.prove(kkt, weights, wanted)
        if found is not None and (best is None or found.gap(margin) < best.gap(margin)):
            best = found
        if best is not None and best.gap(margin) <= wanted:
            break
    return best
