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

from lexmargin.backends.base import Compiled, checked_parameters, starting_values
from lexmargin.backends.smooth.homogeneous import homogeneous_program
from lexmargin.data.dataset import Dataset
from lexmargin.errors import UnsupportedError
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
from lexmargin.solution import Claim, Ran, RawAnswer, SolverSettings

__all__ = ["SelectedSamples", "margin_constraint", "on_selected_samples", "restricted"]

_MANY: Final = 200
"""Below this many samples the whole program is solved at once."""

_FEWEST: Final = 100
_ROUNDS: Final = 12
_APPROACH: Final = 40
_ROUGHLY: Final = 1e-3
_NEAR: Final = 0.05
_MOST: Final = 0.75
_CLOSE: Final = 0.2
_VIOLATED: Final = 1e-9


def margin_constraint(program: Program) -> Constraint | None:
    """Return ``f_n >= r``, if it is the only place where margins occur; None otherwise."""
    held = [c for c in program.constraints if isinstance(c.left, Margins)]
    if len(held) != 1 or held[0].relation is not Relation.AT_LEAST:
        return None
    constraint, left = held[0], held[0].left
    assert isinstance(left, Margins)
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
    left = constraint.left
    assert isinstance(left, Margins)
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
        assert isinstance(constraint.left, Margins)
        self.program = program
        self._constraint = constraint
        self._left = constraint.left
        self._compile = compile_
        count, size = self._left.functions.count, self._left.functions.size
        self._first = max(_FEWEST, min(2 * size, count // 4)) if first is None else first

    def solve(
        self,
        settings: SolverSettings,
        start: Mapping[str, FloatArray] | None = None,
        parameters: Mapping[str, float] | None = None,
        multipliers: Mapping[str, FloatArray] | None = None,
    ) -> RawAnswer:
        values = starting_values(self.program, start)
        numbers = checked_parameters(self.program, parameters)
        began, total = time.monotonic(), _Total()
        count = self._left.functions.count
        warm = multipliers
        held = np.zeros(0, dtype=np.int64)
        if warm is None:
            limit = _left(settings, began).time_limit
            values, warm, held = self._nearer(values, numbers, limit)
        begin, given = values, warm
        margins = self._margins(values)
        if held.size:
            rows = np.union1d(held, np.flatnonzero(margins <= (1.0 + _CLOSE) * margins.min()))
        else:
            rows = np.sort(np.argsort(margins, kind="stable")[: self._first])
        if warm is not None and self._constraint.name in warm:
            held = np.flatnonzero(np.reshape(warm[self._constraint.name], -1) > 0.0)
            rows = np.union1d(rows, held)
        for _ in range(_ROUNDS):
            if rows.size > _MOST * count:
                break
            some = None
            if warm is not None:
                name = self._constraint.name
                some = {k: v[rows] if k == name else v for k, v in warm.items()}
            part = self._compile(restricted(self.program, self._constraint, rows))
            raw = total.add(part.solve(_left(settings, began), values, numbers, some))
            if raw.ran is not Ran.FINISHED or raw.claim is not Claim.LOCALLY_OPTIMAL:
                # What holds for some samples need not hold for all: a violated one may bound it.
                if raw.ran is Ran.TIME_LIMIT or raw.claim is Claim.INFEASIBLE:
                    return total.answer(self._whole(raw, rows))
                break
            values, warm = dict(raw.values), dict(self._whole(raw, rows).multipliers)
            slack = self._margins(values) - self._level(values, numbers)
            size = max(abs(self._level(values, numbers)), np.finfo(float).tiny)
            slack[rows] = np.inf
            if slack.min() >= -_VIOLATED * size:
                return total.answer(self._whole(raw, rows))
            rows = np.union1d(rows, np.flatnonzero(slack <= _NEAR * size))
        # From where the start was: units that died on few samples would stay dead on all.
        whole = self._compile(self.program)
        return total.answer(total.add(whole.solve(_left(settings, began), begin, numbers, given)))

    def _nearer(
        self, values: dict[str, FloatArray], numbers: Mapping[str, float], limit: float | None
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
        answer, duals = parts.answer(w, lam, numbers)
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
        assert isinstance(right, Variable)
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
    """Time and iterations of all rounds together."""

    def __init__(self) -> None:
        self._build = self._solve = 0.0
        self._iterations = 0
        self._phases: dict[str, float] = {}
        self._log = ""

    def add(self, raw: RawAnswer) -> RawAnswer:
        self._build += raw.build_seconds
        self._solve += raw.solve_seconds
        self._iterations += raw.iterations or 0
        for name, seconds in raw.phases.items():
            self._phases[name] = self._phases.get(name, 0.0) + seconds
        self._log += raw.log
        return raw

    def answer(self, raw: RawAnswer) -> RawAnswer:
        return dataclasses.replace(
            raw,
            build_seconds=self._build,
            solve_seconds=self._solve,
            iterations=self._iterations,
            phases=self._phases,
            log=self._log,
        )


def _left(settings: SolverSettings, began: float) -> SolverSettings:
    limit = settings.time_limit
    if limit is None:
        return settings
    return dataclasses.replace(settings, time_limit=max(1e-3, limit - (time.monotonic() - began)))
