"""`--exact`: a proof in rational arithmetic for linear margins, in balls for the others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from lexmargin.formulations.base import Formulation
from lexmargin.formulations.kkt import Kkt
from lexmargin.inputs.kinds import checked
from lexmargin.judge.bounds.table import PROVING, lowest
from lexmargin.judge.certify import flattened
from lexmargin.judge.levels.exact_levels import exact_levels
from lexmargin.judge.multipliers.multiplier_set import nonnegative_multipliers
from lexmargin.judge.proofs.exact_bias import exact_program
from lexmargin.judge.proofs.exact_linear import prove_max_margin
from lexmargin.judge.proofs.krawczyk import prove_kkt, prove_zero_part
from lexmargin.judge.proofs.loss_system import prove_loss
from lexmargin.judge.proofs.proof import Arithmetic, Proof, in_balls
from lexmargin.judge.tolerances import PROVED_GAP, PROVED_NEAR
from lexmargin.linalg.norms import unit_scale, vector_norm
from lexmargin.ops.base import FloatArray

__all__ = ["Arithmetic", "Proof", "prove"]


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
            why = _beyond(kkts)
            if why:
                return in_balls(False, why, problem.functions.size)
            found = _in_rationals(kkts)
            return found if isinstance(found, Proof) else _in_balls(kkts, found)
        except (ArithmeticError, np.linalg.LinAlgError):
            why = "f_n, a gradient or what is made of them leaves the range of doubles"
            return in_balls(False, why, problem.functions.size)


def _beyond(kkts: tuple[Kkt, ...]) -> str:
    """Return what of the problem no proof looks at; "" where nothing is left out."""
    first = kkts[0]
    if first.free is not None:
        return "proofs move every entry, and here some are held"
    if len(kkts) > 1 and [kkt.part for kkt in kkts] != list(range(len(kkts))):
        return "levels after the first are proved of the parts of eq. 13 only"
    if first.loss is not None and (first.costs is not None or first.required is not None):
        return "a loss is proved with one cost of all entries, and no margins that are required"
    return ""


def _in_rationals(kkts: tuple[Kkt, ...]) -> Proof | str:
    """Return the comparison with an exact optimum, or why there is none: "" where nothing says."""
    kkt = kkts[0]
    functions, norm, why = kkt.functions, kkt.norm, ""
    if kkt.ordered is None and (kkt.powers is not None or kkt.part is not None):
        found = exact_program(kkts)
        if isinstance(found, Proof):
            return found
        why = f"{found}; "
    linear = functions.linear and (norm in (1.0, 2.0) or math.isinf(norm))
    if not linear or not kkt.is_direction or not _at_level(kkt):
        return why
    rows = functions.jacobian(np.zeros(functions.size))
    levels = 1 if kkt.ordered is None else min(kkt.ordered, functions.count)
    if kkt.ordered is None or norm == 2.0:
        # One direction of the ℓ2 ball has the max margin: the later levels are its own.
        return prove_max_margin(rows, norm, unit_scale(kkt.point), levels)
    return exact_levels(rows, norm, kkt.point, levels)


def _in_balls(kkts: tuple[Kkt, ...], why: str) -> Proof:
    """Return what balls prove; ``why`` nothing was in rational arithmetic."""
    kkt = kkts[0]
    functions, norm = kkt.functions, kkt.norm
    if kkt.loss is not None:
        return prove_loss(kkt, kkt.loss)
    several = kkt.ordered is not None and min(kkt.ordered, functions.count) > 1
    if several or (kkt.ordered is not None and (why or kkt.degree is None)):
        other = "levels after the first are proved for linear predictors with the norm 1, 2 or inf"
        return in_balls(False, why or other, functions.size)
    if kkt.is_direction:
        if not _at_level(kkt):
            short = f"the smallest margin {kkt.margin:.9g} is not {kkt.level:g}"
            return in_balls(False, short, functions.size)
        if norm != 2.0:
            why = f"the norm {norm:g} has no exact method with this predictor"
            why = f"{why}; 2 has, and 1, 2 and inf with a linear one"
            return in_balls(False, why, functions.size)
    elif kkt.part is not None:
        proof = prove_zero_part(kkts)
        return proof if proof.proved else replace(proof, statement=f"{why}{proof.statement}")
    proof = prove_kkt(kkt)
    no_ball = not kkt.is_direction and (kkt.costs is not None or kkt.level is not None)
    return proof if no_ball else _bounded(kkt, proof)


def _at_level(kkt: Kkt) -> bool:
    """Whether the smallest margin is what it must reach, where anything says so."""
    return kkt.level is None or abs(kkt.margin / kkt.level - 1.0) <= PROVED_NEAR


def _bounded(kkt: Kkt, proof: Proof) -> Proof:
    """Add a bound on all margins of the ball (eq. 6), or over all directions."""
    functions, support = kkt.functions, proof.facts["support"]
    if not (proof.proved and support):
        return proof
    radius = 1.0 if kkt.is_direction or kkt.radius is None else kkt.radius
    w = kkt.point * (radius / vector_norm(kkt.point, 2.0))
    margin = float(np.min(functions.values(w)))
    weights = np.zeros(functions.count)
    share = nonnegative_multipliers(functions.jacobian(w)[support], w / radius).multipliers
    weights[support] = share if np.any(share > 0.0) else 1.0
    known = lowest(replace(kkt, point=w, unrounded=None), weights, margin, PROVING, PROVED_GAP)
    if known is None or known.bound is None:
        return proof
    gap, statement = known.gap(margin), proof.statement
    if gap <= PROVED_GAP:
        statement += f"; no point of the ball has a margin above {known.bound:.12g}: "
        statement += "a global maximum"
    return replace(proof, facts={**proof.facts, "bound": known.bound}, gap=gap, statement=statement)
