"""The second-order condition at a KKT direction (math §3), for the ℓ2 ball."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from lexmargin.certificate.certificate import Certificate
from lexmargin.certificate.curved import Curved
from lexmargin.certificate.raising import Raised, raise_margin, significant_gain
from lexmargin.certificate.verdict import Verdict
from lexmargin.ops.base import FloatArray

__all__ = ["LIMIT", "Curvature", "CurvatureKind", "measure_curvature", "second_order"]

LIMIT = 2000
"""Largest number of parameters whose Hessian is formed."""

_ENTRIES = 40_000_000
_SMALL = 1e-150
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
    functions: Curved, theta: FloatArray, degree: float, certificate: Certificate
) -> Curvature:
    """Judge `d·(I - Σ λ_n ∇²f_n(θ̂)) d` on the critical cone of a smooth KKT direction.

    It is the Hessian of `½‖w‖² - Σ λ_n f_n(w)` at `w = θ̂/γ^{1/α}`: the powers of γ cancel. Up to
    :data:`LIMIT` parameters it is formed from Hessian-vector products; above, the smallest
    eigenvalue is looked for by Lanczos' method, which can show a saddle and prove nothing else.

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
    support = certificate.support
    if support.size * functions.size > _ENTRIES:
        return _undecided(
            f"{functions.size} parameters and {support.size} support margins are too many for a "
            "second-order test"
        )
    used = np.where(certificate.multipliers > 0.0, certificate.multipliers, 0.0)
    jacobian = functions.rows(theta, support)
    largest = float(np.max(np.abs(jacobian), initial=0.0))
    if not _SMALL < largest < 1.0 / _SMALL:
        return _undecided(
            f"gradients of size {largest:.1e} have squares beyond double precision: give the "
            "samples in other units"
        )
    if functions.jumps(theta, used, certificate.tolerances.kink):
        return _undecided("the second derivative of relu^p jumps at this direction")
    lengths = np.linalg.norm(jacobian, axis=1)
    weights = used[support] * lengths
    error = certificate.stationarity
    strong = weights > max(_STRONG, 100.0 * error) * float(np.max(weights))
    strong &= certificate.tolerances.tight(functions.values(theta))[support]
    if functions.size > LIMIT:
        # Flat orbits do not hide negative curvature, which is all that is looked for here.
        cone = _Cone(theta, used, jacobian, strong, np.zeros((0, functions.size)))
        return _by_lanczos(functions, degree, certificate, cone)
    cone = _Cone(theta, used, jacobian, strong, functions.tangents(theta, support))
    return _dense(functions, degree, certificate, cone)


def second_order(
    functions: Curved, theta: FloatArray, degree: float, certificate: Certificate
) -> Certificate:
    """Carry a smooth KKT certificate of the ℓ2 ball on: STRICT_LOCAL, SADDLE, or KKT and why.

    Other verdicts pass unchanged; GLOBAL keeps its word and gains the numbers.

    Parameters
    ----------
    functions, theta, degree, certificate : as in :func:`measure_curvature`.
    """
    if certificate.verdict not in (Verdict.KKT, Verdict.GLOBAL):
        return certificate
    curvature = measure_curvature(functions, theta, degree, certificate)
    found = replace(certificate, curvature=curvature)
    if certificate.verdict is Verdict.GLOBAL:
        return found
    if curvature.kind is CurvatureKind.POSITIVE:
        modulo = ""
        if curvature.symmetries:
            modulo = f", modulo an orbit of symmetries of dimension {curvature.symmetries}"
        reason = f"second order: {curvature.reason}{modulo}"
        return replace(found, verdict=Verdict.STRICT_LOCAL, reasons=(*found.reasons, reason))
    if curvature.shown:
        return replace(
            found,
            verdict=Verdict.SADDLE,
            reasons=(*found.reasons, f"no local maximum: {curvature.reason}"),
        )
    tail = ""
    if curvature.kind is CurvatureKind.INDEFINITE:
        tail = ", but no increase of the margin was shown along it"
    return replace(
        found, reasons=(*found.reasons, f"second order undecided: {curvature.reason}{tail}")
    )


@final
@dataclass(frozen=True, eq=False)
class _Cone:
    """θ̂, λ (N,), the gradients of the support, which of them hold strongly, and the orbit."""

    theta: FloatArray
    used: FloatArray
    jacobian: FloatArray
    strong: NDArray[np.bool_]
    orbit: FloatArray


def _zero(low: float, high: float, error: float) -> float:
    """Return the size below which an eigenvalue counts as zero."""
    return max(_FLAT * max(1.0, high, -low), math.sqrt(10.0 * error))


def _dense(functions: Curved, degree: float, certificate: Certificate, cone: _Cone) -> Curvature:
    hessian = functions.products(cone.theta, cone.used, np.eye(cone.theta.size))
    hessian = 0.5 * (hessian + hessian.T)
    doubt = _doubt(functions, cone, degree, hessian, certificate.nearest_kink)
    if doubt:
        return _undecided(doubt)
    error = certificate.stationarity
    lagrangian = np.eye(cone.theta.size) - hessian
    tangents = _null_space(cone.jacobian[cone.strong], cone.orbit)
    eigenvalues, vectors = _reduced(lagrangian, tangents)
    size = {"dimension": tangents.shape[1], "symmetries": cone.orbit.shape[0]}
    if not tangents.shape[1]:
        return Curvature(
            kind=CurvatureKind.POSITIVE, reason="the critical cone holds no direction", **size
        )
    low, high = float(eigenvalues[0]), float(eigenvalues[-1])
    found = Curvature(kind=CurvatureKind.UNDECIDED, smallest=low, largest=high, **size)
    zero = _zero(low, high, error)
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
    candidates = list(vectors[:, eigenvalues < -zero][:, :3].T)
    smaller: list[FloatArray] = []
    if not np.all(cone.strong):
        tangents = _null_space(cone.jacobian, cone.orbit)
        lower, others = _reduced(lagrangian, tangents)
        smaller = list(others[:, lower < -zero][:, :3].T)
    return _negative(functions, degree, certificate, found, cone, candidates, smaller)


def _by_lanczos(
    functions: Curved, degree: float, certificate: Certificate, cone: _Cone
) -> Curvature:
    """Look for negative curvature where the Hessian is too large to form."""
    from lexmargin.certificate.lanczos import smallest_on_tangents

    def product(v: FloatArray) -> FloatArray:
        return np.asarray(v - functions.products(cone.theta, cone.used, v[None, :])[0])

    doubt = _doubt(functions, cone, degree, None, certificate.nearest_kink)
    if doubt:
        return _undecided(doubt)
    dimension = functions.size - int(cone.strong.sum())
    low, vector = smallest_on_tangents(product, cone.jacobian[cone.strong])
    found = Curvature(kind=CurvatureKind.UNDECIDED, smallest=low, dimension=dimension)
    if math.isnan(low):
        return _with(found, CurvatureKind.UNDECIDED, "Lanczos' method did not converge")
    if not low < -_zero(low, 1.0, certificate.stationarity):
        return _with(
            found,
            CurvatureKind.UNDECIDED,
            f"of {functions.size} parameters the Hessian is not formed; Lanczos' method met no "
            f"curvature below {low:.3g}, which is no proof",
        )
    return _negative(functions, degree, certificate, found, cone, [vector], [])


def _with(found: Curvature, kind: CurvatureKind, reason: str) -> Curvature:
    return replace(found, kind=kind, reason=reason)


def _negative(
    functions: Curved,
    degree: float,
    certificate: Certificate,
    found: Curvature,
    cone: _Cone,
    vectors: list[FloatArray],
    smaller: list[FloatArray],
) -> Curvature:
    """Show that a direction of negative curvature inside the cone raises γ.

    ``vectors`` are tangents of the strongly active margins, ``smaller`` of all active ones.
    """
    support, strong, theta = certificate.support, cone.strong, cone.theta
    weak = cone.jacobian[~strong]
    candidates = [(vector, support[strong]) for vector in vectors]
    candidates += [(vector, support) for vector in smaller]
    inside = not weak.shape[0] or bool(smaller)
    if weak.shape[0]:
        slopes = weak @ np.array(vectors).T / np.linalg.norm(weak, axis=1, keepdims=True)
        tolerance = 1e-8
        inside |= bool(np.any(np.all(slopes >= -tolerance, 0) | np.all(slopes <= tolerance, 0)))
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


def _doubt(
    functions: Curved,
    cone: _Cone,
    degree: float,
    hessian: FloatArray | None,
    nearest_kink: float | None,
) -> str:
    """Compare the Hessian with the gradients: Euler's identity and a difference."""
    if hessian is not None and not np.all(np.isfinite(hessian)):
        return "the Hessian is not finite"
    theta, weights = cone.theta, cone.used
    direction = np.random.default_rng(0).standard_normal(theta.size)
    direction /= np.linalg.norm(direction)
    pair = np.array([theta, direction])
    radial, product = (
        functions.products(theta, weights, pair) if hessian is None else pair @ hessian
    )
    gradient = functions.combined_gradient(theta, weights)
    euler = float(np.linalg.norm(radial - (degree - 1.0) * gradient))
    step = 1e-6 if nearest_kink is None else min(1e-6, 0.1 * nearest_kink)
    ahead = functions.combined_gradient(theta + step * direction, weights)
    behind = functions.combined_gradient(theta - step * direction, weights)
    error = float(np.linalg.norm((ahead - behind) / (2.0 * step) - product))
    scale = max(1.0, float(np.linalg.norm(product)))
    if euler > 1e-8 * max(1.0, degree) or not error <= 1e-4 * scale + 1e-14 / step:
        return f"two routes to the second derivative differ by {max(euler, error):.3g}"
    return ""
