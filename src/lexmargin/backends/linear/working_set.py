"""The hard margin of a few rows, solved to rounding level: a dual active-set QP, then exact KKT."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np

from lexmargin.errors import TimeLimitError
from lexmargin.linalg.guarded import nonnegative_least_squares, quadratic_program, solved_triangle
from lexmargin.linalg.rounding import ROUNDED
from lexmargin.ops.base import FloatArray, IntArray

__all__ = ["Face", "Restricted", "separation_or_gordan", "solve_restricted"]

_BIAS_SCALE: Final = 32.0
"""Weight of the bias column: b costs b²/(2·32²) in the QP, which proximal steps then remove."""

_PROXIMAL_STEPS: Final = 12
"""Steps that free the bias from its cost; each leaves a share of the error that falls with 32²."""
_REPAIRS: Final = 6
"""Times that rows of negative weight leave; a guess that needs more is a wrong one."""
_HEIGHTS: Final = (1.0, 2.0**-12, 2.0**-24, 2.0**-34)
"""Guesses of the margin (by the largest row), ever smaller: the right one keeps w near 1."""
_NEGATIVE: Final = 1e-11
"""Multipliers above -1e-11 of the largest count as zero."""


@final
@dataclass(frozen=True, eq=False)
class Face:
    """``min ½‖w‖²  s.t.  A w + y b = 1`` on independent rows A: factorised once, solved often.

    The constraint ``Σ λ y = 0`` of the free bias is met exactly by a reflection that sends y to
    the first axis; the other rows are factorised by QR, so their condition number is not squared.
    """

    y: FloatArray | None
    mirror: FloatArray
    triangle: FloatArray

    @staticmethod
    def of(A: FloatArray, y: FloatArray | None) -> Face | None:
        """Return the factorisation, or None when the rows are dependent."""
        k = A.shape[0]
        mirror = np.zeros(k)
        if y is not None:
            mirror = y / np.sqrt(k)
            mirror[0] += np.copysign(1.0, mirror[0])
            mirror *= np.sqrt(2.0) / np.linalg.norm(mirror)
            A = (A - np.outer(mirror, mirror @ A))[1:]
        if A.shape[0] > A.shape[1]:
            return None
        triangle = np.asarray(np.linalg.qr(A.T, mode="r"))
        sizes = np.abs(np.diagonal(triangle))
        if sizes.size and not sizes.min() > 1e-14 * sizes.max():
            return None
        return Face(y, mirror, triangle)

    def _reflect(self, v: FloatArray) -> FloatArray:
        return v - self.mirror * float(self.mirror @ v)

    def solve(self, right: FloatArray) -> FloatArray:
        """Return λ of ``A Aᵀ λ + y b = right, Σ λ y = 0``."""
        reduced = self._reflect(right) if self.y is not None else right
        inner = reduced[1:] if self.y is not None else reduced
        half = solved_triangle(self.triangle, inner, transposed=True)
        inner = solved_triangle(self.triangle, half)
        if self.y is None:
            return np.asarray(inner)
        return self._reflect(np.concatenate([[0.0], inner]))

    def refined(
        self, A: Any, w: FloatArray, lam: FloatArray, steps: int = 5
    ) -> tuple[FloatArray, float, FloatArray]:
        """Return w, b, λ corrected by the residuals ``1 - A w - y b`` of the true rows.

        w is corrected, not recomputed as ``Aᵀ λ``: that sum cancels by a factor 1/margin.
        """
        best, answer = np.inf, (w, 0.0, lam)
        for _ in range(steps):
            left = 1.0 - _precise_products(A, w)
            b = 0.0 if self.y is None else float(np.mean(left * self.y))
            residual = left if self.y is None else left - self.y * b
            size = float(np.max(np.abs(residual), initial=0.0))
            if not size < best:
                break
            converging = size < 0.25 * best
            best, answer = size, (w, b, lam)
            if not converging:
                break
            step = self.solve(np.asarray(residual, dtype=np.float64))
            w, lam = w + A.T @ step, lam + step
        return answer


@final
@dataclass(frozen=True, eq=False)
class Restricted:
    """The hard margin of the working rows.

    Attributes:
        separated: False when the rows were found not separable; then ``multipliers`` is Gordan's.
        exact: multipliers and margins of the working rows were verified at rounding level.
        active: (k,) positions of the rows with positive multipliers.
        w, b: the solution with margin 1, in the coordinates of the rows given.
        multipliers: (k,) λ of the active rows, ``w = Σ λ z``.
        face: the factorised active rows, None where they are dependent.
    """

    separated: bool
    exact: bool
    active: IntArray
    w: FloatArray
    b: float
    multipliers: FloatArray
    face: Face | None


def solve_restricted(
    A: FloatArray, y: FloatArray | None, guess: IntArray, b: float = 0.0, deadline: float = np.inf
) -> Restricted:
    """Return ``argmin ½‖w‖²  s.t.  A w + y b >= 1`` with b free, or without b when y is None.

    Args:
        A: (m, r) rows of norm around 1.
        y: (m,) labels of the free bias.
        guess: positions of rows expected to be active; they start the active set.
        b: a first bias.
        deadline: ``time.monotonic()`` after which the solver gives up, without an answer.

    Raises:
        TimeLimitError: the deadline passed before there was an answer.
    """
    m, r = A.shape
    rows = A if y is None else np.hstack([A, (_BIAS_SCALE * y)[:, None]])
    n = rows.shape[1]
    sense = np.zeros(m, dtype=np.int32)
    sense[guess] = 3  # active, at the lower bound
    upper, lower, hessian = np.full(m, 1e30), np.ones(m), np.eye(n)
    linear = np.zeros(n)
    answer: Restricted | None = None
    for _ in range(_PROXIMAL_STEPS):
        if y is not None:
            linear[-1] = -b / _BIAS_SCALE
        seconds = 0.0 if np.isinf(deadline) else max(deadline - time.monotonic(), 1e-3)
        program = quadratic_program(
            hessian, linear, rows, upper, lower, sense=sense, primal_tol=1e-10, dual_tol=1e-12,
            iter_limit=20 * (m + n) + 1000, time_limit=seconds,
        )  # fmt: skip
        if time.monotonic() > deadline:
            raise TimeLimitError("The restricted problem of the working rows took too long.")
        if program is None or program[1] != 1:
            return separation_or_gordan(A, y)
        x, _, info = program
        found = -np.asarray(info["lam"], dtype=np.float64)
        active = np.flatnonzero(found > 0.0)
        bias = 0.0 if y is None else _BIAS_SCALE * float(x[-1])
        answer = _polished(A, y, active)
        if answer is not None:
            return answer
        answer = Restricted(False, False, active, np.array(x[:r]), bias, found[active], None)
        if y is None or abs(bias - b) <= 1e-13 * (1.0 + abs(b)):
            break
        b = bias
        sense[:] = 0
        sense[active] = 3
    if answer is None:
        return separation_or_gordan(A, y)
    return Restricted(
        True, False, answer.active, answer.w, answer.b, answer.multipliers,
        Face.of(A[answer.active], None if y is None else y[answer.active]),
    )  # fmt: skip


def _polished(A: FloatArray, y: FloatArray | None, active: IntArray) -> Restricted | None:
    """Return the exact solution whose active rows are near ``active``; None if none is found."""
    lengths, outside = np.sqrt(np.einsum("ij,ij->i", A, A)), np.ones(A.shape[0], dtype=bool)
    for _ in range(_REPAIRS):
        if active.size == 0:
            return None
        chosen = A[active]
        signs = None if y is None else y[active]
        face = Face.of(chosen, signs)
        if face is None:
            return None
        lam = face.solve(np.ones(active.size))
        w, b, lam = face.refined(chosen, chosen.T @ lam, lam)
        margins = A @ w if y is None else A @ w + y * b
        rounding = 1e-12 + ROUNDED * float(np.linalg.norm(w)) * lengths
        outside[:] = True
        outside[active] = False
        violated = np.flatnonzero((margins < 1.0 - rounding) & outside)
        negative = lam < -_NEGATIVE * float(np.max(np.abs(lam)))
        if not violated.size and not np.any(negative):
            return Restricted(True, True, active, w, b, np.maximum(lam, 0.0), face)
        # A row that leaves and one that enters per repair keep the set independent.
        worst = violated[np.argsort(margins[violated])[:1]]
        active = np.union1d(active[~negative], worst)
    return None


def separation_or_gordan(A: FloatArray, y: FloatArray | None) -> Restricted:
    """Return the least distance by non-negative least squares (Lawson and Hanson 1974, ch. 23).

    The nearest point to 0 of the convex hull of the rows ``(z, 32 y)`` either is 0, which is
    Gordan's vector, or separates them; then the exact solution is sought on its face.
    """
    m, r = A.shape
    blocks = [A.T] if y is None else [A.T, _BIAS_SCALE * y[None]]
    unknown = Restricted(True, False, np.arange(0), np.zeros(r), 0.0, np.zeros(0), None)
    # ``A w >= h`` keeps w near 1, and the residual far above rounding, when h is near the margin.
    for height in _HEIGHTS:
        system = np.vstack([*blocks, np.full((1, m), height)])
        right = np.zeros(system.shape[0])
        right[-1] = 1.0
        try:
            lam = nonnegative_least_squares(system, right, 30 * system.shape[1])
        except RuntimeError:
            return unknown
        active = np.flatnonzero(lam > 0.0)
        residual = right - system @ lam
        if not active.size or residual[-1] < 1e-5:
            continue
        answer = _polished(A, y, active)
        if answer is not None:
            return answer
        stretch = 1.0 / (residual[-1] * height)
        w = -residual[:r] * stretch
        b = 0.0 if y is None else -_BIAS_SCALE * float(residual[r]) * stretch
        margins = A @ w if y is None else A @ w + y * b
        if margins.min() > 0.0:
            return Restricted(True, False, active, w, b, lam[active] * stretch / height, None)
    lam = lam[active] / lam[active].sum()
    return Restricted(False, True, active, np.zeros(r), 0.0, lam, None) if lam.size else unknown


def _precise_products(A: Any, w: FloatArray) -> Any:
    # Longer sums than doubles where they are cheap: the refinement then reaches rounding level.
    if isinstance(A, np.ndarray) and A.size <= 200_000:
        return A.astype(np.longdouble) @ w.astype(np.longdouble)
    return A @ w
