"""The second-order condition at a KKT direction (math §3), for the ℓ2 ball."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from lexmargin.certificate.certificate import Certificate
from lexmargin.certificate.kinks import curvature_jumps
from lexmargin.certificate.raising import Raised, raise_margin, significant_gain
from lexmargin.certificate.symmetry import symmetry_tangents
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray

__all__ = ["LIMIT", "Curvature", "CurvatureKind", "measure_curvature"]

LIMIT = 1500
"""Largest number of parameters whose Hessian is formed."""

_ENTRIES = 40_000_000
_FLAT = 1e-6
_STRONG = 1e-6
_STEPS = np.array([sign * 10.0**e for e in np.arange(-4.0, 0.25, 0.5) for sign in (1.0, -1.0)])


@final
class CurvatureKind(StrEnum):
    """The sign of the Hessian of `½‖w‖² - Σ λ_n f_n(w)` on the critical cone."""

    POSITIVE = "positive"
    """Positive on the whole cone, orbits of symmetries aside."""
    INDEFINITE = "indefinite"
    """Negative somewhere on the cone."""
    UNDECIDED = "undecided"
    """Zero eigenvalues, a cone too hard to decide, or a Hessian that could not be had."""


@final
@dataclass(frozen=True, eq=False, kw_only=True)
class Curvature:
    """The reduced Hessian of the Lagrangian, of which the identity is the scale.

    smallest, largest
        its extreme eigenvalues on the tangents of the strongly active f_n, symmetries projected
        out (NaN where there is no tangent, or no Hessian).
    dimension, symmetries
        dimensions of that space and of the orbit of symmetries.
    witness
        (d,) a unit direction of negative curvature; None where there is none.
    margin_before, margin_after, step
        the margin of the direction, and the best one shown along ``witness`` after correction
        back to the active set; None where none was searched.
    reason
        what was found, in words.
    """

    kind: CurvatureKind
    smallest: float = math.nan
    largest: float = math.nan
    dimension: int = 0
    symmetries: int = 0
    witness: FloatArray | None = None
    margin_before: float | None = None
    margin_after: float | None = None
    step: float | None = None
    shown: bool = False
    reason: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; non-finite numbers are null."""
        return {
            "kind": self.kind.value,
            "smallest": self.smallest if math.isfinite(self.smallest) else None,
            "largest": self.largest if math.isfinite(self.largest) else None,
            "dimension": self.dimension,
            "symmetries": self.symmetries,
            "witness": None if self.witness is None else self.witness.tolist(),
            "margin_before": self.margin_before,
            "margin_after": self.margin_after,
            "step": self.step,
            "shown": self.shown,
            "reason": self.reason,
        }

    def __str__(self) -> str:
        text = f"{self.kind.value}: {self.reason}"
        if math.isfinite(self.smallest):
            text += f"; eigenvalues {self.smallest:.6g} to {self.largest:.6g}"
        return f"{text}, {self.dimension} tangents, {self.symmetries} symmetries"


def _undecided(reason: str) -> Curvature:
    return Curvature(kind=CurvatureKind.UNDECIDED, reason=reason)


def measure_curvature(
    functions: MarginFunctions, theta: FloatArray, degree: float, certificate: Certificate
) -> Curvature:
    """Judge `d·(I - Σ λ_n ∇²f_n(θ̂)) d` on the critical cone of a smooth KKT direction.

    It is the Hessian of `½‖w‖² - Σ λ_n f_n(w)` at `w = θ̂/γ^{1/α}`: the powers of γ cancel.

    Parameters
    ----------
    functions : the margin functions, twice differentiable at θ̂.
    theta : (d,) θ̂, of ℓ2 norm 1.
    degree : α.
    certificate : the first-order certificate, with its λ, support, ε and γ.

    Returns
    -------
    Curvature
        INDEFINITE with ``shown`` only where a margin above γ was actually evaluated.
    """
    if functions.size > LIMIT or functions.count * functions.size > _ENTRIES:
        return _undecided(
            f"{functions.size} parameters and {functions.count} margins are too many for a "
            "second-order test"
        )
    values = certificate.multipliers
    used = np.where(values > 0.0, values, 0.0)
    if curvature_jumps(functions, theta, used, certificate.tolerances.kink):
        return _undecided("the second derivative of relu^p jumps at this direction")
    hessian = _hessian(functions, theta, used)
    doubt = _doubt(functions, theta, used, degree, hessian, certificate.nearest_kink)
    if doubt:
        return _undecided(doubt)
    support = certificate.support
    jacobian = functions.jacobian(theta)
    weights = used[support] * np.linalg.norm(jacobian[support], axis=1)
    error = certificate.stationarity
    strong = weights > max(_STRONG, 100.0 * error) * float(np.max(weights))
    orbit = symmetry_tangents(functions, theta, jacobian)
    lagrangian = np.eye(theta.size) - hessian
    tangents = _null_space(jacobian[support[strong]], orbit)
    eigenvalues, vectors = _reduced(lagrangian, tangents)
    size = {"dimension": tangents.shape[1], "symmetries": orbit.shape[0]}
    if not tangents.shape[1]:
        return Curvature(
            kind=CurvatureKind.POSITIVE, reason="the critical cone holds no direction", **size
        )
    low, high = float(eigenvalues[0]), float(eigenvalues[-1])
    found = Curvature(kind=CurvatureKind.UNDECIDED, smallest=low, largest=high, **size)
    zero = max(_FLAT * max(1.0, high, -low), math.sqrt(10.0 * error))
    if low > zero:
        near = certificate.nearest_kink
        if near is not None and near * low <= 10.0 * error:
            return _with(found, CurvatureKind.UNDECIDED, "a kink is as near as the error of θ̂")
        return _with(found, CurvatureKind.POSITIVE, "positive on the critical cone")
    if low >= -zero:
        flat = int(np.count_nonzero(eigenvalues <= zero))
        return _with(
            found,
            CurvatureKind.UNDECIDED,
            f"{flat} flat direction{'s' if flat > 1 else ''}, no known symmetry of the problem",
        )
    return _negative(
        functions, theta, degree, certificate, found, jacobian, strong, lagrangian, orbit,
        vectors[:, eigenvalues < -zero][:, :3], zero,
    )  # fmt: skip


def _with(found: Curvature, kind: CurvatureKind, reason: str) -> Curvature:
    from dataclasses import replace

    return replace(found, kind=kind, reason=reason)


def _negative(
    functions: MarginFunctions,
    theta: FloatArray,
    degree: float,
    certificate: Certificate,
    found: Curvature,
    jacobian: FloatArray,
    strong: NDArray[np.bool_],
    lagrangian: FloatArray,
    orbit: FloatArray,
    vectors: FloatArray,
    zero: float,
) -> Curvature:
    """Look for a direction of negative curvature inside the cone, and show that it raises γ."""
    from dataclasses import replace

    support = certificate.support
    weak = jacobian[support[~strong]]
    candidates = [(vector, support[strong]) for vector in vectors.T]
    inside = not weak.shape[0]
    if weak.shape[0]:
        slopes = weak @ vectors / np.linalg.norm(weak, axis=1, keepdims=True)
        tolerance = 1e-8
        inside = bool(np.any(np.all(slopes >= -tolerance, 0) | np.all(slopes <= tolerance, 0)))
        smaller = _null_space(jacobian[support], orbit)
        lower, others = _reduced(lagrangian, smaller)
        negative = others[:, lower < -zero][:, :3]
        inside = inside or bool(negative.shape[1])
        candidates += [(vector, support) for vector in negative.T]
    f = functions.values(theta)[support[strong]]
    spread = float(np.max(f)) / float(np.min(f)) - 1.0
    best: tuple[Raised, FloatArray] | None = None
    for vector, held in candidates:
        raised = raise_margin(functions, theta, degree, vector, held, _STEPS)
        if best is None or raised.after > best[0].after:
            best = raised, vector
    assert best is not None
    raised, witness = best
    gain = significant_gain(raised.before, certificate.stationarity, spread)
    shown = raised.after > raised.before + gain
    reason = "negative curvature in the critical cone"
    if shown:
        reason = (
            f"along a direction of negative curvature the margin rises from {raised.before:.10g} "
            f"to {raised.after:.10g}"
        )
    elif not inside:
        reason = "negative curvature on the tangents of the strongly active margins only"
    return replace(
        found,
        kind=CurvatureKind.INDEFINITE if shown or inside else CurvatureKind.UNDECIDED,
        witness=witness,
        margin_before=raised.before,
        margin_after=raised.after,
        step=raised.step,
        shown=shown,
        reason=reason,
    )


def _null_space(rows: FloatArray, orbit: FloatArray) -> FloatArray:
    """Return an orthonormal basis (d, m) of what is orthogonal to the rows and to the orbit."""
    sizes = np.linalg.norm(rows, axis=1, keepdims=True)
    stacked = np.vstack([rows / np.where(sizes > 0.0, sizes, 1.0), orbit])
    _, sigma, basis = np.linalg.svd(stacked, full_matrices=True)
    # Nearly dependent rows free a direction too many rather than too few.
    rank = int(np.count_nonzero(sigma > 1e-8 * sigma[0])) if sigma.size else 0
    result: FloatArray = basis[rank:].T
    return result


def _reduced(matrix: FloatArray, tangents: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return eigenvalues and eigenvectors (d, m) of the matrix on the tangents."""
    reduced = tangents.T @ matrix @ tangents
    eigenvalues, vectors = np.linalg.eigh(0.5 * (reduced + reduced.T))
    return eigenvalues, tangents @ vectors


def _hessian(functions: MarginFunctions, theta: FloatArray, weights: FloatArray) -> FloatArray:
    """Return `Σ_n weights_n ∇²f_n(θ)` (d, d), exact, from CasADi."""
    per_sample = functions.count // functions.data.n_samples
    samples = tuple(np.unique(np.flatnonzero(weights) // per_sample).tolist())
    scores = functions.score_weights(weights)[list(samples)]
    compiled = _compiled(functions, samples)
    columns = compiled(theta, scores.reshape(len(samples), -1), np.eye(theta.size)).full()
    return np.asarray(0.5 * (columns + columns.T))


@functools.lru_cache(maxsize=16)
def _compiled(functions: MarginFunctions, samples: tuple[int, ...]) -> Any:
    import casadi as ca

    from lexmargin.ops.casadi import CasadiArray, CasadiOps

    ops = CasadiOps()
    flat = ca.MX.sym("theta", functions.size)
    blocks, first = [], 0
    for shape in functions.shapes:
        last = first + math.prod(shape)
        part = flat[first:last]
        matrix = ca.reshape(part, shape[1], shape[0]).T if len(shape) == 2 else part
        blocks.append(CasadiArray(matrix, shape))
        first = last
    scores = functions.predictor(ops, blocks, ops.constant(functions.features[list(samples)]))
    columns = functions.predictor.outputs if functions.multi_class else 1
    weights = ca.MX.sym("weights", len(samples), columns)
    combined = ca.dot(weights, scores.matrix)
    # Column by column: one symbolic Hessian of a deep network takes minutes to build.
    v = ca.MX.sym("v", functions.size)
    applied = ca.jtimes(ca.gradient(combined, flat), flat, v)
    product = ca.Function("product", [flat, weights, v], [applied])
    return product.map("hessian", "serial", functions.size, [0, 1], [])


def _doubt(
    functions: MarginFunctions,
    theta: FloatArray,
    weights: FloatArray,
    degree: float,
    hessian: FloatArray,
    nearest_kink: float | None,
) -> str:
    """Compare the Hessian with the judge's own gradients: Euler's identity and a difference."""
    if not np.all(np.isfinite(hessian)):
        return "the Hessian is not finite"
    gradient = functions.combined_gradient(theta, weights)
    euler = float(np.linalg.norm(hessian @ theta - (degree - 1.0) * gradient))
    direction = np.random.default_rng(0).standard_normal(theta.size)
    direction /= np.linalg.norm(direction)
    step = 1e-6 if nearest_kink is None else min(1e-6, 0.1 * nearest_kink)
    ahead = functions.combined_gradient(theta + step * direction, weights)
    behind = functions.combined_gradient(theta - step * direction, weights)
    product = hessian @ direction
    error = float(np.linalg.norm((ahead - behind) / (2.0 * step) - product))
    scale = max(1.0, float(np.linalg.norm(product)))
    if euler > 1e-8 * max(1.0, degree) or error > 1e-4 * scale + 1e-14 / step:
        return f"two routes to the second derivative differ by {max(euler, error):.3g}"
    return ""
