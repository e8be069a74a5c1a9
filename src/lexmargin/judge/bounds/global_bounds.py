"""Upper bounds on all margins that do not depend on the direction judged (math §4).

Each is evaluated, never believed: a solver may suggest weights, but what is returned is the bound
that these weights prove, whatever the solver said.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import final

import numpy as np

from lexmargin.inputs.limits import NETWORK_BOUND_ENTRIES
from lexmargin.judge.bounds.enumeration import circle_bound, signed_rows, vertex_bound
from lexmargin.judge.certificate import Certificate
from lexmargin.judge.functions.linear_networks import linear_network_bound
from lexmargin.judge.local.birth import Birth, birth_value, leak
from lexmargin.judge.multipliers.vertex_bounds import best_weights, linear_dual_bound, relative_gap
from lexmargin.judge.verdict import Verdict
from lexmargin.linalg.guarded import linear_program
from lexmargin.linalg.norms import Array, vector_norm
from lexmargin.margins import MarginFunctions
from lexmargin.ops.curvature import Curvature
from lexmargin.predictors.activations import Identity
from lexmargin.predictors.networks import ConvolutionalNetwork, DiagonalNetwork, Network

__all__ = [
    "BoundMethod",
    "GlobalBound",
    "enumerated_bound",
    "global_bound",
    "with_global_bound",
]

_ROUNDS = 100
"""Cuts of the relaxed program at most; fewer leave a weaker bound, never a wrong one."""
_BIRTH_TESTS = 12
"""Exact birth tests of one bound: they dominate its price; fewer leave it weaker, not wrong."""
_FEW_BIRTH_TESTS = 2
"""The same where a certificate asks by the way and must not wait for a bound."""
_STARTS = 400
"""Random starts of the search for cuts; a missed cut is found by the birth test, only later."""
_ASCENTS = 30
"""Steps from each start: the fixed point is settled before, or another start finds it."""
_CUTS = 40
"""Cuts added at once; more make the program slower, fewer make more programs (judgement)."""


@final
class BoundMethod(StrEnum):
    """Where a bound comes from."""

    LINEAR = "linear-duality"
    """`γ* ≤ ‖Σ p_n z_n‖_*`, Σp = 1."""
    LINEAR_NETWORK = "linear-network"
    """The same for the end-to-end β of a linear network, after the inequality of the means."""
    PATTERNS = "activation-patterns"
    """Duality of the convex program over activation patterns (Pilanci & Ergen 2020)."""
    VERTICES = "vertices"
    """All vertices of `Zβ ≥ 1`: a quasi-norm is concave on orthants."""
    CIRCLE = "circle"
    """Branch and bound over all directions of two parameters, in ball arithmetic."""


@final
@dataclass(frozen=True, eq=False)
class GlobalBound:
    """`γ* ≤ upper`, and `gap = (upper - γ)/upper` of the direction it was asked for.

    weights
        (N,) p ≥ 0, Σp = 1, of a bound by duality; None for one by enumeration.
    """

    method: BoundMethod
    upper: float
    gap: float
    weights: Array | None = None


def global_bound(
    functions: MarginFunctions,
    theta: Array,
    certificate: Certificate | None = None,
    norm: float = 2.0,
    looks: int = _BIRTH_TESTS,
) -> GlobalBound | None:
    """Return the best upper bound on `max_{‖θ‖≤1} min_n f_n(θ)` that applies, None without one.

    Args:
        functions: the margin functions of a homogeneous predictor.
        theta: (d,) the direction, at any scale; only ``gap`` depends on it.
        certificate: of the same direction; its multipliers are tried as weights too.
        norm: exponent of the ball.
        looks: how often all activation patterns of a ReLU network are searched.
    """
    alpha = functions.homogeneity.degree
    if alpha is None or functions.count * functions.data.n_features > NETWORK_BOUND_ENTRIES:
        return None
    size = vector_norm(theta, norm)
    margin = float(np.min(functions.values(theta / size)))
    found = _bounds(functions, certificate, norm, alpha, looks)
    if not found:
        return None
    best = min(found, key=lambda bound: bound.upper)
    return replace(best, gap=relative_gap(best.upper, margin))


def _bounds(
    functions: MarginFunctions,
    certificate: Certificate | None,
    norm: float,
    alpha: float,
    looks: int,
) -> list[GlobalBound]:
    if functions.curvature is Curvature.AFFINE and alpha == 1.0:
        Z = functions.jacobian(np.zeros(functions.size))
        weights = best_weights(Z, norm)
        upper = linear_dual_bound(Z, weights, norm).upper
        return [GlobalBound(BoundMethod.LINEAR, upper, math.nan, weights)]
    if norm != 2.0:
        return []
    found: list[GlobalBound] = []
    predictor = functions.predictor
    weights_of = {
        Network: lambda Z: best_weights(Z, 2.0),
        DiagonalNetwork: lambda Z: best_weights(Z, 1.0),
        ConvolutionalNetwork: lambda Z: best_weights(Z, 2.0),
    }
    suggest = weights_of.get(type(predictor))
    linear = not isinstance(predictor, Network) or isinstance(predictor.activation, Identity)
    if suggest is not None and linear and predictor.outputs == 1:
        candidates = [suggest(signed_rows(functions))]
        if certificate is not None and np.any(certificate.multipliers > 0.0):
            candidates.append(certificate.multipliers)
        for weights in candidates:
            bound = linear_network_bound(functions, weights)
            if bound is not None:
                share = weights / float(np.sum(weights))
                found.append(GlobalBound(BoundMethod.LINEAR_NETWORK, bound, math.nan, share))
    slope = leak(functions)
    if slope is not None and not linear:
        patterns = _pattern_bound(functions, slope, certificate, looks)
        found += [] if patterns is None else [patterns]
    enumerated = enumerated_bound(functions)
    return found if enumerated is None else [*found, enumerated]


def with_global_bound(
    functions: MarginFunctions, theta: Array, norm: float, certificate: Certificate
) -> Certificate:
    """Raise a positive verdict to GLOBAL where some bound meets the margin; keep the best bound."""
    if not certificate.verdict.certified or certificate.verdict is Verdict.GLOBAL:
        return certificate
    found = global_bound(functions, theta, certificate, norm, _FEW_BIRTH_TESTS)
    if found is None:
        return certificate
    better = certificate.bound is None or found.upper < certificate.bound
    result = certificate
    if better:
        result = replace(certificate, bound=found.upper, gap=found.gap)
    if found.gap > certificate.tolerances.gap:
        return result
    return replace(
        result,
        verdict=Verdict.GLOBAL,
        radius=None,
        margin_ratio=certificate.margin / found.upper,
        definition_3=True,
        reasons=(*certificate.reasons, f"no direction has a larger margin ({found.method.value})"),
    )


def enumerated_bound(functions: MarginFunctions) -> GlobalBound | None:
    """Return the maximum over all directions of the ℓ2 ball, where they can be gone through.

    Diagonal networks of depth ≥ 3 by vertices, other nonlinear predictors of two parameters by
    branch and bound. Needs no solver. None for all others, and where there are too many vertices.
    """
    vertices = vertex_bound(functions)
    if vertices is not None:
        return GlobalBound(BoundMethod.VERTICES, vertices, math.nan)
    alpha = functions.homogeneity.degree
    if functions.size != 2 or alpha is None or alpha == 1.0:
        return None
    return GlobalBound(BoundMethod.CIRCLE, circle_bound(functions, alpha), math.nan)


# -- two-layer networks ----------------------------------------------------------------------------


def _pattern_bound(
    functions: MarginFunctions, slope: float, certificate: Certificate | None, looks: int
) -> GlobalBound | None:
    """Maximise Σλ with `|Σ λ_n y_n σ(u·x_n)| ≤ 1` for all unit u, by cutting planes.

    Linear programs suggest λ; every λ is scaled by the birth test and proves
    `γ* ≤ b(λ)/(2 Σλ)`. Where b has no tight bound (many samples in more than three dimensions)
    the bound is that of the certificate's multipliers.
    """
    X = functions.data.X
    signs = functions.score_weights(np.ones(functions.count))
    best: GlobalBound | None = None

    def tried(weights: Array) -> Birth:
        nonlocal best
        birth = birth_value(X, signs * weights, slope)
        upper = 0.5 * birth.upper / float(np.sum(weights))
        if best is None or upper < best.upper:
            share = weights / float(np.sum(weights))
            best = GlobalBound(BoundMethod.PATTERNS, upper, math.nan, share)
        return birth

    if certificate is not None and np.any(certificate.multipliers > 0.0):
        exact = tried(np.maximum(certificate.multipliers, 0.0)).exact
        if not exact or (best is not None and best.upper <= certificate.margin * (1.0 + 1e-9)):
            return best
    sizes = np.linalg.norm(X, axis=1)
    if np.any(sizes == 0.0):
        return best
    length = float(np.max(sizes))
    scaled = X / length
    looked, weights = 0, None
    cuts = np.vstack([X, -X]) / np.append(sizes, sizes)[:, None]
    for _ in range(_ROUNDS):
        weights = _relaxed(cuts, scaled, signs, slope)
        if weights is None:
            return best
        deeper = _maximisers(scaled, signs * weights, slope, cuts)
        if not deeper.size:
            looked += 1
            birth = tried(weights)
            if looked == looks or birth.lower <= length * (1.0 + 1e-8) or not birth.exact:
                return best
            deeper = birth.direction[None, :]
        cuts = np.vstack([cuts, deeper])
    if weights is not None:
        tried(weights)
    return best


def _maximisers(X: Array, c: Array, slope: float, starts: Array) -> Array:
    """Return unit vectors with `|Σ c_n σ(u·x_n)|` above 1, by fixed-point ascent (K, p)."""
    rng = np.random.default_rng(0)
    begin = np.vstack([starts, rng.standard_normal((_STARTS, X.shape[1]))])
    found = []
    for sign in (1.0, -1.0):
        u = (begin / np.linalg.norm(begin, axis=1, keepdims=True)).T
        top, where = np.full(u.shape[1], -np.inf), u.copy()
        for _ in range(_ASCENTS):
            z = X @ u
            slopes = np.where(z > 0.0, 1.0, slope)
            values = sign * (c @ (slopes * z))
            # The negative terms are not convex, so that a step may lead down again.
            better = values > top
            top, where[:, better] = np.maximum(values, top), u[:, better]
            gradient = sign * X.T @ (c[:, None] * slopes)
            lengths = np.linalg.norm(gradient, axis=0)
            moved = np.where(lengths > 0.0, gradient / np.where(lengths > 0.0, lengths, 1.0), u)
            if np.allclose(moved, u, rtol=0.0, atol=1e-15):
                break
            u = moved
        good = top > 1.0 + 1e-9
        found.append(where.T[good][np.argsort(-top[good])])
    every = np.vstack(found)
    if not every.size:
        return every
    _, first = np.unique(np.round(every, 9), axis=0, return_index=True)
    return np.array(every[np.sort(first)][:_CUTS])


def _relaxed(directions: Array, X: Array, signs: Array, slope: float) -> Array | None:
    """Maximise Σλ over λ ≥ 0 with the constraints of the given directions only."""
    z = directions @ X.T
    rows = np.where(z > 0.0, z, slope * z) * signs
    answer = linear_program(
        -np.ones(signs.size),
        A_ub=np.vstack([rows, -rows]),
        b_ub=np.ones(2 * directions.shape[0]),
        bounds=(0.0, None),
        method="highs-ds",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
    if answer.x is None or not float(np.sum(answer.x)) > 0.0:
        return None
    return np.maximum(np.asarray(answer.x, dtype=np.float64), 0.0)
