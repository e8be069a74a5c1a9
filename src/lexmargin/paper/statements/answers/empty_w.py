"""Lemma 4 and Theorem 1 where the set W is empty: eq. 12 and 16 have no fixed w*."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Final, final

import numpy as np

from lexmargin.data.dataset import Dataset
from lexmargin.formulations import ConstrainedPath, ScaledMargin
from lexmargin.paper.evidence import Backing
from lexmargin.paper.passages import Passage
from lexmargin.paper.plain import PlainStatement
from lexmargin.paper.statement import Check, Effort, Measurement, Plant, Reading, Relation
from lexmargin.predictors import Linear, Member, Polynomial, Sum
from lexmargin.solve import solve

__all__ = ["STATEMENT", "EmptyW"]

_FIXED: Final = 0.05
"""Of a ratio that is 1 where w_2 has a limit."""
_RATE: Final = 1.0
"""Of ‖w_2‖/(2γ)^{1/4}, times γ^{-1/2}: the next term of eq. 14 is -0.54 of it."""
_PATH: Final = 1.0
"""The same along the constrained path, times ρ^{-1/2}; it is -0.5 there, log N/ρ being less."""


@final
@dataclass(frozen=True)
class EmptyW(PlainStatement):
    """`f_1 = a + pq`, `f_2 = b - sp²`: with s = 1 no w has ‖w_1‖² = inf = 1.

    Feasible w have `a ≥ 1 - pq` and `b ≥ 1 + p²`: ‖w_1‖² ≥ b² > 1 unless p = 0, and then a ≥ 1.
    With `q = 1/p` the cost of eq. 14 is `γ²(1 + p²)² + γ(p² + 1/p²)`, least near
    `2γ²p⁴ = γ`: `‖w_2‖ ~ 1/p = (2γ)^{1/4}`.

    Attributes:
        s: of the second sample; -1 lets W be attained.
        exponent: of 2γ in the growth of ‖w_2‖.
    """

    id: ClassVar[str] = "empty-w"
    title: ClassVar[str] = "Where the set W is empty"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.LEMMA_4, Passage.THEOREM_1)
    equation: ClassVar[str] = (
        r"\theta_k^*=\tfrac1\rho(w_k^*+o(1))\,\gamma^*(\rho)^{1/\alpha_k},\quad "
        r"w^*\in\mathcal W=\arg\min_w\|w_1\|^2\ \text{s.t.}\ f_n(w)\ge 1"
    )
    says: ClassVar[str] = (
        "The margin path and the constrained path, scaled by γ*^{1/α_k}, tend to a w* in W."
    )
    corrected: ClassVar[str] = (
        "minimisers of eq. 14 that stay bounded have their limits in W. W may be empty: on "
        "f_1 = a + pq, f_2 = b - p² the infimum ‖w_1‖² = 1 is not attained, and eq. 14 and the "
        "constrained path have ‖w_2‖ ~ (2γ)^{1/4} → ∞."
    )
    caption: ClassVar[str] = (
        "‖w_2‖ of the minimisers of eq. 14 over γ, and (2γ)^{1/4}: there is no limit."
    )
    axes: ClassVar[tuple[str, str]] = ("margin γ", "‖w_2‖")

    s: float = 1.0
    exponent: float = 1 / 4

    def measure(self, effort: Effort) -> Measurement:
        """Solve eq. 14 for growing γ and the constrained path for growing ρ."""
        quick = effort is Effort.QUICK
        gammas = (10**4, 10**8) if quick else (100, 10**4, 10**6, 10**8)
        radii: tuple[float, ...] = () if quick else (10, 100, 1000)
        data = Dataset([(1.0, 0.0, 1.0, 0.0), (0.0, 1.0, 0.0, -self.s)], [1, 1], one_class=True)
        parts = Sum((Member(Linear(), (0, 1)), Member(Polynomial(((1, 1), (2, 0))), (2, 3))))
        scaled = [solve(ScaledMargin(parts, data, gamma=gamma)) for gamma in gammas]
        second = tuple(float(np.linalg.norm(a.theta[1])) for a in scaled)
        shown = Backing.of(a.certificate for a in scaled)
        word = f"f_1 = a + pq, f_2 = b {-self.s:+g} p²"
        checks: list[Check] = [
            shown.check(word, "‖w_2‖ at γ = 1e8 over that at γ = 1e4: 1 where w* is fixed",
                        second[-1] / second[gammas.index(10**4)], Relation.EQUAL, 1.0, _FIXED)
        ]  # fmt: skip
        for gamma, answer, size in zip(gammas, scaled, second, strict=True):
            first = float(np.sum(answer.theta[0] ** 2))
            checks += [
                shown.check(word, f"‖w_2‖/(2γ)^{self.exponent:g} at γ = {gamma:g}",
                            size / (2.0 * gamma) ** self.exponent, Relation.EQUAL, 1.0,
                            _RATE * gamma**-0.5, Reading.CORRECTED),
                shown.check(word, f"(‖w_1‖² - 1) sqrt(γ) at γ = {gamma:g}, not attained",
                            (first - 1.0) * math.sqrt(gamma), Relation.EQUAL, math.sqrt(2.0),
                            2.0 * _RATE * gamma ** (-1 / 4), Reading.CORRECTED),
            ]  # fmt: skip
        for rho in radii:
            path = solve(ConstrainedPath(parts, data, rho=rho), starts=4)
            margin = float(ConstrainedPath(parts, data).functions.values(
                rho * np.concatenate(path.theta)).min())  # fmt: skip
            size = rho * float(np.linalg.norm(path.theta[1])) / math.sqrt(margin)
            checks.append(
                Backing.of((path.certificate,)).check(
                    word, f"‖w_2‖/(2γ)^{self.exponent:g} on the constrained path at ρ = {rho:g}",
                    size / (2.0 * margin) ** self.exponent, Relation.EQUAL, 1.0,
                    _PATH * rho**-0.5, Reading.CORRECTED,
                )
            )  # fmt: skip
        growth = tuple((2.0 * gamma) ** self.exponent for gamma in gammas)
        return Measurement(tuple(checks), {"γ": gammas, "‖w_2‖": second, "(2γ)^{1/4}": growth})

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding of each reading."""
        return (
            Plant("f_2 = b + p², where W is attained", EmptyW(s=-1.0)),
            Plant("growth like (2γ)^{1/2}", EmptyW(exponent=0.5), Reading.CORRECTED),
        )


STATEMENT = EmptyW()
