"""Losses in the log domain: ``log L`` and its weights, never ``L`` (math.md §1).

At ρ = 10³ the loss is far below the smallest double while every question about it still has an
answer; so nothing here returns ``L`` itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Literal, TypeAlias, final

import numpy as np

from lexmargin.errors import ShapeError
from lexmargin.ops.base import FloatArray

__all__ = ["Loss", "LossWord", "SampleLoss"]


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


@final
@dataclass(frozen=True, eq=False)
class SampleLoss:
    """``L = Σ_n w_n ℓ_n`` of N samples with weights w_n > 0: all that anybody asks of a loss.

    Weights that are whole numbers are those of samples that occur so often.

    Attributes:
        kind: which ℓ.
        classes: C; read by the cross-entropy only.
        logs: ``log w_n``, one entry per margin function, the same for those of one sample (N,) or
            (N(C-1),); None for 1.
    """

    kind: Loss
    classes: int = 2
    logs: FloatArray | None = None

    @property
    def group(self) -> int:
        """How many margin functions one term of L has: C-1 of the cross-entropy, else 1."""
        return self.classes - 1 if self.kind is Loss.CROSS_ENTROPY else 1

    @property
    def exponential(self) -> SampleLoss:
        """``Σ_n w_n exp(-f_n)``, which bounds L from above and is what it tends to."""
        return SampleLoss(Loss.EXPONENTIAL, 2, self.logs)

    @property
    def per_term(self) -> FloatArray:
        """``log w_n``, one entry per term of L; (1,) of 0 without weights."""
        return np.zeros(1) if self.logs is None else self.logs[:: self.group]

    @property
    def stated(self) -> tuple[float, ...]:
        """``log w_n`` as a program holds them; none for 1."""
        return () if self.logs is None else tuple(float(x) for x in self.logs)

    def reach(self, count: int) -> float:
        """Return ``log(Σ w_n/min w_n)`` of the margin functions, log N where all weights are 1.

        The exponential loss of any θ is within that many nats of ``min w_n e^{-γ}``, γ its smallest
        margin: the bound of Lemma 3 (eq. 8).
        """
        logs = np.zeros(count) if self.logs is None else self.logs
        return log_sum_exp(logs) - float(logs.min())

    def value(self, f: FloatArray) -> float:
        """Return ``log L`` of the margins f (N,), or (N(C-1),) sample by sample.

        Raises:
            ShapeError: no margins, or a number of them that C-1 does not divide.
        """
        if self.kind is Loss.EXPONENTIAL:
            return log_sum_exp(self.log_slopes(f))
        return log_sum_exp(_log_softplus(self._scores(f)) + self.per_term)

    def log_slopes(self, f: FloatArray) -> FloatArray:
        """Return ``log(-∂L/∂f_n)``, one entry per margin function.

        Beside log w_n: exponential ``-f_n``, logistic ``-log(1+e^{f_n})``, cross-entropy, with the
        log-sum-exp s_n of ``-f_{n,c}`` over c, ``-f_{n,c} - log(1+e^{s_n})``. Subtract
        :meth:`value` before taking exponentials and the result is ``-∂ log L/∂f_n``.

        Args and errors are those of :meth:`value`.
        """
        groups = _checked(f, self.group)
        logs = -groups
        if self.kind is not Loss.EXPONENTIAL:
            logs = logs - _softplus(self._scores(f))[:, None]
        logs = logs.reshape(-1)
        return logs if self.logs is None else logs + self.logs

    def _scores(self, f: FloatArray) -> FloatArray:
        """Return s_n, the exponent of the odds against sample n: ``ℓ_n = log(1 + e^{s_n})``."""
        groups = -_checked(f, self.group)
        if groups.shape[1] == 1:
            return groups[:, 0]
        top = groups.max(axis=1)
        with np.errstate(invalid="ignore"):
            sums = np.exp(groups - top[:, None]).sum(axis=1)
        return np.asarray(np.where(np.isfinite(top), top + np.log(sums), top))


def log_sum_exp(a: FloatArray) -> float:
    """Return ``log Σ_i exp(a_i)``; NaN stays NaN, infinities are exact."""
    top = float(a.max())
    if not np.isfinite(top):
        return top
    return top + float(np.log(np.exp(a - top).sum()))


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
