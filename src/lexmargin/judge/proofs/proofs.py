"""`--exact`: a proof in rational arithmetic for linear margins, in balls for the others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike

from lexmargin.formulations.base import Formulation
from lexmargin.formulations.constrained_path import ConstrainedPath
from lexmargin.formulations.known import require_known
from lexmargin.formulations.lexicographic import Lexicographic
from lexmargin.formulations.margin_path import MarginPath
from lexmargin.formulations.regularization_path import RegularizationPath
from lexmargin.formulations.scaled_margin import ScaledMargin
from lexmargin.formulations.w_set import WSet
from lexmargin.inputs.kinds import checked
from lexmargin.judge.bounds.global_bounds import global_bound
from lexmargin.judge.bounds.sphere import DIMENSIONS, sphere_bound
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
from lexmargin.linalg.norms import unit_scale, vector_norm
from lexmargin.ops.base import FloatArray
from lexmargin.ops.curvature import Curvature
from lexmargin.ops.degree import HomogeneityKind

__all__ = ["LinearProof", "Proof", "prove"]

_NEAR = 1e-6
_GAP = 1e-7
_LOOKS = 2


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
        return max(self.gap.gap, self.levels_gap or 0.0) <= _NEAR

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
        problem: any formulation of the paper.
        theta: (d,) or one array per block.

    Raises:
        NotSeparableError: no direction has a positive margin.
        UnsupportedError: a formulation that is none of the paper's seven.
    """
    require_known(problem)
    flat = flattened(problem, theta)
    with np.errstate(all="ignore"):
        try:
            return _proved(problem, flat)
        except (ArithmeticError, np.linalg.LinAlgError):
            why = "f_n, a gradient or what is made of them leaves the range of doubles"
            return not_proved(why, problem.functions.size)


def _proved(problem: Formulation, flat: FloatArray) -> Proof:
    match problem:
        case ConstrainedPath() | RegularizationPath():
            return prove_loss_path(problem, flat)
        case ScaledMargin() | WSet():
            return _program(problem, flat)
        case Lexicographic():
            return _levels(problem, flat)
        case MarginPath() if problem.functions.homogeneity.degree is None:
            return _bounded(problem, flat, prove_margin_program(problem, flat))
        case _:  # hard margins and homogeneous margin paths
            return _direction(problem, flat)


def _bounded(problem: Formulation, flat: FloatArray, proof: KktProof) -> KktProof:
    """Add a bound on all margins of the sphere, where there are few parameters (eq. 6).

    With degrees, points inside the ball are stretched to the sphere and gain margin.
    """
    functions = problem.functions
    stated = isinstance(problem, MarginPath) and problem.gamma is not None
    without = functions.homogeneity.kind is HomogeneityKind.NEITHER
    if functions.size > DIMENSIONS or without or not (proof.proved and proof.support):
        return proof
    homogeneous = functions.homogeneity.degree is not None
    if stated and not homogeneous:
        return proof
    radius = 1.0 if homogeneous else problem.rho_value
    w = flat * (radius / vector_norm(flat, 2.0))
    margin = float(np.min(functions.values(w)))
    known = global_bound(functions, w, None, 2.0, _LOOKS) if homogeneous else None
    upper = math.inf if known is None else known.upper
    if relative_gap(upper, margin) > _GAP:
        support = list(proof.support)
        weights = np.zeros(functions.count)
        share = nonnegative_multipliers(functions.jacobian(w)[support], w / radius).multipliers
        weights[support] = share if np.any(share > 0.0) else 1.0
        upper = min(upper, sphere_bound(functions, radius, weights, w).upper)
    gap, reason = relative_gap(upper, margin), proof.reason
    if gap <= _GAP:
        reason += f"; no point of the ball has a margin above {upper:.12g}: a global maximum"
    return replace(proof, bound=upper, gap=gap, reason=reason)


def _is_linear(problem: Formulation) -> bool:
    functions = problem.functions
    return functions.curvature is Curvature.AFFINE and functions.homogeneity.degree == 1.0


def _direction(problem: Formulation, flat: FloatArray) -> LinearProof | KktProof:
    functions, norm = problem.functions, problem.norm_p
    flat = unit_scale(flat)
    if _is_linear(problem) and (norm in (1.0, 2.0) or math.isinf(norm)):
        rows = functions.jacobian(np.zeros(functions.size))
        found = exact_max_margin(rows, norm, flat)
        return LinearProof(found, exact_gap(rows, found, flat))
    if norm != 2.0:
        why = f"the norm {norm:g} has no exact method with this predictor"
        return not_proved(f"{why}; 2 has, and 1, 2 and inf with a linear one", functions.size)
    return _bounded(problem, flat, prove_kkt(functions, flat))


def _program(problem: ScaledMargin | WSet, flat: FloatArray) -> ExactProgram | KktProof:
    found = exact_program(problem, flat)
    if isinstance(found, ExactProgram):
        return found
    if isinstance(problem, ScaledMargin):
        return prove_margin_program(problem, flat)
    proof = prove_zero_part(problem, flat)
    return proof if proof.proved else not_proved(f"{found}; {proof.reason}", proof.dimension)


def _levels(problem: Lexicographic, flat: FloatArray) -> LinearProof | ExactLevels | KktProof:
    functions, norm = problem.functions, problem.norm_p
    count = min(problem.levels or functions.count, functions.count)
    if _is_linear(problem) and norm == 2.0:
        # One direction has the max margin: the later levels are its own.
        proof = _direction(problem, flat)
        if count == 1 or not isinstance(proof, LinearProof):
            return proof
        rows = functions.jacobian(np.zeros(functions.size))
        return replace(proof, levels_gap=exact_levels_gap(rows, proof.exact, flat, count))
    if _is_linear(problem) and (norm == 1.0 or math.isinf(norm)):
        rows = functions.jacobian(np.zeros(functions.size))
        found = exact_levels(rows, norm, flat, count)
        return found if isinstance(found, ExactLevels) else not_proved(found, functions.size)
    if count == 1 and functions.homogeneity.degree is not None:
        return _direction(problem, flat)
    why = "levels after the first are proved for linear predictors with the norm 1, 2 or inf"
    return not_proved(why, functions.size)
