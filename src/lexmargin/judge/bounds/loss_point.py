"""What a loss carries at a point: its weights, its gradient, and how far rounding may move both."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Final, final
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from lexmargin.formulations.kkt import Kkt
from lexmargin.formulations.loss_path import VISIBLE_NATS
from lexmargin.inputs.limits import EXTENDED_ENTRIES
from lexmargin.linalg.norms import Array, shifted, vector_norm
from lexmargin.linalg.rounding import EPS, LONG_EPS
from lexmargin.losses import SampleLoss
from lexmargin.margins import MarginFunctions
from lexmargin.ops.curvature import Curvature
from lexmargin.ops.degree import HomogeneityKind
from lexmargin.predictors.bias import Bias
from lexmargin.predictors.linear import Linear
from lexmargin.predictors.networks import ConvolutionalNetwork
from lexmargin.predictors.sums import Sum

__all__ = ["LossPoint", "combined", "loss_point", "loss_point_of", "own_errors", "vanishes_at_zero"]


@final
@dataclass(frozen=True, eq=False)
class LossPoint:
    """w with `p_n = -∂ log L/∂f_n` and g = Σ p_n ∇f_n; gradients are divided by 2^exponent.

    w, values
        the point (d,) and f_n(w) (N,).
    level, log_weights, weights
        log L(w), and log p_n and p_n (N,). Σ p_n is 1 for the exponential loss.
    jacobian, gradient
        ∇f_n(w) (N, d) and g (d,), in units of 2^exponent.
    loss
        L, with the weights of its terms.
    nats
        bounds on the errors of log p_n (N,).
    errors
        bounds on the errors of f_n (N,).
    slack
        what rounding makes of the entries of g (d,), in the same units.
    spent
        Σ p_n ‖∇f_n‖₂, what cancels in g.
    own
        relative errors of the gradients themselves (N,): 0 where they are the data.
    """

    loss: SampleLoss
    w: Array
    values: Array
    level: float
    log_weights: Array
    weights: Array
    jacobian: Array
    gradient: Array
    exponent: int
    nats: Array
    errors: Array
    slack: Array
    spent: float
    own: Array

    @property
    def scale(self) -> Array:
        """Return L/w_n, one entry per term of L; (1,) without weights."""
        return np.asarray(np.exp(self.level - self.loss.per_term))

    @property
    def seen(self) -> NDArray[np.intp]:
        """Return the samples whose weight float64 can see beside the largest (indices)."""
        return np.flatnonzero(self.weights > np.max(self.weights) * math.exp(-VISIBLE_NATS))

    @property
    def vanishing(self) -> tuple[float, float]:
        """‖g‖₂ over what cancels in it, and the error of that."""
        if self.spent == 0.0:
            return 0.0, 0.0
        length = vector_norm(self.gradient, 2.0)
        return length / self.spent, vector_norm(self.slack, 2.0) / self.spent

    def exponential(self) -> LossPoint:
        """Return the exponential loss of the same margins, its errors bounded by those of f_n."""
        with np.errstate(all="ignore"):
            loss = self.loss.exponential
            level = loss.value(self.values)
            logs = loss.log_slopes(self.values) - level
            weights = np.exp(logs)
            nats = self.errors + _rounded(loss, level)
            gradient, summed = combined(self.jacobian, weights)
            lengths = np.sqrt(np.einsum("ij,ij->i", self.jacobian, self.jacobian))
        return replace(
            self,
            loss=loss,
            level=level,
            log_weights=logs,
            weights=weights,
            nats=nats,
            gradient=gradient,
            slack=own_errors(nats, weights) @ np.abs(self.jacobian) + summed,
            spent=float(weights @ lengths),
        )


def _logs_of(loss: SampleLoss) -> Array | float:
    """Return ``|log w_n|`` (N,), which is rounded like what it is added to."""
    return 0.0 if loss.logs is None else np.abs(loss.logs)


def _rounded(loss: SampleLoss, level: float) -> Array | float:
    """Return bounds on what log L and the weights of the terms add to the errors of log p_n."""
    return EPS * (8.0 + abs(level) + 2.0 * _logs_of(loss))


def vanishes_at_zero(functions: MarginFunctions) -> bool:
    """Say whether all gradients vanish at θ = 0, kinks or not: every degree is above 1."""
    found = functions.homogeneity
    if found.kind is HomogeneityKind.NEITHER:
        return False
    return all(part.degree > 1.0 for part in found.parts)


_POINTS: Final[WeakKeyDictionary[Kkt, LossPoint | None]] = WeakKeyDictionary()
"""What was measured at a point that is still in use: the word and its bound ask for the same."""


def loss_point_of(kkt: Kkt) -> LossPoint | None:
    """Return the loss at the point of a problem's own data; None where a number is not finite."""
    if kkt.loss is None:
        return None
    if kkt not in _POINTS:
        term = kkt.loss
        with np.errstate(all="ignore"):
            found = loss_point(kkt.functions, term.loss, kkt.point, kkt.values)
        _POINTS[kkt] = found
    return _POINTS[kkt]


def loss_point(
    functions: MarginFunctions, loss: SampleLoss, w: Array, values: Array
) -> LossPoint | None:
    """Measure the loss at w (d,), where f_n(w) are ``values``; None where a number is not finite.

    The error of f_n is that of a sum of the products `∂_i f_n w_i`, whose sizes add up to what is
    rounded; for other functions than linear ones their own gradients carry as much again.
    """
    if not np.all(np.isfinite(values)):
        return None
    with np.errstate(all="ignore"):
        rows = functions.jacobian(w)
        if not np.any(w) and vanishes_at_zero(functions):
            rows = np.zeros_like(rows)
        level = loss.value(values)
        logs = loss.log_slopes(values) - level
        weights = np.exp(logs)
        largest = float(np.max(np.abs(rows), initial=0.0))
        if not (math.isfinite(largest) and math.isfinite(level) and math.isfinite(np.sum(weights))):
            return None
        exponent = math.frexp(largest)[1] if largest > 0.0 else 0
        jacobian = shifted(rows, -exponent)
        reach, typical = _reach(rows, w)
        # Half the terms of a sum round up where half round down: √d of them remain.
        errors = EPS * (np.abs(values) + (2.0 + math.sqrt(w.size)) * reach)
        nats = errors + _rounded(loss, level)
        own = np.zeros(values.size) if _rows_are_data(functions) else 4.0 * EPS + nats
        gradient, summed = combined(jacobian, weights)
        expected = EPS * (4.0 + 2.0 * np.maximum(np.abs(values), typical) + _logs_of(loss))
        visible = own_errors(expected, weights)
        lengths = np.sqrt(np.einsum("ij,ij->i", jacobian, jacobian))
        slack = visible @ np.abs(jacobian) + summed
        spent = float(weights @ lengths)
    if not (np.all(np.isfinite(slack)) and math.isfinite(spent)):
        return None
    return LossPoint(
        loss, w, values, level, logs, weights, jacobian, gradient, exponent, nats, errors, slack,
        spent, own,
    )  # fmt: skip


def _rows_are_data(functions: MarginFunctions) -> bool:
    """Say whether no entry of a gradient is rounded; those of a convolution are products."""
    predictor = functions.predictor
    members = [m.predictor for m in predictor.members] if isinstance(predictor, Sum) else []
    if isinstance(predictor, ConvolutionalNetwork) or not all(
        isinstance(member, (Linear, Bias)) for member in members
    ):
        return False
    return functions.curvature is Curvature.AFFINE


def own_errors(errors: Array, weights: Array) -> Array:
    """Return `p_n ε_n`, 0 where the weight is, however large the error (N,)."""
    return np.where(weights > 0.0, weights * errors, 0.0)


def combined(jacobian: Array, weights: Any) -> tuple[Array, Array]:
    """Return `Σ s_n ∇f_n` (d,) and bounds on the rounding errors of that sum (d,)."""
    used = np.flatnonzero(weights)
    rows, share = jacobian[used], weights[used]
    spent = np.asarray(share, dtype=np.float64) @ np.abs(rows)
    if rows.size > EXTENDED_ENTRIES:
        share = np.asarray(share, dtype=np.float64)
        return share @ rows, (used.size + 4) * EPS * spent
    found = np.asarray(share.astype(np.longdouble) @ rows.astype(np.longdouble), dtype=np.float64)
    return found, (used.size + 2) * LONG_EPS * spent + EPS * np.abs(found)


def _reach(rows: Array, w: Array) -> tuple[Array, Array]:
    """Return Σ_i |t_ni| and (Σ_i t_ni²)^{1/2} (N,), t_ni = ∂_i f_n w_i.

    Rounding moves f_n by parts of the first at worst, and of the second as a rule. No intermediate
    leaves the range of doubles.
    """
    up = math.frexp(float(np.max(np.abs(w), initial=0.0)))[1]
    down = math.frexp(float(np.max(np.abs(rows), initial=0.0)))[1]
    terms = np.abs(shifted(rows, -down) * shifted(w, -up))
    square = np.sqrt(np.einsum("ij,ij->i", terms, terms))
    both = np.ldexp(np.stack([np.sum(terms, axis=1), square]), up + down)
    return both[0], both[1]
