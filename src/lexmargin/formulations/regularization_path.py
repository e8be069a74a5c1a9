"""The regularization path: the loss plus a norm penalty (§2.2), and its jumps."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, ClassVar, Final, final

import numpy as np

from lexmargin.data.dataset import Dataset
from lexmargin.formulations.base import Traits
from lexmargin.formulations.kkt import Kkt, LossTerm
from lexmargin.formulations.loss_path import LossPath
from lexmargin.formulations.start import random_theta, separating_theta
from lexmargin.inputs.checks import AtLeastOne, Domain, moderate
from lexmargin.inputs.kinds import Exponent, checked_class
from lexmargin.linalg.norms import vector_norm
from lexmargin.losses import Loss, LossWord, SampleLoss
from lexmargin.ops.base import FloatArray, Sense
from lexmargin.predictors.base import Predictor
from lexmargin.program import (
    Combination,
    ExponentialLoss,
    Expression,
    LogisticLoss,
    Norm,
    Power,
    Program,
    SquaredNorm,
)

__all__ = ["Jump", "RegularizationPath", "bisect_jump", "jumps"]


LEAST_STRENGTH: Final = 1e-300
"""A penalty is only added, never squared: what is a normal double serves."""
Strength = Annotated[float, Domain(functools.partial(moderate, least=LEAST_STRENGTH))]


@final
@checked_class
@dataclass(frozen=True, repr=False)
class RegularizationPath(LossPath):
    """``min L(θ) + μ ‖θ‖^q`` for a strength μ (§2.2).

    The penalty is added to the loss itself; adding it to ``log L`` would be another problem. The
    program is divided by μ: ``Σ w_n exp(ln(1/μ) - f_n) + ‖θ‖^q`` has the same minimisers, and both
    terms stay in range however small μ is. The w_n are the weights of the samples, 1 where their
    :class:`~lexmargin.data.dataset.Dataset` has none.

    Args:
        predictor, data: the margin functions, of any kind.
        strength: μ > 0.
        norm: p of the norm, >= 1, or "inf".
        power: q >= 1.
        loss: "exponential" (eq. 1), "logistic" or "cross-entropy".

    Raises:
        ParameterError: μ <= 0, a norm or a power below 1, or an unknown loss.
    """

    predictor: Predictor
    data: Dataset
    strength: Strength
    norm: Exponent = 2.0
    power: AtLeastOne = 2.0
    loss: LossWord = Loss.EXPONENTIAL

    name: ClassVar[str] = "regularization-path"
    equation: ClassVar[str] = "§2.2, divided by μ"
    traits: ClassVar[Traits] = Traits(
        needs_separator=False, is_loss=True, origin_may_win=True, path="strength", path_falls=True
    )

    @property
    def norm_p(self) -> float:
        return float(self.norm)

    @property
    def coefficient(self) -> float:
        """c of the penalty ``c ‖θ‖^q``: μ itself."""
        return self.strength

    def _program(self, loss: SampleLoss) -> Program:
        variables = self.block_variables()
        blocks = tuple(v.name for v in variables)
        size: Expression = Norm(blocks, self.norm_p, "θ")
        if self.norm_p == 2.0 and self.power >= 2.0:
            squared = SquaredNorm(blocks, "θ")
            size = squared if self.power == 2.0 else Power(squared, self.power / 2.0)
        elif self.power > 1.0:
            size = Power(size, self.power)
        margins, logs, weight = self._margins("θ"), loss.stated, 1.0
        term: Expression = ExponentialLoss(margins, -math.log(self.strength), logs)
        if loss.kind is not Loss.EXPONENTIAL:
            term, weight = LogisticLoss(margins, loss.group, logs), 1.0 / self.strength
        return Program(
            name=self.name,
            equation=self.equation,
            sense=Sense.MINIMIZE,
            objective=Combination(((weight, term), (1.0, size))),
            variables=variables,
            constraints=(),
            curvature=self.functions.curvature,
        )

    def initial_values(self, theta: FloatArray, unit: float) -> dict[str, FloatArray]:
        blocks = self.functions.blocks(self.start(theta))
        return {v.name: b for v, b in zip(self.block_variables(), blocks, strict=True)}

    def start(self, theta: FloatArray) -> FloatArray:
        """Return θ, or where it separates and f_n are homogeneous, θ at margin ``ln(1/μ)``.

        Newton's method on an exponential gains one nat per step: it should start within a few.
        """
        degree = self.functions.homogeneity.degree
        margin = float(self.functions.values(theta).min())
        wanted = max(1.0, -math.log(self.strength))
        if degree is None or not margin > 0:
            return theta
        stretch = float((wanted / margin) ** (1.0 / degree))
        return np.asarray(stretch * theta)

    def starts(self, count: int, seed: int = 0) -> list[FloatArray]:
        """Return starts of a global scan: θ = 0 first, then ``count`` separating directions.

        For degree 3 and more, 0 is a local minimum for every μ > 0 and the minimiser jumps: only a
        scan that includes both sides of the jump finds the global one.
        """
        rng = np.random.default_rng(seed)
        found = [np.zeros(self.functions.size)]
        for _ in range(count):
            found.append(separating_theta(self.functions, random_theta(self.functions, rng))[0])
        return found

    def worth(self, theta: FloatArray) -> float:
        return self.log_objective(theta)

    def log_objective(self, theta: FloatArray) -> float:
        """Return ``log(L(θ) + μ‖θ‖^q)``: finite however small both are."""
        loss = self.weighted.value(self.functions.values(theta))
        size = vector_norm(theta, self.norm_p)
        if size == 0.0:
            return loss
        penalty = math.log(self.coefficient) + self.power * math.log(size)
        return float(np.logaddexp(loss, penalty))

    def objective(self, theta: FloatArray) -> float:
        """Return ``L(θ) + μ‖θ‖^q``."""
        return float(np.exp(self.log_objective(theta)))

    def kkt(self, theta: FloatArray) -> tuple[Kkt, ...]:
        """Return the data of ``μ q ‖θ‖^{q-1} ∇‖θ‖ = Σ_n (-∂L/∂f_n) ∇f_n(θ)``."""
        term = LossTerm(loss=self.weighted, coefficient=self.coefficient, power=self.power)
        return (Kkt(functions=self.functions, point=theta, norm=self.norm_p, loss=term),)


@final
@dataclass(frozen=True, eq=False)
class Jump:
    """A discontinuity of the regularization path between two neighbouring strengths.

    Attributes:
        above, below: the strengths before and after, above > below.
        before, after: the minimisers there.
        distance: ``‖after - before‖``.
    """

    above: float
    below: float
    before: FloatArray
    after: FloatArray
    distance: float


def jumps(path: Sequence[tuple[float, FloatArray]], *, rate: float = 1.5) -> tuple[Jump, ...]:
    """Return the jumps of a path of (μ, θ), sorted by decreasing μ here.

    A step is a jump when ``‖Δθ‖ > rate · max‖θ‖ · sqrt|Δ ln μ|``. A continuous branch moves by
    ``O(|Δ ln μ|)``, and where it leaves 0 like the degree-2 branch ``s² = ln(1/μ)``, by the
    square root; so a refined grid tells them apart, and :func:`bisect_jump` settles a doubt.
    Points between the ends of a jump are no minimisers and must not be drawn.
    """
    ordered = sorted(path, key=lambda point: -point[0])
    largest = max((float(np.linalg.norm(theta)) for _, theta in ordered), default=0.0)
    found = []
    for (above, before), (below, after) in pairwise(ordered):
        distance = float(np.linalg.norm(after - before))
        if distance > rate * largest * math.sqrt(abs(math.log(above / below))):
            found.append(Jump(above, below, before, after, distance))
    return tuple(found)


def bisect_jump(
    jump: Jump,
    minimiser: Callable[[float], FloatArray],
    *,
    tolerance: float = 1e-10,
) -> Jump:
    """Narrow the strengths of a jump to a relative ``tolerance`` with a global minimiser of μ.

    Returns a jump whose distance stays away from 0, or, if the path was only steep, one whose
    distance has shrunk: compare it with the first.
    """
    above, below, before, after = jump.above, jump.below, jump.before, jump.after
    while above - below > tolerance * above:
        middle = math.sqrt(above * below)
        if not below < middle < above:
            break
        theta = minimiser(middle)
        if np.linalg.norm(theta - before) <= np.linalg.norm(theta - after):
            above, before = middle, theta
        else:
            below, after = middle, theta
    return Jump(above, below, before, after, float(np.linalg.norm(after - before)))
