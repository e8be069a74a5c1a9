"""The W-set: eq. 13/17, and its sequential version (the conjecture after Theorem 1).

Parts of their own parameters, as in the paper, or blocks that share terms: what eq. 13 and 14 need
is ``f_n(e^{aΛ}w) = e^a f_n(w)``, λ = 1/α_k where nothing is shared (`networks.md` §2).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, final

import numpy as np

from lexmargin.data.dataset import Dataset
from lexmargin.errors import ParameterError
from lexmargin.formulations.base import MARGIN, Formulation, StageAnswer, Traits
from lexmargin.formulations.kkt import Kkt
from lexmargin.formulations.levels import Level, Proof
from lexmargin.formulations.parts import Parts
from lexmargin.formulations.scaled_margin import scaled_program
from lexmargin.inputs.checks import Count, Positive
from lexmargin.inputs.family import LATER
from lexmargin.inputs.kinds import Listed, checked_class
from lexmargin.ops.base import FloatArray, Relation, Sense
from lexmargin.predictors.base import Predictor
from lexmargin.predictors.bias import BiasForm
from lexmargin.program import (
    Combination,
    Constant,
    Constraint,
    Expression,
    Program,
    SquaredDistance,
    SquaredNorm,
    Variable,
)

__all__ = ["WSet", "WSetEvidence"]

GAMMAS = (1e1, 1e2, 1e3, 1e4, 1e5)
"""γ of the first stages: five decades show whether blocks grow like a power of γ or settle."""
_CAP = 1e-8
"""Room of a solved level in the next program: without it solvers find no interior."""
_PROXIMITY = 1e-6
"""Weight that makes free blocks unique: larger moves the level's value, smaller is not seen."""
_LAST_PROXIMITY = 1e-4
"""The same at the last level, where nothing else decides them and no later level is harmed."""
_FLAT = 0.01
"""Exponent of growth in γ below which blocks count as settled: so slow a power shows nothing."""
_DECAY = 0.75
"""Factor by which the exponent must fall per decade to count as convergence: a power keeps it."""


@final
@dataclass(frozen=True, eq=False)
class WSetEvidence:
    """What eq. 14 shows about eq. 13 as γ grows.

    Attributes:
        gammas: γ of the stages, each part measured in its natural scale.
        values: ``‖w_1(γ)‖²``, which tends to the infimum of eq. 13.
        others: ``Σ_{k>1} ‖w_k(γ)‖²``.
        growth: the exponent in ``others ~ γ^growth`` over the last factor of γ.
        discarded: how many of the shallowest parts can be 0, shown by a feasible point.
        attained: False where the other blocks run to infinity: then ``values`` approach the
            infimum and no w reaches it. True by proof where ``discarded`` > 0, else measured.
    """

    gammas: tuple[float, ...]
    values: tuple[float, ...]
    others: tuple[float, ...]
    growth: float
    discarded: int
    attained: bool


@final
@checked_class
@dataclass(frozen=True, repr=False)
class WSet(Formulation):
    """``min ‖w_1‖²  s.t.  f_n(w) >= 1`` (eq. 13/17), w_1 the part of least degree.

    Where terms of different degrees share blocks, as in networks with biases, w_1 are the blocks of
    the largest exponent: ``f_n(e^{aΛ}w) = e^a f_n(w)``, λ = 1/α_k where nothing is shared. The
    exponents are those whose largest are least, in lexicographic order, unless they are given.

    ``levels = k > 1`` then minimises ``‖w_2‖²`` among those, …, ``‖w_k‖²``: the sequential version.

    Solved in stages: eq. 14 at γ = 10, …, 1e5, which keeps the other blocks from running away and
    shows whether the infimum is attained (:meth:`evidence`); then one program per level, with
    ``‖w_j‖² <= v_j (1 + 1e-8)`` for the earlier ones. Where ``w_1 = 0`` is feasible the
    optimum is 0 and the part, discarded, is set to 0 exactly.

    Args:
        predictor, data: margin functions that are homogeneous, a sum of homogeneous parts, or
            quasi-homogeneous.
        levels: how many parts are minimised, one after another.
        exponents: λ > 0 of every block, in their order; none for those of the predictor.

    Raises:
        DegreeError: the predictor has no such exponents, or not those that are given.
        ParameterError: ``levels`` below 1 or above the number of parts; or exponents with which no
            point is stationary, as blocks of w_1 can shrink while every f_n stays.
    """

    predictor: Predictor
    data: Dataset
    levels: Count = 1
    exponents: Listed[Positive] = field(default=(), metadata=LATER)

    name: ClassVar[str] = "w-set"
    equation: ClassVar[str] = "eq. 13"
    traits: ClassVar[Traits] = Traits(reads_sparse=True, bias=BiasForm.TWO_SQUARES)

    def __post_init__(self) -> None:
        count = len(self.parts.items)
        if self.levels > count:
            raise ParameterError(
                f"levels is {self.levels}; the predictor has {count} part(s).",
                f"Give a whole number between 1 and {count}.",
            )
        polytope = self.functions.homogeneity.exponents
        first = self.parts.items[0].blocks
        loose = polytope.shrinking(first) if self.exponents and polytope is not None else ()
        if loose:
            listed = ", ".join(f"w{block + 1}" for block in loose)
            raise ParameterError(
                f"With these exponents {listed} can shrink while every f_n stays: no point is "
                "stationary, and the infimum is not attained.",
                "Leave exponents out, or make the largest of them smaller.",
            )

    @cached_property
    def parts(self) -> Parts:
        """The homogeneous parts of eq. 10, or the blocks of each exponent."""
        return Parts(self.functions, self.name, tuple(float(one) for one in self.exponents))

    @cached_property
    def gammas(self) -> tuple[float, ...]:
        """γ of the first stages; none for a single part, where eq. 14 is eq. 13."""
        return GAMMAS if len(self.parts.items) > 1 else ()

    def program(self, unit: float = 1.0) -> Program:
        """Return eq. 13 itself; :meth:`next_program` leads there in stages."""
        objective = SquaredNorm(self.parts.names(0), "w_1")
        scales = self.parts.natural_scales
        return self._stated(Combination(((1.0, objective),)), scales, unit, ())

    def _stated(
        self,
        objective: Expression,
        scales: FloatArray,
        unit: float,
        caps: tuple[Constraint, ...],
        equation: str | None = None,
    ) -> Program:
        margins = self.parts.margins(scales, unit)
        return Program(
            name=self.name,
            equation=equation or self.equation,
            sense=Sense.MINIMIZE,
            objective=objective,
            variables=self.block_variables(),
            constraints=(
                Constraint(MARGIN, margins, Relation.AT_LEAST, Constant(1.0), "n"),
                *caps,
            ),
            curvature=self.functions.curvature,
        )

    def next_program(self, answers: tuple[StageAnswer, ...], unit: float = 1.0) -> Program | None:
        stage = len(answers)
        if stage < len(self.gammas):
            scales, divisor = self._scales(answers, unit), self._log_divisor(answers, unit)
            weights = self._log_weights(stage)
            equation = f"{self.equation} through eq. 14, γ = {self.gammas[stage]:g}"
            return scaled_program(self, self.parts, weights, scales, divisor, unit, equation)
        if self.gammas:
            evidence = self.evidence(answers, unit)
            if not evidence.attained or evidence.discarded >= self.levels:
                return None
        level = self._next_level(answers, unit)
        return None if level is None else self._level_program(answers, unit, level)

    def _next_level(self, answers: tuple[StageAnswer, ...], unit: float) -> int | None:
        """Return the part that the next program minimises, None when every level is done."""
        first = self.evidence(answers, unit).discarded if self.gammas else 0
        level = first + len(answers) - len(self.gammas)
        if level == self.levels and level > first + 1:
            # The slack of the caps lets w_1 move by its square root: the first level once more.
            return first
        return level if level < self.levels else None

    def _level_program(self, answers: tuple[StageAnswer, ...], unit: float, level: int) -> Program:
        scales = self._scales(answers, unit)
        if not answers:
            return self.program(unit)
        w = self.theta(answers, unit)
        sizes, names = self.parts.sizes(w), self.parts.names
        size = max(float(sizes[level]), 1e-300)
        weight = float(scales[level]) ** 2 / size
        terms: list[tuple[float, Expression]] = [
            (weight, SquaredNorm(names(level), f"w_{level + 1}"))
        ]
        values, shapes = self.parts.write(w, scales), self.functions.shapes
        # The last program only restores w_1: the levels found must stay where they are.
        discarded = self.evidence(answers, unit).discarded
        last = level == discarded and len(answers) > len(self.gammas)
        proximity = _LAST_PROXIMITY if last else _PROXIMITY
        for k in range(level + 1, len(self.parts.items)):
            # Deeper blocks stay where eq. 14 left them: nothing else decides them here.
            for block in self.parts.items[k].blocks:
                name = f"w{block + 1}"
                center = tuple(float(x) for x in values[name].reshape(-1))
                terms.append((proximity, SquaredDistance(name, center, shapes[block])))
        caps: list[Constraint] = []
        for k in range(level):
            if k < discarded:
                for block in self.parts.items[k].blocks:
                    variable = Variable(f"w{block + 1}", shapes[block])
                    caps.append(
                        Constraint(f"zero_{variable.name}", variable, Relation.EQUAL, Constant(0.0))
                    )
                continue
            factor = float(scales[k]) ** 2 / max(float(sizes[k]), 1e-300)
            held = Combination(((factor, SquaredNorm(names(k), f"w_{k + 1}")),))
            caps.append(Constraint(f"level_{k + 1}", held, Relation.AT_MOST, Constant(1.0 + _CAP)))
        equation = f"{self.equation}, level {level + 1}"
        return self._stated(Combination(tuple(terms)), scales, unit, tuple(caps), equation)

    def next_values(self, answers: tuple[StageAnswer, ...], unit: float) -> dict[str, FloatArray]:
        return self.parts.write(self.theta(answers, unit), self._scales(answers, unit))

    def _log_weights(self, stage: int) -> FloatArray:
        """Return the weights of eq. 14 with every part measured in its natural scale.

        W does not change when a part is measured in other units, and eq. 14 at a finite γ does.
        """
        gamma = self.gammas[min(stage, len(self.gammas) - 1)] if self.gammas else 1.0
        return self.parts.log_weights(gamma) - 2.0 * np.log(self.parts.natural_scales)

    def _scales(self, answers: tuple[StageAnswer, ...], unit: float) -> FloatArray:
        if not answers:
            return self.parts.natural_scales
        return self.parts.scales(self._log_weights(len(answers)), self.theta(answers, unit))

    def _log_divisor(self, answers: tuple[StageAnswer, ...], unit: float) -> float:
        weights = self._log_weights(len(answers))
        if not answers:
            return float(np.max(weights + 2 * np.log(self.parts.natural_scales)))
        return self.parts.log_cost(weights, self.theta(answers, unit))

    def theta(self, answers: tuple[StageAnswer, ...], unit: float) -> FloatArray:
        """Return w, with discarded parts exactly 0 once all γ are done."""
        w = self.parts.read(answers[-1].values, self._scales(answers[:-1], unit))
        if not self.gammas or len(answers) < len(self.gammas):
            return w
        first = w
        if len(answers) > len(self.gammas):
            ended = answers[: len(self.gammas)]
            first = self.parts.read(ended[-1].values, self._scales(ended[:-1], unit))
        count, discarded = self._discard(first)
        if not count:
            return w
        if first is w:
            return discarded
        kept = w.copy()
        for k in range(count):
            kept[self.parts.entries(k)] = 0.0
        return kept

    def _discard(self, w: FloatArray) -> tuple[int, FloatArray]:
        """Return how many shallow parts (at most ``levels``) can be 0, and w without them.

        ``f_n(0, …, 0, w_{k+1}, …) > 0`` for all n proves it: stretching the rest reaches 1.
        """
        count, found = 0, w
        for k in range(min(self.levels, len(self.parts.items) - 1)):
            candidate = found.copy()
            candidate[self.parts.entries(k)] = 0.0
            stretched = self.parts.feasible(candidate)
            if stretched is None:
                break
            count, found = k + 1, stretched
        return count, found

    def evidence(self, answers: tuple[StageAnswer, ...], unit: float) -> WSetEvidence:
        """Return what the stages of eq. 14 show, and whether the infimum is attained.

        The other blocks grow like a power of γ where it is not; the exponent then stays the same
        from one factor of γ to the next, and decays where they converge.
        """
        stages = answers[: len(self.gammas)]
        if not stages:
            return WSetEvidence((), (), (), 0.0, 0, True)
        values, others, w = [], [], np.zeros(self.functions.size)
        for i in range(len(stages)):
            w = self.parts.read(stages[i].values, self._scales(stages[:i], unit))
            sizes = self.parts.sizes(w)
            values.append(float(sizes[0]))
            others.append(float(sizes[1:].sum()))
        logs = np.log(np.maximum(others, 1e-300))
        slopes = np.diff(logs) / np.diff(np.log(self.gammas[: len(stages)]))
        growth = float(slopes[-1]) if slopes.size else 0.0
        before = float(slopes[-2]) if slopes.size > 1 else growth
        discarded = self._discard(w)[0] if len(stages) == len(self.gammas) else 0
        attained = discarded > 0 or growth < _FLAT or growth < _DECAY * before
        return WSetEvidence(
            self.gammas[: len(stages)], tuple(values), tuple(others), growth, discarded, attained
        )

    def level_values(self, theta: FloatArray) -> tuple[float, ...]:
        """Return ``‖w_1‖², …`` of the levels asked for."""
        return tuple(float(x) for x in self.parts.sizes(theta)[: self.levels])

    def ranking(self, margins: FloatArray, levels: tuple[Level, ...]) -> FloatArray | None:
        return np.array([-level.value for level in levels])

    def levels_at(
        self,
        theta: FloatArray,
        answers: tuple[StageAnswer, ...],
        unit: float,
        proofs: Sequence[Proof] = (),
    ) -> tuple[Level, ...]:
        """Return the levels of a staged solve, each with what was shown of it.

        Args:
            theta: (d,) the answer.
            answers, unit: as given to :meth:`next_program`.
            proofs: of the levels, from the first on; the others are local.
        """
        values = self.level_values(theta)
        shown = [*proofs, *[Proof.LOCAL] * len(values)]
        if self.gammas and len(answers) >= len(self.gammas):
            found = self.evidence(answers, unit)
            if not found.attained:
                # The other parts run away: what they are at the last γ is no level of anything.
                approached = tuple(zip(found.gammas, found.values, strict=True))
                return (Level(values[0], (0,), proof=Proof.LOCAL, approached=approached),)
        return tuple(Level(value, (k,), proof=shown[k]) for k, value in enumerate(values))

    def initial_values(self, theta: FloatArray, unit: float) -> dict[str, FloatArray]:
        stretched = self.parts.feasible(theta)
        w = theta if stretched is None else stretched
        return self.parts.write(w, self.parts.natural_scales)

    def objective(self, theta: FloatArray) -> float:
        return float(self.parts.sizes(theta)[0])

    def margin_multipliers(self, answers: tuple[StageAnswer, ...], unit: float) -> FloatArray:
        """Return λ with ``(w_1, 0, …, 0) = Σ λ_n ∇f_n(w)``: 0 where w_1 is 0 (math.md §3)."""
        if self.objective(self.theta(answers, unit)) == 0.0:
            return np.zeros(self.functions.count)
        found = answers[-1].multipliers.get(MARGIN)
        if found is None:
            return np.full(self.functions.count, np.nan)
        if len(answers) > len(self.gammas):
            before = answers[:-1]
            scale = self.objective(self.theta(before, unit)) if before else self._unit
            return np.asarray(0.5 * found * scale)
        return np.asarray(found * self.stage_factor(answers[:-1], unit))

    def stage_factor(self, answers: tuple[StageAnswer, ...], unit: float) -> float:
        """Return what multipliers of the next stage of eq. 14 are times, to be those of eq. 13."""
        log_scale = self._log_divisor(answers, unit) - float(self._log_weights(len(answers))[0])
        return 0.5 * math.exp(log_scale)

    @property
    def _unit(self) -> float:
        return float(self.parts.natural_scales[0]) ** 2

    def kkt(self, theta: FloatArray) -> tuple[Kkt, ...]:
        """Return the data of ``(w_k, 0, …, 0) = Σ_n λ_n ∇f_n(w)``, λ on the samples with f = 1.

        One record per level: the parts before w_k are held, 0 or not.
        """
        found = []
        for k in range(self.levels):
            free = np.all([self.parts.entries(j) == 0 for j in range(k)], axis=0) if k else None
            costs = np.where(self.parts.entries(k), 1.0, 0.0)
            record = Kkt(
                functions=self.functions, point=theta, costs=costs, level=1.0, free=free, part=k,
                exponents=self.parts.exponents,
            )  # fmt: skip
            found.append(record)
        return tuple(found)
