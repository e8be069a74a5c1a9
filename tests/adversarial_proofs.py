"""Proofs that must not be: points beside exact answers, and distances that a proof must cover."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Final

import mpmath as mp
import numpy as np

import lexmargin as lm
from adversarial_common import Family, Trial
from exact_leximin import leximin_margins
from lexmargin.errors import LexmarginError
from lexmargin.judge import Verdict
from lexmargin.judge.prove import Proof, prove
from uneven_margin import Uneven

F = Fraction
Array = np.ndarray

_NEAR: Final = F(1, 10**6)
"""Up to this a point is that of its proof; a part in a thousand around it is nobody's fault."""
_STEPS: Final = (0.0, 1e-14, 1e-10, 1e-8, 3e-7, 3e-6, 1e-4, 1e-2)


def judged(problem: lm.Formulation, theta: Array) -> Proof | None:
    try:
        return prove(problem, theta)
    except LexmarginError:
        return None


def said(found: Proof | None, gap: Fraction, shown: str, *, owed: bool) -> Trial:
    """Compare a proof with how far the point is from the optimum, by an oracle."""
    if found is None:
        return Trial(None)
    word = Verdict.GLOBAL if found.proved else Verdict.UNDECIDED
    if found.proved and gap > _NEAR * F(1001, 1000):
        return Trial(word, wrong=f"proved, and {float(gap):.3g} off: {shown}")
    if owed and not found.proved and gap < _NEAR * F(999, 1000):
        return Trial(word, refused=f"{found.statement}, and {float(gap):.3g} off: {shown}")
    return Trial(word)


def rows_of(rng: np.random.Generator) -> Array:
    """Separable rows: whole numbers with ties, finer ties than doubles like, rows of any length."""
    count, size = int(rng.integers(1, 6)), int(rng.integers(1, 4))
    toward = rng.integers(1, 4, size).astype(float)
    Z = rng.integers(-2, 4, (count, size)).astype(float)
    kind = rng.integers(4)
    if kind == 1:
        Z = Z * (1.0 + 1e-13 * rng.integers(0, 3, Z.shape))
    elif kind == 2:
        Z = rng.standard_normal(Z.shape)
    Z[Z @ toward == 0.0] = toward
    Z = Z * np.sign(Z @ toward)[:, None]
    if kind == 3:
        Z = Z * 10.0 ** rng.integers(-6, 6, (count, 1))
    return np.asarray(Z)


def fractions(Z: Array) -> list[list[Fraction]]:
    return [[F(x) for x in row] for row in Z.tolist()]


def times(Z: Sequence[Sequence[Fraction]], x: Sequence[Fraction]) -> list[Fraction]:
    return [sum((a * b for a, b in zip(row, x, strict=True)), F(0)) for row in Z]


def solved(A: list[list[Fraction]], b: list[Fraction]) -> list[Fraction] | None:
    """Gauss and Jordan, in fractions; None where the matrix is singular."""
    size = len(b)
    table = [[*row, right] for row, right in zip(A, b, strict=True)]
    for k in range(size):
        pivot = next((i for i in range(k, size) if table[i][k] != 0), None)
        if pivot is None:
            return None
        table[k], table[pivot] = table[pivot], table[k]
        table[k] = [x / table[k][k] for x in table[k]]
        for i in range(size):
            if i != k and table[i][k] != 0:
                factor = table[i][k]
                table[i] = [x - factor * y for x, y in zip(table[i], table[k], strict=True)]
    return [row[-1] for row in table]


def subsets(count: int) -> list[tuple[int, ...]]:
    return [s for k in range(count + 1) for s in itertools.combinations(range(count), k)]


# -- rational answers ------------------------------------------------------------------------------


def polyhedral(norm: float) -> Family:
    """Margins and levels on the ℓ1 or the ℓ∞ ball, against a simplex method in fractions."""

    def family(rng: np.random.Generator) -> Trial:
        Z = rows_of(rng)
        rows, count = fractions(Z), int(rng.integers(1, len(Z) + 1))
        best = sorted(leximin_margins(rows, norm))
        data = lm.Dataset(Z, np.ones(len(Z), int), one_class=True)
        problem: lm.Formulation = lm.HardMargin(lm.Linear(), data, norm)
        if levels := bool(rng.integers(2)):
            problem = lm.Lexicographic(lm.Linear(), data, norm, levels=count)
        # Any answer of a linear program, and what lies beside it.
        start = np.array([float(x) for x in vertex(rows, norm)])
        theta = start + rng.choice(_STEPS) * rng.standard_normal(start.size)
        point = [F(x) for x in theta.tolist()]
        sizes = [abs(x) for x in point]
        length = sum(sizes, F(0)) if norm == 1.0 else max(sizes)
        given = sorted(m / length for m in times(rows, point))
        wanted = count if levels else 1
        gap = max(abs(a - b) for a, b in zip(given[:wanted], best, strict=False)) / best[0]
        found = judged(problem, theta)
        shown = f"ℓ{norm:g}, {Z.tolist()}, {theta.tolist()}, {wanted} levels"
        if found is not None and found.value:
            value = found.value if levels else (best[0] ** 2,)
            if found.value != value or (levels and list(found.value) != best[:count]):
                return Trial(Verdict.GLOBAL, wrong=f"another value: {shown}")
        return said(found, gap, shown, owed=given[0] > 0)

    return family


def vertex(rows: list[list[Fraction]], norm: float) -> list[Fraction]:
    """The θ of largest margin among all that any of its equations single out, in fractions."""
    size = len(rows[0])
    unit = [[F(int(i == j)) for j in range(size)] for i in range(size)]
    signs = list(itertools.product((F(-1), F(1)), repeat=size))
    best: tuple[Fraction, list[Fraction]] | None = None
    ties = [[a - b for a, b in zip(x, y, strict=True)] for x, y in itertools.combinations(rows, 2)]
    for sign in signs:
        ball = [list(sign)] if norm == 1.0 else []
        faces = [*ties, *unit] if norm == 1.0 else ties
        bounds = [] if norm == 1.0 else [(row, s) for row, s in zip(unit, sign, strict=True)]
        pool = [(row, F(0)) for row in faces] + bounds
        for chosen in itertools.combinations(pool, size - len(ball)):
            table = ball + [row for row, _ in chosen]
            x = solved(table, [F(1)] * len(ball) + [right for _, right in chosen])
            if x is None:
                continue
            sizes = [abs(v) for v in x]
            if (sum(sizes, F(0)) if norm == 1.0 else max(sizes)) != 1:
                continue
            margin = min(times(rows, x))
            if best is None or margin > best[0]:
                best = margin, x
    if best is None:
        raise ValueError("no vertex")
    return best[1]


def euclidean(rng: np.random.Generator) -> Trial:
    """Margins on the ℓ2 ball, against every support in fractions."""
    Z = rows_of(rng)
    rows = fractions(Z)
    w = next(w for w in map(lambda s: supported(rows, s), subsets(len(rows))) if w is not None)
    start = np.array([float(x) for x in w])
    start = start / np.linalg.norm(start)
    theta = start + rng.choice(_STEPS) * rng.standard_normal(start.size)
    data = lm.Dataset(Z, np.ones(len(Z), int), one_class=True)
    found = judged(lm.HardMargin(lm.Linear(), data), theta)
    point = [F(x) for x in theta.tolist()]
    least = sum((x * x for x in w), F(0))
    smallest, length = min(times(rows, point)), sum((x * x for x in point), F(0))
    shown = f"ℓ2, {Z.tolist()}, {theta.tolist()}"
    if found is not None and found.value != (1 / least,):
        return Trial(Verdict.GLOBAL, wrong=f"another value: {shown}")
    with mp.workdps(60):
        ratio = smallest * abs(smallest) / length * least
        root = mp.sqrt(mp.mpf(abs(ratio.numerator)) / ratio.denominator)
        gap = F(float(1 - root if ratio > 0 else 1 + root))
    return said(found, gap, shown, owed=smallest > 0)


def supported(rows: list[list[Fraction]], chosen: tuple[int, ...]) -> list[Fraction] | None:
    """Return w of `min ‖w‖² s.t. Z w ≥ 1` where these samples carry its weight."""
    used = [rows[n] for n in chosen]
    weights = solved([times(used, z) for z in used], [F(1)] * len(used)) if used else None
    if weights is None or any(x < 0 for x in weights):
        return None
    w = [
        sum((x * z[j] for x, z in zip(weights, used, strict=True)), F(0))
        for j in range(len(used[0]))
    ]
    return w if all(m >= 1 for m in times(rows, w)) else None


def biases(rng: np.random.Generator) -> Trial:
    """Eq. 13 and 14 of a linear score with one bias, against every active set in fractions."""
    count, size = int(rng.integers(2, 5)), int(rng.integers(1, 3))
    y = np.where(np.arange(count) % 2, 1, -1)
    toward, shift = rng.integers(1, 3, size).astype(float), float(rng.integers(-1, 2))
    X = rng.integers(-3, 4, (count, size)).astype(float)
    X[X @ toward + shift == 0.0] += 1.0
    X *= (y * np.sign(X @ toward + shift))[:, None] if shift == 0.0 else 1.0
    if not np.all(y * (X @ toward + shift) > 0.0):
        y = np.sign(X @ toward + shift).astype(int)
    if abs(int(y.sum())) == count or not np.all(y * (X @ toward + shift) > 0.0):
        return Trial(None)
    gamma = float(rng.integers(1, 6))
    rows, signs = fractions(y[:, None] * X), [[F(int(s)), F(-int(s))] for s in y]
    a, b = (F(gamma) ** 2, F(gamma)) if (scaled := bool(rng.integers(2))) else (F(1), F(0))
    answer = least_cost(rows, signs, a, b)
    if answer is None:
        return Trial(None, note="degenerate")
    w, c = answer
    step = rng.choice(_STEPS)
    theta = np.array([*map(float, w), math.copysign(math.sqrt(abs(c[0] - c[1])), c[0] - c[1])])
    theta = theta * (1.0 + step * rng.standard_normal(theta.size))
    predictor, data = lm.Sum([lm.Linear(), lm.Bias()]), lm.Dataset(X, y)
    problem = lm.ScaledMargin(predictor, data, gamma) if scaled else lm.WSet(predictor, data)
    found = judged(problem, theta)
    point, beta = [F(x) for x in theta[:-1].tolist()], F(theta[-1]) * abs(F(theta[-1]))
    margins = [m + s[0] * beta for m, s in zip(times(rows, point), signs, strict=True)]
    smallest = min(margins)
    shown = f"{problem.name}, γ = {gamma}, {X.tolist()}, {y.tolist()}, {theta.tolist()}"
    if smallest <= 0:
        return said(found, F(1), shown, owed=False)
    least = a * sum((x * x for x in w), F(0)) + b * sum(c, F(0))
    reached = a * sum((x * x for x in point), F(0)) / smallest**2 + b * abs(beta) / smallest
    if found is not None and found.value and found.value[0] != least:
        return Trial(Verdict.GLOBAL, wrong=f"another value: {shown}")
    excess = reached / least - 1 if least else F(int(reached > 0))
    return said(found, max(excess, abs(smallest - 1)), shown, owed=True)


def least_cost(
    Z: list[list[Fraction]], S: list[list[Fraction]], a: Fraction, b: Fraction
) -> tuple[list[Fraction], list[Fraction]] | None:
    """Return (w, c) of `min a ‖w‖² + b Σ c s.t. Z w + S c ≥ 1, c ≥ 0`."""
    for tight, positive in itertools.product(subsets(len(Z)), ((), (0,), (1,))):
        used = [Z[n] for n in tight]
        if not used:
            continue
        gram = [[x / a for x in times(used, z)] for z in used]
        table = [[*row, *(S[n][j] for j in positive)] for row, n in zip(gram, tight, strict=True)]
        table += [[*(S[n][j] for n in tight), *(F(0) for _ in positive)] for j in positive]
        x = solved(table, [F(1)] * len(used) + [b / 2] * len(positive))
        if x is None:
            continue
        weights, c = x[: len(used)], [F(0), F(0)]
        for j, value in zip(positive, x[len(used) :], strict=True):
            c[j] = value
        w = [
            sum((p * z[j] for p, z in zip(weights, used, strict=True)), F(0)) / a
            for j in range(len(Z[0]))
        ]
        pushes = [
            sum((p * S[n][j] for p, n in zip(weights, tight, strict=True)), F(0)) for j in (0, 1)
        ]
        margins = [m + s[0] * c[0] + s[1] * c[1] for m, s in zip(times(Z, w), S, strict=True)]
        right = all(p >= 0 for p in weights) and all(x >= 0 for x in c) and min(margins) >= 1
        if right and all(push <= b / 2 for push in pushes):
            return w, c
    return None


# -- balls -----------------------------------------------------------------------------------------


def covered(found: Proof | None, distance: float, step: float, shown: str) -> Trial:
    """Compare the radius of a proof with how far the true point is."""
    if found is None:
        return Trial(None)
    word = Verdict.KKT if found.proved else Verdict.UNDECIDED
    if found.proved and not float(found.facts["radius"]) >= distance * (1.0 - 1e-3) - 1e-14:
        return Trial(word, wrong=f"radius {found.facts['radius']:.3g} of {distance:.3g}: {shown}")
    if not found.proved and step <= 1e-10:
        return Trial(word, refused=f"{found.statement}: {shown}")
    return Trial(word)


def deep(rng: np.random.Generator) -> Trial:
    """`f_n = Σ_j x_nj u_j v_j`: u = v = √β at the vertex of `min Σβ s.t. Xβ ≥ 1`, both tight."""
    X = np.array([[1.0, rng.uniform(0.1, 0.9)], [rng.uniform(0.1, 0.9), 1.0]])
    X *= 10.0 ** rng.integers(-3, 4)
    beta = solved(fractions(X), [F(1), F(1)])
    if beta is None or min(beta) <= 0:
        return Trial(None)
    with mp.workdps(40):
        true = [mp.sqrt(mp.mpf(x.numerator) / x.denominator) for x in (*beta, *beta)]
        step = float(rng.choice(_STEPS[:5]))
        w = np.array([float(x) for x in true])
        w = w + step * np.linalg.norm(w) * rng.standard_normal(4) / 2.0
        data = lm.Dataset(X, [1, 1], one_class=True)
        found = judged(lm.HardMargin(lm.DiagonalNetwork(2), data), w)
        margins = [
            sum(F(a) * F(u) * F(v) for a, u, v in zip(row, w[:2], w[2:], strict=True))
            for row in X.tolist()
        ]
        scale = mp.sqrt(mp.mpf(min(margins).denominator) / min(margins).numerator)
        off = [scale * float(a) - b for a, b in zip(w, true, strict=True)]
        size = mp.norm([scale * float(a) for a in w])
        distance = float(mp.norm(off) / size)
    return covered(found, distance, step, f"{X.tolist()}, {w.tolist()}")


def uneven(rng: np.random.Generator) -> Trial:
    """The same with a cost of every entry and a margin of every sample: u = √β (c_v/c_u)^{1/4}."""
    X = np.array([[1.0, rng.uniform(0.1, 0.9)], [rng.uniform(0.1, 0.9), 1.0]])
    costs, wanted = 10.0 ** rng.uniform(-0.2, 0.2, 4), rng.uniform(0.8, 1.25, 2)
    beta = solved(fractions(X), [F(x) for x in wanted.tolist()])
    prices = np.sqrt(costs[:2] * costs[2:])
    if beta is None or min(beta) <= F(1, 100) or np.min(np.linalg.solve(X.T, prices)) < 0.01:
        return Trial(None)
    with mp.workdps(40):
        roots = [mp.sqrt(mp.mpf(x.numerator) / x.denominator) for x in beta]
        tilts = [
            mp.root(mp.mpf(b) / mp.mpf(a), 4) for a, b in zip(costs[:2], costs[2:], strict=True)
        ]
        true = [r * t for r, t in zip(roots, tilts, strict=True)]
        true += [r / t for r, t in zip(roots, tilts, strict=True)]
        step = float(rng.choice(_STEPS[:5]))
        w = np.array([float(x) for x in true]) * (1.0 + step * rng.standard_normal(4) / 2.0)
        problem = Uneven(
            lm.DiagonalNetwork(2),
            lm.Dataset(X, [1, 1], one_class=True),
            tuple(costs.tolist()),
            tuple(wanted.tolist()),
        )
        found = judged(problem, w)
        off = [float(a) - b for a, b in zip(w, true, strict=True)]
        distance = float(mp.norm(off) / mp.norm([float(a) for a in w]))
    return covered(found, distance, step, f"{X.tolist()}, {costs}, {wanted}, {w.tolist()}")


def path(norm: float) -> Family:
    """Eq. 5 in the plane: the global minimum by ternary search around the ball, in 40 digits."""

    def family(rng: np.random.Generator) -> Trial:
        count, rho = int(rng.integers(1, 4)), float(rng.uniform(0.5, 30.0))
        Z = np.abs(rng.standard_normal((count, 2))) + 0.1
        loss = str(rng.choice(["exponential", "logistic"]))
        step = float(rng.choice(_STEPS[:5]))
        with mp.workdps(40):
            rows = [[mp.mpf(x) for x in row] for row in Z.tolist()]
            true = around(rows, mp.mpf(rho), norm, loss)
            theta = np.array([float(x / rho) for x in true])
            turned = theta + step * np.array([-theta[1], theta[0]])
            theta = turned / np.linalg.norm(turned, norm)
            data = lm.Dataset(Z, np.ones(count, int), one_class=True)
            found = judged(lm.ConstrainedPath(lm.Linear(), data, rho, norm, loss), theta)
            given = [mp.mpf(x) * rho for x in theta.tolist()]
            off = [a - b for a, b in zip(given, true, strict=True)]
            distance = float(mp.norm(off) / mp.norm(given))
        shown = f"ρ = {rho}, ℓ{norm:g}, {loss}, {Z.tolist()}, {theta.tolist()}"
        corner = norm != 2.0 and min(abs(float(x)) for x in true) < 1e-6 * rho
        # A tie of the two levels of a corner is nobody's fault, and from one there is no way.
        return covered(found, distance, 1.0 if corner or norm != 2.0 else step, shown)

    return family


def around(rows: list[list[mp.mpf]], rho: mp.mpf, norm: float, loss: str) -> list[mp.mpf]:
    """Return w of least loss on the quarter of the ball where all rows point."""

    def at(t: mp.mpf) -> list[mp.mpf]:
        if norm == 2.0:
            return [rho * mp.cos(t * mp.pi / 2), rho * mp.sin(t * mp.pi / 2)]
        if norm == 1.0:
            return [rho * (1 - t), rho * t]
        # Two edges of the square meet in a corner.
        return [rho * min(mp.mpf(1), 2 - 2 * t), rho * min(mp.mpf(1), 2 * t)]

    def value(t: mp.mpf) -> mp.mpf:
        w = at(t)
        f = [row[0] * w[0] + row[1] * w[1] for row in rows]
        terms = [mp.exp(-x) if loss == "exponential" else mp.log1p(mp.exp(-x)) for x in f]
        return mp.log(sum(terms))

    low, high = mp.mpf(0), mp.mpf(1)
    # Values are compared to half their digits: 20 of the place.
    for _ in range(130):
        a, b = low + (high - low) / 3, high - (high - low) / 3
        low, high = (low, b) if value(a) < value(b) else (a, high)
    return at((low + high) / 2)


FAMILIES: Final[dict[str, Callable[[np.random.Generator], Trial]]] = {
    "proofs beside the optimum, ℓ1": polyhedral(1.0),
    "proofs beside the optimum, ℓ∞": polyhedral(math.inf),
    "proofs beside the optimum, ℓ2": euclidean,
    "proofs beside the optimum, biases": biases,
    "proofs in balls, two layers": deep,
    "proofs in balls, costs and margins": uneven,
    "proofs in balls, eq. 5 in ℓ2": path(2.0),
    "proofs in balls, eq. 5 in ℓ1": path(1.0),
    "proofs in balls, eq. 5 in ℓ∞": path(math.inf),
}
# Fractions, and forty digits, are dear.
SHARES: Final = {name: 0.05 for name in FAMILIES}
