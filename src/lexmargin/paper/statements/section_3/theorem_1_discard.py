"""Theorem 1's implication: an ensemble drops its shallowest member when it can."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import numpy as np

from lexmargin.data.dataset import load_dataset
from lexmargin.formulations import MarginPath, ScaledMargin
from lexmargin.paper.evidence import Backing
from lexmargin.paper.instances import rows
from lexmargin.paper.passages import Passage
from lexmargin.paper.statement import Check, Effort, Measurement, Plant, Statement
from lexmargin.plots import BLUE, GREY, ORANGE, VERMILION, panels
from lexmargin.predictors import DiagonalNetwork, Linear, Member, Sum
from lexmargin.solution import Solution
from lexmargin.solve import solve

__all__ = ["STATEMENT", "TheoremOneDiscard"]

_GONE: Final = 1e-3
"""Norm of a scaled part that counts as dropped at γ = 1e6."""
_SAME: Final = 1e-6
"""Relative accuracy of a certified margin."""
_SQUARES: Final = (4.0, 5.0, 6.0, 6.5, 6.7, 6.8, 7.0, 7.5, 8.0, 9.0)
"""ρ² on both sides of the switch at 27/4."""


@final
@dataclass(frozen=True)
class TheoremOneDiscard(Statement):
    """Parts of degree 1, 2, 3 of one sample: `w_1* = 0`, and by the conjecture `w_2* = 0`.

    Attributes:
        needed: a second sample that only the shallowest part sees, so that it cannot be dropped.
        toy_only: leave the real data out.
    """

    id: ClassVar[str] = "theorem-1-discard"
    title: ClassVar[str] = "Shallow members leave the ensemble"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.DISCARD, Passage.CONJECTURE, Passage.CLAIM_1)
    equation: ClassVar[str] = (
        r"\min_w\ \sum_{k=1}^{K}\gamma^{2/\alpha_k}\|w_k\|^2\ "
        r"\text{s.t.}\ f_n(w)\ge 1\ \forall n,\quad \gamma\to\infty"
    )
    says: ClassVar[str] = (
        "If the deeper parts can separate without the shallowest, ‖w_1*‖ = 0: the ensemble drops "
        "it; and, as conjectured, then the next one."
    )
    problems: ClassVar[tuple[str, ...]] = (
        "sums/depth-2-plus-3-path-6-7",
        "sums/depth-2-plus-3-path-6-8",
        "sums/depth-1-plus-2-w-set",
        "real/wine-0",
    )
    caption: ClassVar[str] = (
        "Above: sizes of the three parts of degrees 1, 2, 3 in eq. 14 as the wanted margin γ "
        "grows: only the deepest stays (sizes below 1e-12 are drawn there). In the middle: wine, "
        "parts of degrees 1 and 2. Below: f = uv + pqr, the best margin (points) against the forms "
        "of its two branches; at ρ² = 27/4 the shallow one is dropped at once."
    )

    needed: bool = False
    toy_only: bool = False

    def measure(self, effort: Effort) -> Measurement:
        """Solve eq. 14 over γ for degrees 1, 2, 3, and eq. 6 over ρ for degrees 2, 3."""
        quick = effort is Effort.QUICK
        columns = (0,), (1,), (1,)
        parts = (Linear(), DiagonalNetwork(2), DiagonalNetwork(3))
        predictor = Sum([Member(p, c) for p, c in zip(parts, columns, strict=True)])
        data = rows(((1.0, 1.0), (1.0, 0.0)) if self.needed else ((1.0, 1.0),))
        gammas = (1e2, 1e6) if quick else tuple(float(g) for g in np.logspace(0, 6, 10))
        answers = [solve(ScaledMargin(predictor, data, gamma=g)) for g in gammas]
        blocks = ((0,), (1, 2), (3, 4, 5))
        sizes = [
            [float(np.sqrt(sum(np.sum(a.theta[b] ** 2) for b in part))) for a in answers]
            for part in blocks
        ]
        shown = Backing.of(a.certificate for a in answers)
        second = ", and a sample only the first part sees" if self.needed else ""
        word = f"one sample, parts of degrees 1, 2, 3{second}"
        checks = [
            shown.small(word, f"‖w_{k + 1}‖ at γ = {gammas[-1]:g}", sizes[k][-1], _GONE)
            for k in (0, 1)
        ]
        squares = _SQUARES[2:9:2] if quick else _SQUARES
        pair = Sum((DiagonalNetwork(2), DiagonalNetwork(3)))
        path = [solve(MarginPath(pair, rows(((1.0,),)), rho=s**0.5), starts=12) for s in squares]
        shallow = [
            s * float(sum(np.sum(a.theta[b] ** 2) for b in (0, 1)))
            for s, a in zip(squares, path, strict=True)
        ]
        truth = [max(s / 2.0, (s / 3.0) ** 1.5) for s in squares]
        worst = Backing.of(a.certificate for a in path)
        checks += [
            worst.small(
                "f = uv + pqr, one sample",
                "largest relative error of γ*(ρ), against max(ρ²/2, (ρ²/3)^{3/2})",
                max(abs(a.objective / t - 1.0) for a, t in zip(path, truth, strict=True)),
                _SAME,
            ),
            worst.small(
                "f = uv + pqr, one sample",
                "largest ‖ρθ_1‖² beyond ρ² = 27/4",
                max(v for v, s in zip(shallow, squares, strict=True) if s > 6.75),
                _SAME,
            ),
        ]
        curves = {
            "gamma": gammas,
            **{f"size {k + 1}": tuple(sizes[k]) for k in range(3)},
            "square": squares,
            "margin": tuple(a.objective for a in path),
            "shallow": tuple(shallow),
        }
        if not self.toy_only:
            real, seen = self._wine((10.0, 1e4) if quick else (1.0, 10.0, 1e2, 1e4, 1e5))
            checks.append(real)
            curves |= seen
        return Measurement(tuple(checks), curves)

    @staticmethod
    def _wine(gammas: tuple[float, ...]) -> tuple[Check, dict[str, tuple[float, ...]]]:
        """Solve eq. 14 on wine with parts of degrees 1 and 2, each γ from the answer before."""
        data = load_dataset("wine", positive=[0], standardize=True)
        predictor = Sum((Linear(), DiagonalNetwork(2)))
        answers: list[Solution] = []
        for gamma in gammas:
            start = np.concatenate(answers[-1].theta) if answers else None
            answers.append(solve(ScaledMargin(predictor, data, gamma=gamma), start=start))
        first = tuple(float(np.linalg.norm(a.theta[0])) for a in answers)
        second = tuple(float(np.linalg.norm(np.concatenate(a.theta[1:]))) for a in answers)
        check = Backing.of(a.certificate for a in answers).small(
            "wine, a linear part and a diagonal network of depth 2",
            f"‖w_1‖ at γ = {gammas[-1]:g}",
            first[-1],
            _GONE,
        )
        return check, {"wine gamma": gammas, "wine 1": first, "wine 2": second}

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (
            Plant(
                "a sample that only the shallowest part sees",
                TheoremOneDiscard(needed=True, toy_only=True),
            ),
        )

    def draw(self, measurement: Measurement) -> Any:
        """Sizes over γ, and the phase transition over ρ²."""
        curves = {name: np.array(values) for name, values in measurement.curves.items()}
        count = 3 if "wine gamma" in curves else 2
        above = {"frameon": False, "loc": "lower left", "bbox_to_anchor": (-0.1, 1.0)}
        with panels(count, 2.9) as (figure, row):
            left, right = row[0], row[-1]
            for k, (color, mark) in enumerate(((VERMILION, "o-"), (ORANGE, "s-"), (BLUE, "^-"))):
                size = np.maximum(curves[f"size {k + 1}"], 1e-12)
                left.loglog(curves["gamma"], size, mark, ms=3, color=color, label=f"degree {k + 1}")
            left.set_ylim(bottom=1e-13)
            left.set_xlabel("wanted margin γ")
            left.set_ylabel("one sample: size $\\|w_k\\|$ of a part")
            left.legend(**above)
            if count == 3:
                for k, (color, mark) in enumerate(((VERMILION, "o-"), (ORANGE, "s-"))):
                    at, size = curves["wine gamma"], curves[f"wine {k + 1}"]
                    row[1].loglog(at, size, mark, ms=3, color=color, label=f"degree {k + 1}")
                row[1].set_xlabel("wanted margin γ")
                row[1].set_ylabel("wine: size $\\|w_k\\|$ of a part")
                row[1].legend(**above)
            square = curves["square"]
            fine = np.linspace(square[0], square[-1], 100)
            right.plot(fine, fine / 2, color=ORANGE, lw=1.0, label="degree 2 alone, ρ²/2")
            right.plot(
                fine, (fine / 3) ** 1.5, color=BLUE, lw=1.0, label="degree 3 alone, (ρ²/3)$^{3/2}$"
            )
            kept = curves["shallow"] > _GONE
            right.plot(square[kept], curves["margin"][kept], "s", color=ORANGE, ms=4)
            right.plot(square[~kept], curves["margin"][~kept], "^", color=BLUE, ms=4)
            right.axvline(6.75, color=GREY, ls="--", lw=0.8, label="ρ² = 27/4")
            right.set_xlabel("squared scale ρ²")
            right.set_ylabel("margin $\\gamma^*(\\rho)$")
            right.legend(**above)
            return figure


STATEMENT = TheoremOneDiscard()
