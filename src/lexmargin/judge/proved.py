"""What a bound proves, and the one place where it becomes a gap and the word GLOBAL."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, final

from lexmargin.judge.certificate import Certificate
from lexmargin.judge.multipliers.vertex_bounds import relative_excess, relative_gap
from lexmargin.judge.verdict import Verdict
from lexmargin.linalg.norms import Array

__all__ = ["BoundMethod", "Proved", "linear_proof", "names_a_bound", "with_proved"]


_NAMED: Final = re.compile(r" \([a-z]+(-[a-z]+)*\)$")
"""How a reason ends: no other one ends with lower-case words in brackets."""


@final
class BoundMethod(StrEnum):
    """Where a bound comes from; every GLOBAL names one."""

    ZERO = "zero-cost"
    """A cost of 0: no cost is less."""
    LINEAR = "linear-duality"
    """`γ* ≤ ‖Σ p_n z_n‖_*`, Σp = 1."""
    CONCAVE = "concave-duality"
    """The same of the tangents at a point: concave f_n lie below them."""
    LINEAR_NETWORK = "linear-network"
    """The same for the end-to-end β of a linear network, after the inequality of the means."""
    PATTERNS = "activation-patterns"
    """Duality of the convex program over activation patterns (Pilanci & Ergen 2020)."""
    PARTS = "sum-of-parts"
    """Duality over the sizes of the summands, of which each has a bound of its own."""
    VERTICES = "vertices"
    """All vertices of `Zβ ≥ 1`: a quasi-norm is concave on orthants."""
    SPHERE = "sphere"
    """Branch and bound over the sphere of a few parameters, in ball arithmetic."""
    BALL_LOSS = "ball-loss"
    """The convex dual of a loss in a ball (eq. 5)."""
    PENALTY = "penalised-loss"
    """The convex dual of a loss with a penalty (§2.2)."""
    LONG_LOSS = "long-loss"
    """Either of them with weights in long numbers."""
    ORIGIN = "origin"
    """A penalty that outgrows all that the loss can gain."""
    HELD = "held-scores"
    """The least bias beside scores that are held."""
    LEVELS = "level-duality"
    """One vector of weights per level of Definition 5."""


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Proved:
    """No point of the program does better than ``value``.

    method
        what proves it: of :class:`BoundMethod`, or of an enumeration of one's own.
    value
        an upper bound on what is made large, a lower bound on what is made small.
    sentence
        the same in words.
    weights
        (N,) λ ≥ 0 that prove it; None where it rests on no weights.
    reached
        what the point itself has of what is made small; None where a margin is made large.
    excess
        how far the point may be from the best, where it is measured and no difference of two
        values: relative, or in the unit of the program.
    bound
        an upper bound on the margins, for the certificate; None where there is none.
    """

    method: StrEnum
    value: float
    sentence: str
    weights: Array | None = None
    reached: float | None = None
    excess: float | None = None
    bound: float | None = None

    @property
    def reason(self) -> str:
        """The sentence, and the bound that it comes from."""
        return f"{self.sentence} ({self.method})"

    def gap(self, margin: float) -> float:
        """Return how far a point of this margin may be from the best one; ∞ proves nothing."""
        if self.excess is not None:
            return self.excess
        if self.reached is not None:
            return relative_excess(self.reached, self.value)
        return relative_gap(self.value, margin)


def linear_proof(upper: float, weights: Array | None) -> Proved:
    """Return the bound of linear margins over all directions of the ball."""
    return Proved(
        method=BoundMethod.LINEAR,
        value=upper,
        sentence="weak duality: no direction has a margin above the bound",
        weights=weights,
        bound=upper,
    )


def names_a_bound(reason: str) -> bool:
    """Say whether a reason ends with the bound that it comes from."""
    return _NAMED.search(reason) is not None


def with_proved(
    found: Certificate, proved: Proved, margin: float | None = None, *, rises: bool | None = None
) -> Certificate:
    """Return the certificate with the gap of a bound, and GLOBAL where that is within tolerance.

    Args:
        found: of the point.
        proved: what a bound proves of its program.
        margin: a margin that the point surely has; that of the certificate where it is left out.
        rises: whether the word may become GLOBAL; a positive one may.
    """
    gap = proved.gap(found.margin if margin is None else margin)
    rises = found.verdict.certified if rises is None else rises
    if found.gap is None or gap < found.gap:
        found = replace(found, gap=gap, bound=proved.bound)
    if not (rises and gap <= found.tolerances.gap) or found.verdict is Verdict.GLOBAL:
        return found
    if found.margin_ratio is None and proved.bound and not math.isnan(found.degree):
        found = replace(found, margin_ratio=found.margin / proved.bound, definition_3=True)
    return replace(
        found,
        verdict=Verdict.GLOBAL,
        radius=None,
        rise=None,
        reasons=(*found.reasons, proved.reason),
    )
