"""A working set of samples around any nonconvex solver: solve on a few, price the rest, repeat.

Few samples carry a multiplier, and the rows of all others cost a nonlinear solver most of its time.
A KKT point of the program on some samples that violates no other sample is one of the whole
program, with multipliers 0 for the samples left out.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Final, final

import numpy as np

from lexmargin.backends.base import Compiled, Found, Request, Stopwatch
from lexmargin.backends.smooth.homogeneous import homogeneous_program
from lexmargin.data.dataset import Dataset
from lexmargin.errors import UnsupportedError
from lexmargin.linalg.rounding import TINY
from lexmargin.ops.base import FloatArray, IntArray, Relation
from lexmargin.polish.augmented import augmented_lagrangian, in_order
from lexmargin.program import (
    Constant,
    Constraint,
    Expression,
    Margins,
    Parameter,
    Program,
    Variable,
)
from lexmargin.solution import Claim, Ran, RawAnswer

__all__ = ["SelectedSamples", "margin_constraint", "on_selected_samples", "restricted"]

_MANY: Final = 200
"""Below this many samples the whole program is solved at once."""

_FEWEST: Final = 100
"""Samples of the first working set at least: fewer leave units dead, more cost little."""
_ROUNDS: Final = 12
"""Working sets at most; then all samples are taken at once, so that no answer is lost."""
_APPROACH: Final = 40
"""Rounds of the augmented Lagrangian that bring a start near the answer's support."""
_ROUGHLY: Final = 1e-3
"""Violation at which that start is near enough for the solver to do the rest."""
_JOIN: Final = 0.05
"""Relative slack up to which further samples join: they would be violated next."""
_ALMOST_ALL: Final = 0.75
"""Share of the samples beyond which the whole problem is solved at once: nothing is saved."""
_CLOSE: Final = 0.2
"""Margins within a fifth of the smallest are in the first working set of a warm start."""
_VIOLATED: Final = 1e-9
"""Relative shortfall that counts as met: solvers' own, so that rows are not added for ever."""


def margin_constraint(program: Program) -> Constraint | None:
    """Return ``f_n >= r``, if it is the only place where margins occur; None otherwise."""
    held = [c for c in program.constraints if isinstance(c.left, Margins)]
    if len(held) != 1 or held[0].relation is not Relation.AT_LEAST:
        return None
    constraint, left = held[0], held[0].margins
    others = [program.objective, constraint.right]
    for other in program.constraints:
        if other is not constraint:
            others += [other.left, other.right]
    if left.functions.multi_class or any(_holds_margins(expression) for expression in others):
        return None
    return constraint if isinstance(constraint.right, Constant | Parameter | Variable) else None


def _holds_margins(expression: object) -> bool:
    if isinstance(expression, Margins):
        return True
    if isinstance(expression, tuple):
        return any(_holds_margins(item) for item in expression)
    if isinstance(expression, Expression):
        fields = dataclasses.fields(expression)  # type: ignore[arg-type]
        return any(_holds_margins(getattr(expression, field.name)) for field in fields)
    return False


def restricted(program: Program, constraint: Constraint, rows: IntArray) -> Program:
    """Return the program on some samples only.

    Args:
        program: the whole program.
        constraint: its constraint ``f_n >= r``, as :func:`margin_constraint` finds it.
        rows: indices of the samples kept.
    """
    left = constraint.margins
    whole = left.functions
    part = Dataset(whole.data.X[rows], whole.data.y[rows], one_class=True)
    functions = dataclasses.replace(whole, data=part)
    kept = dataclasses.replace(constraint, left=dataclasses.replace(left, functions=functions))
    constraints = tuple(kept if c is constraint else c for c in program.constraints)
    return dataclasses.replace(program, constraints=constraints)


def on_selected_samples(program: Program, compile_: Callable[[Program], Compiled]) -> Compiled:
    """Return the compiled program: on working sets of samples where there are many, else whole."""
    constraint = margin_constraint(program)
    if constraint is None or not isinstance(constraint.left, Margins):
        return compile_(program)
    if constraint.left.functions.count < _MANY:
        return compile_(program)
    return SelectedSamples(program, constraint, compile_)


@final
class SelectedSamples(Compiled):
    """A program solved on working sets of its samples.

    Args:
        program: the whole program.
        constraint: its constraint ``f_n >= r``.
        compile_: what turns a program into a solver's own terms.
        first: how many samples of least margin at the start the first working set holds, unless
            the augmented Lagrangian chose them; by default twice the number of parameters, between
            100 and a quarter of all.
    """

    def __init__(
        self,
        program: Program,
        constraint: Constraint,
        compile_: Callable[[Program], Compiled],
        first: int | None = None,
    ) -> None:
        self._constraint = constraint
        self._left = constraint.margins
        self._compile = compile_
        self._first = first
        super().__init__(program)

    def _build(self) -> None:
        """Programs on some samples are built when they are chosen."""

    def _run(self, request: Request) -> Found:
        values, numbers = dict(request.values), request.parameters
        total = _Total(request.watch)
        count, size = self._left.functions.count, self._left.functions.size
        first = self._first or max(_FEWEST, min(2 * size, count // 4))
        warm = request.multipliers
        held = np.zeros(0, dtype=np.int64)
        if warm is None:
            values, warm, held = self._nearer(values, request)
        begin, given = values, warm
        margins = self._margins(values)
        if held.size:
            rows = np.union1d(held, np.flatnonzero(margins <= (1.0 + _CLOSE) * margins.min()))
        else:
            rows = np.sort(np.argsort(margins, kind="stable")[:first])
        if warm is not None and self._constraint.name in warm:
            held = np.flatnonzero(np.reshape(warm[self._constraint.name], -1) > 0.0)
            rows = np.union1d(rows, held)
        for _ in range(_ROUNDS):
            if rows.size > _ALMOST_ALL * count:
                break
            some = None
            if warm is not None:
                name = self._constraint.name
                some = {k: v[rows] if k == name else v for k, v in warm.items()}
            part = self._compile(restricted(self.program, self._constraint, rows))
            raw = total.add(part.solve(request.remaining, values, numbers, some))
            if raw.ran is not Ran.FINISHED or raw.claim is not Claim.LOCALLY_OPTIMAL:
                # What holds for some samples need not hold for all: a violated one may bound it.
                if raw.ran is Ran.TIME_LIMIT or raw.claim is Claim.INFEASIBLE:
                    return total.found(self._whole(raw, rows))
                break
            values, warm = dict(raw.values), dict(self._whole(raw, rows).multipliers)
            slack = self._margins(values) - self._level(values, numbers)
            scale = max(abs(self._level(values, numbers)), TINY)
            slack[rows] = np.inf
            if slack.min() >= -_VIOLATED * scale:
                return total.found(self._whole(raw, rows))
            rows = np.union1d(rows, np.flatnonzero(slack <= _JOIN * scale))
        # From where the start was: units that died on few samples would stay dead on all.
        whole = self._compile(self.program)
        return total.found(total.add(whole.solve(request.remaining, begin, numbers, given)))

    def _nearer(
        self, values: dict[str, FloatArray], request: Request
    ) -> tuple[dict[str, FloatArray], dict[str, FloatArray] | None, IntArray]:
        """Return a start nearer to a solution, its multipliers, and the samples that count there.

        Rounds of the augmented Lagrangian, until margins fall short by 1e-3 at most; where these do
        not apply or do not separate, the start as it is, with nothing.
        """
        functions = self._left.functions
        try:
            parts = homogeneous_program(self.program)
        except UnsupportedError:
            return values, None, np.zeros(0, dtype=np.int64)
        w = parts.flat(values)
        nothing = values, None, np.zeros(0, dtype=np.int64)
        if not np.any(w) or functions.pre_activations(w):
            return nothing
        w = wide = parts.wide(w)
        lam = nobody = np.zeros(functions.count)
        penalty = parts.first_penalty(wide)
        limit = request.settings.time_limit
        deadline = np.inf if limit is None else time.perf_counter() + 0.1 * limit
        least = np.inf
        for inner in in_order(functions):
            for point in augmented_lagrangian(
                functions, wide, nobody, _APPROACH, penalty, deadline, inner
            ):
                f = functions.values(point[0])
                distance = float(np.abs(np.minimum(f - 1.0, point[1])).max())
                if distance < least:
                    least, (w, lam) = distance, point
                if least <= _ROUGHLY:
                    break
            if least <= _ROUGHLY or time.perf_counter() > deadline:
                break
        margin = float(functions.values(w).min())
        if not margin > 0.5:
            return nothing
        # Inside by a little: an interior point method starts from there.
        w = parts.scaled(w, margin / (1.0 + 1e-3))
        answer, duals = parts.answer(w, lam, request.parameters)
        return answer, duals, np.flatnonzero(lam > 0.0)

    def _margins(self, values: Mapping[str, FloatArray]) -> FloatArray:
        factors = self._left.factors or (1.0,) * len(self._left.blocks)
        pairs = zip(self._left.blocks, factors, strict=True)
        blocks = [c * np.asarray(values[name], dtype=np.float64) for name, c in pairs]
        functions = self._left.functions
        return functions.values(functions.flatten(blocks))

    def _level(self, values: Mapping[str, FloatArray], numbers: Mapping[str, float]) -> float:
        right = self._constraint.right
        if isinstance(right, Constant):
            return right.value
        if isinstance(right, Parameter):
            return numbers[right.name]
        if not isinstance(right, Variable):
            raise UnsupportedError(f"The level {right} is no number.", "Give a constant or t.")
        return float(np.reshape(values[right.name], -1)[0])

    def _whole(self, raw: RawAnswer, rows: IntArray) -> RawAnswer:
        """Return the answer with a multiplier for every sample."""
        found = dict(raw.multipliers)
        name = self._constraint.name
        if name in found:
            full = np.zeros(self._left.functions.count)
            full[rows] = found[name]
            found[name] = full
        return dataclasses.replace(raw, multipliers=found)


@final
class _Total:
    """Time, iterations and log of all rounds together."""

    def __init__(self, watch: Stopwatch) -> None:
        self._watch = watch
        self._iterations = 0
        self._log = ""

    def add(self, raw: RawAnswer) -> RawAnswer:
        self._watch.take(raw)
        self._iterations += raw.iterations or 0
        self._log += raw.log
        return raw

    def found(self, raw: RawAnswer) -> Found:
        return Found(
            raw.ran,
            raw.raw_status,
            raw.claim,
            values=raw.values,
            multipliers=raw.multipliers,
            iterations=self._iterations,
            log=self._log,
        )
