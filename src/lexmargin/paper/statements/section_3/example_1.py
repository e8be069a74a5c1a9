"""Definition 2, Example 1: homogeneous predictors, where the two paths meet."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Final, final

import numpy as np

from lexmargin.formulations import ConstrainedPath, HardMargin
from lexmargin.paper.evidence import Backing, residual
from lexmargin.paper.figures import plot_seen
from lexmargin.paper.instances import Instance, breast_cancer_linear, diagonal_pair, rows, two_axes
from lexmargin.paper.passages import Passage
from lexmargin.paper.statement import Check, Effort, Measurement, Plant, Statement
from lexmargin.paths import trace
from lexmargin.plots import BLUE, GREEN, GREY, ORANGE, VERMILION, panel
from lexmargin.predictors import DiagonalNetwork, Linear
from lexmargin.solve import solve

__all__ = ["STATEMENT", "ExampleOne"]

_NEAR: Final = 0.02
"""Distance of unit vectors at the last ρ; its rate is log N/ρ^α times the data's condition."""


@final
@dataclass(frozen=True)
class ExampleOne(Statement):
    """`sup_{a ∈ Θ_c(ρ)} inf_{b ∈ Θ_m(ρ)} ‖a - b‖ → 0` (Definition 2).

    Attributes:
        against: directions of the margin path are computed on the same data ("") or, to break
            the statement, with the samples scaled by these factors.
        toy_only: leave the real data out.
    """

    id: ClassVar[str] = "example-1"
    title: ClassVar[str] = "Homogeneous predictors: the two paths meet"
    passages: ClassVar[tuple[Passage, ...]] = (Passage.DEFINITION_2, Passage.EXAMPLE_1)
    equation: ClassVar[str] = (
        r"\sup_{a\in\Theta_c(\rho)}\ \inf_{b\in\Theta_m(\rho)}\|a-b\|"
        r"\to 0"
    )
    says: ClassVar[str] = (
        "For α-homogeneous predictors the constrained path nears the margin path; the "
        "distance is directed, from the constrained path to the nearest point of the margin "
        "path."
    )
    problems: ClassVar[tuple[str, ...]] = (
        "linear/norms-two-points-l2",
        "linear/norms-two-points-linf",
        "paths/l1-constrained-1000",
        "networks/diagonal-2",
        "real/breast_cancer",
    )
    caption: ClassVar[str] = (
        "Distance of the constrained path's direction to the nearest max-margin direction: it "
        "falls like 1/ρ^α, or is 0 at every ρ. The distance is directed: on the ℓ∞ ball Θ_m is the "
        "segment (1, t), ½ ≤ t ≤ 1, and seen from Θ_m (dotted) the paths stay ½ apart."
    )

    against: tuple[float, ...] = ()
    toy_only: bool = False

    def measure(self, effort: Effort) -> Measurement:
        """Trace the constrained path and take distances to the nearest max-margin direction."""
        two = Instance("Z = (1,0), (0,2), linear, ℓ2", Linear(), rows(((1.0, 0.0), (0.0, 2.0))))
        skew = Instance(
            "Z = (1,0.2), (0.2,2), diagonal network of depth 2",
            DiagonalNetwork(2),
            rows(((1.0, 0.2), (0.2, 2.0))),
        )
        runs = [(two, 4.0), (two_axes(), 4.0), (diagonal_pair(), 2.0), (skew, 2.0)]
        if not self.toy_only:
            runs.append((breast_cancer_linear(), 5.0))
        count = 4 if effort is Effort.QUICK else 16
        checks: list[Check] = []
        curves: dict[str, tuple[float, ...]] = {}
        for number, (instance, last) in enumerate(runs):
            predictor, data = instance.predictor, instance.data
            other = data
            if self.against and len(self.against) == data.n_samples:
                other = rows(tuple(map(tuple, data.X * np.array(self.against)[:, None])))
            best = solve(HardMargin(predictor, other, norm=instance.norm))
            grid = [float(r) for r in np.logspace(last - 3.0, last, count)]
            path = trace(ConstrainedPath(predictor, data, norm=instance.norm), grid)
            # Signs of hidden units make further maximisers of the same network.
            fold = np.abs if isinstance(predictor, DiagonalNetwork) else np.asarray
            apart = [
                float(np.linalg.norm(fold(p.theta / np.linalg.norm(p.theta)) - fold(target)))
                for p in path.points
                for target in [best.direction / np.linalg.norm(best.direction)]
            ]
            error = max(residual((best.certificate,)), *(p.mismatch for p in path.points))
            well = path.certified and best.certificate.certified
            checks.append(
                Backing(error if math.isfinite(error) else 0.0, well).small(
                    instance.name,
                    f"distance of θ_c/‖θ_c‖ to the max-margin direction at ρ = {grid[-1]:g}",
                    apart[-1],
                    _NEAR,
                )
            )
            curves |= {f"rho {number}": tuple(grid), f"distance {number}": tuple(apart)}
        segment, back = self._segment(count)
        checks.append(segment)
        number = len(checks) - 1
        grid = [float(r) for r in np.logspace(1.0, 4.0, count)]
        curves |= {f"rho {number}": tuple(grid), f"distance {number}": (0.0,) * count}
        curves |= {"rho back": tuple(grid), "distance back": back}
        remark = (
            f"{segment.instance}: the distance of Θ_m to Θ_c, the other way round, is "
            f"{back[-1]:.6g} at ρ = {grid[-1]:g}. Definition 2 does not ask for it."
        )
        return Measurement(tuple(checks), curves, (remark,))

    @staticmethod
    def _segment(count: int) -> tuple[Check, tuple[float, ...]]:
        """Return the check on the ℓ∞ ball, and the distance of Θ_m to Θ_c along the grid.

        There Θ_m = {(1, t) : ½ ≤ t ≤ 1}: both margins of (1, t) are at least 1, and no θ_1 > 1 is
        in the ball. A distance to a point is convex, so that its supremum is at an end.
        """
        data = rows(((1.0, 0.0), (0.0, 2.0)))
        grid = [float(r) for r in np.logspace(1.0, 4.0, count)]
        path = trace(ConstrainedPath(Linear(), data, norm=math.inf), grid)
        thetas = np.array([point.theta for point in path.points])
        nearest = np.column_stack([np.ones(len(grid)), np.clip(thetas[:, 1], 0.5, 1.0)])
        apart = np.linalg.norm(thetas - nearest, axis=1)
        ends = np.array([[1.0, 0.5], [1.0, 1.0]])
        back = np.linalg.norm(thetas[:, None] - ends, axis=2).max(axis=1)
        check = Backing.along(path).small(
            "Z = (1,0), (0,2), linear, ℓ∞",
            "largest distance of θ_c to the segment Θ_m, at every ρ",
            float(apart.max()),
            _NEAR,
        )
        return check, tuple(float(b) for b in back)

    def planted(self) -> tuple[Plant, ...]:
        """Return what turns the finding."""
        return (
            Plant(
                "the margin path of other data, the samples scaled by 1 and 3",
                ExampleOne(against=(1.0, 3.0), toy_only=True),
            ),
        )

    def draw(self, measurement: Measurement) -> Any:
        """Distances over ρ."""
        curves = {name: np.array(values) for name, values in measurement.curves.items()}
        with panel(3.8) as (figure, axes):
            looks = [(BLUE, "o-"), (GREEN, "s-"), (GREY, "x-"), (ORANGE, "^-"), (VERMILION, "v-")]
            if len(measurement.checks) == len(looks):
                looks.pop()  # without the real data
            looks.append(("black", ".-"))
            for number, (check, (color, mark)) in enumerate(
                zip(measurement.checks, looks, strict=True)
            ):
                at, apart = curves[f"rho {number}"], curves[f"distance {number}"]
                plot_seen(axes, at, apart, mark, color, check.instance)
            axes.loglog(
                curves["rho back"],
                curves["distance back"],
                ":",
                color="black",
                label="the other way round, ℓ∞",
            )
            axes.set_xlabel("scale ρ")
            axes.set_ylabel("distance of $\\Theta_c(\\rho)$ to $\\Theta_m(\\rho)$")
            figure.legend(frameon=False, loc="outside upper left", fontsize=8)
            return figure


STATEMENT = ExampleOne()
