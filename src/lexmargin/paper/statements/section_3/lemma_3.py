"""Lemma 3 (eq. 8): the constrained path's margin is within log N of the largest."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, final

import numpy as np

from lexmargin.formulations import ConstrainedPath
from lexmargin.judge import Certificate
from lexmargin.ops.base import FloatArray
from lexmargin.paper.descents import deep_wine
from lexmargin.paper.evidence import Backing
from lexmargin.paper.instances import (
    Instance,
    breast_cancer_linear,
    digits_pair,
    two_axes,
    wine_network,
)
from lexmargin.paper.passages import Passage
from lexmargin.paper.statement import Check, Effort, Measurement, Plant, Relation, Statement
from lexmargin.paths import PathPoint, trace
from lexmargin.plots import BLUE, GREEN, GREY, ORANGE, VERMILION, panels
from lexmargin.predictors import Identity, Linear, Network
from lexmargin.solve import solve

__all__ = ["STATEMENT", "LemmaThree"]

_ROUNDING: Final = 1e-9
"""Of a difference of two margins near 1, beside log N; larger margins round in proportion."""
_STARTS: Final = 12
"""At every ρ of a nonconvex instance, beside the traced point; quick has a third."""
_LEAST: Final = 1e-6
"""Of two values of log L near 1, both certified to 1e-8; larger ones round in proportion."""


@final
@dataclass(frozen=True)
class LemmaThree(Statement):
    """`γ*(ρ) - γ(ρ, θ_c(ρ)) ≤ log N` (eq. 8).

    Attributes:
        copies: of the second sample of the toy instance.
        distinct: count equal samples once in N, which the lemma does not allow.
        toy_only: leave the real data out.
    """

    id: ClassVar[str] = "lemma-3"
    title: ClassVar[str] = "The constrained path's margin is within log N of the largest"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.LEMMA_3,)
    equation: ClassVar[str] = r"\gamma^*(\rho)-\gamma(\rho,\theta_c(\rho))\le\log N"
    says: ClassVar[str] = (
        "At every ρ, whatever the predictor: minimisers of the loss give away at most log N of the "
        "largest margin; where the loss is not convex, the best point known."
    )
    problems: ClassVar[tuple[str, ...]] = (
        "paths/l1-constrained-10",
        "real/breast_cancer",
        "real/wine-relu2",
    )
    caption: ClassVar[str] = (
        "Above: both margins over ρ on breast_cancer; the band is log N wide. Below: their "
        "difference in units of log N on all instances, which has to stay below 1."
    )

    copies: int = 1
    distinct: bool = False
    toy_only: bool = False

    def measure(self, effort: Effort) -> Measurement:
        """Trace the constrained path and take the largest difference from γ*(ρ)."""
        quick = effort is Effort.QUICK
        runs: list[tuple[Instance, float, float, int]] = [(two_axes(0.5, self.copies), -1, 4, 41)]
        if not self.toy_only:
            runs += [
                (breast_cancer_linear(), -1, 4, 24),
                (wine_network(), -0.5, 2, 16),
                (digits_pair(), -1, 4, 24),
                (deep_wine(), 0, 2, 16),
            ]
        checks: list[Check] = []
        curves: dict[str, tuple[float, ...]] = {}
        remarks: list[str] = []
        for number, (instance, first, last, count) in enumerate(runs):
            grid = np.logspace(first, last, 6 if quick else count)
            problem = ConstrainedPath(instance.predictor, instance.data, norm=instance.norm)
            path = trace(problem, [float(r) for r in grid])
            best = np.array([point.best_margin for point in path.points])
            own = np.array([point.margin for point in path.points])
            backing = Backing.along(path)
            if isinstance(instance.predictor, Network):
                starts = _STARTS // 3 if quick else _STARTS
                found = [_least(problem, point, starts) for point in path.points]
                own = np.array([answer.margin for answer in found])
                best, backing = np.maximum(best, own), Backing.of(a.certificate for a in found)
                bound = "no bound from below is known"
                if isinstance(instance.predictor.activation, Identity):
                    bound = "the bound from below is a check"
                    checks.append(_bounded(instance, grid, found))
                lower = max(
                    p.objective - a.objective for p, a in zip(path.points, found, strict=True)
                )
                remarks.append(
                    f"{instance.name} is not convex: θ_c is the best of the traced point and of "
                    f"{starts} starts at every ρ, which took at most {lower:.2g} nats off the "
                    f"traced log L; {bound}."
                )
            gap = best - own
            samples = instance.data.n_samples
            counted = len(np.unique(instance.data.X, axis=0)) if self.distinct else samples
            checks.append(
                backing.check(
                    instance.name,
                    f"largest γ*(ρ) - γ(ρ, θ_c) at {len(grid)} values of ρ, against log {counted}",
                    float(gap.max()),
                    Relation.AT_MOST,
                    math.log(counted),
                    _ROUNDING * max(1.0, float(np.abs(best).max())),
                )
            )
            curves |= {
                f"rho {number}": tuple(p.rho for p in path.points),
                f"best {number}": tuple(best),
                f"own {number}": tuple(own),
                f"log N {number}": (math.log(samples),),
            }
        return Measurement(tuple(checks), curves, tuple(remarks))

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (
            Plant(
                "a hundred equal samples counted once in N",
                LemmaThree(copies=100, distinct=True, toy_only=True),
            ),
        )

    def draw(self, measurement: Measurement) -> Any:
        """Both margins with the band, and the differences of all instances."""
        curves = {name: np.array(values) for name, values in measurement.curves.items()}
        shown = 1 if "rho 1" in curves else 0
        with panels(2, 3.0) as (figure, (left, right)):
            rho, best = curves[f"rho {shown}"], curves[f"best {shown}"]
            left.fill_between(
                rho,
                best - curves[f"log N {shown}"],
                best,
                color=GREY,
                alpha=0.25,
                lw=0,
                label="log N wide",
            )
            left.plot(rho, best, color=BLUE, label="$\\gamma^*(\\rho)$")
            left.plot(
                rho,
                curves[f"own {shown}"],
                "o",
                ms=3,
                color=ORANGE,
                label="$\\gamma(\\rho,\\theta_c(\\rho))$",
            )
            left.set_xscale("log")
            left.set_xlabel("scale ρ")
            left.set_ylabel("margin (nats)")
            left.legend(frameon=False, loc="upper left")
            names = list(dict.fromkeys(c.instance for c in measurement.checks))
            names = ["toy, ℓ1" if n.startswith("Z") else n.removesuffix(", ℓ2") for n in names]
            for number, (name, mark) in enumerate(
                zip(names, ("o-", "s-", "^-", "v-", "d-"), strict=False)
            ):
                color = (BLUE, ORANGE, GREEN, VERMILION, GREY)[number]
                gap = curves[f"best {number}"] - curves[f"own {number}"]
                share = gap / curves[f"log N {number}"]
                right.plot(curves[f"rho {number}"], share, mark, ms=3, color=color, label=name)
            right.axhline(1.0, color=GREY, ls="--", lw=0.8)
            right.set_xscale("log")
            right.set_ylim(-0.03, 1.1)
            right.set_xlabel("scale ρ")
            right.set_ylabel("$(\\gamma^*-\\gamma)/\\log N$")
            right.legend(frameon=False, loc="upper right", bbox_to_anchor=(1.0, 0.93))
            return figure


@final
@dataclass(frozen=True)
class _Answer:
    """The point of least log L that is known at one ρ."""

    objective: float
    margin: float
    certificate: Certificate


def _least(problem: ConstrainedPath, point: PathPoint, starts: int) -> _Answer:
    """Return the best of the traced point and of many starts."""
    answer = solve(replace(problem, rho=point.rho), starts=starts)
    if answer.objective >= point.objective:
        return _Answer(point.objective, point.margin, point.certificate)
    # A solution's margin is that of its unit direction.
    theta = problem.functions.point(answer.theta)
    raised = float(np.min(problem.functions.values(point.rho * theta)))
    return _Answer(answer.objective, raised, answer.certificate)


def _bounded(instance: Instance, grid: FloatArray, found: list[_Answer]) -> Check:
    """Return the check that no log L is above the least there is, where two layers are linear.

    `‖θ‖² ≥ 2‖β‖` for the linear map β that two layers make, with equality where they are
    balanced: the least log L in the ball of radius ρ is that of β in the ball of radius ρ²/2.
    """
    convex = [solve(ConstrainedPath(Linear(), instance.data, rho=0.5 * r**2)) for r in grid]
    above = [
        (answer.objective - least.objective) / max(1.0, abs(least.objective))
        for answer, least in zip(found, convex, strict=True)
    ]
    return Backing.of(least.certificate for least in convex).small(
        instance.name,
        "largest log L(ρθ_c) above the least, that of a linear map in the ball of radius ρ²/2, "
        "relative to max(1, |log L|)",
        max(above),
        _LEAST,
    )


STATEMENT = LemmaThree()
