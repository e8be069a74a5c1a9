"""What the two paths of a loss share: eq. 5 in a ball, and the penalised loss of §2.2."""

from __future__ import annotations

import functools
from abc import abstractmethod
from collections.abc import Sequence
from typing import Final

import numpy as np

from lexmargin.formulations.base import Formulation, StageAnswer
from lexmargin.losses import Loss, LossWord, SampleLoss
from lexmargin.ops.base import FloatArray
from lexmargin.program import Margins, Program

__all__ = ["VISIBLE_NATS", "LossPath", "next_loss", "softmax"]

VISIBLE_NATS: Final = 36.0
"""``e^-36`` is the rounding error of float64: a weight this far below another one adds nothing."""
_REWEIGHTED_FROM: Final = 3.0
"""Nats of margin below which the loss is stated as it is: re-weighting would gain too slowly."""
_MOST_ROUNDS: Final = 8
"""Re-weightings at most: each gains a factor e⁻³ or better, so eight leave less than 1e-10."""


class LossPath(Formulation):
    """A problem that minimises L, the loss of the data with the weights of its samples.

    The exponential loss is solved first; others follow by :func:`next_loss`.
    """

    loss: LossWord

    @functools.cached_property
    def weighted(self) -> SampleLoss:
        """L."""
        return self.functions.loss(Loss(self.loss))

    @property
    def margin_slack(self) -> float:
        """What eq. 8 (Lemma 3) leaves: with weights ``log(Σ w_n/min w_n)`` in place of log N."""
        return self.weighted.reach(self.functions.count)

    def program(self, unit: float = 1.0) -> Program:
        """Return the program of the exponential loss; ``unit`` is not used: a nat is one."""
        return self._program(self.weighted.exponential)

    @abstractmethod
    def _program(self, loss: SampleLoss) -> Program:
        """Return the program of a loss."""

    def _margins(self, symbol: str) -> Margins:
        return Margins(self.functions, tuple(v.name for v in self.block_variables()), symbol)

    def next_program(self, answers: tuple[StageAnswer, ...], unit: float = 1.0) -> Program | None:
        if not answers:
            return self.program(unit)
        points = [self.blocks_of(answer) for answer in answers]
        found = next_loss(self.weighted, [self.functions.values(w) for w in points])
        return None if found is None else self._program(found)

    def margin_multipliers(self, answers: tuple[StageAnswer, ...], unit: float) -> FloatArray:
        """Return the multipliers the loss itself carries: its slopes, which sum to 1."""
        return self.loss_weights(self.theta(answers, unit))

    def loss_weights(self, theta: FloatArray) -> FloatArray:
        """Return ``p_n ∝ -∂L/∂f_n`` at w = ρθ, with Σp = 1 (N,): for eq. 1 the softmax of -f.

        The direction of ``-∇L(w)`` (Remark 2) is that of ``Σ_n p_n ∇f_n(w)``.
        """
        return softmax(self.weighted.log_slopes(self.functions.values(self.scaled(theta))))


def next_loss(loss: SampleLoss, margins: Sequence[FloatArray]) -> SampleLoss | None:
    """Return the loss that the next program states, given the margins at the answers so far.

    The first answer is that of the exponential loss. None: done. For small margins L itself; else
    ``Σ c_n e^{-f_n}`` with ``c_n = (-∂L/∂f_n) e^{f_n}`` taken at the last answer. Its fixed point
    has the gradient of L, it stays in the log domain, and since ``c_n`` is within ``e^{-m}`` of
    w_n every round gains a factor of that order.
    """
    if loss.kind is Loss.EXPONENTIAL:
        return None
    smallest = float(margins[0].min())
    if smallest > VISIBLE_NATS:
        return None
    if smallest < _REWEIGHTED_FROM:
        return loss if len(margins) == 1 else None
    offsets = loss.log_slopes(margins[-1]) + margins[-1]
    if len(margins) > 1:
        before = loss.log_slopes(margins[-2]) + margins[-2]
        settled = float(np.max(np.abs(offsets - before))) <= 1e-12
        if settled or len(margins) > _MOST_ROUNDS:
            return None
    return SampleLoss(Loss.EXPONENTIAL, 2, offsets)


def softmax(log_weights: FloatArray) -> FloatArray:
    """Return ``e^{l_n} / Σ e^{l_m}`` without overflow."""
    with np.errstate(under="ignore"):
        weights = np.exp(log_weights - log_weights.max())
    return np.asarray(weights / weights.sum())
