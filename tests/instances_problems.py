"""Fresh problems over every kind of samples, and the order in which they are drawn."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, final

import numpy as np

import lexmargin as lm
from instances_samples import DATA, Array, Rng

__all__ = ["FORMULATIONS", "LINEAR", "NORMS", "PREDICTORS", "Instance", "drawn", "instance"]

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

Combination = tuple[str, str, float, str]
Cell = tuple[str, str, float]


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


def _cells(linear: bool) -> list[Cell]:
    """Return every formulation × predictor × norm that states a problem of that kind."""
    return [
        (formulation, predictor, norm)
        for formulation in FORMULATIONS
        for predictor in PREDICTORS
        for norm in NORMS
        if (predictor in LINEAR) is linear
        # These two are of the Euclidean norm.
        and (norm == 2.0 or formulation not in ("scaled-margin", "w-set"))
    ]


def drawn(index: int, seed: int) -> Combination:
    """Return the combination of an index: a Latin design over the cells and the kinds of data.

    Every other index is convex: there every answer can be checked. So many indices as there are
    cells meet each cell once; so many such rounds as there are kinds of data meet each pair once.
    """
    linear = index % 2 == 0
    cells, kinds = _cells(linear), list(DATA)
    rng = np.random.default_rng([seed, int(linear)])
    round_, place = divmod(index // 2, len(cells))
    cell = int(rng.permutation(len(cells))[place])
    # Neighbouring cells differ in the norm: each must meet another kind of data.
    first = int(rng.permutation(len(cells))[cell])
    return (*cells[cell], kinds[(first + round_) % len(kinds)])
