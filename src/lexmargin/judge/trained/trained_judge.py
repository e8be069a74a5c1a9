"""The verdict on a direction whose gradients are too many to keep (math §3, Accuracy)."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Protocol

import numpy as np

from lexmargin.judge.certificate import Certificate
from lexmargin.judge.first_order import Measured, first_order
from lexmargin.judge.multipliers.gram import GramMeasure, GramProblem, gram_matrix, row_norms
from lexmargin.judge.multipliers.multiplier_set import spread
from lexmargin.judge.multipliers.qualification import LicqReport, MfcqReport
from lexmargin.judge.point import euler_error, is_noise
from lexmargin.judge.stationarity import lyu_li
from lexmargin.judge.supports import rungs
from lexmargin.judge.tolerances import WIDEST, Tolerances
from lexmargin.judge.trained.scores import Indices
from lexmargin.judge.unmeasured import negative
from lexmargin.judge.verdict import Verdict
from lexmargin.judge.weight_reach import weight_reach
from lexmargin.linalg.norms import Array, vector_norm
from lexmargin.linalg.rounding import EPS

__all__ = ["GradientSource", "certify_by_gram"]


class GradientSource(Protocol):
    """Margins whose gradients are formed a few at a time."""

    @property
    def theta(self) -> Array: ...

    @property
    def values(self) -> Array: ...

    def rows(self, indices: Indices) -> Array: ...

    def push(self, indices: Indices, direction: Array) -> Array: ...

    def pull(self, indices: Indices, weights: Array) -> Array: ...


def certify_by_gram(
    margins: GradientSource, degree: float, limits: Tolerances, memory: float
) -> Certificate:
    """Judge θ/‖θ‖ for the ℓ2 ball from `K = J Jᵀ` of the support and passes through the network.

    The same words as :func:`certify_arrays`; the support is chosen first, so that only its
    gradients are formed.

    Parameters
    ----------
    margins : the margin functions.
    degree : α.
    limits : what counts as equal.
    memory : bytes that gradients may take at a time.
    """
    size = vector_norm(margins.theta, 2.0)
    theta = margins.theta / size
    # f/‖θ‖ and ∇f differ from f(θ̂) and ∇f(θ̂) by one factor ‖θ‖^{α-1}.
    values = margins.values / size
    if float(np.min(values)) <= 0.0:
        unit = margins.values / size**degree
        return replace(negative(unit, 2.0, limits), degree=degree)
    gamma = float(np.min(values))
    widest = max(WIDEST, limits.support)
    chosen = np.flatnonzero(values <= (1.0 + widest) * gamma)
    gram = gram_matrix(margins.rows, chosen, margins.theta.size, memory)
    products = margins.push(chosen, theta)
    problem = GramProblem(
        chosen,
        gram,
        products,
        degree * (values[chosen] - gamma),
        margins.pull,
        margins.push,
        theta,
    )
    mismatch = euler_error(products, degree * values[chosen])
    tau, best, lower = _climb(problem, values[chosen], limits)
    reach = 0.0
    if lower > limits.stationarity:
        far = np.setdiff1d(np.arange(values.size), chosen)
        reach = limits.complementarity * weight_reach(
            far,
            lambda some: row_norms(margins.rows, some, margins.theta.size, memory),
            degree * (values - gamma),
            theta,
            2.0,
        )
        lower = max(0.0, lower - reach)
    lower = min(lower, best.residual)
    smallest = margins.rows(np.flatnonzero(values <= gamma))
    verdict, reasons = first_order(
        Measured(
            residual=best.residual,
            lower=lower,
            floor=best.floor,
            complementarity=best.complementarity,
            noisy=is_noise(smallest, theta, degree * gamma),
            mismatch=mismatch,
        ),
        limits,
    )
    if reach > 0.0 and verdict is Verdict.UNDECIDED:
        reasons += (f"samples beyond the support could lower ε by {reach:.2g}",)
    scale = size ** (degree - 1.0)
    multipliers = spread(best.support, values.size, best.multipliers)
    margin = gamma / scale
    pair = lyu_li(best.residual, multipliers * (values - gamma), margin, degree)
    independent = _independent(gram[np.ix_(*[np.searchsorted(chosen, best.support)] * 2)])
    held = np.searchsorted(chosen, best.support)
    norms = np.sqrt(np.diag(gram))[held]
    slack = float(np.min(products[held] / norms)) if np.all(norms > 0.0) else 0.0
    return Certificate(
        verdict=verdict,
        stationarity=best.residual,
        stationarity_bound=lower,
        complementarity=best.complementarity,
        feasibility=0.0,
        margin=margin,
        support=best.support,
        multipliers=multipliers * scale,
        euler=degree * gamma * float(np.sum(multipliers)),
        multiplier_dimension=0 if independent.holds else None,
        multiplier_range=None,
        licq=independent,
        mfcq=MfcqReport(slack > 0.0, slack, theta),
        curvature=None,
        gap=None,
        bound=None,
        margin_ratio=None,
        definition_3=None,
        degree=degree,
        nearest_kink=None,
        norm=2.0,
        tolerances=limits,
        reasons=(
            *reasons,
            f"from the inner products of {chosen.size} gradients of {margins.theta.size} "
            f"parameters, which alone resolve ε to {best.resolution:.1e}",
        ),
        tau=tau,
        kkt_epsilon=pair[0],
        kkt_delta=pair[1],
    )


def _climb(
    problem: GramProblem, values: Array, limits: Tolerances
) -> tuple[float, GramMeasure, float]:
    """Return the smallest τ that serves, what was measured there, and a bound on ε."""
    gamma = float(np.min(values))
    best: tuple[float, GramMeasure] | None = None
    lower, size = 0.0, -1
    for tau in rungs(limits.support):
        inside = np.flatnonzero(values <= (1.0 + tau) * gamma)
        if inside.size == size:
            continue
        size = inside.size
        measured = problem.measure(inside)
        if limits.met(measured.residual, measured.complementarity):
            return tau, measured, measured.lower
        balanced = problem.measure(inside, penalised=True)
        if limits.met(balanced.residual, balanced.complementarity):
            return tau, balanced, min(measured.lower, balanced.residual)
        usable = measured.complementarity <= limits.complementarity
        if best is None or (usable and measured.residual < best[1].residual):
            best = (tau, measured)
        lower = math.sqrt(max(0.0, balanced.lower**2 - limits.complementarity**2))
    assert best is not None
    return *best, lower


def _independent(gram: Array) -> LicqReport:
    """Judge independence from inner products, which see singular values above 1e-8 or so only."""
    norms = np.sqrt(np.diag(gram))
    if np.any(norms == 0.0):
        return LicqReport(False, None, norms.size, 0.0, math.nan)
    weights = np.linalg.eigvalsh(gram / np.outer(norms, norms))
    largest = float(weights[-1])
    seen = weights > norms.size * EPS * largest
    rank = int(np.count_nonzero(seen))
    smallest = math.sqrt(max(0.0, float(weights[0]))) if rank == norms.size else 0.0
    return LicqReport(rank == norms.size, rank, norms.size, smallest, math.sqrt(largest))
