"""An independent reference in fractions: Bland's simplex method, leximin sample by sample."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

Row = list[Fraction]


def maximise(
    c: Sequence[Fraction], A: Sequence[Row], b: Sequence[Fraction]
) -> tuple[Fraction, Row]:
    """Solve ``max c·x  s.t.  A x <= b, x >= 0`` exactly; the program is feasible and bounded."""
    rows, columns = len(A), len(c)
    flip = [value < 0 for value in b]
    artificial = [i for i in range(rows) if flip[i]]
    width = columns + rows + len(artificial)
    table: list[Row] = []
    basis: list[int] = []
    for i in range(rows):
        sign = Fraction(-1 if flip[i] else 1)
        row = [sign * a for a in A[i]] + [Fraction(0)] * (rows + len(artificial))
        row[columns + i] = sign
        if flip[i]:
            row[columns + rows + artificial.index(i)] = Fraction(1)
            basis.append(columns + rows + artificial.index(i))
        else:
            basis.append(columns + i)
        table.append([*row, sign * b[i]])

    def run(costs: Row, allowed: int) -> None:
        reduced = [*costs, Fraction(0)]
        for i, k in enumerate(basis):
            if reduced[k] != 0:
                factor = reduced[k]
                reduced = [x - factor * y for x, y in zip(reduced, table[i], strict=True)]
        while True:
            entering = next((j for j in range(allowed) if reduced[j] > 0), None)
            if entering is None:
                return
            ratios = [
                (table[i][-1] / table[i][entering], basis[i], i)
                for i in range(rows)
                if table[i][entering] > 0
            ]
            _, _, leaving = min(ratios)
            pivot(leaving, entering)
            factor = reduced[entering]
            reduced = [x - factor * y for x, y in zip(reduced, table[leaving], strict=True)]

    def pivot(leaving: int, entering: int) -> None:
        value = table[leaving][entering]
        table[leaving] = [x / value for x in table[leaving]]
        for i in range(rows):
            if i != leaving and table[i][entering] != 0:
                factor = table[i][entering]
                table[i] = [x - factor * y for x, y in zip(table[i], table[leaving], strict=True)]
        basis[leaving] = entering

    if artificial:
        first = [Fraction(0)] * (columns + rows) + [Fraction(-1)] * len(artificial)
        run(first, width)
        assert sum(table[i][-1] for i in range(rows) if basis[i] >= columns + rows) == 0
        for i in range(rows):
            if basis[i] >= columns + rows:
                j = next((j for j in range(columns + rows) if table[i][j] != 0), None)
                if j is not None:
                    pivot(i, j)
    run([*c, *[Fraction(0)] * (width - columns)], columns + rows)
    x = [Fraction(0)] * columns
    for i, k in enumerate(basis):
        if k < columns:
            x[k] = table[i][-1]
    return sum((a * v for a, v in zip(c, x, strict=True)), Fraction(0)), x


def leximin_margins(Z: Sequence[Sequence[int]], norm: float) -> list[Fraction]:
    """Return every margin at the lexicographic max margin of ``θ·z_n``, ‖θ‖_norm <= 1, norm 1 or ∞.

    Level by level ``max t``; a sample is blocked when its own margin cannot exceed t. The first
    margin must be positive.
    """
    size = len(Z[0])
    zero, one = Fraction(0), Fraction(1)
    # Variables p, q >= 0 with θ = p - q, and t >= 0.
    ball: list[tuple[Row, Fraction]] = []
    if norm == 1:
        ball.append(([one] * (2 * size) + [zero], one))
    else:
        for j in range(size):
            row = [zero] * (2 * size + 1)
            row[j] = row[size + j] = one
            ball.append((row, one))
    rows = [[Fraction(z) for z in sample] for sample in Z]
    known: dict[int, Fraction] = {}

    def constraints(level: Fraction | None) -> tuple[list[Row], Row]:
        A, b = [row for row, _ in ball], [value for _, value in ball]
        for n, z in enumerate(rows):
            below = [-x for x in z] + [*z]
            if n in known:
                A.append([*below, zero])
                b.append(-known[n])
            elif level is None:
                A.append([*below, one])
                b.append(zero)
            else:
                A.append([*below, zero])
                b.append(-level)
        return A, b

    while len(known) < len(rows):
        A, b = constraints(None)
        level, _ = maximise([zero] * (2 * size) + [one], A, b)
        assert known or level > 0
        A, b = constraints(level)
        blocked = []
        for n in range(len(rows)):
            if n not in known:
                z = rows[n]
                best, _ = maximise([*z, *[-x for x in z], zero], A, b)
                if best == level:
                    blocked.append(n)
        assert blocked
        for n in blocked:
            known[n] = level
    return [known[n] for n in range(len(rows))]
