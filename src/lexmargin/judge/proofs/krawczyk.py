"""A proof that a true KKT point lies near a floating one: the Krawczyk test in ball arithmetic."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from lexmargin.errors import DegreeError
from lexmargin.inputs.limits import KRAWCZYK_PARAMETERS
from lexmargin.judge.functions.enclosure import enclosed, precision
from lexmargin.judge.multipliers.multiplier_set import nonnegative_multipliers
from lexmargin.judge.multipliers.qualification import licq
from lexmargin.judge.proofs.kkt_system import KktSystem
from lexmargin.judge.tolerances import MISFIT, PROVED_NEAR
from lexmargin.linalg.norms import Array
from lexmargin.margins import MarginFunctions
from lexmargin.ops.arb import KinkInBox

__all__ = ["KktProof", "not_proved", "only_near", "prove_kkt", "proved_near"]


_CARRIES = 1e-9
"""Share of the largest multiplier that belongs to the support: wrong, the test fails, no more."""


@final
@dataclass(frozen=True, eq=False)
class KktProof:
    """Whether a true KKT point of a problem was proved to exist near the given one.

    proved
        the test succeeded, all multipliers are positive and all margins at least their level.
    radius
        `‖w* - w_0‖/‖w_0‖` is at most this, w_0 the given point (homogeneous problems: at margin 1;
        problems on a sphere: on it); NaN unless proved.
    reason
        what was proved, or why nothing was.
    dimension
        number of unknowns and equations.
    support
        the samples S with λ_n > 0.
    symmetries
        dimension of the orbit on which the point is isolated only up to symmetry.
    licq
        the gradients of all active samples were shown to be independent at the true point: those of
        S are where the test succeeds. None where a sample outside S may be active too.
    bound, gap
        a proven bound on the margin of every point of the ball, by branch and bound where there are
        few enough parameters, and how far below it the given point is, relative; else None.
    """

    proved: bool
    radius: float
    reason: str
    dimension: int
    support: tuple[int, ...] = ()
    symmetries: int = 0
    licq: bool | None = None
    bound: float | None = None
    gap: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "proved": self.proved,
            "radius": self.radius if math.isfinite(self.radius) else None,
            "reason": self.reason,
            "dimension": self.dimension,
            "support": list(self.support),
            "symmetries": self.symmetries,
            "licq": self.licq,
            "bound": self.bound,
            "gap": self.gap,
        }

    def report(self) -> str:
        """Return one line."""
        return f"{'proof':<16}{'KKT' if self.proved else 'not proved'}: {self.reason}"


def prove_kkt(functions: MarginFunctions, theta: Array) -> KktProof:
    """Prove that a KKT point of `min ½‖w‖² s.t. f_n(w) ≥ 1` lies near the direction θ (eq. 18).

    Args:
        functions: the margin functions of a homogeneous predictor; analytic near θ, or
            `relu^p` with p ≥ 2, or power-1 ReLUs with all pre-activations away from 0.
        theta: (d,) the direction, at any scale, accurate to about 1e-6.

    Raises:
        DegreeError: the predictor is not homogeneous.
    """
    alpha = functions.homogeneity.degree
    if alpha is None:
        raise DegreeError("The predictor is not homogeneous.", "Only eq. 18 is proved here.")
    size = functions.size
    if size > KRAWCZYK_PARAMETERS:
        return not_proved(f"{size} parameters are more than {KRAWCZYK_PARAMETERS}", size)
    flat = np.asarray(theta, dtype=np.float64)
    flat = flat / float(np.linalg.norm(flat))
    margin = float(np.min(functions.values(flat)))
    if margin <= 0.0:
        return not_proved("the direction does not separate", size)
    w = flat * margin ** (-1.0 / alpha)
    values, jacobian = functions.values(w), functions.jacobian(w)
    near = np.flatnonzero(values <= 1.0 + PROVED_NEAR)
    found = nonnegative_multipliers(jacobian[near], w / float(np.linalg.norm(w)), flat)
    multipliers = found.multipliers * float(np.linalg.norm(w))
    carries = multipliers > _CARRIES * float(np.max(multipliers, initial=0.0))
    support = near[carries]
    if not support.size or found.residual > MISFIT:
        return not_proved(f"ε = {found.residual:.3g} is far from stationary", size)
    if not licq(jacobian[support], 1e-12).holds:
        return not_proved("the gradients of the samples that carry weight are dependent", size)
    system = KktSystem(functions, w, support, multipliers[carries])
    return only_near(proved_near(system))


def only_near(proof: KktProof) -> KktProof:
    """Return the proof, or that the true point is too far from the given one to speak of it."""
    if proof.proved and proof.radius > PROVED_NEAR:
        why = f"a true KKT point lies {proof.radius:.3g} away, not nearer"
        return not_proved(why, proof.dimension)
    return proof


def proved_near(system: KktSystem) -> KktProof:
    """Run the Krawczyk test on KKT equations, and check signs and other margins over its box."""
    size, count = int(system.start.size), len(system.generators)
    support = tuple(int(n) for n in system.support)

    def no(reason: str) -> KktProof:
        return KktProof(False, math.nan, reason, size, support, count)

    with precision():
        try:
            box = enclosed(system)
            if isinstance(box, str):
                return no(box)
            doubt, strict = system.doubt(box)
            if doubt:
                return no(doubt)
            radius = system.distance(box)
        except KinkInBox as kink:
            return no(f"{kink}")
        except (ZeroDivisionError, np.linalg.LinAlgError):
            return no("the system is singular")
    modulo = f", isolated modulo {count} symmetries" if count else ""
    reason = f"a true KKT point lies within {radius:.3g} of this one (relative){modulo}"
    return KktProof(True, radius, reason, size, support, count, True if strict else None)


def not_proved(reason: str, dimension: int) -> KktProof:
    """Return that nothing was proved, and why."""
    return KktProof(False, math.nan, reason, dimension)
