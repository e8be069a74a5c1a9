"""A solver's claim by its own measure: its residuals recomputed, its tolerance as it defines it.

For ``min c‖w‖²  s.t.  f_n(w) >= r`` with the multipliers λ that the solver returned,

    primal  max_n (r - f_n(w))      dual  ‖2cw - Jᵀλ‖      gap  |2c‖w‖² - r Σ_n λ_n|,

each beside the tolerance that the solver tests it with. An absolute tolerance can be met by a point
that nobody wants: that is a true claim, though not what was meant.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final, final

import numpy as np

from lexmargin.backends.linear.constraint_generation import hard_margin_linear
from lexmargin.formulations.base import Formulation
from lexmargin.ops.base import FloatArray, Relation, Sense
from lexmargin.program import Combination, Constant, Margins, Parameter, Program, SquaredNorm
from lexmargin.run.stages import Run
from lexmargin.shelf.profiles import ClaimRule, Grade, Measure, Profile

__all__ = ["Own", "OwnMeasure", "Residuals", "infeasible_by_own", "own_residuals", "residuals_of"]

_BARELY: Final = 2.0
"""Times a tolerance before a claim counts as missed: solvers end where it is just met, and theirs
is of numbers that rounding has changed on the way here."""
_IPOPT_SCALE: Final = 100.0
"""s_max of Ipopt: multipliers of this size on average leave its residuals as they are."""


@final
class OwnMeasure(StrEnum):
    """Whether a claim holds as the solver itself defines it."""

    MET = "met"
    MISSED = "missed"
    UNMEASURED = "unmeasured"
    """Its rule is not known here, or it returns no multipliers, or the program is another one."""


@final
@dataclass(frozen=True)
class Own:
    """A claim by its solver's measure.

    Attributes:
        word: whether its residuals are within its tolerances.
        primal, dual, gap: the residuals.
        excess: the largest of them over its tolerance; None where it is not measured.
    """

    word: OwnMeasure = OwnMeasure.UNMEASURED
    primal: float | None = None
    dual: float | None = None
    gap: float | None = None
    excess: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the members as they stand in a record."""
        return {f"own_{name}": value for name, value in asdict(self).items()} | {
            "own_word": self.word.value
        }


@final
@dataclass(frozen=True)
class Residuals:
    """Residuals and the sizes of the terms that they are differences of.

    Attributes:
        primal, dual, gap: as above; the gap of nonlinear f_n is max λ_n (f_n - r).
        primal_terms: sizes of f and r. dual_terms: of 2cw and Jᵀλ. gap_terms: of the objectives.
        rows: primal residuals over ‖∇f_n‖, the largest.
        lengths: ‖·‖₂ of the primal and dual residual vectors, of r, w, f - r, and λ.
        mean_weight: of λ.
    """

    primal: float
    dual: float
    gap: float
    primal_terms: tuple[float, ...]
    dual_terms: tuple[float, ...]
    gap_terms: tuple[float, ...]
    rows: float
    lengths: tuple[float, ...]
    mean_weight: float


def own_residuals(problem: Formulation, profile: Profile, grade: Grade, outcome: Run) -> Own:
    """Return a claim of an optimum by the measure of its solver."""
    rule, program = profile.claim, outcome.program
    if rule is None or program is None or not outcome.raw.has_values:
        return Own()
    with np.errstate(all="ignore"):
        found = residuals_of(program, outcome.raw.values, outcome.raw.multipliers)
        if found is None:
            return Own()
        excess = _excess(found, rule.at(grade.tolerance))
    if not np.isfinite(excess):
        return Own()
    word = OwnMeasure.MET if excess <= _BARELY else OwnMeasure.MISSED
    if word is OwnMeasure.MISSED and rule.scales_itself:
        word = OwnMeasure.UNMEASURED
    return Own(word, found.primal, found.dual, found.gap, excess)


def residuals_of(
    program: Program, values: Mapping[str, FloatArray], multipliers: Mapping[str, FloatArray]
) -> Residuals | None:
    """Return the residuals of a point and its multipliers; None for programs of another form."""
    stated = _stated(program)
    if stated is None:
        return None
    margins, level, factor, costed, name = stated
    weights = multipliers.get(name)
    if weights is None or not np.all(np.isfinite(weights)):
        return None
    functions = margins.functions
    scales = margins.factors or (1.0,) * len(margins.blocks)
    blocks = [values[block] for block in margins.blocks]
    w = functions.flatten([block * scale for block, scale in zip(blocks, scales, strict=True)])
    f = functions.values(w)
    pulled = functions.blocks(functions.vjp(w, np.asarray(weights)))
    lowest = {v.name: v.lower for v in program.variables}
    slopes, differences = [], []
    for block, name, scale, part in zip(blocks, margins.blocks, scales, pulled, strict=True):
        slope = 2.0 * factor * block if name in costed else np.zeros_like(block)
        left = slope - scale * part
        if lowest.get(name) is not None:
            # What a bound holds may pull outwards.
            left = np.minimum(left, 0.0)
        slopes.append(slope.ravel())
        differences.append(left.ravel())
    cost, difference = np.concatenate(slopes), np.concatenate(differences)
    dual = max(_largest(difference), _largest(np.minimum(weights, 0.0)))
    value = 2.0 * factor * sum(float(np.sum(values[b] ** 2)) for b in costed)
    priced = level * float(np.sum(weights))
    gap = abs(value - priced)
    if not functions.linear and program.curvature.name != "AFFINE":
        gap = _largest(weights * (f - level))
    lengths = np.linalg.norm(functions.jacobian(w), axis=1)
    short = np.maximum(level - f, 0.0)
    return Residuals(
        primal=_largest(short),
        dual=dual,
        gap=gap,
        primal_terms=(_largest(f), level, _largest(f - level)),
        dual_terms=(_largest(cost), _largest(np.concatenate([p.ravel() for p in pulled]))),
        gap_terms=(abs(value), abs(priced)),
        rows=_largest(short / np.where(lengths > 0, lengths, 1.0)),
        lengths=tuple(
            float(np.linalg.norm(part))
            for part in (short, difference, np.full(f.size, level), w, f - level, weights)
        ),
        mean_weight=float(np.mean(np.abs(weights))),
    )


def _excess(found: Residuals, rule: ClaimRule) -> float:
    """Return the largest residual over its tolerance; infinite where one has none to meet."""
    primal, dual, gap = found.primal, found.dual, found.gap
    a, r = rule.absolute, rule.relative
    if rule.measure is Measure.SUM:
        primal, dual, right, point, slack, weights = found.lengths
        limits = (a * max(1.0, right + point + slack), a * max(1.0, point + weights))
    elif rule.measure is Measure.IPOPT:
        limits = (a, a * max(_IPOPT_SCALE, found.mean_weight) / _IPOPT_SCALE)
    else:
        limits = (a + r * max(found.primal_terms), a + r * max(found.dual_terms))
    if rule.measure is Measure.ROWS:
        primal = found.rows
    ratios = [_ratio(primal, limits[0]), _ratio(dual, limits[1])]
    if rule.measure is Measure.IPOPT:
        ratios.append(_ratio(gap, limits[1]))
    elif rule.measure is Measure.SUM and rule.gap_absolute is not None:
        # Either of its two tests ends it.
        least = max(1.0, min(found.gap_terms))
        ratios.append(_ratio(gap, max(rule.gap_absolute, (rule.gap_relative or 0.0) * least)))
    elif rule.gap_absolute is not None:
        relative = (rule.gap_relative or 0.0) * max(found.gap_terms)
        ratios.append(_ratio(gap, rule.gap_absolute + relative))
    return max(ratios)


def infeasible_by_own(program: Program | None, profile: Profile) -> Own:
    """Return a claim of infeasibility, of linear margins that some w separates, by its measure.

    What a solver takes for a proof is some λ >= 0 with Σ λ_n = 1 and ``‖Zᵀλ‖_∞`` within its
    tolerance, Z the rows of the program that it was given. One pair decides: the λ of the largest
    margin meets it, or a separating w shows that none does, for
    ``‖Zᵀλ‖_∞ >= min_n z_n·w / ‖w‖_1``.
    """
    limit = None if profile.claim is None else profile.claim.infeasible
    rows = None if program is None else _rows(program)
    if limit is None or rows is None:
        return Own()
    found = hard_margin_linear(rows, np.ones(len(rows)))
    weights, w = np.maximum(found.multipliers, 0.0), found.theta
    with np.errstate(all="ignore"):
        left = _largest(rows.T @ (weights / weights.sum()))
        least = float(np.min(rows @ w)) / float(np.abs(w).sum())
    if left <= limit:
        return Own(OwnMeasure.MET, dual=left, excess=left / limit)
    if least > _BARELY * limit:
        return Own(OwnMeasure.MISSED, dual=left, excess=left / limit)
    return Own()


def _rows(program: Program) -> FloatArray | None:
    """Return Z (N, d) of a program ``Zw >= 1`` as its solver sees it; None for others."""
    if len(program.constraints) != 1 or any(v.lower is not None for v in program.variables):
        return None
    held = program.constraints[0]
    margins, right = held.left, held.right
    if not isinstance(margins, Margins) or not isinstance(right, (Constant, Parameter)):
        return None
    functions = margins.functions
    if functions.data.is_sparse or not functions.linear or not right.value > 0.0:
        return None
    factors = margins.factors or (1.0,) * len(margins.blocks)
    scales = [
        np.full(np.prod(s, dtype=int), c) for s, c in zip(functions.shapes, factors, strict=True)
    ]
    rows = functions.jacobian(np.zeros(functions.size)) * np.concatenate(scales)
    return np.asarray(rows / right.value)


def _stated(program: Program) -> tuple[Margins, float, float, tuple[str, ...], str] | None:
    """Return f, r, c, the blocks that cost, and the name of the constraint."""
    if program.sense is not Sense.MINIMIZE or len(program.constraints) != 1:
        return None
    (held,), objective = program.constraints, program.objective
    terms = objective.terms if isinstance(objective, Combination) else ((1.0, objective),)
    if len(terms) != 1 or held.relation is not Relation.AT_LEAST:
        return None
    (factor, size), right = terms[0], held.right
    if not isinstance(factor, float) or not isinstance(size, SquaredNorm):
        return None
    if not isinstance(held.left, Margins) or not isinstance(right, (Constant, Parameter)):
        return None
    return held.left, right.value, factor, size.blocks, held.name


def _largest(values: Any) -> float:
    return float(np.max(np.abs(values), initial=0.0))


def _ratio(residual: float, limit: float) -> float:
    if residual == 0.0:
        return 0.0
    return residual / limit if limit > 0.0 else float("inf")
