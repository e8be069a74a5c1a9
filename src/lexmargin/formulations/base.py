"""What every formulation is: a problem of the paper that yields programs, one after another."""

from __future__ import annotations

import functools
import importlib
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, Self, final

import numpy as np

from lexmargin.data.dataset import Dataset
from lexmargin.errors import DegreeError, UnsupportedError, clipped
from lexmargin.formulations.kkt import Kkt
from lexmargin.formulations.levels import Level, Proof
from lexmargin.inputs.family import Family
from lexmargin.linalg.norms import vector_norm
from lexmargin.margins import MarginFunctions
from lexmargin.ops.base import FloatArray
from lexmargin.ops.curvature import Curvature
from lexmargin.ops.degree import HomogeneityKind
from lexmargin.outputs.display import html_table, short
from lexmargin.predictors.base import Predictor
from lexmargin.predictors.bias import BiasForm
from lexmargin.program import Program, Variable

__all__ = ["Formulation", "StageAnswer", "Traits"]

_SHORT: Final = 60
"""Characters of a predictor in one line with its problem."""

MARGIN = "margin"
"""Name of the constraints ``f_n >= …`` in every program; their multipliers are λ."""


@final
@dataclass(frozen=True)
class StageAnswer:
    """What a backend answered to one program: values of variables, multipliers of constraints."""

    values: Mapping[str, FloatArray]
    multipliers: Mapping[str, FloatArray]


@final
@dataclass(frozen=True, kw_only=True)
class Traits:
    """What is true of every problem of a class, for whoever solves and ranks without knowing it.

    Attributes:
        needs_separator: where nothing separates the data there is no answer.
        largest_margin: the aim is the margin itself, so that a smaller one is a worse answer.
        in_ball: θ lives in the unit ball, whatever the length of a start.
        is_loss: a loss is minimised, which carries its own multipliers.
        origin_may_win: θ = 0 may be the best point, and a local minimum beside it.
        path: the parameter that a path follows; None without one.
        path_falls: that path is followed from large values to small ones.
        reads_sparse: some predictors of the problem are judged on sparse samples.
        bias: the form of bias that a classifier adds to a linear score.
        defaults: what a classifier takes for parameters that have no default of their own.
    """

    needs_separator: bool = True
    largest_margin: bool = False
    in_ball: bool = False
    is_loss: bool = False
    origin_may_win: bool = False
    path: str | None = None
    path_falls: bool = False
    reads_sparse: bool = False
    bias: BiasForm = BiasForm.PLAIN
    defaults: tuple[tuple[str, float], ...] = ()


class Formulation(ABC):
    """A problem of the paper for one predictor on one data set.

    ``theta`` means the unknowns as the paper states the problem (w for the hard margin, θ in the
    unit ball for the paths), flattened block by block. ``name`` is the word in files and results:
    a class that says what its stationary points satisfy is known by it as soon as it is defined.
    """

    family: ClassVar[Family] = Family("formulation", "formulation")
    name: ClassVar[str]
    equation: ClassVar[str]
    stages_only_start: ClassVar[bool] = False
    """Whether a stage does nothing but start the next one, which may then mend its answer."""
    traits: ClassVar[Traits] = Traits()
    predictor: Predictor
    data: Dataset

    @functools.cached_property
    def functions(self) -> MarginFunctions:
        """The margin functions f_n."""
        return MarginFunctions(self.predictor, self.data)

    def scaled(self, theta: FloatArray) -> FloatArray:
        """Return w = ρθ (d,), where the margin functions are evaluated; infinite where it is."""
        with np.errstate(over="ignore"):
            return self.rho_value * theta

    @property
    def norm_p(self) -> float:
        """p of the norm ‖·‖_p that the direction is normalised in."""
        return 2.0

    @property
    def rho_value(self) -> float:
        """ρ at which the margin functions are evaluated: ``f_n(ρ theta)``."""
        return 1.0

    def __init_subclass__(cls, **rest: Any) -> None:
        """Cut the inheritance of KKT data: a subclass may state another program than its base."""
        super().__init_subclass__(**rest)
        if "kkt" not in vars(cls):
            setattr(cls, "kkt", Formulation.kkt)  # noqa: B010  mypy knows no assigned methods
            return
        cls.family.add(str(getattr(cls, "name", cls.__name__)), cls)

    def kkt(self, theta: FloatArray) -> tuple[Kkt, ...]:
        """Return what a stationary θ (d,) satisfies, one record per level of the problem.

        Raises :class:`UnsupportedError` where the class itself does not say so: what other
        problems ask of a point says nothing about this one.
        """
        raise UnsupportedError(
            f"{type(self).__name__} brings no KKT data of its own, and no other problem's test "
            "says anything about it.",
            "Give it a method kkt, or judge what its points must satisfy as plain arrays: "
            "certify(f=…, jacobian=…, theta=…, degree=…).",
        )

    @property
    def is_judged(self) -> bool:
        """Whether the class says itself what its stationary points satisfy."""
        return type(self).kkt is not Formulation.kkt

    @property
    def word(self) -> str:
        """The problem's word for results: never that of another class."""
        owner = self.family.classes.get(str(self.name))
        borrowed = owner is not None and not isinstance(self, owner)
        inherited = owner is not None and not self.is_judged
        return type(self).__name__ if borrowed or inherited else str(self.name)

    @functools.cached_property
    def asks_direction(self) -> bool:
        """Whether a direction of largest margin is all that is asked for (eq. 6, 7 and 18)."""
        if not self.is_judged:
            return False
        kkt = self.kkt(np.ones(self.functions.size))[0]
        return kkt.is_direction and kkt.level is None and kkt.ordered is None

    @property
    def ends_at_vertices(self) -> bool:
        """Whether its programs are linear ones on faces without interior: for a simplex method."""
        return False

    def at(self, value: float) -> Self:
        """Return the problem at another value of its path's parameter, which it must have."""
        if self.traits.path is None:
            raise UnsupportedError(
                f"{type(self).__name__} is no point of a path.",
                "Follow margin-path, constrained-path or regularization-path.",
            )
        moved: Self = replace(self, **{self.traits.path: value})  # type: ignore[type-var]
        # The margin functions do not depend on it: what they have computed is kept.
        vars(moved)["functions"] = self.functions
        return moved

    def worth(self, theta: FloatArray) -> float:
        """Return what is smaller at the better of two points of a path."""
        return self.objective(theta)

    @property
    def margin_slack(self) -> float:
        """What eq. 8 (Lemma 3) leaves between the margin of a minimiser and the largest: log N."""
        return math.log(self.functions.count)

    def starts(self, count: int, seed: int = 0) -> list[FloatArray]:
        """Return points that every solve of a path is tried from besides; none for most."""
        return []

    def bound_of(self, theta: FloatArray, objective: float, bound: float) -> float | None:
        """Return a solver's bound on its program's objective as one on this problem's.

        Args:
            theta: (d,) the answer.
            objective, bound: of the last program, as the solver reports them.
        """
        return None

    def ranking(self, margins: FloatArray, levels: tuple[Level, ...]) -> FloatArray | None:
        """Return what is larger, entry by entry, at the better of two points; None: the objective.

        Args:
            margins: (N,) of the answer.
            levels: as :meth:`levels_at` returns them.
        """
        return None

    def levels_at(
        self,
        theta: FloatArray,
        answers: tuple[StageAnswer, ...],
        unit: float,
        proofs: Sequence[Proof],
    ) -> tuple[Level, ...]:
        """Return the levels of a staged problem at θ (d,); none for others.

        Args:
            theta: the answer, polished or not.
            answers, unit: as given to :meth:`next_program`.
            proofs: of the levels, as far as known.
        """
        return ()

    def placed(
        self, theta: FloatArray, w: FloatArray, multipliers: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return a point of the ray of w as this problem states it, and its multipliers.

        Args:
            theta: (d,) the answer that was polished.
            w, multipliers: with ``∇½‖w‖² = Σ λ_n ∇f_n(w)`` and ``min f_n(w) = 1``, (d,) and (N,).
        """
        size = vector_norm(theta, self.norm_p)
        return w * (size / vector_norm(w, self.norm_p)), multipliers / float(multipliers.sum())

    def warn_invisible(self, theta: FloatArray) -> None:  # noqa: B027  most have nothing to say
        """Warn where rounding hides what decides a part of θ (d,)."""

    @abstractmethod
    def program(self, unit: float = 1.0) -> Program:
        """Return the (first) program; margins are measured in ``unit``, a power of two."""

    def next_program(self, answers: tuple[StageAnswer, ...], unit: float = 1.0) -> Program | None:
        """Return the program of the next stage given the answers so far, None when done."""
        return None if answers else self.program(unit)

    def next_values(self, answers: tuple[StageAnswer, ...], unit: float) -> dict[str, FloatArray]:
        """Return values of the next program's variables to start from: those of the last answer."""
        return dict(answers[-1].values)

    def theta(self, answers: tuple[StageAnswer, ...], unit: float) -> FloatArray:
        """Return theta, flat, from the answers of all stages: the blocks of the last one."""
        return self.blocks_of(answers[-1])

    def initial_values(self, theta: FloatArray, unit: float) -> dict[str, FloatArray]:
        """Return values of the program's variables at a flat ``theta``: its blocks."""
        blocks = self.functions.blocks(theta)
        return {v.name: b for v, b in zip(self.block_variables(), blocks, strict=True)}

    @abstractmethod
    def objective(self, theta: FloatArray) -> float:
        """Return the objective as the paper states it, recomputed at ``theta``."""

    def margin_multipliers(self, answers: tuple[StageAnswer, ...], unit: float) -> FloatArray:
        """Return the solver's multipliers of ``f_n``, in the paper's units."""
        found = answers[-1].multipliers.get(MARGIN)
        return np.full(self.functions.count, np.nan) if found is None else found / unit

    def __repr__(self) -> str:
        rest = short(self, ("predictor", "data")).removeprefix(type(self).__name__)[1:-1]
        stated = f": {rest}" if rest else ""
        data = self.data
        size = f"{data.n_samples} × {data.n_features} samples"
        model = clipped(short(self.predictor), _SHORT)
        return f"<{type(self).__name__} of {model} on {data.name or size}{stated}>"

    def explain(self) -> str:
        """Return which route solves this problem, and why: the choice of ``solver="auto"``."""
        # The choice stands floors above, among the solvers, which no formulation knows.
        choice = importlib.import_module("lexmargin.run.profile_choice")
        return str(choice.explain(self))

    def _repr_html_(self) -> str:
        stated = self.program()
        head = ("problem", f"{stated.name} [{stated.equation}]")
        return html_table(
            [head, *stated.statement, ("samples", self.data), ("route", self.explain())]
        )

    def shape_in_words(self) -> str:
        """Return whether the program is convex, and why."""
        program = self.program()
        kind = program.curvature.name.lower()
        if program.is_convex:
            kind = "affine" if program.curvature <= Curvature.AFFINE else "concave"
            return f"convex: every f_n is {kind} in θ"
        if program.curvature <= Curvature.CONCAVE:
            return f"nonconvex: every f_n is {kind} in θ, but the program is not convex"
        return "nonconvex: the f_n are not known to be concave in θ"

    def require_homogeneous(self) -> float:
        """Return α (Definition 1), or raise :class:`DegreeError` saying why there is none."""
        found = self.functions.homogeneity
        if found.degree is not None:
            return found.degree
        if found.kind is HomogeneityKind.SUM:
            degrees = ", ".join(f"{part.degree:g}" for part in found.parts)
            raise DegreeError(
                f"{self.name} needs a homogeneous predictor; this one is a sum of parts of "
                f"degrees {degrees}.",
                "Use scaled-margin, w-set, margin-path or constrained-path.",
            )
        raise DegreeError(
            f"{self.name} needs a homogeneous predictor; this one is not: {found.reason}.",
            "Use margin-path or constrained-path.",
        )

    def block_variables(self) -> tuple[Variable, ...]:
        """Return one variable per parameter block: ``w1, w2, …``."""
        shapes = self.functions.shapes
        return tuple(Variable(f"w{k + 1}", shape) for k, shape in enumerate(shapes))

    def blocks_of(self, answer: StageAnswer) -> FloatArray:
        """Return the parameter blocks of an answer, flat."""
        names = [variable.name for variable in self.block_variables()]
        return np.concatenate(
            [np.asarray(answer.values[n], dtype=float).reshape(-1) for n in names]
        )
