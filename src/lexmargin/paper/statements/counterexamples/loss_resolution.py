"""Levels of the loss beyond 36 nats are invisible in double precision."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import numpy as np

from lexmargin.data.dataset import Dataset
from lexmargin.formulations import ConstrainedPath
from lexmargin.linalg.guarded import least_between
from lexmargin.paper.evidence import EXACT, Backing
from lexmargin.paper.passages import Passage
from lexmargin.paper.statement import Effort, Measurement, Plant, Reading, Statement
from lexmargin.plots import BLUE, GREY, VERMILION, panel
from lexmargin.predictors import Linear
from lexmargin.solve import solve

__all__ = ["STATEMENT", "LossResolution"]

_NAIVE: Final = 1e-5
"""What a minimisation of L itself is asked for; comparing values of L cannot give more than
the root of the rounding, 1e-8."""
_OURS: Final = 1e-10
"""Error granted to the log domain: far below what minimising L leaves, above what solving
leaves."""
_DOUBLE: Final = 36.0
"""-ln of the rounding of doubles, in nats."""


@final
@dataclass(frozen=True)
class LossResolution(Statement):
    """θ_2 of the constrained path (eq. 5) on Z = (1,1), (3,1), (1,2), ℓ1, over ρ.

    Attributes:
        rho: the scale at which the two computations are compared.
        norm: of the ball that eq. 5 is solved in; the closed form is that of ℓ1.
    """

    id: ClassVar[str] = "loss-resolution"
    title: ClassVar[str] = "What double precision sees of the loss"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.CONSTRAINED_PATH, Passage.THEOREM_4)
    equation: ClassVar[str] = (
        r"\Theta_c(\rho)=\mathrm{argmin}_{\|\theta\|\le 1}\,"
        r"\sum_n e^{-f_n(\rho\theta)}"
    )
    says: ClassVar[str] = (
        "For large ρ the constrained path settles every level of the margins; read as "
        "'evaluate L and minimise it'."
    )
    corrected: ClassVar[str] = (
        "level k weighs e^{-ρ^α(m_k - m_1)} beside level 1 and is lost beyond 36 nats. In the "
        "log domain, with the first level peeled off, θ_c(ρ) keeps all its digits."
    )
    problems: ClassVar[tuple[str, ...]] = (
        "lexicographic/precision-trap",
        "paths/precision-trap-constrained-100",
    )
    caption: ClassVar[str] = (
        "Error of θ₂ when L itself is minimised in doubles (red) and when levels are peeled "
        "(blue; 0 is drawn at 1e-17), over the nats between the first level and the next, "
        "ρ(m₂ - m₁)."
    )

    rho: float = 100.0
    norm: float = 1.0

    def measure(self, effort: Effort) -> Measurement:
        """Minimise L over the optimal face by bounded search, and solve eq. 5 by ours."""
        Z = np.array([[1.0, 1.0], [3.0, 1.0], [1.0, 2.0]])
        data = Dataset(Z, [1] * 3, one_class=True)
        grid = (5.0, 20.0, 40.0) if effort is Effort.QUICK else (5.0, 10.0, 20.0, 30.0, 40.0, 60.0)
        rhos = sorted({*grid, self.rho})
        naive, ours, certificates = [], [], []
        for rho in rhos:
            truth = (1.0 + math.log(0.5) / (2.0 * rho)) / 1.5

            def loss(t: float, rho: float = rho) -> float:
                return float(np.exp(-rho * (Z @ np.array([1.0 - t, t]) - 1.0)).sum())

            found = least_between(loss, 0.0, 1.0, 1e-12)
            answer = solve(ConstrainedPath(Linear(), data, rho=rho, norm=self.norm))
            naive.append(abs(found - truth))
            ours.append(abs(float(answer.direction[1]) - truth))
            certificates.append(answer.certificate)
        here = rhos.index(self.rho)
        word = "Z = (1,1), (3,1), (1,2), ℓ1"
        nats = self.rho * 2.0 / 3.0
        shown = Backing.of(certificates)
        checks = (
            EXACT.small(
                word,
                f"|θ_2 - closed form| by minimising L at ρ = {self.rho:g} ({nats:.1f} nats)",
                naive[here],
                _NAIVE,
            ),
            shown.small(
                word,
                f"|θ_2 - closed form| by peeled levels, largest up to ρ = {rhos[-1]:g}",
                max(ours),
                _OURS,
                Reading.CORRECTED,
            ),
        )
        curves = {
            "nats": tuple(rho * 2.0 / 3.0 for rho in rhos),
            "naive": tuple(naive),
            "ours": tuple(ours),
        }
        return Measurement(checks, curves)

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (
            Plant("ρ = 5, three nats apart, which doubles see", LossResolution(rho=5.0)),
            Plant(
                "the ℓ2 ball in the place of the ℓ1 ball",
                LossResolution(norm=2.0),
                Reading.CORRECTED,
            ),
        )

    def draw(self, measurement: Measurement) -> Any:
        """Both errors over the nats between the levels."""
        nats, naive, ours = (np.array(measurement.curves[k]) for k in ("nats", "naive", "ours"))
        with panel(3.6) as (figure, axes):
            axes.axvline(_DOUBLE, color=GREY, lw=0.8, ls="--", label="36 nats")
            axes.semilogy(nats, naive, "o-", color=VERMILION, label="minimise L in doubles")
            axes.semilogy(nats, np.maximum(ours, 1e-17), "s-", color=BLUE, label="peeled levels")
            axes.set_xlabel("nats between the levels, $\\rho(m_2-m_1)$")
            axes.set_ylabel("error of $\\theta_2$")
            axes.legend(frameon=False, loc="center right")
            return figure


STATEMENT = LossResolution()
