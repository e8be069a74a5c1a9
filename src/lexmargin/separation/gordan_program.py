"""The program behind the separability verdict: guessed by HiGHS, refined and decided exactly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import final

import numpy as np
import numpy.typing as npt

from lexmargin.errors import SolverFailedError
from lexmargin.linalg.exact import integer_rows, solve_integer
from lexmargin.linalg.guarded import pivot_rows, pivoted_qr

__all__ = ["GordanProgram", "alternative", "guess"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_MAX_PIVOTS = 20_000
"""Exact pivots at most: Bland's rule is finite, but rationals grow with every pivot."""
_DIGITS = 20
"""Binary digits of the weights that are kept as they are: enough to stay positive, few to solve
with."""
_DEPENDENT = 1e-11
"""Diagonal of a pivoted factor, beside the largest, below which a column depends on others: that of
inner products, so that 3e-6 of the column's own."""
_REFINEMENTS = 4
"""Corrections of a float direction in exact products: each gains most of a double's digits."""


@final
@dataclass(frozen=True)
class GordanProgram:
    """``min Σ_j |μ_j|`` s.t. ``Σ_n λ_n a_n + (μ, 0) = (0, 1)``, λ ≥ 0, in integers.

    ``a_n = (z_n, 1)`` of the scaled rows times the power of two that makes it integral. Column n
    is λ_n, columns N + 2j and N + 2j + 1 are the positive and the negative part of μ_j.
    """

    rows: list[list[int]]
    floats: FloatArray
    exponents: list[int]
    units: list[int]

    @classmethod
    def build(
        cls, Z: FloatArray, scaled: FloatArray, columns: IntArray, row_exponents: IntArray
    ) -> GordanProgram:
        rows, exponents = integer_rows(Z, columns)
        units = [1 << (r - e) for r, e in zip(row_exponents.tolist(), exponents, strict=True)]
        return cls(rows, scaled, exponents, units)

    @property
    def size(self) -> int:
        return int(self.floats.shape[1])

    def column(self, j: int) -> list[int]:
        count = len(self.rows)
        if j < count:
            return [*self.rows[j], self.units[j]]
        unit = [0] * (self.size + 1)
        unit[(j - count) // 2] = 1 if (j - count) % 2 == 0 else -1
        return unit

    def cost(self, j: int) -> int:
        return 0 if j < len(self.rows) else 1

    def primal(self, basis: Sequence[int]) -> tuple[Fraction, ...] | None:
        """x_B with ``B x_B = (0, 1)``."""
        return self.solve(basis, [0] * self.size + [1])

    def solve(self, basis: Sequence[int], right: Sequence[int]) -> tuple[Fraction, ...] | None:
        matrix = [list(row) for row in zip(*(self.column(j) for j in basis), strict=True)]
        return solve_integer(matrix, right)

    def gordan(self, basis: Sequence[int] | None) -> dict[int, Fraction] | None:
        """Return the λ of a basis, by row, when it is a Gordan vector exactly."""
        if basis is None or len(basis) != self.size + 1:
            return None
        x = self.primal(basis)
        if x is None or min(x) < 0:
            return None
        count = len(self.rows)
        if any(value != 0 for j, value in zip(basis, x, strict=True) if j >= count):
            return None
        return {
            j: value / Fraction(2) ** self.exponents[j]
            for j, value in zip(basis, x, strict=True)
            if j < count and value > 0
        }

    def completed(self, weights: FloatArray) -> dict[int, Fraction] | None:
        """Return a Gordan vector, by row, near weights (N,) that are one up to rounding, or None.

        Most weights are rounded to few digits and kept; those of as many rows as there are
        independent columns are solved for exactly, and stay positive where rounding was small.
        """
        count, exponents = len(self.rows), np.array(self.exponents)
        units = np.array([float(unit) for unit in self.units])
        with np.errstate(over="ignore", under="ignore"):
            pulls = np.ldexp(weights, exponents) * units
        if not (np.all(np.isfinite(pulls)) and np.any(pulls > 0.0)):
            return None
        pulls = pulls / float(np.max(pulls))
        weighted = pulls[:, None] * np.column_stack([self.floats, np.ones(count)])
        _, triangle, order = pivoted_qr(weighted.T @ weighted)
        sizes = np.abs(np.diagonal(triangle))
        independent = order[: int(np.count_nonzero(sizes > _DEPENDENT * sizes[0]))]
        if independent.size > count or self.size not in independent:
            return None
        solved = pivot_rows(weighted[:, independent])[: independent.size].tolist()
        rest = np.setdiff1d(np.arange(self.size), independent)
        basis = [*solved, *(count + 2 * rest).tolist()]
        whole = [round(value * 2**_DIGITS) for value in pulls.tolist()]
        kept = np.setdiff1d(np.flatnonzero(whole), solved).tolist()
        # In units of 2^-20/unit, so that every row counts alike in Σ λ.
        most = max(self.units)
        parts = {n: whole[n] * (most // self.units[n]) for n in kept}
        columns = zip(*(self.rows[n] for n in kept), strict=True) if kept else [()] * self.size
        shares = list(parts.values())
        right = [-sum(map(int.__mul__, column, shares)) for column in columns]
        x = self.solve(basis, [*right, most * sum(whole[n] for n in solved)])
        if x is None or min(x) < 0 or any(x[len(solved) :]):
            return None
        values = {n: Fraction(part) for n, part in parts.items()}
        values |= dict(zip(solved, x[: len(solved)], strict=True))
        return {
            n: value / Fraction(2) ** self.exponents[n] for n, value in values.items() if value > 0
        }

    def separator(self, direction: FloatArray) -> tuple[Fraction, ...] | None:
        """Return a float direction as it is where it separates exactly, else None."""
        w = tuple(Fraction(float(value)) for value in direction)
        numerators, _ = _numerators(w)
        if all(sum(map(int.__mul__, row, numerators)) > 0 for row in self.rows):
            return w
        return None

    def search(self) -> dict[int, Fraction] | tuple[Fraction, ...]:
        """Return a Gordan vector (by row) or a separating w of the scaled columns."""
        # Σλ = 2^20 makes residuals of 1e-16 per unit of λ visible above the solver's tolerance.
        direction, basis = guess(self.floats, mass=2.0**20)
        return self.gordan(basis) or self.refine(direction) or self.decide(basis)

    def decide(self, guess: Sequence[int] | None) -> dict[int, Fraction] | tuple[Fraction, ...]:
        """Simplex pivots in rationals from the guess to a Gordan vector or a separating w."""
        basis, preferred = self.start(guess)
        # Largest violation first; after a degenerate pivot Bland's rule, which cannot cycle.
        bland = False
        objective: Fraction | None = None
        for _ in range(_MAX_PIVOTS):
            found = self.gordan(basis)
            if found is not None:
                return found
            x = self.primal(basis)
            dual = solve_integer([self.column(j) for j in basis], [self.cost(j) for j in basis])
            if x is None or dual is None or min(x) < 0:
                break
            level = dual[-1]
            bland = objective is not None and level >= objective
            objective = level
            w = tuple(-value for value in dual[:-1])
            entering = self.entering(w, level, basis, preferred, bland)
            if entering is None:
                return w
            direction = self.solve(basis, self.column(entering))
            if direction is None:
                break
            ratios = [
                (value / step, basis[i], i)
                for i, (value, step) in enumerate(zip(x, direction, strict=True))
                if step > 0
            ]
            if not ratios:
                break
            basis[min(ratios)[2]] = entering
        raise SolverFailedError(
            "Separability is undecided: the exact simplex method stopped early.",
            "Please report these data; scaling or dropping dependent columns may help.",
        )

    def refine(self, direction: FloatArray | None) -> tuple[Fraction, ...] | None:
        """Return a separating w of the scaled columns near a float direction, or None.

        Where the margin is below what the linear program resolves, its direction u still shows
        where to look: the exact margins ``z_n·u``, blown up by a power of two to order 1, become
        one more column, and the program is solved again. A step in that column is a long one in u.
        """
        if direction is None:
            return None
        w = tuple(Fraction(float(value)) for value in direction)
        for _ in range(_REFINEMENTS):
            numerators, denominator = _numerators(w)
            margins = [sum(map(int.__mul__, row, numerators)) for row in self.rows]
            if min(margins) > 0:
                return w
            exact = [Fraction(m, u * denominator) for m, u in zip(margins, self.units, strict=True)]
            largest = max(abs(value) for value in exact)
            if largest == 0:
                return None
            column = np.array([float(value / largest) for value in exact])
            step, _ = guess(np.column_stack([self.floats, column]))
            if step is None or not np.any(step):
                return None
            along = Fraction(float(step[-1])) / largest
            w = _short(
                [Fraction(float(new)) + along * old for new, old in zip(step[:-1], w, strict=True)]
            )
        return None

    def start(self, guess: Sequence[int] | None) -> tuple[list[int], list[int]]:
        """A primal feasible basis: the guess with signs of μ corrected, or one row and all μ."""
        count = len(self.rows)
        preferred = [j for j in guess or () if j < count]
        if guess is not None and len(guess) == self.size + 1:
            basis = list(guess)
            x = self.primal(basis)
            if x is not None:
                basis = [
                    count + ((j - count) ^ 1) if j >= count and value < 0 else j
                    for j, value in zip(basis, x, strict=True)
                ]
                if all(value >= 0 or j >= count for j, value in zip(basis, x, strict=True)):
                    return basis, []
        first = preferred[0] if preferred else 0
        signs = [1 if value <= 0 else -1 for value in self.rows[first]]
        artificial = [count + 2 * j + (0 if sign > 0 else 1) for j, sign in enumerate(signs)]
        return [*artificial, first], preferred

    def entering(
        self,
        w: tuple[Fraction, ...],
        level: Fraction,
        basis: Sequence[int],
        preferred: Sequence[int],
        bland: bool,
    ) -> int | None:
        """A column of negative reduced cost, or None once w separates or is optimal."""
        count = len(self.rows)
        integers, _ = _numerators((*w, level))
        numerators, floor = integers[:-1], integers[-1]

        def reduced(n: int) -> int:
            return sum(map(int.__mul__, self.rows[n], numerators)) - self.units[n] * floor

        if not bland:
            inside = set(basis)
            for n in preferred:
                if n not in inside and reduced(n) < 0:
                    return n
            estimate = self.floats @ np.array([float(v) for v in w])
            lowest = int(np.argmin(estimate))
            if estimate[lowest] < float(level) and lowest not in inside and reduced(lowest) < 0:
                return lowest
        exact = [sum(map(int.__mul__, row, numerators)) for row in self.rows]
        if min(exact) > 0:
            return None
        violated = [n for n in range(count) if exact[n] < self.units[n] * floor]
        if bland or not violated:
            outside = [
                count + 2 * j + (0 if value < 0 else 1)
                for j, value in enumerate(w)
                if abs(value) > 1
            ]
            return min([*violated, *outside], default=None)
        return min(violated, key=lambda n: Fraction(exact[n], self.units[n]))


def alternative(rows: list[list[int]]) -> dict[int, Fraction] | tuple[Fraction, ...]:
    """Return a w with ``a_n·w > 0`` for all integer rows, or a Gordan vector by row, both exact.

    Columns and rows are balanced by powers of two before HiGHS guesses.

    Raises:
        SolverFailedError: no decision within the pivots allowed.
    """
    for n, row in enumerate(rows):
        if not any(row):
            return {n: Fraction(1)}
    sizes = [max(abs(v).bit_length() for v in column) for column in zip(*rows, strict=True)]
    most = max(sizes)
    shifts = [most - size if size else 0 for size in sizes]
    scaled = [[v << s for v, s in zip(row, shifts, strict=True)] for row in rows]
    units = [1 << max(abs(v).bit_length() for v in row) for row in scaled]
    floats = np.array([[v / u for v in row] for row, u in zip(scaled, units, strict=True)])
    program = GordanProgram(scaled, floats, [0] * len(rows), units)
    direction, basis = guess(floats)
    found: dict[int, Fraction] | tuple[Fraction, ...] | None = program.gordan(basis)
    if found is None and direction is not None and np.any(direction):
        found = program.separator(direction)
    if found is None:
        found = program.search()
    if isinstance(found, dict):
        return found
    return tuple(w * (1 << s) for w, s in zip(found, shifts, strict=True))


def _numerators(values: Sequence[Fraction]) -> tuple[list[int], int]:
    denominator = math.lcm(*(value.denominator for value in values))
    return [v.numerator * (denominator // v.denominator) for v in values], denominator


def _short(w: Sequence[Fraction]) -> tuple[Fraction, ...]:
    """w over its largest entry, rounded to 200 binary digits: later steps stay cheap."""
    largest = max(abs(value) for value in w)
    if largest == 0:
        return tuple(w)
    return tuple(Fraction(round(value / largest * 2**200), 2**200) for value in w)


def guess(Z: FloatArray, mass: float = 1.0) -> tuple[FloatArray | None, list[int] | None]:
    """Guess w and a basis of :class:`GordanProgram` with HiGHS, for Σλ = ``mass``.

    Returns:
        A finite w or None, and the columns of a basis or None.
    """
    import highspy

    if not np.all(np.isfinite(Z)):
        return None, None
    count, d = Z.shape
    total = count + 2 * d
    rows, columns = np.nonzero(Z)
    # Column-wise storage: every λ_n is its row of Z and a 1, every part of μ is one entry.
    lengths = np.concatenate([np.bincount(rows, minlength=count) + 1, np.ones(2 * d, dtype=int)])
    starts = np.concatenate([[0], np.cumsum(lengths)])
    index = np.empty(starts[-1], dtype=np.int32)
    value = np.empty(starts[-1])
    place = np.arange(rows.size) + rows
    index[place], value[place] = columns, Z[rows, columns]
    index[starts[1 : count + 1] - 1], value[starts[1 : count + 1] - 1] = d, 1.0
    index[starts[count] :] = np.repeat(np.arange(d), 2)
    value[starts[count] :] = np.tile([1.0, -1.0], d)

    model = highspy.HighsLp()
    model.num_col_, model.num_row_ = total, d + 1
    model.col_cost_ = np.concatenate([np.zeros(count), np.ones(2 * d)])
    model.col_lower_, model.col_upper_ = np.zeros(total), np.full(total, np.inf)
    model.row_lower_ = model.row_upper_ = np.concatenate([np.zeros(d), [mass]])
    model.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    model.a_matrix_.start_ = starts.astype(np.int32)
    model.a_matrix_.index_, model.a_matrix_.value_ = index, value
    # The public class prints a banner to stdout from its constructor, before it can be silenced;
    # stdout belongs to results. Its base class has the same methods and is silent.
    highs = highspy._core._Highs()
    for option, setting in (
        ("output_flag", False),
        ("solver", "simplex"),
        ("presolve", "off"),
        ("small_matrix_value", 1e-12),
        ("primal_feasibility_tolerance", 1e-10),
        ("dual_feasibility_tolerance", 1e-10),
    ):
        highs.setOptionValue(option, setting)
    highs.passModel(model)
    highs.run()
    solution = highs.getSolution()
    w = -np.array(solution.row_dual[:d], dtype=np.float64) if solution.dual_valid else None
    if w is not None and not np.all(np.isfinite(w)):
        w = None
    basis = highs.getBasis()
    if not basis.valid:
        return w, None
    basic = highspy.HighsBasisStatus.kBasic
    chosen = [j for j, status in enumerate(basis.col_status) if status == basic]
    # A basic logical sits at 0, where a part of μ of the same row does the same service.
    chosen += [count + 2 * i for i, s in enumerate(basis.row_status) if s == basic and i < d]
    return w, chosen
