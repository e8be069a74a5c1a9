"""One round of the convex-concave procedure for two-layer ReLU networks: a cone program.

With the signs s_j of the outer weights fixed and ``v_j = |a_j| w_j``, the hard margin is
``min Σ ‖v_j‖ s.t. y_n Σ_j s_j σ(v_j·x_n) >= 1`` (balanced weights: ``|a_j| = ‖w_j‖``). Terms with
``y_n s_j < 0`` are concave and enter exactly; the others are replaced by their minorant
``g_nj v_j·x_n``, g the slope of σ at the current point. (Yuille & Rangarajan 2003.)
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from lexmargin.linalg.guarded import conic_program
from lexmargin.ops.base import FloatArray

__all__ = ["Round", "TwoLayer", "solve_round"]

_TOLERANCE = 1e-9
"""What the cone solver is asked for: looser blurs the pattern, tighter it often cannot reach."""


@final
@dataclass(frozen=True, eq=False)
class TwoLayer:
    """Samples (N, p), labels ±1 (N,), and the slope of σ left of 0."""

    X: FloatArray
    y: FloatArray
    slope: float

    def pre_activations(self, v: FloatArray) -> FloatArray:
        """Return ``v_j·x_n``, ``(N, h)``."""
        return self.X @ v.T

    def values(self, v: FloatArray, signs: FloatArray) -> FloatArray:
        """Return ``y_n Σ_j s_j σ(v_j·x_n)``, ``(N,)``."""
        z = self.pre_activations(v)
        return self.y * (np.where(z > 0.0, z, self.slope * z) @ signs)


@final
@dataclass(frozen=True, eq=False)
class Round:
    """The solution of one round.

    Attributes:
        v: (h, p).
        multipliers: λ (N,) of the margins.
        objective: ``Σ ‖v_j‖``.
        violation: the largest slack; 0 where no slack was allowed.
        solved: whether the cone solver says so.
    """

    v: FloatArray
    multipliers: FloatArray
    objective: float
    violation: float
    solved: bool


def solve_round(
    data: TwoLayer, signs: FloatArray, patterns: NDArray[np.bool_], penalty: float | None = None
) -> Round:
    """Solve the cone program of one round.

    Args:
        data: samples, labels, slope.
        signs: s_j = ±1, (h,).
        patterns: (N, h), true where σ has slope 1 in the minorant of a convex term.
        penalty: weight of one slack per sample; None for hard constraints.
    """
    import clarabel
    from scipy import sparse

    (n, p), h = data.X.shape, signs.size
    concave = data.y[:, None] * signs[None, :] < 0
    rows, columns, entries, right = _matrix(data, concave, patterns, penalty is not None)
    lifted = int(np.count_nonzero(concave))
    slack = n if penalty is not None else 0
    size = h * (p + 1) + lifted + slack
    matrix = sparse.csc_matrix((entries, (rows, columns)), shape=(right.size, size))
    cost = np.zeros(size)
    cost[: h * (p + 1) : p + 1] = 1.0
    if penalty is not None:
        cost[size - slack :] = penalty
    cones = [clarabel.NonnegativeConeT(n + 2 * lifted + slack)]
    cones += [clarabel.SecondOrderConeT(p + 1)] * h
    found = conic_program(sparse.csc_matrix((size, size)), cost, matrix, right, cones, _settings())
    x, dual = np.asarray(found.x), np.asarray(found.z)
    v = x[: h * (p + 1)].reshape(h, p + 1)[:, 1:]
    return Round(
        v=v,
        multipliers=np.maximum(dual[:n], 0.0),
        objective=float(np.linalg.norm(v, axis=1).sum()),
        violation=float(np.max(x[size - slack :], initial=0.0)) if slack else 0.0,
        solved=str(found.status) in ("Solved", "AlmostSolved") and bool(np.all(np.isfinite(x))),
    )


@functools.cache
def _settings() -> Any:
    import clarabel

    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.max_threads = 1
    settings.tol_feas = settings.tol_gap_abs = settings.tol_gap_rel = _TOLERANCE
    return settings


def _matrix(
    data: TwoLayer, concave: NDArray[np.bool_], patterns: NDArray[np.bool_], elastic: bool
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Return the triplets of A and the right side b of ``A x + s = b``, s in the cones."""
    (n, p), h = data.X.shape, concave.shape[1]
    unit = np.arange(h) * (p + 1) + 1
    sample, of = np.nonzero(concave)
    lifted = sample.size
    first_lifted = h * (p + 1)
    rows: list[Any] = []
    columns: list[Any] = []
    entries: list[Any] = []

    def add(r: Any, c: Any, e: Any) -> None:
        rows.append(np.ravel(r))
        columns.append(np.ravel(c))
        entries.append(np.ravel(e))

    def products(base: Any, samples: Any, units: Any, factors: Any) -> None:
        """Rows ``base + i`` hold ``factors_i v_unit·x_sample``."""
        shape = (len(samples), p)
        add(
            np.broadcast_to(base[:, None], shape),
            unit[units][:, None] + np.arange(p)[None, :],
            factors[:, None] * data.X[samples],
        )

    # -(Σ convex g v·x - Σ e + ξ) + s = -1
    convex_sample, convex_unit = np.nonzero(~concave)
    slopes = np.where(patterns[convex_sample, convex_unit], 1.0, data.slope)
    products(convex_sample, convex_sample, convex_unit, -slopes)
    add(sample, first_lifted + np.arange(lifted), np.ones(lifted))
    # v·x - e + s = 0 and slope v·x - e + s = 0
    upper, lower = n + np.arange(lifted), n + lifted + np.arange(lifted)
    products(upper, sample, of, np.ones(lifted))
    add(upper, first_lifted + np.arange(lifted), -np.ones(lifted))
    if data.slope != 0.0:
        products(lower, sample, of, np.full(lifted, data.slope))
    add(lower, first_lifted + np.arange(lifted), -np.ones(lifted))
    count = n + 2 * lifted
    if elastic:
        slack = first_lifted + lifted + np.arange(n)
        add(np.arange(n), slack, -np.ones(n))
        add(count + np.arange(n), slack, -np.ones(n))
        count += n
    size = h * (p + 1)
    add(count + np.arange(size), np.arange(size), -np.ones(size))
    right = np.zeros(count + size)
    right[:n] = -1.0
    return (
        np.concatenate(rows),
        np.concatenate(columns),
        np.concatenate(entries),
        right,
    )
