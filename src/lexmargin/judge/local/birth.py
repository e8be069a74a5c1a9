"""The birth of a neuron in a two-layer network: a bound on every width, or a way up (math §7.8).

Convex duality for `F(x) = Σ_j a_j σ(w_j·x)`, σ positively homogeneous: for every λ ≥ 0 and every
width, `Σ λ_n f_n(θ) ≤ Σ_j |a_j|‖w_j‖ b(λ) ≤ ½‖θ‖² b(λ)` with
`b(λ) = max_{‖u‖=1} |Σ_n λ_n y_n σ(u·x_n)|`, so that `γ* ≤ b(λ) / (2 Σ λ_n)` (Pilanci & Ergen 2020).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, final

import numpy as np

from lexmargin.errors import UnsupportedError
from lexmargin.inputs.limits import ARC_PATTERNS, ARC_SIGNS
from lexmargin.judge.certificate import Ascent
from lexmargin.judge.multipliers.multiplier_set import normalised_rows
from lexmargin.linalg.guarded import nonnegative_least_squares
from lexmargin.linalg.rounding import EPS, OUTWARD, TINY
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray
from lexmargin.predictors.base import Predictor
from lexmargin.predictors.networks import fully_connected

__all__ = ["Birth", "birth_ascent", "birth_value", "dead_units", "leak", "widened"]

_NonNegative = Callable[[FloatArray, FloatArray], FloatArray]

_SETTLED: Final = 1e-15
"""Move of a unit vector that is rounding: the search ends, and only its start is lost."""
_RANK: Final = 1e-14
"""Relative singular value that is rounding; what is dropped is added to the bound."""
_ALL_PATTERNS = 10
"""Samples up to which all 2ⁿ patterns are listed, in any dimension: a thousand are cheap."""
_SLIVER = 1e-12
"""Angle (rad) below which a cell may be missed; the bound is raised by as much."""
_SHORTEST = 2.0**-1000
"""Length of a sample below which its unit vector loses digits to underflow: nothing is said
then."""


@final
@dataclass(frozen=True, eq=False)
class Birth:
    """`lower ≤ b(λ) ≤ upper`, with the unit vector and the sign of outer weight that give lower.

    exact
        all activation patterns were looked at, so that the two differ by rounding only.
    """

    lower: float
    upper: float
    direction: FloatArray
    sign: float
    exact: bool


def leak(predictor: Predictor) -> float | None:
    """Return s of `σ(z) = max(z, 0) + s min(z, 0)` for one-output two-layer networks, else None."""
    network = fully_connected(predictor)
    if network is None or not network.two_layer:
        return None
    return network.activation.left_slope


def birth_value(
    X: FloatArray, weights: FloatArray, slope: float = 0.0, nonnegative: _NonNegative | None = None
) -> Birth:
    """Maximise `|Σ_n c_n σ(u·x_n)|` over unit vectors u, with bounds on both sides.

    Within one activation pattern the sum is linear, `g·u`, and `g·u ≤ ‖g + Σ μ_n s_n x_n‖` for
    every μ ≥ 0 because `s_n u·x_n ≥ 0` there; least squares over μ makes it tight. All patterns
    are looked at when the samples span at most three dimensions or are few; otherwise ``upper``
    comes from the triangle inequality and from the second moment of the samples.

    Parameters
    ----------
    X : (N, p) samples.
    weights : (N,) c_n = λ_n y_n.
    slope : s in [0, 1] of the activation.
    nonnegative : μ ≥ 0 that makes ‖A μ - b‖ small, from A and b; scipy's nnls if left out. Any
        μ ≥ 0 gives a bound.
    """
    used = np.flatnonzero((weights != 0.0) & np.any(X != 0.0, axis=1))
    if not used.size:
        return Birth(0.0, 0.0, np.eye(X.shape[1])[0], 1.0, True)
    # `c σ(u·x) = c ‖x‖ σ(u·x/‖x‖)`: samples of any lengths side by side.
    with np.errstate(over="ignore", under="ignore"):
        rows, lengths = normalised_rows(X[used])
    if not (np.min(lengths) > _SHORTEST and np.max(lengths) < math.inf):
        return Birth(0.0, math.inf, np.eye(X.shape[1])[0], 1.0, False)
    c, exponents = np.frexp(weights[used])
    c, more = np.frexp(c * np.frexp(lengths)[0])
    exponents = exponents + more + np.frexp(lengths)[1]
    top = int(np.max(exponents))
    with np.errstate(under="ignore"):
        c = np.ldexp(c, exponents - top)
    coordinates, basis, dropped = _coordinates(rows)
    mass = float(np.abs(c) @ np.linalg.norm(coordinates, axis=1))
    lower, best, sign = _search(coordinates, c, slope)
    patterns, sliver = _patterns(coordinates)
    if slope == 1.0:
        # A linear activation has one pattern, whatever the signs.
        upper, exact = float(np.linalg.norm(c @ coordinates)), True
        upper += 4.0 * EPS * (c.size + 2) * mass
    elif patterns is None:
        upper, exact = _moment_bound(coordinates, c, slope), False
    else:
        upper, lower, best, sign = _over_patterns(
            coordinates, c, slope, patterns, lower, best, sign, nonnegative or _scipy_nonnegative
        )
        upper, exact = upper + (sliver + 4.0 * EPS * (c.size + 2)) * mass, True
    upper += dropped * float(np.abs(c).sum())
    # The lengths and their products with λ are rounded, and the smallest may have been flushed.
    upper = max(upper, lower) * (1.0 + EPS * (X.shape[1] + 8)) + c.size * 2.0**-1000
    with np.errstate(over="ignore", under="ignore"):
        low, high = (float(np.ldexp(np.float64(value), top)) for value in (lower, upper))
    return Birth(low, high, best @ basis, sign, exact)


def _coordinates(rows: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    """Return the rows in an orthonormal basis of their span, the basis, and what was dropped."""
    _, sigma, basis = np.linalg.svd(rows, full_matrices=False)
    rank = int(np.count_nonzero(sigma > _RANK * max(rows.shape) * sigma[0]))
    lost = float(sigma[rank]) if rank < sigma.size else 0.0
    return rows @ basis[:rank].T, basis[:rank], lost


def _value(rows: FloatArray, c: FloatArray, slope: float, u: FloatArray) -> FloatArray:
    z = rows @ u
    result: FloatArray = c @ np.where(z > 0.0, z, slope * z)
    return result


def _search(
    rows: FloatArray, c: FloatArray, slope: float, starts: int = 32, rounds: int = 100
) -> tuple[float, FloatArray, float]:
    """Return a value of |P|, where it is attained, and the sign of P there; by local ascent."""
    rng = np.random.default_rng(0)
    dimension = rows.shape[1]
    order = np.argsort(-np.abs(c))[:starts]
    begin = np.vstack(
        [rows[order], -rows[order], rng.standard_normal((starts, dimension)), c @ rows]
    )
    best, where, outer = 0.0, np.eye(dimension)[0], 1.0
    for sign in (1.0, -1.0):
        u = begin.T / np.maximum(np.linalg.norm(begin, axis=1), TINY)
        for _ in range(rounds):
            values = sign * _value(rows, c, slope, u)
            top = int(np.argmax(values))
            if values[top] > best:
                best, where, outer = float(values[top]), u[:, top].copy(), sign
            slopes = np.where(rows @ u > 0.0, 1.0, slope)
            gradient = sign * rows.T @ (c[:, None] * slopes)
            lengths = np.linalg.norm(gradient, axis=0)
            moved = np.where(lengths > 0.0, gradient / np.where(lengths > 0.0, lengths, 1.0), u)
            if np.abs(moved - u).max() <= _SETTLED:
                break
            u = moved
    return best, where / float(np.linalg.norm(where)), outer


def _over_patterns(
    rows: FloatArray,
    c: FloatArray,
    slope: float,
    patterns: FloatArray,
    lower: float,
    best: FloatArray,
    sign: float,
    nonnegative: _NonNegative,
) -> tuple[float, float, FloatArray, float]:
    """Return the upper bound over all patterns, and the lower bound with its maximiser."""
    slopes = np.where(patterns > 0.0, 1.0, slope)
    linear = (slopes * c) @ rows
    sizes = np.linalg.norm(linear, axis=1)
    upper = lower
    for index in np.argsort(-sizes):
        if sizes[index] <= lower:
            break
        cone = (patterns[index][:, None] * rows).T
        for outer in (1.0, -1.0):
            gradient = outer * linear[index]
            mu = nonnegative(cone, -gradient)
            projected = gradient + cone @ mu
            bound = float(np.linalg.norm(projected))
            upper = max(upper, bound)
            if bound > lower:
                u = projected / bound
                value = outer * float(_value(rows, c, slope, u))
                if value > lower:
                    lower, best, sign = value, u, outer
    return upper, lower, best, sign


def _scipy_nonnegative(matrix: FloatArray, target: FloatArray) -> FloatArray:
    try:
        return nonnegative_least_squares(matrix, target)
    except RuntimeError:
        return np.zeros(matrix.shape[1])


def _patterns(rows: FloatArray) -> tuple[FloatArray | None, float]:
    """Return the sign patterns of u·x_n as (M, N) of ±1, and the angle below which one may lack.

    Every pattern of the arrangement of the planes `u·x_n = 0` is among them; None if too many.
    """
    count, dimension = rows.shape
    if count <= _ALL_PATTERNS:
        return np.array(list(itertools.product((1.0, -1.0), repeat=count))), 0.0
    if dimension == 1:
        side = np.where(rows[:, 0] > 0.0, 1.0, -1.0)
        return np.vstack([side, -side]), 0.0
    if dimension == 2:
        return _cells_2d(rows), 4.0 * _SLIVER
    if dimension == 3 and 4 * count * count <= ARC_PATTERNS:
        if 4 * count**3 > ARC_SIGNS:
            return None, 0.0
        return _cells_3d(rows), 16.0 * _SLIVER
    return None, 0.0


def _arcs(rows: FloatArray) -> FloatArray:
    """Return unit vectors (M, 2), one inside each arc that the lines `u·x_n = 0` cut."""
    angles = np.arctan2(rows[:, 1], rows[:, 0]) + 0.5 * np.pi
    ends = np.sort(np.concatenate([angles, angles + np.pi]) % (2.0 * np.pi))
    gaps = np.diff(np.append(ends, ends[0] + 2.0 * np.pi))
    middles = (ends + 0.5 * gaps)[gaps > _SLIVER]
    return np.column_stack([np.cos(middles), np.sin(middles)])


def _cells_2d(rows: FloatArray) -> FloatArray:
    return np.unique(np.where(_arcs(rows) @ rows.T > 0.0, 1.0, -1.0), axis=0)


def _cells_3d(rows: FloatArray) -> FloatArray:
    """Return the patterns on both sides of every arc of every great circle `u·x_n = 0`."""
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    found = []
    for normal in unit:
        plane = np.linalg.svd(normal[None, :], full_matrices=True)[2][1:]
        inside = unit @ plane.T
        across = np.linalg.norm(inside, axis=1) > _SLIVER
        points = _arcs(inside[across]) @ plane if np.any(across) else plane[:1]
        signs = np.where(points @ unit.T > 0.0, 1.0, -1.0)
        for side in (1.0, -1.0):
            cells = signs.copy()
            cells[:, ~across] = np.where(side * (unit[~across] @ normal) > 0.0, 1.0, -1.0)
            found.append(cells)
    return np.unique(np.vstack(found), axis=0)


def _moment_bound(rows: FloatArray, c: FloatArray, slope: float) -> float:
    """Bound |P| by `½(1+s)‖Σ c x‖ + ½(1-s) max Σ_{c>0} c|u·x|`, for P and for -P."""
    best = 0.0
    for signed in (c, -c):
        positive = signed > 0.0
        weights, chosen = signed[positive], rows[positive]
        triangle = float(weights @ np.linalg.norm(chosen, axis=1))
        moment = (
            float(np.linalg.norm(np.sqrt(weights)[:, None] * chosen, 2)) if weights.size else 0.0
        )
        spectral = math.sqrt(float(weights.sum())) * moment
        linear = float(np.linalg.norm(signed @ rows))
        best = max(
            best, 0.5 * (1.0 + slope) * linear + 0.5 * (1.0 - slope) * min(triangle, spectral)
        )
    return best * (1.0 + OUTWARD)


def dead_units(functions: MarginFunctions, theta: FloatArray, tolerance: float) -> list[int]:
    """Return the hidden units whose weights, in and out, are at most ``tolerance`` of ‖θ‖."""
    incoming, outgoing = functions.blocks(theta)
    sizes = np.hypot(np.linalg.norm(incoming, axis=1), np.abs(outgoing))
    return [int(j) for j in np.flatnonzero(sizes <= tolerance * np.linalg.norm(theta))]


def widened(
    functions: MarginFunctions, theta: FloatArray
) -> tuple[MarginFunctions, FloatArray, int]:
    """Return the network one dead unit wider, its direction (d + p + 1,), and the unit."""
    network = fully_connected(functions.predictor)
    if network is None:
        raise UnsupportedError("Only networks without biases are widened by a unit.")
    incoming, outgoing = functions.blocks(theta)
    wider = MarginFunctions(
        replace(network, widths=(outgoing.size + 1,)), functions.data, functions.unit
    )
    incoming = np.vstack([incoming, np.zeros(incoming.shape[1])])
    return wider, wider.flatten([incoming, np.append(outgoing, 0.0)]), outgoing.size


def birth_ascent(
    functions: MarginFunctions, birth: Birth, multipliers: FloatArray, unit: int
) -> Ascent:
    """Return the curve along which a dead unit gets the weights `s(u; ±1)/√2`.

    Parameters
    ----------
    functions : a two-layer network.
    birth : the direction u and the sign of the outer weight.
    multipliers : λ (N,); margins with λ_n > 0 are held.
    unit : the dead unit.
    """
    incoming, outgoing = (np.zeros(shape) for shape in functions.shapes)
    incoming[unit], outgoing[unit] = birth.direction, birth.sign
    direction = functions.flatten([incoming, outgoing])
    return Ascent(
        direction / float(np.linalg.norm(direction)), np.flatnonzero(multipliers > 0.0), 2
    )
