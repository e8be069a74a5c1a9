"""Lemma 5: a path that stays within a constant of the largest margin has the form of eq. 12."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final, final

import numpy as np

from lexmargin.data.dataset import Dataset
from lexmargin.formulations import ScaledMargin
from lexmargin.ops.base import FloatArray
from lexmargin.paper.evidence import Backing
from lexmargin.paper.passages import Passage
from lexmargin.paper.plain import PlainStatement
from lexmargin.paper.statement import Check, Effort, Measurement, Plant, Relation
from lexmargin.predictors import Bias, Linear, Sum
from lexmargin.predictors.bias import BiasForm
from lexmargin.solution import Solution
from lexmargin.solve import solve

__all__ = ["STATEMENT", "LemmaFive"]

_RATE: Final = 3.0
"""Of the distance to W times sqrt(γ): the room in ‖θ‖² is 1.6 Cγ to first order, a step of length
sqrt(14) costs 5, and sqrt(14·1.6 C/5) = 2.1; terms of order 1 in place of γ add 0.8 at γ = 10."""
_W: Final = np.array([0.8, -0.4, -1.4])
"""(w, b) of W: the hard-margin SVM with a free bias on x = (3,0), (1,1) (`bias-three-answers`)."""
_ROUNDING: Final = 1e-6
"""Of a gap of margins at γ = 1e6, beside C = 0.99."""


@final
@dataclass(frozen=True)
class LemmaFive(PlainStatement):
    """`γ*(ρ) - γ(ρ, θ(ρ)) < C` implies `ρ θ_k(ρ) = (w_k + o(1)) γ*(ρ)^{1/α_k}`, w in W.

    f_n = y_n (w·x_n + b_+² - b_-²). The margin path's point is exchanged for one of the margin
    γ* - C that is as long and lies as far away as it can: along the only direction that moves
    neither margin.

    Attributes:
        gap: C.
        growing: let the gap be C times γ*/4, which no constant bounds.
    """

    id: ClassVar[str] = "lemma-5"
    title: ClassVar[str] = "Any path within a constant of the largest margin"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.LEMMA_5,)
    equation: ClassVar[str] = (
        r"\gamma^*(\rho)-\gamma(\rho,\theta(\rho))<C\ \Rightarrow\ "
        r"\theta_k(\rho)=\tfrac1\rho(w_k+o(1))\,\gamma^*(\rho)^{1/\alpha_k},\ w\in\mathcal W"
    )
    says: ClassVar[str] = (
        "Every path whose margin stays within a constant of γ*(ρ), not the margin path alone, "
        "scaled by γ*^{1/α_k} tends to the set W."
    )
    caption: ClassVar[str] = (
        "Distance to W of the margin path and of points moved both ways by a gap of 0.99, as far "
        "as the ball allows: both fall, the moved ones like γ^{-1/2}."
    )
    axes: ClassVar[tuple[str, str]] = ("largest margin γ*", "distance to W")

    gap: float = 0.99
    growing: bool = False

    def measure(self, effort: Effort) -> Measurement:
        """Solve eq. 14 at γ and at γ - C, move the second answer, and scale by γ^{1/α_k}."""
        gammas = (100, 10**6) if effort is Effort.QUICK else (10, 100, 1000, 10**4, 10**5, 10**6)
        data = Dataset([(3.0, 0.0), (1.0, 1.0)], [1, -1])
        problem = Sum((Linear(), Bias(BiasForm.TWO_SQUARES)))
        certificates, apart, moved, worst = [], [], [], 0.0
        for gamma in gammas:
            gap = self.gap * (gamma / 4.0 if self.growing else 1.0)
            full = solve(ScaledMargin(problem, data, gamma=gamma))
            less = solve(ScaledMargin(problem, data, gamma=gamma - gap))
            certificates += [full.certificate, less.certificate]
            length = _length(_unscaled(full, gamma))
            ends = [_moved(_unscaled(less, gamma - gap), way, length) for way in (1.0, -1.0)]
            worst = max(worst, *(gamma - _margin(end) - gap for end in ends))
            apart.append(float(np.linalg.norm(_unscaled(full, gamma) / gamma - _W)))
            moved.append(max(float(np.linalg.norm(end / gamma - _W)) for end in ends))
        shown = Backing.of(certificates)
        word = "x = (3,0), (1,1) of labels +, -, linear with b_+² - b_-²"
        checks: list[Check] = [
            shown.small(word, "largest γ* - γ of the moved points beyond the gap", worst,
                        _ROUNDING),
            shown.small(word, "largest distance to W of the moved points, times sqrt(γ*)",
                        max(m * math.sqrt(g) for m, g in zip(moved, gammas, strict=True)), _RATE),
            shown.check(word, f"distance to W of the moved points at γ* = {gammas[0]:g}, over that "
                        "of the margin path: they are moved", moved[0] / apart[0],
                        Relation.AT_LEAST, 2.0, 0.0),
        ]  # fmt: skip
        curves = {"gamma": gammas, "margin path": tuple(apart), "moved points": tuple(moved)}
        return Measurement(tuple(checks), curves)

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (Plant("a gap of γ*/4 in the place of a constant", LemmaFive(growing=True)),)


def _unscaled(answer: Solution, gamma: float) -> FloatArray:
    """Return (w, b) of margin γ, with b = b_+² - b_-²: both are of degree 1 in γ."""
    w, (plus, minus) = answer.theta
    return gamma * np.array([*w, plus**2 - minus**2])


def _margin(v: FloatArray) -> float:
    return float(min(3.0 * v[0] + v[2], -v[0] - v[1] - v[2]))


def _length(v: FloatArray) -> float:
    """Return the least ‖θ‖² of (w, b): |b| for the two squares."""
    return float(v[0] ** 2 + v[1] ** 2 + abs(v[2]))


def _moved(v: FloatArray, way: float, length: float) -> FloatArray:
    """Go along (1, 2, -3), orthogonal to both samples, until ‖θ‖² is that of the full margin."""
    along = way * np.array([1.0, 2.0, -3.0])
    # |b| is linear here: b stays negative on the way.
    slope = 2.0 * float(v[:2] @ along[:2]) - along[2]
    room = length - _length(v)
    step = (-slope + math.sqrt(slope**2 + 20 * room)) / 10
    return np.asarray(v + step * along)


STATEMENT = LemmaFive()
