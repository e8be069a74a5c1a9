"""The conjecture after Theorem 1, on an instance where a necessary shallow part breaks it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import numpy as np

from lexmargin.data.dataset import Dataset
from lexmargin.formulations import ScaledMargin
from lexmargin.ops.base import FloatArray
from lexmargin.paper.evidence import Backing
from lexmargin.paper.passages import Passage
from lexmargin.paper.statement import Effort, Measurement, Plant, Reading, Relation, Statement
from lexmargin.plots import BLUE, GREY, VERMILION, panel
from lexmargin.predictors import Member, Polynomial, Sum
from lexmargin.solution import Solution
from lexmargin.solve import solve

__all__ = ["STATEMENT", "CascadeBreaks"]

_GONE: Final = 1e-3
"""‖w_3‖² that counts as discarded; the branch that keeps it has 1."""
_NEAR: Final = 1e-2
"""How near ‖w_1‖² is to its limit at γ = 1e6; the remainder there is 6.4e-4. ‖w_3‖² serves a
sample alone and is nearer."""


@final
@dataclass(frozen=True)
class CascadeBreaks(Statement):
    """Eq. 14 for γ → ∞ against the lexicographic norms (‖w_1‖², ‖w_2‖², ‖w_3‖²) = (1, 1, 0).

    Attributes:
        deepest: degree α_3 of the third part; the others have degrees 3 and 4.
        gamma: the wanted margin at which the branches are compared.
    """

    id: ClassVar[str] = "cascade-breaks"
    title: ClassVar[str] = "The cascade that breaks"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.CONJECTURE, Passage.CLAIM_1)
    equation: ClassVar[str] = (
        r"\min_w\ \sum_{k=1}^{K}\gamma^{2/\alpha_k}\|w_k\|^2\ "
        r"\text{s.t.}\ f_n(w)\ge 1\ \forall n,\quad \gamma\to\infty"
    )
    says: ClassVar[str] = (
        "The paths also prefer, among the solutions of smallest ‖w_1‖, those of smallest ‖w_2‖, "
        "then ‖w_3‖, and so on: 'this will continue'."
    )
    corrected: ClassVar[str] = (
        "only while the norms before are 0. After a necessary part (‖w_1‖ = 1) the next levels "
        "need not follow when 2/α_2 > 1/α_1 + 1/α_3: raising ‖w_1‖² by a² pays for dropping w_2."
    )
    problems: ClassVar[tuple[str, ...]] = (
        "sums/cascade-breaks-w-set",
        "sums/cascade-breaks-scaled-1e4",
        "sums/cascade-breaks-scaled-1e6",
    )
    caption: ClassVar[str] = (
        "Cost of eq. 14 on the branch that discards the third part (c = 0, the lexicographic one) "
        "less that on the branch that keeps it (c = 1): above the line, keeping it is cheaper."
    )

    deepest: int = 30
    gamma: float = 1e6

    def measure(self, effort: Effort) -> Measurement:
        """Solve eq. 14 from a start on each branch; the cheaper answer is the path's."""
        count = 5 if effort is Effort.QUICK else 13
        gammas = np.unique(np.append(np.logspace(3, 8, count), self.gamma))
        with_part = [self._branch(gamma, keep=True) for gamma in gammas]
        without = [self._branch(gamma, keep=False) for gamma in gammas]
        here = int(np.flatnonzero(gammas == self.gamma)[0])
        best = min(with_part[here], without[here], key=lambda s: s.objective)
        certificates = [with_part[here].certificate, without[here].certificate]
        shown = Backing.of(certificates)
        word = f"parts of degrees 3, 4 and {self.deepest}"
        at = f"at γ = {self.gamma:g}"
        checks = (
            shown.check(
                word,
                f"‖w_3‖² of the cheaper branch {at}",
                float(np.sum(best.theta[2] ** 2)),
                Relation.EQUAL,
                0.0,
                _GONE,
            ),
            *(
                shown.check(
                    word,
                    f"‖w_{k + 1}‖² of the cheaper branch {at}",
                    float(np.sum(best.theta[k] ** 2)),
                    Relation.EQUAL,
                    1.0,
                    _NEAR,
                    Reading.CORRECTED,
                )
                for k in (0, 2)
            ),
        )
        costs = f"{without[here].objective:.6f} without and {with_part[here].objective:.6f} with"
        curves = {
            "gamma": tuple(float(g) for g in gammas),
            "gain": tuple(
                (a.objective - b.objective) / b.objective
                for a, b in zip(without, with_part, strict=True)
            ),
        }
        return Measurement(checks, curves, (f"Cost of eq. 14 {at}: {costs} the third part.",))

    def _branch(self, gamma: float, keep: bool) -> Solution:
        # On the branch c = 1 a small a > 0 lets q⁴ = 1 - a; on the other p = 1 serves sample 4.
        start: FloatArray = np.array([1.0, 0.02, 0.01, 0.99, 1.0] if keep else [1.0, 0, 1.0, 0, 0])
        return solve(ScaledMargin(self._predictor(), self._data(), gamma=gamma), start=start)

    def _predictor(self) -> Sum:
        return Sum(
            (
                Member(Polynomial(((3, 0), (2, 1))), (0, 1)),
                Member(Polynomial(((4, 0), (0, 4))), (2, 3)),
                Member(Polynomial(((self.deepest,),)), (4,)),
            )
        )

    @staticmethod
    def _data() -> Dataset:
        rows = [[1, 0, 0, 0, 0], [0, 1, 1, 1, 0], [0, -1, 1, 2, 0], [0, 0, 2, 0, 1]]
        return Dataset(rows, [1] * 4, one_class=True)

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        change = "a third part of degree 5, where 2/4 > 1/3 + 1/5 fails"
        return tuple(Plant(change, CascadeBreaks(deepest=5), reading) for reading in Reading)

    def draw(self, measurement: Measurement) -> Any:
        """The relative gain of keeping the third part over γ."""
        gamma, gain = (np.array(measurement.curves[k]) for k in ("gamma", "gain"))
        with panel(3.6) as (figure, axes):
            axes.axhline(0.0, color=GREY, lw=0.8)
            kept = gain > 0
            axes.plot(gamma, gain, color=GREY, lw=0.8, zorder=1)
            axes.plot(gamma[~kept], gain[~kept], "o", color=BLUE, label="discarding is cheaper")
            axes.plot(gamma[kept], gain[kept], "s", color=VERMILION, label="keeping is cheaper")
            axes.set_xscale("log")
            axes.set_xlabel("wanted margin γ")
            axes.set_ylabel("relative difference of cost,\ndiscard less keep")
            axes.legend(frameon=False)
            return figure


STATEMENT = CascadeBreaks()
