"""The decomposition behind the kinds of separation, in integers: alternatives on null spaces.

One Gordan vector proves that its samples have margin 0 on the whole cone C. In the null space of
their rows the others are looked at again, until a w makes all that is left positive.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final, final

import numpy as np
import numpy.typing as npt

from lexmargin.errors import SolverFailedError, UnsupportedError
from lexmargin.inputs.alone import quiet
from lexmargin.inputs.limits import EXACT_ENTRIES
from lexmargin.linalg.exact import MERSENNE_61, integer_rows, power_of_two_exponents, solve_integer
from lexmargin.linalg.guarded import sparse_least_squares
from lexmargin.separation.gordan import separability_of_rows
from lexmargin.separation.gordan_program import alternative

__all__ = ["Decomposition", "decompose"]

FloatArray = npt.NDArray[np.float64]
Vector = tuple[Fraction, ...]

# The largest primes below 2^61 and 2^63: one of them fails to show a rank only where it divides a
# minor, and what is found by one is checked in integers.
_PRIMES: Final = (MERSENNE_61, 9223372036854775783, 2305843009213693921)
_ZERO: Final = Fraction(0)


@final
class RowSpace:
    """The span of integer rows: independent ones among them, and the null space."""

    def __init__(self, rows: list[list[int]], size: int) -> None:
        from flint import fmpz_mat

        self._rows = rows
        self._size = size
        self.independent: list[int] = []
        self.null: Any = fmpz_mat([[int(i == j) for j in range(size)] for i in range(size)])
        self._pivots: list[int] = []
        if not rows:
            return
        for prime in _PRIMES:
            chosen = _pivots(list(zip(*rows, strict=True)), prime)
            basis = [rows[n] for n in chosen]
            pivots = _pivots(basis, prime) if basis else []
            null = _null_space(basis, size)
            # A prime that divides a minor shows too few rows; the others then are not mapped to 0.
            if not any(any(row) for row in (fmpz_mat(rows) * null).tolist()):
                self.independent, self._pivots, self.null = chosen, pivots, null
                return
        raise SolverFailedError(
            "The rank of these rows is hidden from three primes.", "Please report these data."
        )

    @property
    def dimension(self) -> int:
        """Dimension of the null space."""
        return int(self.null.ncols())

    def coordinates(self, vector: Sequence[Fraction]) -> dict[int, Fraction] | None:
        """Return a with ``Σ_r a_r row_r = vector``, on independent rows; None outside the span."""
        if not self.independent:
            return None if any(vector) else {}
        scale = _common(vector)
        right = [int(value * scale) for value in vector]
        basis = [self._rows[n] for n in self.independent]
        matrix = [[row[j] for row in basis] for j in self._pivots]
        found = solve_integer(matrix, [right[j] for j in self._pivots])
        if found is None:
            return None
        for j in range(self._size):
            if sum((a * row[j] for a, row in zip(found, basis, strict=True)), _ZERO) != right[j]:
                return None
        return {n: a / scale for n, a in zip(self.independent, found, strict=True)}


def _common(values: Sequence[Fraction]) -> int:
    return math.lcm(*(value.denominator for value in values))


def _pivots(rows: Sequence[Sequence[int]], prime: int) -> list[int]:
    """Return the pivot columns of integer rows modulo a prime."""
    from flint import nmod_mat

    reduced, rank = nmod_mat(
        len(rows), len(rows[0]), [value % prime for row in rows for value in row], prime
    ).rref()
    table = reduced.tolist()
    return [next(j for j, value in enumerate(table[i]) if int(value)) for i in range(rank)]


def _null_space(basis: list[list[int]], size: int) -> Any:
    """Return integer columns (size, k) that span the null space of independent rows."""
    from flint import fmpz_mat

    if not basis:
        return fmpz_mat([[int(i == j) for j in range(size)] for i in range(size)])
    columns, nullity = fmpz_mat(basis).nullspace()
    if nullity == 0:
        return fmpz_mat(size, 0)
    taken = [[int(v) for v in row[:nullity]] for row in columns.tolist()]
    shared = [math.gcd(*column) for column in zip(*taken, strict=True)]
    taken = [[v // g for v, g in zip(row, shared, strict=True)] for row in taken]
    # Short columns keep the floats that guess from it well conditioned.
    return fmpz_mat(taken).transpose().lll().transpose()


@final
@dataclass(eq=False)
class Decomposition:
    """Rows ``z_n`` in integers, split into S and R, and what proves it.

    Column j of the integers is that of Z over ``2^columns[j]``, row n over ``2^exponents[n]``.
    """

    rows: list[list[int]]
    exponents: list[int]
    columns: list[int]
    strict: tuple[int, ...]
    balance: dict[int, Fraction]
    point: Vector
    space: RowSpace
    owners: list[int]
    """The rows that ``space`` was made of."""

    # -- in the units of Z -------------------------------------------------------------------------

    def weights(self) -> Vector:
        """Return w (d,), its largest entry of size 1 in the integers' columns."""
        return self._unscaled(self.point)

    def gordan(self) -> Vector | None:
        """Return λ (N,), summing to 1; None where S is everything."""
        if not self.balance:
            return None
        parts = {n: value / _power(self.exponents[n]) for n, value in self.balance.items()}
        total = sum(parts.values(), _ZERO)
        return tuple(parts.get(n, _ZERO) / total for n in range(len(self.rows)))

    def _unscaled(self, w: Sequence[Fraction]) -> Vector:
        largest = max((abs(value) for value in w), default=_ZERO) or Fraction(1)
        return tuple(value / largest / _power(c) for value, c in zip(w, self.columns, strict=True))

    # -- coefficients ------------------------------------------------------------------------------

    def ranges(self) -> Iterator[tuple[Vector | None, Vector | None, Vector | None]]:
        """Yield (w with w_j > 0, w with w_j < 0, y with Zᵀy = e_j) for every coefficient."""
        if not self.rows:
            raise UnsupportedError(
                "The ranges of the coefficients of so many sparse samples are not decided.",
                f"They are where samples times features are at most {EXACT_ENTRIES}.",
            )
        known = [self.point]
        projected = self._projected(self.strict)
        moves = [[int(v) for v in row] for row in self.space.null.tolist()]
        for j in range(len(self.columns)):
            if not moves or not any(moves[j]):
                yield None, None, self._bound(j, {}, Fraction(1))
                continue
            if self.point[j] == 0:
                known.extend(self._around(moves, j))
            missing = None
            for sign in (1, -1):
                if any(w[j] * sign > 0 for w in known):
                    continue
                found = alternative([*projected, [sign * v for v in moves[j]]])
                if isinstance(found, tuple):
                    known.append(self._lifted(found))
                else:
                    missing = sign, found
            above, below = (
                next((self._unscaled(w) for w in known if w[j] * sign > 0), None)
                for sign in (1, -1)
            )
            if missing is None:
                yield above, below, None
                continue
            # Σ μ_n z_n + μ_j sign e_j is 0 on the null space: on C, -sign w_j = Σ y_n z_n·w.
            sign, weights = missing
            last = weights.pop(len(projected))
            yield (
                above,
                below,
                self._bound(
                    j, {self.strict[n]: value for n, value in weights.items()}, -sign * last
                ),
            )

    def _projected(self, chosen: Sequence[int]) -> list[list[int]]:
        return _mapped([self.rows[n] for n in chosen], self.space)

    def _lifted(self, v: Sequence[Fraction]) -> Vector:
        return _lifted(self.space, v)

    def _around(self, moves: list[list[int]], j: int) -> tuple[Vector, Vector]:
        """Return two points of C with w_j of either sign, near a point with w_j = 0 inside C."""
        k = next(k for k, value in enumerate(moves[j]) if value)
        step = [Fraction(row[k]) for row in moves]
        share = Fraction(1)
        for n in self.strict:
            slope = abs(sum((a * b for a, b in zip(self.rows[n], step, strict=True)), _ZERO))
            if slope:
                margin = sum((a * b for a, b in zip(self.rows[n], self.point, strict=True)), _ZERO)
                share = min(share, margin / (2 * slope))
        one, other = (
            tuple(w + sign * share * s for w, s in zip(self.point, step, strict=True))
            for sign in (1, -1)
        )
        return one, other

    def _bound(self, j: int, weights: dict[int, Fraction], share: Fraction) -> Vector:
        """Return y with ``Zᵀ y = e_j`` from ``Σ weights_n row_n - share e_j`` in the span of R."""
        rest = [_ZERO] * len(self.columns)
        for n, value in weights.items():
            for i, entry in enumerate(self.rows[n]):
                rest[i] += value * entry
        rest[j] -= share
        found = self.space.coordinates(rest)
        if found is None:
            raise SolverFailedError(
                f"The range of coefficient {j} has no exact proof.", "Please report these data."
            )
        y = [_ZERO] * len(self.rows)
        for n, value in weights.items():
            y[n] += value / share
        for r, value in found.items():
            y[self.owners[r]] -= value / share
        return tuple(
            value / _power(self.exponents[n] + self.columns[j]) if value else _ZERO
            for n, value in enumerate(y)
        )

    def undetermined(self) -> tuple[int, ...]:
        """Return the coefficients that some v with Z v = 0 moves."""
        if not self.rows:
            raise UnsupportedError(
                "The rank of so many sparse samples is not decided.",
                f"It is where samples times features are at most {EXACT_ENTRIES}.",
            )
        null = RowSpace(self.rows, len(self.columns)).null.tolist()
        return tuple(j for j, row in enumerate(null) if any(row))


def _power(exponent: int) -> Fraction:
    return Fraction(2) ** exponent


def _mapped(rows: list[list[int]], space: RowSpace) -> list[list[int]]:
    """Return the rows times the null space's columns."""
    from flint import fmpz_mat

    if not rows or not space.dimension:
        return [[] for _ in rows]
    return [[int(v) for v in row] for row in (fmpz_mat(rows) * space.null).tolist()]


def _lifted(space: RowSpace, v: Sequence[Fraction]) -> Vector:
    """Return the point of the null space with coordinates v."""
    return tuple(
        sum((int(a) * b for a, b in zip(row, v, strict=True)), _ZERO) for row in space.null.tolist()
    )


def decompose(Z: Any) -> Decomposition:
    """Split the rows of Z (N, d), dense or CSR, into S and R, exactly.

    Raises:
        SolverFailedError: no decision within the pivots allowed.
        UnsupportedError: sparse rows too large to be made dense that a float direction does not
            separate.
    """
    if not isinstance(Z, np.ndarray):
        if Z.shape[0] * Z.shape[1] > EXACT_ENTRIES:
            return _wide(Z)
        Z = Z.toarray()
    columns = power_of_two_exponents(Z)
    rows, exponents = integer_rows(Z, columns)
    size = len(columns)
    first = separability_of_rows(Z)
    if first.weights is not None:
        point = tuple(w * _power(c) for w, c in zip(first.weights, columns.tolist(), strict=True))
        everything = tuple(range(len(rows)))
        return Decomposition(
            rows, exponents, columns.tolist(), everything, {}, point, RowSpace([], size), []
        )
    balance = {
        n: value * _power(exponents[n]) for n, value in enumerate(first.gordan or ()) if value > 0
    }
    while True:
        owners = sorted(balance)
        space = RowSpace([rows[n] for n in owners], size)
        mapped = _mapped(rows, space)
        left = [n for n in range(len(rows)) if n not in balance]
        live = [n for n in left if any(mapped[n])]
        found = alternative([mapped[n] for n in live]) if live else ()
        if isinstance(found, tuple):
            break
        _merge(balance, {live[i]: value for i, value in found.items()}, rows, space, owners)
    rest = [n for n in left if not any(mapped[n])]
    _merge(
        balance,
        # Rows of one size, by powers of two: other denominators would multiply.
        {n: _power(-max(abs(v).bit_length() for v in rows[n])) for n in rest},
        rows,
        space,
        owners,
    )
    point = _lifted(space, found) if live else (_ZERO,) * size
    return Decomposition(
        rows, exponents, columns.tolist(), tuple(live), balance, point, space, owners
    )


def _wide(Z: Any) -> Decomposition:
    """Return complete separation by a float direction, checked exactly row by row."""
    from sklearn.svm import LinearSVC

    size = np.sqrt(np.asarray(Z.multiply(Z).sum(axis=1)).ravel())
    if np.all(size > 0):
        unit = Z.multiply(1.0 / size[:, None]).tocsr()
        # Fewer samples than features: Z w = 1 often has a solution. Else a hard margin, as if the
        # rows and their negatives were two classes.
        for w in (
            sparse_least_squares(unit, np.ones(Z.shape[0]), 1e-10, 1000),
            _hard_margin(LinearSVC, unit),
        ):
            if _separates(Z, w):
                count = Z.shape[0]
                point = tuple(Fraction(float(v)) for v in w)
                columns = [0] * Z.shape[1]
                return Decomposition(
                    [], [0] * count, columns, tuple(range(count)), {}, point, RowSpace([], 0), []
                )
    raise UnsupportedError(
        f"{Z.shape[0]} sparse margins of {Z.shape[1]} coefficients are not separated by a float "
        "direction, and too many to be looked at exactly.",
        f"Choose samples or features: at most {EXACT_ENTRIES} entries, zeros counted.",
    )


def _hard_margin(svc: Any, unit: Any) -> FloatArray:
    from scipy import sparse

    count = unit.shape[0]
    both = sparse.vstack([unit, -unit], format="csr")
    signs = np.repeat([1, -1], count)
    # Whether it has converged does not matter: the direction is checked.
    with quiet():
        fitted = svc(C=1e6, fit_intercept=False, max_iter=2000, random_state=0).fit(both, signs)
    return np.asarray(fitted.coef_[0], dtype=np.float64)


def _separates(Z: Any, w: FloatArray) -> bool:
    """Say whether ``Z w > 0`` exactly, for CSR rows and float64 w."""
    if not np.all(np.isfinite(w)):
        return False
    product, size = Z @ w, abs(Z) @ np.abs(w)
    terms = int(np.max(np.diff(Z.indptr), initial=0)) + 4
    # Twice Higham's bound for a sum of that many products.
    undecided = np.flatnonzero(~(product > 2.0 * terms * 2.0**-53 * size + terms * 2.0**-1022))
    for n in undecided.tolist():
        part = slice(Z.indptr[n], Z.indptr[n + 1])
        exact = sum(
            (
                Fraction(v) * Fraction(float(w[c]))
                for c, v in zip(Z.indices[part].tolist(), Z.data[part].tolist(), strict=True)
            ),
            _ZERO,
        )
        if not exact > 0:
            return False
    return True


def _merge(
    balance: dict[int, Fraction],
    more: dict[int, Fraction],
    rows: list[list[int]],
    space: RowSpace,
    owners: list[int],
) -> None:
    """Add rows to λ: ``Σ more_n row_n`` lies in the span of the old ones, which pay for it."""
    if not more:
        return
    scale = _common(tuple(more.values()))
    total = [0] * len(rows[0])
    for n, value in more.items():
        factor = value.numerator * (scale // value.denominator)
        for j, entry in enumerate(rows[n]):
            total[j] += factor * entry
    found = space.coordinates([Fraction(value, scale) for value in total])
    if found is None:
        raise SolverFailedError(
            "A Gordan vector does not lie in the span of the one before.",
            "Please report these data.",
        )
    spent = {owners[r]: value for r, value in found.items()}
    enough = 1 + max((value / balance[n] for n, value in spent.items() if value > 0), default=_ZERO)
    for n in list(balance):
        balance[n] = enough * balance[n] - spent.get(n, _ZERO)
    balance.update(more)
