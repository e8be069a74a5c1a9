"""`--exact`: a proof in rational arithmetic for linear margins, in balls for the others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike

from lexmargin.formulations.base import Formulation
from lexmargin.formulations.kkt import Kkt
from lexmargin.inputs.kinds import checked
from lexmargin.inputs.limits import SPHERE_PARAMETERS
from lexmargin.judge.bounds.sphere import sphere_bound
from lexmargin.judge.bounds.table import BOUNDS, lowest
from lexmargin.judge.certify import flattened
from lexmargin.judge.multipliers.multiplier_set import nonnegative_multipliers
from lexmargin.judge.multipliers.vertex_bounds import relative_gap
from lexmargin.judge.proofs.exact_bias import ExactProgram, exact_program
from lexmargin.judge.proofs.exact_levels import ExactLevels, exact_levels
from lexmargin.judge.proofs.exact_linear import (
    ExactGap,
    ExactMargin,
    exact_gap,
    exact_levels_gap,
    exact_max_margin,
    summary,
)
from lexmargin.judge.proofs.krawczyk import KktProof, not_proved, prove_kkt
from lexmargin.judge.proofs.krawczyk_programs import (
    prove_loss_path,
    prove_margin_program,
    prove_zero_part,
)
from lexmargin.judge.tolerances import PROVED_GAP, PROVED_NEAR
from lexmargin.linalg.norms import unit_scale, vector_norm
from lexmargin.ops.base import FloatArray
from lexmargin.ops.degree import HomogeneityKind

__all__ = ["LinearProof", "Proof", "prove"]


@final
@dataclass(frozen=True, eq=False)
class LinearProof:
    """The exact max margin, and how far the given direction is from it.

    ``levels_gap``: where the later levels of Definition 5 are asked for, the largest error of the
    sorted margins, in units of the first.
    """

    exact: ExactMargin
    gap: ExactGap
    levels_gap: float | None = None

    @property
    def proved(self) -> bool:
        """Whether the given margins are proved to be the best up to a relative 1e-6."""
        return max(self.gap.gap, self.levels_gap or 0.0) <= PROVED_NEAR

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        found = {"proved": self.proved, **summary(self.exact, self.gap)}
        return found if self.levels_gap is None else {**found, "levels_gap": self.levels_gap}

    def report(self) -> str:
        """Return a short text."""
        word = "holds" if self.exact.licq else "fails"
        lines = [
            ("exact margin", f"{self.exact.margin:.15g}, proved in rational arithmetic"),
            ("exact gap", f"{self.gap.gap:.3e} of the direction given"),
            ("exact LICQ", f"{word} on {len(self.exact.active)} active samples"),
        ]
        if self.levels_gap is not None:
            lines.append(("exact levels", f"{self.levels_gap:.3e} of the first, at most"))
        return "\n".join(f"{name:<16}{text}" for name, text in lines)


Proof = LinearProof | KktProof | ExactProgram | ExactLevels


@checked
def prove(problem: Formulation, theta: ArrayLike | Sequence[FloatArray]) -> Proof:
    """Prove an answer: exactly where it is rational, else that a true KKT point is near.

    Linear max margins and lexicographic levels, and eq. 13 and 14 of linear scores with biases,
    are proved in rational arithmetic; all others by the Krawczyk test in ball arithmetic. What is
    neither is "not proved", with the reason.

    Args:
        problem: any formulation that brings its KKT data.
        theta: (d,) or one array per block.

    Raises:
        NotSeparableError: no direction has a positive margin.
        UnsupportedError: a formulation that brings no KKT data of its own.
    """
    flat = flattened(problem, theta)
    with np.errstate(all="ignore"):
        kkts = problem.kkt(flat)
        try:
            return _proved(kkts)
        except (ArithmeticError, np.linalg.LinAlgError):
            why = "f_n, a gradient or what is made of them leaves the range of doubles"
            return not_proved(why, problem.functions.size)


def _proved(kkts: tuple[Kkt, ...]) -> Proof:
    first = kkts[0]
    if first.loss is not None:
        return prove_loss_path(first)
    if first.ordered is not None:
        return _levels(first, first.ordered)
    why = ""
    if first.powers is not None or first.part is not None:
        found = exact_program(kkts)
        if isinstance(found, ExactProgram):
            return found
        why = f"{found}; "
    if first.is_direction:
        return _direction(first)
    if first.part is not None:
        proof = prove_zero_part(kkts)
        return proof if proof.proved else not_proved(f"{why}{proof.reason}", proof.dimension)
    proof = prove_margin_program(first)
    return _bounded(first, proof) if first.costs is None and first.level is None else proof


def _bounded(kkt: Kkt, proof: KktProof) -> KktProof:
    """Add a bound on all margins of the sphere, where there are few parameters (eq. 6).

    With degrees, points inside the ball are stretched to the sphere and gain margin.
    """
    functions = kkt.functions
    without = functions.homogeneity.kind is HomogeneityKind.NEITHER
    if functions.size > SPHERE_PARAMETERS or without or not (proof.proved and proof.support):
        return proof
    homogeneous = kkt.degree is not None
    radius = 1.0 if homogeneous or kkt.radius is None else kkt.radius
    w = kkt.point * (radius / vector_norm(kkt.point, 2.0))
    margin = float(np.min(functions.values(w)))
    known = lowest(kkt, np.zeros(functions.count), margin, BOUNDS) if homogeneous else None
    upper = math.inf if known is None else known.value
    if relative_gap(upper, margin) > PROVED_GAP:
        support = list(proof.support)
        weights = np.zeros(functions.count)
        share = nonnegative_multipliers(functions.jacobian(w)[support], w / radius).multipliers
        weights[support] = share if np.any(share > 0.0) else 1.0
        # No bound is as low as the margin of this point once a point with more of it is met.
        beaten = margin * (1.0 + PROVED_GAP)
        upper = min(upper, sphere_bound(functions, radius, weights, w, beaten=beaten).upper)
    gap, reason = relative_gap(upper, margin), proof.reason
    if gap <= PROVED_GAP:
        reason += f"; no point of the ball has a margin above {upper:.12g}: a global maximum"
    return replace(proof, bound=upper, gap=gap, reason=reason)


def _direction(kkt: Kkt) -> LinearProof | KktProof:
    functions, norm = kkt.functions, kkt.norm
    if kkt.level is not None and not abs(kkt.margin / kkt.level - 1.0) <= PROVED_NEAR:
        why = f"the smallest margin {kkt.margin:.9g} is not {kkt.level:g}"
        return not_proved(why, functions.size)
    flat = unit_scale(kkt.point)
    if functions.linear and (norm in (1.0, 2.0) or math.isinf(norm)):
        rows = functions.jacobian(np.zeros(functions.size))
        found = exact_max_margin(rows, norm, flat)
        return LinearProof(found, exact_gap(rows, found, flat))
    if norm != 2.0:
        why = f"the norm {norm:g} has no exact method with this predictor"
        return not_proved(f"{why}; 2 has, and 1, 2 and inf with a linear one", functions.size)
    return _bounded(kkt, prove_kkt(functions, flat))


def _levels(kkt: Kkt, count: int) -> LinearProof | ExactLevels | KktProof:
    functions, norm, flat = kkt.functions, kkt.norm, kkt.point
    count = min(count, functions.count)
    if functions.linear and norm == 2.0:
        # One direction has the max margin: the later levels are its own.
        proof = _direction(kkt)
        if count == 1 or not isinstance(proof, LinearProof):
            return proof
        rows = functions.jacobian(np.zeros(functions.size))
        return replace(proof, levels_gap=exact_levels_gap(rows, proof.exact, flat, count))
    if functions.linear and (norm == 1.0 or math.isinf(norm)):
        rows = functions.jacobian(np.zeros(functions.size))
        found = exact_levels(rows, norm, flat, count)
        return found if isinstance(found, ExactLevels) else not_proved(found, functions.size)
    if count == 1 and kkt.degree is not None:
        return _direction(kkt)
    why = "levels after the first are proved for linear predictors with the norm 1, 2 or inf"
    return not_proved(why, functions.size)
