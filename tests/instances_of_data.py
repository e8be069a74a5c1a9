"""Fresh instances of every kind of data, problem and norm, with references of their own.

A reference never trusts the toolkit: linear margins and convex losses are checked by weak duality
with 60 digits, refusals by the Gordan vector they carry, in rationals. Run as a script it prints
one row per family: ``python tests/instances_of_data.py --instances 3000``.
"""

from __future__ import annotations

import argparse
import math
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final, final

import numpy as np
from numpy.typing import NDArray

import lexmargin as lm
from lexmargin.errors import DegreeError, LexmarginError, NotSeparableError, UnsupportedError

Array = NDArray[np.float64]
Rng = np.random.Generator

SLOW: Final = 30.0
"""Seconds after which an instance counts as slow."""
GAP: Final = 1e-6
"""Relative distance from the reference's bound beyond which a GLOBAL answer is wrong: ten times
the certificate's own tolerance."""

# -- data ------------------------------------------------------------------------------------------


def _labels(scores: Array, rng: Rng, noise: float) -> Array:
    y = np.where(scores + noise * rng.standard_normal(scores.size) * np.std(scores) > 0, 1.0, -1.0)
    if y.size > 1 and np.all(y == y[0]):
        y[int(rng.integers(y.size))] *= -1.0
    return y


def gaussian(rng: Rng) -> tuple[Array, Array]:
    n, d = int(rng.integers(4, 25)), int(rng.integers(1, 5))
    X = rng.standard_normal((n, d))
    return X, _labels(X @ rng.standard_normal(d), rng, rng.choice([0.0, 0.0, 0.5]))


def clustered(rng: Rng) -> tuple[Array, Array]:
    n, d = int(rng.integers(6, 25)), int(rng.integers(1, 5))
    y = np.resize([1.0, -1.0], n)
    centre = 2.0 * rng.standard_normal(d)
    return y[:, None] * centre + 0.5 * rng.standard_normal((n, d)), y


def duplicated(rng: Rng) -> tuple[Array, Array]:
    X, y = gaussian(rng)
    twice = rng.integers(len(y), size=len(y))
    return np.vstack([X, X[twice]]), np.append(y, y[twice])


def contradictory(rng: Rng) -> tuple[Array, Array]:
    X, y = gaussian(rng)
    return np.vstack([X, X[:1]]), np.append(y, -y[0])


def integer(rng: Rng) -> tuple[Array, Array]:
    n, d = int(rng.integers(4, 15)), int(rng.integers(1, 4))
    X = rng.integers(-3, 4, (n, d)).astype(float)
    return X, _labels(X @ rng.standard_normal(d) + 0.1, rng, rng.choice([0.0, 0.5]))


def one_hot(rng: Rng) -> tuple[Array, Array]:
    n, d = int(rng.integers(6, 20)), int(rng.integers(2, 5))
    X = np.eye(d)[rng.integers(d, size=n)]
    return X, _labels(X @ rng.standard_normal(d), rng, 0.0)


def rows_spread(rng: Rng) -> tuple[Array, Array]:
    X, y = gaussian(rng)
    return X * 10.0 ** rng.uniform(-6, 6, (len(y), 1)), y


def columns_spread(rng: Rng) -> tuple[Array, Array]:
    X, y = gaussian(rng)
    return X * 10.0 ** rng.uniform(-6, 6, X.shape[1]), y


def tiny(rng: Rng) -> tuple[Array, Array]:
    X, y = gaussian(rng)
    return X * 1e-12, y


def huge(rng: Rng) -> tuple[Array, Array]:
    X, y = gaussian(rng)
    return X * 1e12, y


def shifted(rng: Rng) -> tuple[Array, Array]:
    X, y = gaussian(rng)
    return X + 1e8, y


def single(rng: Rng) -> tuple[Array, Array]:
    d = int(rng.integers(1, 5))
    return rng.standard_normal((1, d)), np.ones(1)


def wide(rng: Rng) -> tuple[Array, Array]:
    X = rng.standard_normal((5, 40))
    return X, _labels(X[:, 0], rng, 0.0)


def _real(name: str, standardise: bool) -> Callable[[Rng], tuple[Array, Array]]:
    def make(rng: Rng) -> tuple[Array, Array]:
        from sklearn import datasets

        found = getattr(datasets, f"load_{name}")()
        rows = rng.choice(len(found.target), 60, replace=False)
        columns = rng.choice(found.data.shape[1], min(4, found.data.shape[1]), replace=False)
        X, y = found.data[np.ix_(rows, columns)], np.where(found.target[rows] == 0, 1.0, -1.0)
        if standardise:
            X = (X - X.mean(axis=0)) / X.std(axis=0)
        return X, y

    return make


DATA: Final[dict[str, Callable[[Rng], tuple[Array, Array]]]] = {
    "gaussian": gaussian,
    "clustered": clustered,
    "duplicated": duplicated,
    "contradictory": contradictory,
    "integer": integer,
    "one-hot": one_hot,
    "rows spread 1e±6": rows_spread,
    "columns spread 1e±6": columns_spread,
    "times 1e-12": tiny,
    "times 1e12": huge,
    "shifted by 1e8": shifted,
    "one sample": single,
    "N much less than d": wide,
    "iris raw": _real("iris", False),
    "wine raw": _real("wine", False),
    "breast cancer raw": _real("breast_cancer", False),
    "wine standardised": _real("wine", True),
    "breast cancer standardised": _real("breast_cancer", True),
}

# -- problems --------------------------------------------------------------------------------------

NORMS: Final = (1.0, 1.3, 2.0, 3.0, math.inf)
LINEAR: Final = ("linear", "linear and plain bias")
_BIASED: Final = lm.Sum([lm.Linear(), lm.Bias("plain")])
PREDICTORS: Final[dict[str, Callable[[int], Any]]] = {
    "linear": lambda d: lm.Linear(),
    "linear and plain bias": lambda d: _BIASED,
    "diagonal 2": lambda d: lm.DiagonalNetwork(2),
    "relu² network": lambda d: lm.Network((3,), lm.ReLU(power=2)),
    "relu network": lambda d: lm.Network((4,), lm.ReLU()),
    "linear and diagonal 2": lambda d: lm.Sum([lm.Linear(), lm.DiagonalNetwork(2)]),
    "linear and signed-square bias": lambda d: lm.Sum([lm.Linear(), lm.Bias("signed-square")]),
}
FORMULATIONS: Final = (
    "hard-margin",
    "margin-path",
    "margin-path with gamma",
    "constrained-path",
    "regularization-path",
    "scaled-margin",
    "w-set",
    "lexicographic",
)


@final
@dataclass(frozen=True)
class Instance:
    """One problem to be solved, and what is known of its kind."""

    formulation: str
    predictor: str
    norm: float
    data: str
    problem: Any
    X: Array
    y: Array

    @property
    def rows(self) -> Array:
        """z_n = y_n x_n (N, d), with the bias as a last column where there is one."""
        X = self.X
        if self.predictor == "linear and plain bias":
            X = np.column_stack([X, np.ones(len(X))])
        return self.y[:, None] * X


def instance(rng: Rng, formulation: str, predictor: str, norm: float, data: str) -> Instance:
    """Return one instance of a combination."""
    X, y = DATA[data](rng)
    set_ = lm.Dataset(X, y, one_class=bool(np.all(y == y[0])))
    made = PREDICTORS[predictor](X.shape[1])
    rho = float(10.0 ** rng.choice([-1, 0, 1, 2]))
    loss = str(rng.choice(["exponential", "logistic"]))
    problem: Any
    if formulation == "hard-margin":
        problem = lm.HardMargin(made, set_, norm=norm)
    elif formulation == "margin-path":
        problem = lm.MarginPath(made, set_, rho, norm=norm)
    elif formulation == "margin-path with gamma":
        problem = lm.MarginPath(made, set_, rho, norm=norm, gamma=1.0)
    elif formulation == "constrained-path":
        problem = lm.ConstrainedPath(made, set_, rho, norm=norm, loss=loss)
    elif formulation == "regularization-path":
        power = float(rng.choice([1.0, 2.0, 2.0, 3.0]))
        strength = float(10.0 ** rng.uniform(-4, 1))
        problem = lm.RegularizationPath(made, set_, strength, norm=norm, power=power, loss=loss)
    elif formulation == "scaled-margin":
        problem = lm.ScaledMargin(made, set_, float(10.0 ** rng.choice([0, 1, 3])))
    elif formulation == "w-set":
        problem = lm.WSet(made, set_)
    else:
        problem = lm.Lexicographic(made, set_, levels=min(3, len(y)), norm=norm)
    return Instance(formulation, predictor, norm, data, problem, X, y)


# -- references ------------------------------------------------------------------------------------


def _dual(p: float) -> float:
    return math.inf if p == 1.0 else 1.0 if math.isinf(p) else p / (p - 1.0)


def _size(v: list[Any], p: float) -> Any:
    import mpmath as mp

    if math.isinf(p):
        return max(abs(x) for x in v)
    if p == 1.0:
        return sum(abs(x) for x in v)
    return sum(abs(x) ** mp.mpf(p) for x in v) ** (1 / mp.mpf(p))


def margin_gap(Z: Array, theta: Array, weights: Array, norm: float) -> float:
    """Return the relative gap `1 - γ(θ)/bound(λ)`, with 60 digits."""
    import mpmath as mp

    with mp.workdps(60):
        rows = [[mp.mpf(x) for x in row] for row in Z]
        w = [mp.mpf(x) for x in theta]
        share = [mp.mpf(x) for x in weights]
        margin = min(mp.fdot(row, w) for row in rows) / _size(w, norm)
        pull = [mp.fsum(share[n] * rows[n][i] for n in range(len(rows))) for i in range(len(w))]
        bound = _size(pull, _dual(norm)) / mp.fsum(share)
        return float(1 - margin / bound)


def loss_gap(Z: Array, w: Array, rho: float, norm: float, loss: str) -> float:
    """Return the proven distance of log L(w) from its least in the ball, 60 digits (math, §8)."""
    import mpmath as mp

    with mp.workdps(60):
        f = [mp.fdot([mp.mpf(a) for a in row], [mp.mpf(b) for b in w]) for row in Z]
        if loss == "exponential":
            weights = [mp.exp(-v) for v in f]
            total = mp.fsum(weights)
            p = [x / total for x in weights]
            value = mp.log(total)
        else:
            p = [1 / (1 + mp.exp(v)) for v in f]
            value = mp.fsum(mp.log1p(mp.exp(-v)) for v in f)
        pull = [mp.fsum(p[n] * mp.mpf(Z[n, i]) for n in range(len(p))) for i in range(Z.shape[1])]
        slope = _size(pull, _dual(norm))
        along = mp.fdot(pull, [mp.mpf(b) for b in w])
        # Convexity: L(w) - min L ≤ ρ‖g‖_* - g·w, of log L or of the logistic loss itself.
        gap = mp.mpf(rho) * slope - along
        if loss != "exponential":
            gap = gap / value
        return float(gap)


def gordan_holds(Z: Array, weights: Any) -> bool:
    """Tell whether λ ≥ 0, λ ≠ 0 and Zᵀλ = 0 in rationals."""
    share = [Fraction(x) for x in weights]
    if any(x < 0 for x in share) or not any(share):
        return False
    rows = [[Fraction(float(x)) for x in row] for row in Z]
    return all(
        sum(share[n] * rows[n][i] for n in range(len(rows))) == 0 for i in range(len(rows[0]))
    )


# -- judging ---------------------------------------------------------------------------------------


@final
@dataclass
class Row:
    """What happened to one family."""

    family: str
    tried: int = 0
    certified: int = 0
    uncertified: int = 0
    wrong: int = 0
    refused: int = 0
    errors: int = 0
    slow: int = 0
    complaints: list[str] = field(default_factory=list)


def _wrong(case: Instance, solution: Any) -> str:
    """Return why a certified answer is wrong by the reference, empty where it is not."""
    verdict = solution.certificate.verdict
    if case.predictor not in LINEAR or verdict is not lm.Verdict.GLOBAL:
        return ""
    theta, problem = np.concatenate([b.ravel() for b in solution.theta]), case.problem
    if case.formulation in ("hard-margin", "margin-path", "margin-path with gamma"):
        weights = np.maximum(solution.certificate.multipliers, 0.0)
        gap = margin_gap(case.rows, theta, weights, case.norm)
        return f"margin {gap:.2g} below its bound" if gap > GAP else ""
    if case.formulation == "constrained-path":
        gap = loss_gap(case.rows, problem.rho * theta, problem.rho, case.norm, str(problem.loss))
        scale = max(1.0, abs(solution.objective))
        return f"loss {gap:.2g} above its bound" if gap > GAP * scale else ""
    return ""


def judge(case: Instance, row: Row, time_limit: float = SLOW) -> None:
    """Solve one instance and count what came of it."""
    row.tried += 1
    where = f"{case.formulation}, {case.predictor}, norm {case.norm:g}, {case.data}"
    began = time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            solution = lm.solve(case.problem)
    except NotSeparableError as error:
        gordan = getattr(error, "gordan", None)
        if gordan is None:
            row.refused += 1
        elif case.predictor in LINEAR and not gordan_holds(case.rows, gordan):
            row.wrong += 1
            row.complaints.append(f"{where}: a Gordan vector that is none")
        else:
            row.refused += 1
        return
    except UnsupportedError:
        row.refused += 1
        return
    except LexmarginError as error:
        row.errors += 1
        row.complaints.append(f"{where}: {type(error).__name__}: {error}")
        return
    except Exception as error:
        row.errors += 1
        row.complaints.append(f"{where}: raw {type(error).__name__}: {error}")
        return
    finally:
        row.slow += time.process_time() - began > time_limit
    certificate = solution.certificate
    if certificate is None or not certificate.certified:
        row.uncertified += 1
        word = "no certificate" if certificate is None else str(certificate.verdict)
        row.complaints.append(f"{where}: {word}, {solution.ran}, {solution.claim}")
        return
    why = _wrong(case, solution)
    if why:
        row.wrong += 1
        row.complaints.append(f"{where}: {why}")
        return
    row.certified += 1


def combinations() -> list[tuple[str, str, float, str]]:
    """Return every formulation × predictor × norm × kind of data that states a problem."""
    return [
        (formulation, predictor, norm, data)
        for formulation in FORMULATIONS
        for predictor in PREDICTORS
        for norm in NORMS
        for data in DATA
        if norm == 2.0 or formulation not in ("scaled-margin", "w-set")
    ]


def tried(index: int, seed: int) -> Row:
    """Judge one random combination; the same index and seed, the same instance."""
    rng = np.random.default_rng([seed, index])
    every = combinations()
    linear = [c for c in every if c[1] in LINEAR]
    # Half of the instances are convex: there every answer can be checked.
    pool = linear if index % 2 else every
    combination = pool[int(rng.integers(len(pool)))]
    kind = "linear" if combination[1] in LINEAR else "nonconvex"
    row = Row(f"{combination[0]}, {kind}")
    try:
        case = instance(rng, *combination)
    except DegreeError:
        # The formulation is for homogeneous predictors, and says so.
        row.tried, row.refused = 1, 1
        return row
    except LexmarginError as error:
        row.tried, row.errors = 1, 1
        row.complaints.append(f"{combination}: {error}")
        return row
    judge(case, row)
    return row


def main() -> int:
    """Print the table; the exit code is 1 if an answer was wrong or an exception raw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--instances", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--complaints", type=int, default=5)
    options = parser.parse_args()
    rows: dict[str, Row] = {}
    with ProcessPoolExecutor(options.workers) as pool:
        jobs = [pool.submit(tried, index, options.seed) for index in range(options.instances)]
        for job in jobs:
            found = job.result()
            row = rows.setdefault(found.family, Row(found.family))
            for name in ("tried", "certified", "uncertified", "wrong", "refused", "errors", "slow"):
                setattr(row, name, getattr(row, name) + getattr(found, name))
            row.complaints += found.complaints
    names = ("tried", "certified", "uncertified", "wrong", "refused", "errors", "slow")
    print(f"{'family':<36}" + "".join(f"{name:>12}" for name in names))
    for row in sorted(rows.values(), key=lambda r: r.family):
        print(f"{row.family:<36}" + "".join(f"{getattr(row, name):>12}" for name in names))
        for complaint in row.complaints[: options.complaints]:
            print("   ", complaint[:300])
    return int(any(row.wrong or row.errors for row in rows.values()))


if __name__ == "__main__":
    raise SystemExit(main())
