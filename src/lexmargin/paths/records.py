"""What is written down along an optimization path, and the angles it is measured with."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from lexmargin.linalg.norms import angle, vector_norm
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray
from lexmargin.optimizers.base import Point
from lexmargin.paths.invariants import Balancedness

__all__ = ["Monitor", "Recorder", "Records"]

Monitor = Callable[[FloatArray], float]
"""A number of the flat θ, evaluated at every record."""


@final
@dataclass(frozen=True, eq=False)
class Records:
    """R records of a path, one row each.

    Attributes:
        at: (R,) step number, or the time t of gradient flow.
        direction: (R, d) ``θ/‖θ‖``.
        norm: (R,) ``‖θ‖``.
        log_loss: (R,) ``log L``.
        margin: (R,) ``min_n f_n(θ)``.
        normalized_margin: (R,) ``min_n f_n(θ)/‖θ‖^α``; NaN unless homogeneous.
        smoothed_margin: (R,) ``ln(m/L)/‖θ‖^α``, m the least weight of a sample, 1 without weights:
            at most the normalized margin, and it does not decrease along gradient flow once L < m
            (Lyu & Li 2020); NaN unless homogeneous.
        weights: (R, N) loss weights ``(∂L/∂f_n)/Σ_m ∂L/∂f_m``; for eq. 1 the ``ℓ_n/‖ℓ‖₁``.
        angle: (R,) radians between ``-∇L(θ)`` and θ (Remark 2).
        multipliers: (R, N) λ ∝ ``weights``, scaled so that ``‖Σ λ_n ∇f_n(w)‖ = ‖w‖`` at
            ``w = θ/γ^{1/α}``, γ the margin; NaN unless homogeneous and separating.
        residual: (R,) ``‖w - Σ λ_n ∇f_n(w)‖/‖w‖ = sqrt(2(1 - cos angle))``; NaN like the former.
        invariants: name -> (R, k), see :class:`~lexmargin.paths.invariants.Balancedness`.
        monitors: name -> (R,), the functions that were asked for.
    """

    at: FloatArray
    direction: FloatArray
    norm: FloatArray
    log_loss: FloatArray
    margin: FloatArray
    normalized_margin: FloatArray
    smoothed_margin: FloatArray
    weights: FloatArray
    angle: FloatArray
    multipliers: FloatArray
    residual: FloatArray
    invariants: Mapping[str, FloatArray]
    monitors: Mapping[str, FloatArray]

    def __len__(self) -> int:
        return int(self.at.size)

    @property
    def smoothed_margin_drop(self) -> float:
        """Largest fall of it between two records where it is positive; 0 if it never falls.

        NaN unless homogeneous.
        """
        values = self.smoothed_margin[self.smoothed_margin > 0.0]
        if np.any(np.isnan(self.smoothed_margin)):
            return math.nan
        return float(max(0.0, -np.diff(values).min(initial=0.0)))

    @property
    def drift(self) -> Mapping[str, float]:
        """Largest change of every invariant since the first record."""
        return {k: float(np.abs(v - v[0]).max(initial=0.0)) for k, v in self.invariants.items()}


@final
class Recorder:
    """Collects records; one that is interrupted half-way leaves no trace."""

    def __init__(self, functions: MarginFunctions, monitors: Mapping[str, Monitor]) -> None:
        self._functions = functions
        self._monitors = dict(monitors)
        self._balancedness = Balancedness(functions.predictor)
        self._rows: list[dict[str, Any]] = []
        weights = functions.data.weights
        self._lightest = 0.0 if weights is None else math.log(float(weights.min()))

    @property
    def last(self) -> float:
        """Step or time of the last record; -1 before the first."""
        return float(self._rows[-1]["at"]) if self._rows else -1.0

    def record(self, at: float, point: Point) -> dict[str, Any]:
        """Write down the point and return its row."""
        theta, f = point.theta, point.f
        alpha = self._functions.homogeneity.degree
        norm = vector_norm(theta, 2.0)
        margin = float(f.min())
        weights = point.weights
        total = float(weights.sum())
        row: dict[str, Any] = {
            "at": float(at),
            "direction": theta / norm if norm > 0 else np.full_like(theta, np.nan),
            "norm": norm,
            "log_loss": point.log_loss,
            "margin": margin,
            "normalized_margin": math.nan,
            "smoothed_margin": math.nan,
            "weights": weights / total if total > 0 else np.full_like(weights, np.nan),
            "angle": angle(point.descent, theta),
            "multipliers": np.full_like(f, np.nan),
            "residual": math.nan,
        }
        if alpha is not None and norm > 0:
            row["normalized_margin"] = _over_power(margin, norm, alpha)
            row["smoothed_margin"] = _over_power(self._lightest - point.log_loss, norm, alpha)
            pull = vector_norm(point.descent, 2.0)
            if margin > 0 and pull > 0:
                # ∇f_n(w) = γ^{-(α-1)/α} ∇f_n(θ) and ‖w‖ = γ^{-1/α} ‖θ‖.
                row["multipliers"] = weights * (norm / pull) * margin ** ((alpha - 2.0) / alpha)
                row["residual"] = 2.0 * math.sin(0.5 * row["angle"])
        row["invariants"] = self._balancedness(self._functions.blocks(theta))
        row["monitors"] = {k: float(monitor(theta)) for k, monitor in self._monitors.items()}
        self._rows.append(row)
        return row

    def records(self) -> Records:
        """Return everything collected so far."""
        rows = self._rows

        def column(name: str) -> FloatArray:
            return np.array([row[name] for row in rows], dtype=np.float64)

        def table(group: str) -> dict[str, FloatArray]:
            names = rows[0][group] if rows else {}
            return {name: np.array([row[group][name] for row in rows]) for name in names}

        names = [n for n in Records.__dataclass_fields__ if n not in ("invariants", "monitors")]
        return Records(
            **{name: column(name) for name in names},
            invariants=table("invariants"),
            monitors=table("monitors"),
        )


def _over_power(value: float, norm: float, alpha: float) -> float:
    """Return ``value/norm^alpha`` where the power alone may leave the range of doubles."""
    half = norm ** (0.5 * alpha)
    return value / half / half if half > 0 else math.nan
