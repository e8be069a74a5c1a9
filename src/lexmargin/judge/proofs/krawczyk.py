"""A proof that a true KKT point lies near a floating one: the Krawczyk test in ball arithmetic."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from lexmargin.formulations.kkt import Kkt
from lexmargin.inputs.limits import KRAWCZYK_PARAMETERS
from lexmargin.judge.functions.enclosure import BallMargins, Equations, enclosed
from lexmargin.judge.multipliers.multiplier_set import nonnegative_multipliers
from lexmargin.judge.multipliers.qualification import licq
from lexmargin.judge.proofs.kkt_system import KktSystem
from lexmargin.judge.proofs.proof import Proof, in_balls
from lexmargin.judge.tolerances import MISFIT, PROVED_NEAR
from lexmargin.linalg.long_numbers import precision
from lexmargin.linalg.norms import Array, vector_norm
from lexmargin.linalg.rounding import ROUNDED
from lexmargin.margins import MarginFunctions
from lexmargin.ops.arb import KinkInBox
from lexmargin.ops.curvature import Curvature

__all__ = ["on_ball", "prove_kkt", "prove_solution", "prove_zero_part"]

_WIDER: Final = 1e-9
"""Of a radius in doubles: it must not be below what was proven in balls."""
_DEPENDENT: Final = 1e-12
"""Relative singular value from which no box would be small enough for the test to pass."""
_CARRIES: Final = 1e-9
"""Share of the largest multiplier that belongs to the support: wrong, the test fails, no more."""
_CHEAP: Final = 1e-140
"""Least √c of a parameter: c itself must be no subnormal double."""


def prove_solution(
    equations: Equations, functions: MarginFunctions, support: Sequence[int] = ()
) -> Proof:
    """Prove that the KKT equations have a solution near their start, with the right signs.

    Where the f_n are concave the problem is convex, and that point its global optimum.
    """
    size, symmetries = int(equations.start.size), equations.symmetries
    radius, strict = math.nan, False
    try:
        box = enclosed(equations)
        if isinstance(box, str):
            doubt = box
        else:
            doubt, strict = equations.doubt(box)
            radius = equations.distance(box)
    except KinkInBox as kink:
        doubt = f"{kink}"
    except (ZeroDivisionError, np.linalg.LinAlgError):
        doubt = "the system is singular"
    if not doubt and not radius <= PROVED_NEAR:
        return in_balls(False, f"a true KKT point lies {radius:.3g} away, not nearer", size)
    if doubt:
        return in_balls(False, doubt, size, None, tuple(support), symmetries)
    statement = f"a true KKT point lies within {radius:.3g} of this one (relative)"
    if symmetries:
        statement += f", isolated modulo {symmetries} symmetries"
    if functions.curvature <= Curvature.CONCAVE:
        statement += "; the problem is convex: it is the global optimum"
    known = True if strict else None
    return in_balls(True, statement, size, radius, tuple(support), symmetries, known)


def on_ball(kkt: Kkt) -> Kkt | str:
    """Return the program at its point moved onto its ball, where it has one, or how far off it is.

    A point that is further off than what is proved is not the point that is spoken of.
    """
    if kkt.radius is None:
        return kkt
    length = vector_norm(kkt.point, kkt.norm) / kkt.radius
    if not abs(length - 1.0) <= PROVED_NEAR:
        return f"‖θ‖ = {length:.9g} is not 1"
    return replace(kkt, point=kkt.point / length)


def _stretched(kkt: Kkt) -> Kkt | str:
    """Return a program that asks for a direction as `min ½‖w‖² s.t. f_n(w) ≥ 1`, at margin 1."""
    alpha = kkt.degree
    if not kkt.is_direction or alpha is None:
        return kkt
    flat = kkt.point / vector_norm(kkt.point, 2.0)
    margin = float(np.min(kkt.functions.values(flat)))
    if not margin > 0.0:
        return "the direction does not separate"
    return Kkt(functions=kkt.functions, point=flat * margin ** (-1.0 / alpha), level=1.0)


@precision()
def prove_kkt(kkt: Kkt) -> Proof:
    """Prove that a KKT point of a margin program lies near the point, Euclidean norm.

    Eq. 18, and 6, 7 (at finite ρ), 14, and other costs and levels.

    Args:
        kkt: a program without a loss; its f_n analytic near the point, or `relu^p` with p ≥ 2, or
            power-1 ReLUs with all pre-activations away from 0. The point accurate to about 1e-6.
    """
    size = kkt.functions.size
    if kkt.norm != 2.0:
        return in_balls(False, f"the norm {kkt.norm:g} is not the Euclidean one", size)
    if size > KRAWCZYK_PARAMETERS:
        return in_balls(False, f"{size} parameters are more than {KRAWCZYK_PARAMETERS}", size)
    placed = on_ball(kkt)
    placed = placed if isinstance(placed, str) else _stretched(placed)
    system = placed if isinstance(placed, str) else _system(placed)
    if isinstance(system, str):
        return in_balls(False, system, size)
    return prove_solution(system, kkt.functions, system.support.tolist())


def _system(kkt: Kkt) -> KktSystem | str:
    """Return the KKT equations at the point, or why they cannot hold near it."""
    margin = kkt.margin
    if not margin > 0.0:
        return "a margin is not positive"
    reach = margin if kkt.level is None else kkt.level
    if abs(margin / reach - 1.0) > MISFIT:
        return f"the smallest margin {margin:.9g} is not {reach:g}"
    costs, root = _costs(kkt), np.ones(kkt.point.size)
    if costs is not None:
        root = np.sqrt(np.array([float(c.mid()) for c in costs]))
        if not float(np.min(root)) > _CHEAP:
            return "some parameters cost too little for doubles"
    near = np.flatnonzero(kkt.values <= (1.0 + PROVED_NEAR) * max(margin, reach))
    found = _carrying(kkt.functions.jacobian(kkt.point)[near] / root, root * kkt.point)
    if isinstance(found, str):
        return found
    carries, multipliers = found
    return KktSystem(kkt, near[carries], multipliers, costs)


def _carrying(rows: Array, target: Array) -> tuple[NDArray[np.intp], Array] | str:
    """Return which rows carry weight in `target = Σ λ_n g_n`, and their λ > 0."""
    length = vector_norm(target, 2.0)
    if not length > 0.0:
        return "the point is zero"
    found = nonnegative_multipliers(rows, target / length)
    top = float(np.max(found.multipliers, initial=0.0))
    carries = np.flatnonzero(found.multipliers > _CARRIES * top)
    if not carries.size or found.residual > MISFIT:
        return f"ε = {found.residual:.3g} is far from stationary"
    if not licq(rows[carries], _DEPENDENT).holds:
        return "the gradients of the samples that carry weight are dependent"
    return carries, found.multipliers[carries] * length


def _costs(kkt: Kkt) -> list[Any] | None:
    """Return enclosures of the costs, one per parameter, `γ^{2/α_k}` over the largest of them."""
    from flint import arb

    if kkt.costs is None:
        return None
    if kkt.powers is None or kkt.parts is None:
        return [arb(float(cost)) for cost in kkt.costs]
    base, degrees = kkt.powers.base, kkt.powers.degrees
    gamma = arb(base)
    top = max(degrees, key=lambda a: 2.0 / a * math.log(base))
    powers = [gamma ** (2 / arb(a) - 2 / arb(top)) for a in degrees]
    owner = kkt.parts.spread(np.arange(len(degrees), dtype=np.float64)).astype(int)
    return [powers[k] for k in owner]


@precision()
def prove_zero_part(kkts: tuple[Kkt, ...]) -> Proof:
    """Prove that eq. 13 reaches the value 0 near the point: w_1 = 0 and every f_n is positive.

    The other parts are then stretched to `f_n ≥ 1` by `w_k t^{1/α_k}`, which leaves w_1 = 0.
    """
    from flint import arb

    functions, theta, parts = kkts[0].functions, kkts[0].point, kkts[0].parts
    size = functions.size
    if parts is None or not kkts[0].at_one or any(np.any(kkt.target) for kkt in kkts):
        why = "the answers of eq. 13 are no isolated point"
        why = f"{why}; only w_1 = 0, and linear scores with a bias, are proved"
        return in_balls(False, why, size)
    everyone = np.arange(functions.count)
    values = BallMargins(functions, everyone).all_values([arb(float(x)) for x in theta])
    if not all(value > 0 for value in values):
        return in_balls(False, "some margin is not clearly positive", size)
    least = min(float(value.lower()) for value in values)
    radius = 0.0
    if least < 1.0:
        radius = max(least ** (-1.0 / a) - 1.0 for a in parts.degrees) * (1.0 + _WIDER)
        radius += ROUNDED
    if radius > PROVED_NEAR:
        return in_balls(False, f"the smallest margin {least:.9g} is far below 1", size)
    zero = "w_1 = 0" if len(kkts) == 1 else f"the first {len(kkts)} parts are 0"
    reason = f"{zero} and feasible within {radius:.3g} of this point: the value 0 is reached"
    return in_balls(True, reason, size, radius)
