"""The lexicographic max margin (Definition 5, eq. 23): saturation and cumulated ordered margins."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, TypeVar, final

import numpy as np

from lexmargin.data.dataset import Dataset
from lexmargin.errors import ParameterError, UnsupportedError
from lexmargin.formulations.base import (
    MARGIN,
    Formulation,
    StageAnswer,
    Traits,
)
from lexmargin.formulations.kkt import Kkt
from lexmargin.formulations.levels import Level, Proof, grouped_levels
from lexmargin.formulations.lexicographic_state import (
    Record,
    SaturationState,
    SumsState,
    saturation_state,
    sums_state,
)
from lexmargin.inputs.checks import Count
from lexmargin.inputs.family import HOW
from lexmargin.inputs.kinds import Exponent, checked_class
from lexmargin.linalg.faces import RESOLUTION, Face
from lexmargin.linalg.norms import vector_norm
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray, ModelOps, Relation, Sense
from lexmargin.ops.curvature import Curvature
from lexmargin.predictors.base import Predictor
from lexmargin.predictors.linear import Log
from lexmargin.program import (
    Combination,
    Constant,
    Constraint,
    Expression,
    Margins,
    Norm,
    Program,
    SquaredNorm,
    Total,
    Variable,
)

__all__ = ["Floors", "Level", "Lexicographic", "LexicographicMethod", "Proof"]

T = TypeVar("T")
BALL = "ball"


class LexicographicMethod(StrEnum):
    """Algorithms for the lexicographic max margin."""

    AUTO = "auto"
    """Saturation where the margin functions are concave, else ordered sums."""
    SATURATION = "saturation"
    """Fix the samples that are tight in every optimum, level by level; f_n concave only."""
    ORDERED_SUMS = "ordered-sums"
    """Maximise the sum of the k smallest margins for k = 1, 2, …; any f_n."""


@final
@dataclass(frozen=True, eq=False)
class Floors(Expression):
    """The right-hand sides of a saturation level: ``t`` for free samples, ``v_n`` for fixed ones.

    Attributes:
        level: the variable t.
        free: (N,) 1 for free samples, 0 for fixed ones.
        values: (N,) floors of fixed samples, 0 for free ones.
    """

    level: Variable
    free: FloatArray
    values: FloatArray

    def evaluate(self, ops: ModelOps[T], values: Mapping[str, T]) -> T:
        rising = ops.multiply(ops.constant(self.free), self.level.evaluate(ops, values))
        return ops.add(rising, ops.constant(self.values))

    def __str__(self) -> str:
        fixed = int(np.count_nonzero(self.free == 0))
        return str(self.level) if fixed == 0 else f"{self.level} (free n), v_n ({fixed} fixed n)"


@final
@checked_class
@dataclass(frozen=True, repr=False)
class Lexicographic(Formulation):
    """Among max-margin θ raise the 2nd smallest margin, then the 3rd, … over ``‖θ‖ <= 1`` (Def. 5).

    Saturation solves ``max t  s.t.  f_n(θ) >= t (free n), f_n(θ) >= v_n (fixed n)`` and fixes every
    free n with a positive multiplier. Ordered sums solve, for k = 1, 2, …,
    ``max k u_k - Σ_n e_kn  s.t.  u_k - e_kn <= f_n(θ), e_k >= 0``, keeping the earlier sums
    (Ogryczak & Śliwiński 2003); a local solver's levels are labelled local. Earlier
    levels may be undercut by ``RESOLUTION.slack`` in units of the first margin: without it later
    stages have no interior.

    Args:
        predictor, data: the margin functions, of any kind.
        norm: p of the norm, >= 1, or "inf".
        levels: how many smallest margins to settle, k of Definition 5; None for all N.
        method: which algorithm.

    Raises:
        ParameterError: a norm below 1, or levels below 1 or above N.
        UnsupportedError: saturation of margin functions that are not concave. There may be no
            sample that is tight in all optima, and a multiplier proves nothing about other optima.
    """

    predictor: Predictor
    data: Dataset
    norm: Exponent = 2.0
    levels: Count | None = None
    method: LexicographicMethod = field(default=LexicographicMethod.AUTO, metadata=HOW)

    name: ClassVar[str] = "lexicographic"
    equation: ClassVar[str] = "Def. 5, eq. 23"
    traits: ClassVar[Traits] = Traits(largest_margin=True, in_ball=True)

    def __post_init__(self) -> None:
        if self.levels is not None and self.levels > self.functions.count:
            raise ParameterError(
                f"levels is {self.levels}, and there are {self.functions.count} margins.",
                "Give at most that many, or leave levels out for all of them.",
            )
        if self.method is LexicographicMethod.SATURATION and not self.concave:
            raise UnsupportedError(
                "Saturation needs concave margin functions: here no sample need be tight in all "
                "optima, so none can be fixed without a guess.",
                "Use method = 'ordered-sums' with several starts.",
            )

    @property
    def norm_p(self) -> float:
        return float(self.norm)

    @property
    def concave(self) -> bool:
        """Whether every f_n is affine or concave, as computed."""
        return self.functions.curvature <= Curvature.CONCAVE

    @property
    def saturates(self) -> bool:
        """Whether saturation is the method used."""
        return self.concave and self.method is not LexicographicMethod.ORDERED_SUMS

    @property
    def linear(self) -> bool:
        """Whether ``f_n(θ) = θ·z_n``."""
        return self.functions.linear

    @property
    def scored(self) -> bool:
        """Whether every f_n is one increasing function of ``θ·z_n``."""
        return self.linear or (isinstance(self.predictor, Log) and self.predictor.power == 1.0)

    @property
    def wanted(self) -> int:
        """How many smallest margins are to be settled."""
        return self.functions.count if self.levels is None else self.levels

    def score_matrix(self) -> FloatArray | None:
        """Return Z (N, d) of the scores ``θ·z_n``, None where there are none."""
        if self.linear:
            return self.functions.jacobian(np.zeros(self.functions.size))
        return np.asarray(self.data.signed[:, None] * self.data.X) if self.scored else None

    def margin_of_score(self, score: float) -> float:
        """Return f_n where ``θ·z_n = score``; the score itself unless the predictor is a log."""
        return score if self.linear else float(np.log(score))

    # -- programs ---------------------------------------------------------------------------------

    def program(self, unit: float = 1.0) -> Program:
        program = self.next_program((), unit)
        if program is None:
            raise UnsupportedError("No level is left to be solved.", "Ask for a level at least.")
        return program

    def next_program(self, answers: tuple[StageAnswer, ...], unit: float = 1.0) -> Program | None:
        if self.saturates:
            state = saturation_state(self._record(answers, unit))
            return None if state.done else self._saturation_program(state, unit)
        sums = sums_state(self._record(answers, unit))
        if sums.done or sums.following > self.wanted:
            return None
        return self._sums_program(answers, sums, unit)

    def _ball(self, blocks: tuple[str, ...]) -> Constraint:
        size: Expression = SquaredNorm(blocks, "θ")
        if self.norm_p != 2.0:
            size = Norm(blocks, self.norm_p, "θ")
        return Constraint(BALL, size, Relation.AT_MOST, Constant(1.0))

    def _saturation_program(self, state: SaturationState, unit: float) -> Program:
        variables = self.block_variables()
        blocks = tuple(v.name for v in variables)
        functions = MarginFunctions(self.predictor, self.data, unit)
        level = Variable("t")
        fixed = np.isfinite(state.values)
        slack = self._slack * state.scale
        floors = Floors(
            level, np.where(fixed, 0.0, 1.0), np.where(fixed, state.values - slack, 0.0)
        )
        return Program(
            name=self.name,
            equation=f"{self.equation}, level {state.stage + 1}",
            sense=Sense.MAXIMIZE,
            objective=Combination(((1.0, level),)),
            variables=(*variables, level),
            constraints=(
                Constraint(MARGIN, Margins(functions, blocks, "θ"), Relation.AT_LEAST, floors, "n"),
                self._ball(blocks),
            ),
            curvature=functions.curvature,
        )

    def _sums_program(
        self, answers: tuple[StageAnswer, ...], state: SumsState, unit: float
    ) -> Program:
        variables = self.block_variables()
        blocks = tuple(v.name for v in variables)
        functions = MarginFunctions(self.predictor, self.data, unit)
        margins = Margins(functions, blocks, "θ")
        counts = (*state.held, state.following)
        tops = [Variable(f"u{k}") for k in counts]
        shortfalls = [Variable(f"e{k}", (functions.count,), 0.0) for k in counts]
        sums = [
            Combination(((float(k), u), (-1.0, Total(e))))
            for k, u, e in zip(counts, tops, shortfalls, strict=True)
        ]
        constraints = [
            Constraint(
                MARGIN if k == counts[-1] else f"{MARGIN}_{k}",
                margins,
                Relation.AT_LEAST,
                Combination(((1.0, u), (-1.0, e))),
                "n",
            )
            for k, u, e in zip(counts, tops, shortfalls, strict=True)
        ]
        slack = self._slack * self._record(answers, unit).scale
        # Every sum at the value it had when its stage was answered, or skipped.
        for k, total in zip(state.held, sums, strict=False):
            answer = answers[sum(stage < k for stage in state.stages[1:])]
            reached = float(np.sort(self._margins(answer, unit))[:k].sum())
            floor = reached - slack * k
            constraints.append(Constraint(f"sum_{k}", total, Relation.AT_LEAST, Constant(floor)))
        pairs = [v for pair in zip(tops, shortfalls, strict=True) for v in pair]
        return Program(
            name=self.name,
            equation=f"{self.equation}, sum of the {counts[-1]} smallest",
            sense=Sense.MAXIMIZE,
            objective=sums[-1],
            variables=(*variables, *pairs),
            constraints=(*constraints, self._ball(blocks)),
            curvature=functions.curvature,
        )

    # -- answers ----------------------------------------------------------------------------------

    def theta(self, answers: tuple[StageAnswer, ...], unit: float) -> FloatArray:
        return self._inside(answers[-1])

    def _inside(self, answer: StageAnswer) -> FloatArray:
        theta = self.blocks_of(answer)
        size = vector_norm(theta, self.norm_p)
        return theta / size if size > 1.0 else theta

    def _margins(self, answer: StageAnswer, unit: float) -> FloatArray:
        # Measured at a point of the ball, so that the next stage is feasible.
        return self.functions.values(self._inside(answer)) / unit

    @property
    def _slack(self) -> float:
        # Linear programs have vertices: a simplex method needs no interior, and undercut levels
        # would be amplified by the multipliers of the later ones.
        return RESOLUTION.slack if self._whole_face is None else RESOLUTION.vertex_slack

    def _scale(self, first: float) -> float:
        """The unit of tolerances: the first margin, or 1 without a degree."""
        return abs(first) if self.functions.homogeneity.degree is not None else 1.0

    def next_values(self, answers: tuple[StageAnswer, ...], unit: float) -> dict[str, FloatArray]:
        if self.saturates:
            return self._values_at(self.theta(answers, unit), (), unit)
        sums = sums_state(self._record(answers, unit))
        return self._values_at(self.theta(answers, unit), (*sums.held, sums.following), unit)

    def initial_values(self, theta: FloatArray, unit: float) -> dict[str, FloatArray]:
        return self._values_at(theta, (1,), unit)

    def _values_at(
        self, theta: FloatArray, counts: tuple[int, ...], unit: float
    ) -> dict[str, FloatArray]:
        # u_k the k-th smallest margin, e_k the shortfalls: feasible if theta answered the stage
        # before.
        size = vector_norm(theta, self.norm_p)
        inside = theta / size if size > 0 else theta
        if not self.functions.homogeneity.degree and size <= 1.0:
            inside = theta
        blocks = self.functions.blocks(inside)
        values = {v.name: b for v, b in zip(self.block_variables(), blocks, strict=True)}
        margins = self.functions.values(inside) / unit
        if self.saturates:
            values["t"] = np.array(float(margins.min()))
            return values
        ordered = np.sort(margins)
        for k in counts:
            values[f"u{k}"] = np.array(float(ordered[k - 1]))
            values[f"e{k}"] = np.maximum(ordered[k - 1] - margins, 0.0)
        return values

    def objective(self, theta: FloatArray) -> float:
        return float(self.functions.values(theta).min())

    @property
    def ends_at_vertices(self) -> bool:
        # Each sum is a linear program on the face of the one before, often a single point.
        return self.linear and self.norm_p in (1.0, np.inf)

    def ranking(self, margins: FloatArray, levels: tuple[Level, ...]) -> FloatArray | None:
        return np.sort(margins)[: self.wanted]

    def levels_at(
        self,
        theta: FloatArray,
        answers: tuple[StageAnswer, ...],
        unit: float,
        proofs: Sequence[Proof],
    ) -> tuple[Level, ...]:
        if not answers:
            margins = self.functions.values(theta)
            proof = Proof.DUAL if self.concave else Proof.LOCAL
            tie = RESOLUTION.local_tie * self._scale(float(margins.min()))
            return grouped_levels(margins, self.wanted, tie, proof, [])
        *before, last = answers
        names = [variable.name for variable in self.block_variables()]
        blocks = dict(zip(names, self.functions.blocks(theta), strict=True))
        last = StageAnswer({**last.values, **blocks}, last.multipliers)
        return self.answered_levels((*before, last), unit)

    def placed(
        self, theta: FloatArray, w: FloatArray, multipliers: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        return w / vector_norm(w, self.norm_p), multipliers / float(multipliers.sum())

    def kkt(self, theta: FloatArray) -> tuple[Kkt, ...]:
        """Return the data of level 1, and how many of the smallest margins are in question."""
        radius = 1.0 if self.functions.homogeneity.degree is None else None
        found = Kkt(
            functions=self.functions,
            point=theta,
            norm=self.norm_p,
            radius=radius,
            ordered=self.wanted,
        )
        return (found,)

    def margin_multipliers(self, answers: tuple[StageAnswer, ...], unit: float) -> FloatArray:
        # Those of level 1: θ is a max-margin point first of all.
        found = answers[0].multipliers.get(MARGIN)
        return np.full(self.functions.count, np.nan) if found is None else np.asarray(found)

    def answered_levels(
        self, answers: tuple[StageAnswer, ...], unit: float = 1.0, local: bool | None = None
    ) -> tuple[Level, ...]:
        """Return the levels of a staged solve, for reports and the JSON key ``levels``.

        Saturation: one per stage. Ordered sums: one per distinct value of the margins that were
        counted, at the last answer.

        Args:
            answers, unit: as given to :meth:`next_program`.
            local: label the levels local; by default where the f_n are not concave.
        """
        if not answers:
            return ()
        if self.saturates:
            return saturation_state(self._record(answers, unit)).levels
        local = not self.concave if local is None else local
        margins = self.functions.values(self._inside(answers[-1]))
        first = self._scale(float(self._margins(answers[0], unit).min()) * unit)
        # Undercut sums spread ties by about the slack times the number of stages.
        tie = RESOLUTION.local_tie if local else 100 * RESOLUTION.slack * (1 + len(answers))
        sums = sums_state(self._record(answers, unit))
        ends = [*(k - 1 for k in sums.stages[1:]), sums.following - 1]
        multipliers: list[FloatArray | None] = []
        for answer, end in zip(answers, ends, strict=True):
            found = answer.multipliers.get(MARGIN)
            total = 0.0 if found is None else float(np.sum(found))
            share = np.asarray(found) / total if total > 0 and not local else None
            multipliers.extend([share] * (end - len(multipliers)))
        count = min(margins.size if sums.done else sums.following - 1, self.wanted)
        proof = Proof.LOCAL if local else Proof.DUAL
        return grouped_levels(margins, count, tie * first, proof, multipliers)

    @functools.cached_property
    def _whole_face(self) -> Face | None:
        polyhedral = self.linear and self.norm_p in (1.0, np.inf)
        Z = self.score_matrix() if polyhedral else None
        return None if Z is None else Face.whole(Z, self.norm_p)

    def _single_point(self, answer: StageAnswer, value: float) -> bool:
        """Whether the answer to level 1 is the only one: strictly convex ball, active in all."""
        if not (self.concave and 1.0 < self.norm_p < np.inf):
            return False
        if self.functions.homogeneity.degree is not None:
            return value > 0
        push = answer.multipliers.get(BALL)
        return push is not None and float(np.max(push)) > RESOLUTION.interior_multiplier

    def _record(self, answers: tuple[StageAnswer, ...], unit: float) -> Record:
        margins = tuple(self._margins(answer, unit) for answer in answers)
        first = float(margins[0].min()) if answers else 1.0 / unit
        return Record(
            answers,
            margins,
            unit,
            self._scale(first * unit) / unit,
            self.functions.count,
            self.wanted,
            self._whole_face,
            bool(answers) and self._single_point(answers[0], first),
            self.concave,
        )
