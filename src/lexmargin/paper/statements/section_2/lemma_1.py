"""Lemma 1: the least value within a norm, and the least norm at that value, are one set."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final, final

import numpy as np

from lexmargin.formulations import ConstrainedPath, MarginPath
from lexmargin.formulations.loss_path import softmax
from lexmargin.linalg.guarded import minimised
from lexmargin.linalg.norms import vector_norm
from lexmargin.losses import log_sum_exp
from lexmargin.ops.base import FloatArray
from lexmargin.paper.evidence import Backing
from lexmargin.paper.instances import Instance, rows
from lexmargin.paper.passages import Passage
from lexmargin.paper.plain import PlainStatement
from lexmargin.paper.statement import Check, Effort, Measurement, Plant
from lexmargin.predictors import DiagonalNetwork, Linear, Polynomial
from lexmargin.solve import solve

__all__ = ["STATEMENT", "LemmaOne"]

_SAME: Final = 1e-6
"""Of two directions solved for: the square root of the accuracy of their values."""
_FINE: Final = 1e-15
"""Change of ½‖w‖², relative, at which the second form of the loss is solved: rounding."""
_BESIDE: Final = 0.99
"""Of φ(ρ): a level beside it, planted."""


@final
@dataclass(frozen=True)
class LemmaOne(PlainStatement):
    """`argmin f s.t. g <= ρ` is `argmin g s.t. f <= φ(ρ)`, with f the margin's or the loss's.

    Attributes:
        level: factor on φ(ρ) in the second form; 1 is the lemma.
    """

    id: ClassVar[str] = "lemma-1"
    title: ClassVar[str] = "Least value within a norm, least norm at that value"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.LEMMA_1,)
    equation: ClassVar[str] = (
        r"\arg\min_{g(w)\le\rho}f(w)=\arg\min_{f(w)\le\phi(\rho)}g(w),\quad"
        r"\phi(\rho)=\min_{g(w)\le\rho}f(w)"
    )
    says: ClassVar[str] = (
        "Where φ falls strictly the two programs have the same solutions: so eq. 6 is eq. 7, and "
        "eq. 5 is the least norm with L(ρθ) ≤ L*(ρ); the least norm is ρ itself."
    )

    level: float = 1.0

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (Plant("level .99 φ(ρ) in the second form", LemmaOne(level=_BESIDE)),)

    def measure(self, effort: Effort) -> Measurement:
        """Solve both forms at every ρ and compare the answers."""
        grid = (2.0, 10) if effort is Effort.QUICK else (2.0, 3.0, 5, 10, 30)
        runs = [
            Instance("Z = (1,0), (0,2), linear", Linear(), rows(((1.0, 0.0), (0.0, 2.0)))),
            Instance("Z = (1,0.5), (0.5,2), diagonal network of depth 2", DiagonalNetwork(2),
                     rows(((1.0, 0.5), (0.5, 2.0)))),
            Instance("f = θ_1 + θ_2 θ_3, one sample", Polynomial(((1, 0, 0), (0, 1, 1))),
                     rows(((1.0, 1.0),))),
        ]  # fmt: skip
        checks: list[Check] = []
        for instance in runs:
            certificates, apart = [], []
            for rho in grid:
                most = solve(MarginPath(instance.predictor, instance.data, rho=rho))
                wanted = self.level * most.objective
                least = solve(MarginPath(instance.predictor, instance.data, rho=rho, gamma=wanted))
                certificates += [most.certificate, least.certificate]
                # Signs of hidden units make further solutions of the same networks.
                sizes = [np.abs(np.concatenate(answer.theta)) for answer in (most, least)]
                apart.append(float(vector_norm(sizes[0] - sizes[1], 2.0)))
            checks.append(
                Backing.of(certificates).small(
                    instance.name, "margin: largest ‖Δθ‖ of the two forms", max(apart), _SAME
                )
            )
        linear = runs[0]
        apart, certificates = [], []
        for rho in grid:
            path = solve(ConstrainedPath(linear.predictor, linear.data, rho=rho))
            shift = math.log(self.level)
            other = _least_norm(np.asarray(linear.data.X), path.objective + shift) / rho
            apart.append(float(vector_norm(path.direction - other, 2.0)))
            certificates.append(path.certificate)
        checks.append(
            Backing.of(certificates).small(
                linear.name, "loss: largest ‖Δθ‖ of the two forms", max(apart), _SAME
            )
        )
        return Measurement(tuple(checks))


def _least_norm(Z: FloatArray, level: float) -> FloatArray:
    """Return the shortest w with `log Σ exp(-Zw) <= level`, by a sequential quadratic method."""

    def weights(w: FloatArray) -> FloatArray:
        return softmax(-(Z @ w))

    found = minimised(
        lambda w: 0.5 * float(w @ w),
        np.full(Z.shape[1], max(1.0, -level)),
        jac=lambda w: w,
        method="SLSQP",
        constraints={
            "type": "ineq",
            "fun": lambda w: level - log_sum_exp(-(Z @ w)),
            "jac": lambda w: weights(w) @ Z,
        },
        options={"ftol": _FINE, "maxiter": 500},
    )
    return np.asarray(found.x)


STATEMENT = LemmaOne()
