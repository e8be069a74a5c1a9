"""A loss of linear margin functions: its value, weights, gradient and Hessian in the log domain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from lexmargin.linalg.rounding import EPS
from lexmargin.losses import Loss, SampleLoss
from lexmargin.ops.base import FloatArray

__all__ = ["LinearLoss", "LossPoint"]

_EXPONENTIAL = 1e-12
"""Relative difference from the exponential loss below which doubles hardly see it."""


@final
@dataclass(frozen=True, eq=False)
class LinearLoss:
    """``log L`` of ``f_n = z_n·w``.

    Attributes:
        rows: z_n (N, d); of several classes sample by sample.
        loss: L.
    """

    rows: FloatArray
    loss: SampleLoss

    def values(self, w: FloatArray) -> FloatArray:
        """Return f (N,)."""
        return np.asarray(self.rows @ w)

    def total(self, values: FloatArray) -> float:
        """Return ``log L``."""
        return self.loss.value(values)

    def weights(self, values: FloatArray) -> FloatArray:
        """Return ``log(-∂L/∂f_n)`` (N,)."""
        return self.loss.log_slopes(values)

    def curvature_rows(self, rows: FloatArray, values: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return log h (M,) and r (M, k) with ``∇²L = Σ_m h_m r_m r_mᵀ``, from rows (N, k).

        Of the cross-entropy, with the probabilities q_c of the wrong classes of a sample and q_0
        of its own, ``diag(q) - q qᵀ = Σ_c q_c q_0 e_c e_cᵀ + Σ_{c<k} q_c q_k (e_c - e_k)(…)ᵀ``.
        """
        weights, group = self.weights(values), self.loss.group
        if self.loss.kind is Loss.EXPONENTIAL:
            return weights, rows
        # log q_0 = -log(1 + Σ_c e^{-f_c}), for one class the log slopes at -f.
        if group == 1:
            return weights + SampleLoss(Loss.LOGISTIC).log_slopes(-values), rows
        # Of w q: the weight of a sample stands once in every product.
        mine = self.loss.per_term[:, None]
        q = weights.reshape(-1, group) - 0.5 * mine
        own = q[:, :1] + values.reshape(-1, group)[:, :1]
        first, second = np.triu_indices(group, 1)
        grouped = rows.reshape(len(q), group, rows.shape[1])
        apart = grouped[:, first] - grouped[:, second]
        logs = np.concatenate([(q + own).reshape(-1), (q[:, first] + q[:, second]).reshape(-1)])
        return logs, np.concatenate([rows, apart.reshape(len(q) * first.size, rows.shape[1])])


@final
@dataclass(frozen=True, eq=False)
class LossPoint:
    """log L at a point, with what a Newton step needs.

    Attributes:
        w: (d,).
        values: f (N,).
        total: log L.
        weights: ``p_n = -∂ log L/∂f_n`` (N,).
        gradient: ``g = Σ p_n z_n = -∇ log L`` (d,).
    """

    problem: LinearLoss
    w: FloatArray
    values: FloatArray
    total: float
    weights: FloatArray
    gradient: FloatArray

    @classmethod
    def at(cls, problem: LinearLoss, w: FloatArray) -> LossPoint:
        """Evaluate at w."""
        values = problem.values(w)
        total = problem.total(values)
        with np.errstate(under="ignore"):
            weights = np.exp(problem.weights(values) - total)
        return cls(problem, w, values, total, weights, weights @ problem.rows)

    def hessian(self) -> FloatArray:
        """Return a positive semidefinite H (d, d), equal to ``∇² log L`` along the level set of L.

        Exponential: ``Σ p_n (z_n - g)(z_n - g)ᵀ``. Others: ``∇²L/L - c g gᵀ`` with the largest c
        that keeps it so, ``c = L/Σ w_n e^{-f_n}`` (Cauchy, Schwarz): log L itself is not convex.
        """
        problem, rows, g = self.problem, self.problem.rows, self.gradient
        share = 1.0
        if problem.loss.kind is not Loss.EXPONENTIAL:
            other = problem.loss.exponential.value(self.values)
            share = float(np.exp(min(0.0, self.total - other)))
        if share >= 1.0 - _EXPONENTIAL:
            centred = np.sqrt(self.weights)[:, None] * (rows - g)
            found = centred.T @ centred
        else:
            logs, terms = problem.curvature_rows(rows, self.values)
            with np.errstate(under="ignore"):
                scaled = np.exp(0.5 * (logs - self.total))[:, None] * terms
            found = scaled.T @ scaled - share * np.outer(g, g)
        # What cancels leaves its rounding: never less than that, feature by feature.
        found.flat[:: g.size + 1] += 4.0 * EPS * (self.weights @ rows**2)
        return np.asarray(found)

    def bound(self, rho: float, dual: float) -> float:
        """Return how far log L may lie above its least value on the ball of radius ρ, in nats.

        Exponential: ``ρ‖g‖_* - g·w``, log L being convex; others are convex themselves, and the
        same bound G of ``1 - L*/L`` is ``-log(1 - G)`` nats (math.md §8).
        """
        size = float(np.linalg.norm(self.gradient, dual))
        nats = max(0.0, rho * size - float(self.gradient @ self.w))
        if self.problem.loss.kind is Loss.EXPONENTIAL:
            return nats
        return -float(np.log1p(-nats)) if nats < 1.0 else np.inf
