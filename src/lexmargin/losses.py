"""Losses in the log domain: ``log L`` and its weights, never ``L`` (math.md §1).

At ρ = 10³ the loss is far below the smallest double while every question about it still has an
answer; so nothing here returns ``L`` itself.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from lexmargin.errors import ShapeError
from lexmargin.ops.base import FloatArray

__all__ = ["Loss", "LossWord", "log_loss", "log_weights"]


class Loss(StrEnum):
    """Losses with an exponential tail: they agree to first order when every margin is large."""

    EXPONENTIAL = "exponential"
    """``L = Σ_n exp(-f_n)`` (eq. 1)."""
    LOGISTIC = "logistic"
    """``L = Σ_n log(1 + exp(-f_n))``, one term per margin function."""
    CROSS_ENTROPY = "cross-entropy"
    """``L = Σ_n log(1 + Σ_c exp(-f_{n,c}))``, one term per sample, c over its C-1 wrong classes."""


if TYPE_CHECKING:
    # Words become members where they are given; checkers are told that they are accepted.
    LossWord: TypeAlias = Loss | Literal["exponential", "logistic", "cross-entropy"]
else:
    LossWord = Loss


def log_loss(loss: Loss, f: FloatArray, classes: int = 2) -> float:
    """Return ``log L`` of the margins f.

    Args:
        loss: which L.
        f: (N,), or (N(C-1),) sample by sample for the cross-entropy of C classes.
        classes: C; read by the cross-entropy only.

    Returns:
        A number that stays finite for every finite f.

    Raises:
        ShapeError: no margins, or a number of them that C-1 does not divide.
    """
    if loss is Loss.EXPONENTIAL:
        return log_sum_exp(-_checked(f, 1)[:, 0])
    return log_sum_exp(_log_softplus(_scores(loss, f, classes)))


def log_weights(loss: Loss, f: FloatArray, classes: int = 2) -> FloatArray:
    """Return ``log(-∂L/∂f_n)``, one entry per margin function.

    Exponential: ``-f_n``. Logistic: ``-log(1+e^{f_n})``. Cross-entropy, with the log-sum-exp s_n of
    ``-f_{n,c}`` over c: ``-f_{n,c} - log(1+e^{s_n})``. Subtract :func:`log_loss` before taking
    exponentials and the result is ``-∂ log L/∂f_n``.

    Args and errors are those of :func:`log_loss`.
    """
    if loss is Loss.EXPONENTIAL:
        return -_checked(f, 1)[:, 0]
    scores = _scores(loss, f, classes)
    groups = _checked(f, f.size // scores.size)
    return (-groups - _softplus(scores)[:, None]).reshape(-1)


def log_sum_exp(a: FloatArray) -> float:
    """Return ``log Σ_i exp(a_i)``; NaN stays NaN, infinities are exact."""
    top = float(a.max())
    if not np.isfinite(top):
        return top
    return top + float(np.log(np.exp(a - top).sum()))


def _scores(loss: Loss, f: FloatArray, classes: int) -> FloatArray:
    """Return s_n, the exponent of the odds against sample n: its loss is ``log(1 + e^{s_n})``."""
    if loss is Loss.LOGISTIC:
        return -_checked(f, 1)[:, 0]
    groups = -_checked(f, classes - 1)
    if groups.shape[1] == 1:
        return groups[:, 0]
    top = groups.max(axis=1)
    with np.errstate(invalid="ignore"):
        sums = np.exp(groups - top[:, None]).sum(axis=1)
    return np.asarray(np.where(np.isfinite(top), top + np.log(sums), top))


def _checked(f: FloatArray, group: int) -> FloatArray:
    if f.ndim != 1 or f.size == 0 or group < 1 or f.size % group:
        raise ShapeError(
            f"Margins of shape {f.shape} do not come in groups of {group}.",
            "Give one margin per sample and wrong class: N(C-1) in all, sample by sample.",
        )
    return f.reshape(-1, group)


def _softplus(s: FloatArray) -> FloatArray:
    return np.asarray(np.maximum(s, 0.0) + np.log1p(np.exp(-np.abs(s))))


def _log_softplus(s: FloatArray) -> FloatArray:
    """Return ``log log(1 + e^s)``: ``s - e^s/2 + …`` far below 0, where ``log(1 + e^s)`` is 0."""
    small = s < -36.0
    safe = np.where(small, 0.0, s)
    return np.asarray(np.where(small, s, np.log(_softplus(safe))))
